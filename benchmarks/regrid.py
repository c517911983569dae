"""Measure what it takes to put a global day of EASE-Grid 2.0 on the grid of 0.25 degree, once the weights exist.

The reference is reading the same field from a deflated NetCDF-4 file with netCDF4: what a day costs in any case.

    python -m benchmarks.regrid --json benchmarks/results/regrid.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from netCDF4 import Dataset

from runtime.common.ease2 import SHAPES, ease2_edges
from runtime.common.grid import Floats, Grid
from runtime.common.regrid import to_grid

TIMES = 15


def field(shape: tuple[int, int]) -> Floats:
    """Return soil moisture in steps of 1e-4 m3 m-3 that varies as a real day does, with 60 % gaps in swaths."""
    rng = np.random.default_rng(1)
    rows, cols = np.indices(shape, np.float32)
    waves = 0.25 + 0.1 * np.sin(rows / 40) * np.cos(cols / 60) + rng.normal(0, 0.02, shape)
    swaths = (cols + rows / 3) % (shape[1] / 14) < 0.6 * shape[1] / 14
    return np.where(swaths, np.nan, waves.round(4)).astype(np.float32)


def timed(work: Callable[[], Any]) -> float:
    """Return the median of the seconds of several calls."""
    seconds = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def read(path: Path) -> Floats:
    """Return the field of a file."""
    with Dataset(path) as file:
        file.set_auto_mask(False)
        return np.asarray(file["soil_moisture"][:])


def measure(cell_km: int, grid: Grid, folder: Path) -> dict[str, float]:
    """Return the seconds of one cell size."""
    values, path = field(SHAPES[cell_km]), folder / f"{cell_km}.nc"
    with Dataset(path, "w") as file:
        for name, size in zip(("lat", "lon"), values.shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("soil_moisture", "f4", ("lat", "lon"), compression="zlib", shuffle=True)[:] = values
    edges = ease2_edges(cell_km)
    started = time.perf_counter()
    to_grid(values, *edges, grid)
    first = time.perf_counter() - started
    after, reference = timed(lambda: to_grid(values, *edges, grid)), timed(lambda: read(path))
    return {
        "first, with the weights, s": round(first, 4),
        "after that, s": round(after, 4),
        "reference: reading it from a deflated NetCDF-4 file, s": round(reference, 4),
        "times the reference": round(after / reference, 2),
    }


def main() -> None:
    """Measure all cell sizes, and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    arguments = parser.parse_args()
    grid = Grid.globe()
    with tempfile.TemporaryDirectory() as folder:
        results = {f"{cell_km} km to 0.25 degree": measure(cell_km, grid, Path(folder)) for cell_km in SHAPES}
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
