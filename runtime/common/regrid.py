"""Put a field on another grid: averages weighted by the overlapping area, that leave out cells without a value.

All cells lie between two circles of latitude and two meridians. So the area that two cells share is a product: of the
overlap of their rows and of the overlap of their columns. Two small tables hold all weights, and no polygons are cut.
The tables are made once for each pair of axes and kept in the process, because every day of a product has the same
axes. They are not written to disk: they are made faster than a file is opened.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.common.ease2 import authalic
from runtime.errors import InputRefused

if TYPE_CHECKING:
    from runtime.common.grid import Floats, Grid

Doubles = NDArray[np.float64]
Shares = tuple[NDArray[np.intp], NDArray[np.float32]]

MIN_COVER = 0.5
"""Smallest share of a cell's area with a value for which the cell gets a value."""

_SAME = 0.01
"""Share of a cell's size by which the edges of equal cells may differ: files have axes in float32."""

_BLOCK = 32
"""Rows that are averaged at a time: what is between two steps then stays in the processor's cache."""

_NO_TURN = 1e-3
"""Overlaps around the globe below this share of a cell come from rounded axes."""


def overlap_shares(source: Doubles, target: Doubles) -> Shares:
    """Return which source cells each target cell overlaps, and how much of the target cell each of them covers.

    Parameters
    ----------
    source : float64 array, shape (source cells + 1,)
        Edges of the source cells, ascending.
    target : float64 array, shape (target cells + 1,)
        Edges of the target cells, ascending.

    Returns
    -------
    cells : int array, shape (target cells, n)
        Indices of the source cells; n is the largest number of source cells that any target cell overlaps.
    share : float32 array, shape (target cells, n)
        Share of the target cell that the source cell covers, 0 to 1.
    """
    first = (np.searchsorted(source, target[:-1], "right") - 1).clip(0, source.size - 2)
    last = np.searchsorted(source, target[1:], "left")
    cells = first[:, None] + np.arange(max(1, (last - first).max()))
    exists = cells < source.size - 1
    cells = cells.clip(max=source.size - 2)
    low = np.maximum(source[cells], target[:-1, None])
    high = np.minimum(source[cells + 1], target[1:, None])
    share = np.where(exists, (high - low).clip(min=0.0), 0.0) / np.diff(target)[:, None]
    return cells, share.astype(np.float32)


def cell_edges(centres: NDArray[np.floating[Any]], path: Path, axis: str) -> Doubles:
    """Return the edges of evenly spaced cells.

    Parameters
    ----------
    centres : float array, shape (cells,)
        Cell centres, degrees, ascending or descending.
    path : Path
        The file, for messages.
    axis : str
        Name of the axis, for messages.

    Returns
    -------
    float64 array, shape (cells + 1,)
        Cell edges, degrees, in the order of the centres.

    Raises
    ------
    InputRefused
        The centres are not evenly spaced.
    """
    with np.errstate(invalid="ignore"):  # a damaged axis may contain any values
        centres = np.asarray(centres, np.float64)
        steps = np.diff(centres)
    if not steps.size or not np.isfinite(steps).all() or steps.min() * steps.max() <= 0 or np.ptp(steps) > 1e-3:
        raise InputRefused(f"{path}: wrong grid: its {axis} is not evenly spaced; check the feed's product")
    step = (centres[-1] - centres[0]) / steps.size
    return np.asarray(centres[0] + step * (np.arange(centres.size + 1) - 0.5))


def to_grid(values: Floats, lat_edges: Doubles, lon_edges: Doubles, grid: Grid) -> Floats:
    """Put a field on a grid: a copy where the grid's cells are cells of the field, otherwise averages by area.

    Parameters
    ----------
    values : float32 array, shape (lat, lon)
        The field, NaN for no value.
    lat_edges : float64 array, shape (lat + 1,)
        Edges of its rows, degrees north, ascending or descending; evenly spaced or not.
    lon_edges : float64 array, shape (lon + 1,)
        Edges of its columns, degrees east, ascending; -180 to 180, 0 to 360, or a part of them.
    grid : Grid
        The grid.

    Returns
    -------
    float32 array, shape (rows, cols)
        Northernmost row first; NaN where there is no value, and outside the field.
    """
    if lat_edges[0] > lat_edges[-1]:
        values, lat_edges = values[::-1], lat_edges[::-1]
    rows = _equal_cells(lat_edges, grid.lat_edges[::-1])
    cols = _equal_cells(lon_edges, grid.lon_edges, 360.0)
    if rows is None or cols is None:
        return regrid(values, lat_edges, lon_edges, grid)
    return values[np.ix_(rows[::-1], cols)]


