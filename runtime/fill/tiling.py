"""Cut the grid into tiles with a halo, and put their cores back together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools, Floats, Grid
from runtime.errors import BundleError, ConfigError

Number = TypeVar("Number", bound=np.generic)
"""Type of a field's values."""
_SHARES = (1.0, 0.8, 0.625, 0.5, 1 / 3, 0.25)
"""Shares of the largest core that a core's sides may have."""


@dataclass(frozen=True)
class Tile:
    """One tile, by the first row and first column of its core on the grid."""

    row: int
    col: int


@dataclass(frozen=True)
class Tiling:
    """How a grid is cut into tiles.

    What a tile contains outside the grid is part of the result's definition. On a grid that wraps, longitudes continue
    on the other side. Beyond the poles, and beyond the edge of a region, a field has the value `beyond` of `pad`.
    """

    grid: Grid
    core: tuple[int, int]
    """Rows and columns of a core: the cells of a tile that are filled."""
    halo: int
    """Number of cells read around the core, on every side."""

    @classmethod
    def of(cls, grid: Grid, core: int | tuple[int, int], halo: int, stride: int = 1) -> Tiling:
        """Return the tiling of a grid for a network that pools by `stride`.

        Parameters
        ----------
        grid : Grid
            The grid to cut.
        core : int or (int, int)
            Rows and columns of a core.
        halo : int
            Number of cells read around the core, on every side.
        stride : int
            Cores and halo must be multiples of it. If the columns of a grid that wraps are not, the network's windows
            of `stride` columns begin again at the first column; those of the last one reach beyond it.

        Returns
        -------
        Tiling
            The tiling.

        Raises
        ------
        ConfigError
            Core or halo is not a multiple of `stride`.
        """
        core = (core, core) if isinstance(core, int) else core
        if any(size % stride for size in (*core, halo)):
            raise ConfigError(
                f"a network that pools by {stride} cannot be tiled by cores of {core} cells with a halo of {halo}; "
                f"every one of them must be a multiple of {stride}"
            )
        return cls(grid, core, halo)

    def tiles(self, wanted: Bools) -> list[Tile]:
        """Return the tiles of a regular pattern whose core contains a wanted cell.

        Parameters
        ----------
        wanted : bool array, shape (rows, cols)
            The wanted cells.

        Returns
        -------
        list of Tile
            From north to south, and from west to east.
        """
        (rows, cols), (height, width) = self.grid.shape, self.core
        return [
            Tile(row, col)
            for row in range(0, rows, height)
            for col in range(0, cols, width)
            if wanted[row : row + height, col : col + width].any()
        ]

    def cover(self, wanted: Bools, stride: int = 1) -> list[Tile]:
        """Return tiles whose cores contain all wanted cells, placed so that few tiles are needed.

        The tiles form bands from north to south. A band begins at the first row that still has a wanted cell; a core
        begins at the first column of its band that still has one.

        Parameters
        ----------
        wanted : bool array, shape (rows, cols)
            The wanted cells.
        stride : int
            Rows and columns of tiles are multiples of it.

        Returns
        -------
        list of Tile
            From north to south, and from west to east.
        """
        height, width = self.core
        tiles, row = [], 0
        occupied = np.flatnonzero(wanted.any(1))
        while (index := np.searchsorted(occupied, row)) < len(occupied):
            row = int(occupied[index]) // stride * stride
            col, columns = 0, np.flatnonzero(wanted[row : row + height].any(0))
            while (index := np.searchsorted(columns, col)) < len(columns):
                col = int(columns[index]) // stride * stride
                tiles.append(Tile(row, col))
                col += width
            row += height
        return tiles

    def pad(self, field: NDArray[Number], beyond: float, tiles: Sequence[Tile]) -> NDArray[Number]:
        """Extend a field so that the given tiles with their halo lie inside it.

        Parameters
        ----------
        field : array, shape (..., rows, cols)
            The field on the grid.
        beyond : float
            Value of cells beyond the poles, or beyond the edge of a region.
        tiles : sequence of Tile
            The tiles to cut out of it.

        Returns
        -------
        array, shape (..., rows + 2 * halo + south, cols + 2 * halo + east)
            The extended field, if cores reach `south` rows and `east` columns beyond the grid.
        """
        (rows, cols), (height, width), halo = self.grid.shape, self.core, self.halo
        south = halo + max([0, *(tile.row + height - rows for tile in tiles)])
        east = halo + max([0, *(tile.col + width - cols for tile in tiles)])
        other_axes = [(0, 0)] * (field.ndim - 2)
        if self.grid.wraps:
            field = np.pad(field, [*other_axes, (0, 0), (halo, east)], mode="wrap")
        else:
            field = np.pad(field, [*other_axes, (0, 0), (halo, east)], constant_values=beyond)
        return np.pad(field, [*other_axes, (halo, south), (0, 0)], constant_values=beyond)

    def cut(self, padded: NDArray[Number], tiles: Sequence[Tile]) -> NDArray[Number]:
        """Cut tiles with their halo out of a field.

        Parameters
        ----------
        padded : array, shape (..., rows, cols)
            A field that `pad` has extended.
        tiles : sequence of Tile
            The N tiles to cut.

        Returns
        -------
        array, shape (N, ..., height + 2 * halo, width + 2 * halo)
            The tiles, with cores of height x width cells.
        """
        height, width = (size + 2 * self.halo for size in self.core)
        return np.stack([padded[..., tile.row : tile.row + height, tile.col : tile.col + width] for tile in tiles])

    def cores(self, computed: Floats) -> Floats:
        """Return what a network has computed, if it has the size of cores.

        Raises
        ------
        BundleError
            The network gives cores of another size: its graph has another halo than its manifest says.
        """
        if computed.shape[1:] != self.core:
            raise BundleError(
                f"the network's cores have {computed.shape[1:]} cells, and by the bundle's manifest {self.core}; "
                "export the bundle again"
            )
        return computed

    def paste(self, out: Floats, tiles: Sequence[Tile], cores: Floats) -> None:
        """Write the cores of tiles into a field; cells outside the grid are left out.

        Parameters
        ----------
        out : float32 array, shape (rows, cols)
            The field to write to.
        tiles : sequence of Tile
            The N tiles.
        cores : float32 array, shape (N, height, width)
            Values of their cores.

        Raises
        ------
        BundleError
            As by `cores`.
        """
        (rows, cols), (height, width) = self.grid.shape, self.core
        for tile, core in zip(tiles, self.cores(cores), strict=True):
            out[tile.row : tile.row + height, tile.col : tile.col + width] = core[: rows - tile.row, : cols - tile.col]


