"""Measure how much land a window of days reaches: what the days further back add to the cells that can be filled.

    python -m benchmarks.reach --data FOLDER [--band x]

FOLDER holds consecutive days of LPRM AMSR2. Printed for each tier, as means over the days that have twelve days before
them: the gaps on land, and the share of them that has an observation of the window within seven cells, as
`seamless-2` needs it, for windows of several lengths.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from runtime.common.grid import Grid
from runtime.common.vocabulary import Tier
from runtime.fill.tiling import dilate
from training.data import DataSection
from training.evaluate.kinds import TIERS
from training.models.seamless import BOXES, SeamlessConfig

PASTS = (4, 8, 12)
"""Days before day T."""


def main() -> None:
    """Read the days, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--band", default="x")
    arguments = parser.parse_args()
    config, grid = SeamlessConfig(), Grid.globe()
    with tempfile.TemporaryDirectory() as scratch:
        archive = DataSection(granules=arguments.data, band=arguments.band).open(Path(scratch), grid)
        seen = np.isfinite(archive.soil_moisture(0, len(archive)))
    print("tier          gaps on land a day  " + "  ".join(f"{past:>2} days back" for past in PASTS))
    for tier in TIERS:
        after = config.after if tier == Tier.CONSOLIDATED else 0
        days = range(config.before, len(seen) - after)
        if not days:
            print(f"{tier:13} no day has {config.before} days before it and {after} after it")
            continue
        counts = np.zeros(1 + len(PASTS))
        for day in days:
            gap = grid.land & ~seen[day]
            windows = (np.asarray(seen[day - past : day + after + 1].any(0)) for past in PASTS)
            reached = [(gap & dilate(window, max(BOXES) // 2, grid.wraps)).sum() for window in windows]
            counts += [gap.sum(), *reached]
        shares = "  ".join(f"{100 * count / counts[0]:10.2f} %" for count in counts[1:])
        print(f"{tier:13} {counts[0] / len(days):18.0f}  {shares}  ({len(days)} days)")


if __name__ == "__main__":
    main()
