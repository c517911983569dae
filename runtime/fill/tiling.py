"""Cutting the grid into tiles with a halo, and putting the cores back together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools, Floats, Grid
from runtime.errors import ConfigError

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Tile:
    """One core, by its first row and first column on the grid."""

    row: int
    col: int


@dataclass(frozen=True)
class Tiling:
    """How a grid is cut: cores of `core` (rows, cols) cells, each with `halo` cells around it.

    The rule beyond the edges is part of the result's definition: longitude wraps where the grid does; beyond the poles,
    and beyond a region's edge, a field has its `beyond` value and land is 0.
    """

    grid: Grid
    core: tuple[int, int]
    halo: int

    @classmethod
    def of(cls, grid: Grid, core: int | tuple[int, int], halo: int, stride: int = 1) -> Tiling:
        """Return the tiling of a grid by square cores, or by cores of (rows, cols).

        Raises
        ------
        ConfigError
            The network pools by `stride`, and tiles of this size would not lie on it all around the grid.
        """
        core = (core, core) if isinstance(core, int) else core
        around = grid.shape[1] if grid.wraps else 0
        if any(size % stride for size in (*core, halo, around)):
            raise ConfigError(
                f"a network that pools by {stride} cannot be tiled by cores of {core} cells with a halo of {halo} on a "
                f"grid of {grid.shape}; every one of them must be a multiple of {stride}"
            )
        return cls(grid, core, halo)

    def tiles(self, wanted: Bools) -> list[Tile]:
        """Return the tiles whose core holds a wanted cell, north-west first.

        Parameters
        ----------
        wanted : bool array of the grid's shape
        """
        (rows, cols), (height, width) = self.grid.shape, self.core
        return [
            Tile(row, col)
            for row in range(0, rows, height)
            for col in range(0, cols, width)
            if wanted[row : row + height, col : col + width].any()
        ]

    def cover(self, wanted: Bools, stride: int = 1) -> list[Tile]:
        """Return tiles whose cores hold all wanted cells, laid where the cells are: in bands from north to south.

        A band begins at the first row that still has a wanted cell, a core at the band's first column that has one, on
        multiples of `stride`.
        """
        height, width = self.core
        found, row = [], 0
        occupied = np.flatnonzero(wanted.any(1))
        while (place := np.searchsorted(occupied, row)) < len(occupied):
            row = int(occupied[place]) // stride * stride
            col, columns = 0, np.flatnonzero(wanted[row : row + height].any(0))
            while (place := np.searchsorted(columns, col)) < len(columns):
                col = int(columns[place]) // stride * stride
                found.append(Tile(row, col))
                col += width
            row += height
        return found

    def pad(self, field: NDArray[Number], beyond: float) -> NDArray[Number]:
        """Return a field, (..., rows, cols), extended so that every tile with its halo lies inside it."""
        (height, width), halo = self.core, self.halo
        south, east = halo + height - 1, halo + width - 1
        lead = [(0, 0)] * (field.ndim - 2)
        if self.grid.wraps:
            field = np.pad(field, [*lead, (0, 0), (halo, east)], mode="wrap")
        else:
            field = np.pad(field, [*lead, (0, 0), (halo, east)], constant_values=beyond)
        return np.pad(field, [*lead, (halo, south), (0, 0)], constant_values=beyond)

    def cut(self, padded: NDArray[Number], tiles: Sequence[Tile]) -> NDArray[Number]:
        """Return tiles with their halo, (N, ..., core + 2 halo, core + 2 halo), from a field that `pad` extended."""
        height, width = (size + 2 * self.halo for size in self.core)
        return np.stack([padded[..., t.row : t.row + height, t.col : t.col + width] for t in tiles])

    def paste(self, out: Floats, tiles: Sequence[Tile], cores: Floats) -> None:
        """Write cores, (N, core, core), into a field of the grid's shape, leaving out what lies beyond its edge."""
        (rows, cols), (height, width) = self.grid.shape, self.core
        for tile, core in zip(tiles, cores, strict=True):
            out[tile.row : tile.row + height, tile.col : tile.col + width] = core[: rows - tile.row, : cols - tile.col]


def cheapest_core(grid: Grid, wanted: Bools, largest: int, halo: int, stride: int = 1) -> tuple[int, int]:
    """Return the core (rows, cols), at most `largest` each way, whose cover computes the fewest cells, halo included.

    What a convolution costs is the cells it computes: small cores follow the gaps, large ones have less halo.
    """
    sides = sorted({max(largest // part // stride * stride, stride) for part in (1, 2, 3, 4)}, reverse=True)

    def computed(core: tuple[int, int]) -> int:
        return len(Tiling(grid, core, halo).cover(wanted, stride)) * (core[0] + 2 * halo) * (core[1] + 2 * halo)

    return min(itertools.product(sides, sides), key=computed)


def dilate(cells: Bools, by: int, wraps: bool) -> Bools:
    """Return the cells of a grid, (rows, cols), and all that lie at most `by` rows and columns away."""
    for axis in (0, 1):
        for _ in range(by):
            ahead, behind = np.roll(cells, 1, axis), np.roll(cells, -1, axis)
            if axis == 0 or not wraps:
                ahead.swapaxes(0, axis)[0], behind.swapaxes(0, axis)[-1] = False, False
            cells = cells | ahead | behind
    return cells


def batches(tiles: Sequence[Tile], size: int) -> Iterator[Sequence[Tile]]:
    """Yield the tiles in runs of at most `size`."""
    for start in range(0, len(tiles), size):
        yield tiles[start : start + size]