def cheapest_core(grid: Grid, wanted: Bools, largest: int, halo: int, stride: int = 1) -> tuple[int, int]:
    """Return the core for which `Tiling.cover` computes the fewest cells, halos included.

    The cost of a convolution is the number of cells. Small cores fit the gaps better, large cores have less halo.

    Parameters
    ----------
    grid : Grid
        The grid to cut.
    wanted : bool array, shape (rows, cols)
        The cells to compute.
    largest : int
        Largest number of rows and of columns of a core.
    halo : int
        Number of cells read around the core, on every side.
    stride : int
        Rows and columns of a core are multiples of it.

    Returns
    -------
    (int, int)
        Rows and columns of the core.
    """
    sides = sorted({max(int(largest * share) // stride * stride, stride) for share in _SHARES}, reverse=True)

    def computed(core: tuple[int, int]) -> int:
        return len(Tiling(grid, core, halo).cover(wanted, stride)) * (core[0] + 2 * halo) * (core[1] + 2 * halo)

    return min(itertools.product(sides, sides), key=computed)


def dilate(cells: Bools, distance: int, wraps: bool) -> Bools:
    """Return the given cells and all cells that are at most `distance` rows and columns away.

    Parameters
    ----------
    cells : bool array, shape (rows, cols)
        The cells.
    distance : int
        Largest difference of rows and of columns.
    wraps : bool
        Whether the first and the last column are neighbours.

    Returns
    -------
    bool array, shape (rows, cols)
        The larger set of cells.
    """
    for axis in (0, 1):
        done = 0
        while done < distance:
            step = min(done + 1, distance - done)  # each cell is a run of done + 1 or more by now, also at an edge
            forward, backward = np.roll(cells, step, axis), np.roll(cells, -step, axis)
            if axis == 0 or not wraps:
                forward.swapaxes(0, axis)[:step], backward.swapaxes(0, axis)[-step:] = False, False
            cells = cells | forward | backward
            done += step
    return cells


def batches(tiles: Sequence[Tile], size: int) -> Iterator[Sequence[Tile]]:
    """Yield the tiles in groups of at most `size`, in order."""
    for start in range(0, len(tiles), size):
        yield tiles[start : start + size]
