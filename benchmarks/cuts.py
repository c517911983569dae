"""Count how much a day of SGD-SM 1.0's network computes, depending on how the land is cut into tiles.

    python -m benchmarks.cuts --data FOLDER [--date 2015-04-12]

The unit is a million cells times frames, counted over the wide layers of the published size: all but the first and the
last.
"""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

import numpy as np

from benchmarks.days import read_window
from runtime.common.grid import Bools, Grid
from runtime.fill.tiling import Tiling, dilate

LAYERS, WINDOW = 11, 9
FRAMES = [min(WINDOW, 2 * (LAYERS - layer) + 1) for layer in range(1, LAYERS + 1)]
"""For each layer, the number of its output days that can still reach day T."""


def by_stages(grid: Grid, gaps: Bools, together: int, tile: tuple[int, int]) -> float:
    """Count the cells times frames of a network in stages.

    Parameters
    ----------
    grid : Grid
        The grid.
    gaps : bool array, shape (rows, cols)
        The cells to fill.
    together : int
        Layers in a stage.
    tile : (int, int)
        Rows and columns of a tile.

    Returns
    -------
    float
        Millions of cells times frames.
    """
    total = 0
    for first in range(0, LAYERS, together):
        last = min(first + together, LAYERS)
        need = grid.land & dilate(gaps, LAYERS - last, grid.wraps)
        tiles = len(Tiling(grid, tile, 0).cover(need))
        for layer in range(max(first, 1), min(last, LAYERS - 1)):
            halo = 2 * (last - 1 - layer)
            total += tiles * (tile[0] + halo) * (tile[1] + halo) * FRAMES[layer]
    return total / 1e6


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--date", type=dt.date.fromisoformat, default=dt.date(2015, 4, 12))
    arguments = parser.parse_args()
    grid = Grid.globe()
    gaps = grid.land & np.isnan(read_window(arguments.data, arguments.date, grid, (0,))[0])
    published = len(Tiling(grid, (40, 40), 0).tiles(grid.land)) * 1600 * WINDOW * (LAYERS - 2) / 1e6
    print(f"as published, 40 x 40 land tiles, every frame, no halo: {published:.1f}")
    for together, tile in ((11, (40, 40)), (6, (24, 24)), (4, (16, 16)), (2, (8, 16)), (1, (16, 16)), (1, (8, 16))):
        print(f"layers a stage: {together}, tiles {tile[0]} x {tile[1]}: {by_stages(grid, gaps, together, tile):.1f}")
    print(f"layers a stage: 1, cell by cell: {by_stages(grid, gaps, 1, (1, 1)):.1f}")


if __name__ == "__main__":
    main()
