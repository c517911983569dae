"""Measure how a bundle's error changes with wrong rain: none, a dry field, and the rain of a synthetic world.

    python benchmarks/foreign_rain.py --bundle FOLDER --data FOLDER

Strips are hidden on a consolidated and on a provisional day, as in `python -m training evaluate`. The figure is the
RMSE on the hidden cells, m3 m-3. A network that was trained on synthetic days with rain and on real days without may
take rain as a sign of synthetic soil; it then gets worse with a dry field.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from runtime.bundle import find_bundle, load_bundle
from runtime.common.grid import Grid
from training.evaluate.hidden import BundleFiller, gaps
from training.evaluate.kinds import HEADLINE
from training.evaluate.references import TODAY, WINDOW
from training.evaluate.score import Score
from training.samples import TrainingArchive

SEED = 300
"""Seed of a world that no bundle was trained on."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="seamless-2")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--consolidated", type=dt.date.fromisoformat, default=dt.date(2015, 4, 14))
    parser.add_argument("--provisional", type=dt.date.fromisoformat, default=dt.date(2015, 4, 18))
    arguments = parser.parse_args()
    grid = Grid.globe()
    with tempfile.TemporaryDirectory() as scratch:
        real = TrainingArchive.of_granules(Path(scratch, "real"), arguments.data, grid)
        world = TrainingArchive.of_world(Path(scratch, "world"), grid, seed=SEED, first=real.first, days=len(WINDOW))
        filler = BundleFiller("bundle", load_bundle(find_bundle(arguments.bundle)), real)
        print("tier | rain | RMSE | bias | n")
        for tier in ("consolidated", "provisional"):
            made = gaps(real, getattr(arguments, tier), tier, HEADLINE)
            foreign = world.rain(0, len(WINDOW))
            if tier == "provisional":
                foreign[TODAY + 1 :] = np.nan
            dry = np.where(np.isnan(foreign), foreign, np.float32(0))
            for name, rain in (("none", np.full_like(foreign, np.nan)), ("dry", dry), ("foreign", foreign)):
                filled = filler.fill(replace(made, rain=rain)).soil_moisture
                both = np.isfinite(made.truth) & np.isfinite(filled)
                score = Score.of(filled[both], made.truth[both])
                print(f"{tier} | {name} | {score.rmse:.4f} | {score.bias:+.4f} | {score.n}")


if __name__ == "__main__":
    main()
