"""Compare simulated days with the real ones they imitate: how departures from the mean of a cell's days correlate.

    python -m benchmarks.departures --data FOLDER [--band x]

FOLDER holds consecutive days of LPRM AMSR2. Printed are the correlations of departures some cells apart from west to
east on the same day, for cells whose spread is small and for those where it is large, and from one day to the next; and
for the real days the correlation of a cell with itself some days later, in units of its own spread. It is larger where
the orbit comes back to almost the same track.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np

from runtime.common.grid import Bools, Floats, Grid
from training.data import DataSection
from training.samples.simulate import simulated

DISTANCES = (1, 2, 3, 5, 8, 12)
"""Cells."""
SMALL, LARGE = 0.06, 0.15
"""m3 m-3; spreads below the first are small, above the second large."""
LEAST = 0.005
"""m3 m-3, half of a retrieval's step; cells with a smaller spread are left out of the last line."""
TILE = 240
"""Rows and columns simulated at once."""


def correlations(days: Floats, chosen: Bools) -> list[float]:
    """Return the correlation at each of `DISTANCES` on the same day, then that of a cell with the next day."""
    departure = np.where(chosen, days - np.nanmean(days, 0), np.nan)
    variance = np.nanmean(departure**2)
    found = [np.nanmean(departure[..., cells:] * departure[..., :-cells]) / variance for cells in DISTANCES]
    return [float(value) for value in (*found, np.nanmean(departure[1:] * departure[:-1]) / variance)]


def main() -> None:
    """Read the days, simulate as many, and print the correlations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--band", default="x")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # cells without any observation
    with tempfile.TemporaryDirectory() as scratch:
        archive = DataSection(granules=arguments.data, band=arguments.band).open(Path(scratch), Grid.globe())
        real = archive.soil_moisture(0, len(archive))
    rng, made = np.random.default_rng(0), np.full_like(real, np.nan)
    for row in range(0, real.shape[1], TILE):
        for col in range(0, real.shape[2], TILE):
            tile = np.s_[:, row : row + TILE, col : col + TILE]
            made[tile] = simulated(real[tile], real[tile], rng)
    often = np.isfinite(real).sum(0) >= 5
    spread = np.nanstd(real, 0)
    print(f"{'':24} " + " ".join(f"{cells:>5}" for cells in DISTANCES) + "  next day")
    for name, chosen in (("small spread", often & (spread < SMALL)), ("large spread", often & (spread > LARGE))):
        for kind, days in (("real", real), ("simulated", made)):
            print(f"{kind + ', ' + name:24} " + " ".join(f"{value:5.2f}" for value in correlations(days, chosen)))
    often &= spread > LEAST
    normal = np.where(often, (real - np.nanmean(real, 0)) / np.where(often, spread, 1), np.nan)
    print("days later: " + ", ".join(f"{k} {np.nanmean(normal[k:] * normal[:-k]):.2f}" for k in range(1, len(real))))


if __name__ == "__main__":
    main()
