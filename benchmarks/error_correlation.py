"""Measure how far the errors of filled values are alike, which the uncertainty of a mean over an area needs.

    python -m benchmarks.error_correlation --data FOLDER [--bundle seamless-2] [--band x]

FOLDER holds consecutive days of LPRM AMSR2. On three days, observed cells are hidden and filled with a bundle that
gives an uncertainty. Printed for each kind of gap: the correlation of errors divided by their uncertainty, by distance;
then, for squares of several sizes of which at least 60 % were hidden, the share of the squares whose mean error is
within the uncertainty that `runtime.output.area.mean_error` gives with several correlation lengths. The length is right
where the share is 68 %. Shipped weights were trained on these days, so that errors are somewhat smaller than on others.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from pathlib import Path

import numpy as np

from runtime.archive.place import EARTH_KM
from runtime.bundle import find_bundle, load_bundle
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import Tier
from runtime.engines.select import EngineSettings
from runtime.output.area import mean_error
from training.data import DataSection
from training.evaluate.hidden import BundleFiller, gaps
from training.evaluate.kinds import KINDS

DAYS = (9, 12, 15)
"""Positions of the days in the folder: with days before and after."""
EDGES = (0, 30, 60, 100, 150, 200, 300, 400, 500, 700, 1000, 1500)
"""Distances, km."""
SIZES = (4, 8, 16, 32)
"""Sides of the squares, cells."""
LENGTHS = (50, 100, 150, 200, 300)
"""Correlation lengths, km."""
CELLS, DRAWS = 3500, 6
"""Hidden cells whose distances are computed at a time, and how often on each day."""
SQUARES = 300
"""Squares of a size on each day, at most."""


def main() -> None:
    """Fill the days and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", default="seamless-2")
    parser.add_argument("--band", default="x")
    parser.add_argument("--engine", default="auto")
    arguments = parser.parse_args()
    grid = Grid.globe()
    with tempfile.TemporaryDirectory() as scratch:
        archive = DataSection(granules=arguments.data, band=arguments.band).open(Path(scratch), grid)
        bundle = load_bundle(find_bundle(arguments.bundle))
        filler = BundleFiller(arguments.bundle, bundle, archive, EngineSettings(arguments.engine))
        for kind in KINDS:
            found = []
            for day in DAYS:
                hidden = gaps(archive, archive.first + dt.timedelta(day), Tier.CONSOLIDATED, kind)
                filled = filler.fill(hidden)
                assert filled.uncertainty is not None
                found.append((filled.soil_moisture - hidden.truth, filled.uncertainty))
            print(f"{kind}: {sum(int(np.isfinite(error).sum()) for error, _ in found)} hidden cells")
            _print_correlation(found, grid)
            _print_squares(found, grid)


def _print_correlation(found: list[tuple[Floats, Floats]], grid: Grid) -> None:
    rng = np.random.default_rng(0)
    sums, counts, variance = np.zeros(len(EDGES) + 1), np.zeros(len(EDGES) + 1), 0.0
    for error, sigma in found:
        relative = error / sigma
        rows, cols = np.nonzero(np.isfinite(relative))
        values = relative[rows, cols].astype(float)
        variance += (values**2).mean() / len(found)
        lat, lon = np.radians(grid.latitudes[rows]), np.radians(grid.longitudes[cols])
        points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
        for _ in range(DRAWS):
            chosen = rng.choice(values.size, CELLS, replace=False)
            pairs = np.triu_indices(CELLS, 1)
            distance = EARTH_KM * np.arccos(np.clip(points[chosen] @ points[chosen].T, -1, 1))[pairs]
            bins = np.digitize(distance, EDGES)
            sums += np.bincount(bins, np.outer(values[chosen], values[chosen])[pairs], len(sums))
            counts += np.bincount(bins, minlength=len(counts))
    for begin, end, total, count in zip(EDGES[:-1], EDGES[1:], sums[1:], counts[1:], strict=False):
        print(f"  {begin:4} to {end:4} km: correlation {total / count / variance:6.3f}  ({count:.0f} pairs)")


def _print_squares(found: list[tuple[Floats, Floats]], grid: Grid) -> None:
    rng = np.random.default_rng(0)
    print("  side, cells  squares  RMSE of means  " + "  ".join(f"{length:>4} km" for length in LENGTHS))
    for size in SIZES:
        means, inside = [], []
        for error, sigma in found:
            known = np.isfinite(error)
            corners = [
                (row, col)
                for row in range(0, grid.shape[0] - size + 1, size)
                for col in range(0, grid.shape[1] - size + 1, size)
                if known[row : row + size, col : col + size].mean() >= 0.6
            ]
            for row, col in rng.permutation(corners)[:SQUARES]:
                rows, cols = np.nonzero(known[row : row + size, col : col + size])
                rows, cols = rows + row, cols + col
                means.append(error[rows, cols].mean())
                where = sigma[rows, cols] / rows.size, grid.latitudes[rows], grid.longitudes[cols]
                inside.append([abs(means[-1]) <= mean_error(*where, length) for length in LENGTHS])
        shares = "  ".join(f"{share:6.0%} " for share in np.mean(inside, 0))
        print(f"  {size:11}  {len(means):7}  {np.sqrt(np.mean(np.square(means))):13.4f}  {shares}")


if __name__ == "__main__":
    main()
