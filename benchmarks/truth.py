"""Judge filled values where the true soil moisture is known: in the synthetic world, with errors that neighbours share.

    python -m benchmarks.truth [--bundle NAME]... [--noise 0.06] [--shared 0.7]

Real retrievals cannot tell whether a filled value is the soil's or repeats an error of the instrument that the cells
around it share. Here both are known. Printed, for the gaps of some days of each tier: RMSE against the truth of each
bundle with and without the rain of the window's days, of the recency-weighted mean and of the plain mean of four days
either side, on the same cells; and of the day's own observations. Then the same for the gaps on which it rained 10 mm
and more on the day. m3 m-3. What a recurrent bundle remembers of the days before is always with their rain.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from pathlib import Path

import numpy as np

from runtime.bundle import find_bundle, load_bundle
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import Tier
from runtime.demo.world import World
from training.evaluate.hidden import WITHOUT_RAIN, BundleFiller, Gaps
from training.evaluate.kinds import TIERS
from training.evaluate.references import TODAY, WINDOW, plain_mean, weighted_mean
from training.samples import TrainingArchive

SEED, FIRST, DAYS = 300, dt.date(2020, 6, 1), 24
"""A world and a season that no bundle was trained on."""
JUDGED = (13, 15, 17, 19)
"""Positions of the days to judge: a full window before and after."""
WET_MM = 10.0


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", action="append", help="name or folder, repeatable; default both of seamless-2")
    parser.add_argument("--noise", type=float, default=0.06, help="standard deviation of the retrieval error, m3 m-3")
    parser.add_argument("--shared", type=float, default=0.7, help="share of its variance that neighbours share")
    arguments = parser.parse_args()
    grid = Grid.globe()
    world = World(grid, SEED, arguments.noise, arguments.shared)
    truth = {day.date: day.truth for day in world.days(FIRST, DAYS)}
    print(f"retrieval error {arguments.noise} m3 m-3, {arguments.shared:.0%} of its variance shared with neighbours")
    with tempfile.TemporaryDirectory() as scratch:
        archive = TrainingArchive.of_world(
            Path(scratch, "world"),
            grid,
            seed=SEED,
            first=FIRST,
            days=DAYS,
            retrieval_noise=arguments.noise,
            shared_noise=arguments.shared,
        )
        names = arguments.bundle or ["seamless-2", "seamless-2-soil"]
        fillers = [BundleFiller(name, load_bundle(find_bundle(name)), archive) for name in names]
        for tier in TIERS:
            errors: dict[str, dict[str, list[Floats]]] = {"all": {}, "wet": {}}
            for position in JUDGED:
                day = _unobserved(archive, position, tier, truth[FIRST + dt.timedelta(position)])
                fields = {}
                for filler in fillers:
                    fields[filler.name + WITHOUT_RAIN] = filler.fill(day, with_rain=False).soil_moisture
                    if filler.takes_rain:
                        fields[filler.name] = filler.fill(day).soil_moisture
                fields |= {"weighted mean": weighted_mean(day.frames), "plain mean": plain_mean(day.frames)}
                wanted = np.isfinite(day.truth) & np.all([np.isfinite(field) for field in fields.values()], 0)
                is_wet = day.rain[TODAY] >= WET_MM
                for name, field in fields.items():
                    for cells, chosen in (("all", wanted), ("wet", wanted & is_wet)):
                        errors[cells].setdefault(name, []).append((field - day.truth)[chosen])
                own = day.frames[TODAY] - truth[day.date]
                for cells, chosen in (("all", np.isfinite(own)), ("wet", np.isfinite(own) & is_wet)):
                    errors[cells].setdefault("observed cells' own", []).append(own[chosen])
            for cells, found in errors.items():
                for name, parts in found.items():
                    error = np.concatenate(parts)
                    rmse = np.sqrt(np.mean(error**2))
                    print(f"{tier:13} {cells} {name:40} RMSE {rmse:.4f}, bias {error.mean():+.4f}, n {error.size}")


def _unobserved(archive: TrainingArchive, position: int, tier: Tier, truth: Floats) -> Gaps:
    """Return a day as it is on a tier, with the truth of its own gaps."""
    frames, rain = (read(position + WINDOW[0], len(WINDOW)) for read in (archive.soil_moisture, archive.rain))
    if tier == Tier.PROVISIONAL:
        frames[TODAY + 1 :], rain[TODAY + 1 :] = np.nan, np.nan
    date = archive.first + dt.timedelta(position)
    gap = np.where(np.isnan(frames[TODAY]), truth, np.float32(np.nan))
    return Gaps(date=date, tier=tier, frames=frames, rain=rain, truth=gap)


if __name__ == "__main__":
    main()