def has_cells_of(lat_edges: Doubles, lon_edges: Doubles, grid: Grid) -> bool:
    """Return whether all cells of a grid are cells of a field; edges as in `to_grid`."""
    rows = _equal_cells(np.sort(lat_edges), grid.lat_edges[::-1])
    return rows is not None and _equal_cells(lon_edges, grid.lon_edges, 360.0) is not None


def regrid(values: Floats, lat_edges: Doubles, lon_edges: Doubles, grid: Grid) -> Floats:
    """Average a field over the grid's cells, weighted by the overlapping area.

    Area is that of WGS 84. From one evenly spaced grid to another it is that of a sphere: their weights differ by less
    than 1e-4, and archives whose rain was averaged so keep their bytes.

    Parameters
    ----------
    values : float32 array, shape (lat, lon)
        The field, southernmost row first, NaN for no value; its cells may be smaller or larger than the grid's.
    lat_edges : float64 array, shape (lat + 1,)
        Edges of its rows, ascending, degrees north.
    lon_edges : float64 array, shape (lon + 1,)
        Edges of its columns, ascending, degrees east; -180 to 180, 0 to 360, or a part of them.
    grid : Grid
        The grid to average to.

    Returns
    -------
    float32 array, shape (rows, cols)
        Northernmost row first; NaN where less than `MIN_COVER` of a cell has a value.
    """
    (cells, share), cols = _weights(lat_edges, lon_edges, grid)
    out = np.empty(grid.shape, np.float32)
    for block in (slice(first, first + _BLOCK) for first in range(0, len(cells), _BLOCK)):
        begin, end = cells[block].min(), cells[block].max() + 1
        valid = np.isfinite(values[begin:end])
        cover, amount = (
            _weighted_sum(_weighted_sum(field, (cells[block] - begin, share[block]), 0), cols, 1)
            for field in (valid.astype(np.float32), np.where(valid, values[begin:end], np.float32(0)))
        )
        average = amount / np.maximum(cover, np.float32(1e-6))
        out[block] = np.where(cover >= MIN_COVER - 1e-3, average, np.float32(np.nan))
    return out[::-1]


def covers(lat_edges: Doubles, lon_edges: Doubles, grid: Grid) -> bool:
    """Return whether a field covers at least `MIN_COVER` of every land cell of a grid; edges as in `to_grid`."""
    (_, rows), (_, cols) = _weights(np.sort(lat_edges), lon_edges, grid)
    share = np.outer(rows.sum(1)[::-1], cols.sum(1))
    return bool((share[grid.land] >= MIN_COVER - 1e-3).all())


def _weighted_sum(values: Floats, shares: Shares, axis: int) -> Floats:
    """Return weighted sums along an axis of a field."""
    weights = shares[1][:, None] if axis == 0 else shares[1]
    parts = (values.take(shares[0][:, number], axis) * weights[..., number] for number in range(shares[0].shape[1]))
    return np.asarray(sum(parts, np.float32(0)))


def _weights(lat_edges: Doubles, lon_edges: Doubles, grid: Grid) -> tuple[Shares, Shares]:
    """Return the tables of the rows, both axes ascending, and of the columns."""
    both_even = np.ptp(np.diff(lat_edges)) < 1e-9 and grid.cell_km is None
    area = _sphere if both_even else authalic
    rows = _cached_shares(area(lat_edges).tobytes(), area(grid.lat_edges[::-1]).tobytes(), period=0.0)
    return rows, _cached_shares(lon_edges.tobytes(), grid.lon_edges.tobytes(), period=360.0)


def _sphere(latitudes: Doubles) -> Doubles:
    return np.asarray(np.sin(np.radians(latitudes)))


@lru_cache(maxsize=32)
def _cached_shares(source: bytes, target: bytes, period: float) -> Shares:
    """Return `overlap_shares` of two axes given as bytes; with a period, cells continue on the other side."""
    edges, wanted = np.frombuffer(source), np.frombuffer(target)
    tables = [overlap_shares(edges + turn, wanted) for turn in ((0.0, -period, period) if period else (0.0,))]
    tables = [tables[0], *(table for table in tables[1:] if table[1].max() > _NO_TURN)]
    return np.concatenate([cells for cells, _ in tables], 1), np.concatenate([share for _, share in tables], 1)


def _equal_cells(source: Doubles, target: Doubles, period: float = 0.0) -> NDArray[np.intp] | None:
    """Return the source cell that is equal to each target cell; None if one of them has none."""
    low, high = target[:-1].copy(), target[1:].copy()
    if period:
        turns = np.floor(((low + high) / 2 - source[0]) / period) * period
        low, high = low - turns, high - turns
    cells = np.asarray((np.searchsorted(source, (low + high) / 2) - 1).clip(0, source.size - 2))
    off = np.maximum(np.abs(source[cells] - low), np.abs(source[cells + 1] - high))
    return cells if (off <= _SAME * (high - low)).all() else None
