"""Read daily IMERG precipitation (Early, Late and Final, V06 and V07), averaged over the grid's cells by area.

Product documents: GES DISC ``GPM_3IMERGDE``, ``GPM_3IMERGDL``, ``GPM_3IMERGDF``.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import cftime
import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats, Grid
from runtime.errors import InputRefused
from runtime.inputs.products.granule import FETCH_AGAIN, MAX_AXIS, open_granule, variable

MAX_DAILY = 3000.0
"""Largest plausible precipitation, mm/day; the largest ever measured on one day is 1825 mm (La Reunion, 1966)."""

_MOST_CELLS = 3600 * 1800
"""Cells of the globe at 0.1 degree."""

MIN_COVER = 0.5
"""Smallest share of a cell's area with an estimate for which the cell gets an estimate."""


def overlap_shares(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
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


def _weighted_sum(values: Floats, cells: NDArray[np.intp], share: NDArray[np.float32]) -> Floats:
    """Return weighted sums over the first axis, with cells and shares from `overlap_shares`."""
    total = np.zeros((len(cells), *values.shape[1:]), np.float32)
    for number in range(cells.shape[1]):
        total += values[cells[:, number]] * share[:, number, None]
    return total


def cell_edges(centres: NDArray[np.floating[Any]], path: Path, axis: str) -> NDArray[np.float64]:
    """Return the edges of evenly spaced ascending cells.

    Parameters
    ----------
    centres : float array, shape (cells,)
        Cell centres, degrees.
    path : Path
        The file, for messages.
    axis : str
        Name of the axis, for messages.

    Returns
    -------
    float64 array, shape (cells + 1,)
        Cell edges, degrees.

    Raises
    ------
    InputRefused
        The centres are not evenly spaced and ascending.
    """
    with np.errstate(invalid="ignore"):  # a damaged axis may contain any values
        centres = np.asarray(centres, np.float64)
        steps = np.diff(centres)
    if not steps.size or not np.isfinite(steps).all() or steps.min() <= 0 or np.ptp(steps) > 1e-3:
        raise InputRefused(
            f"{path}: wrong grid: its {axis} is not evenly spaced and ascending; check the feed's product"
        )
    step = (centres[-1] - centres[0]) / steps.size
    return np.asarray(centres[0] + step * (np.arange(centres.size + 1) - 0.5))


def regrid(values: Floats, lat_edges: NDArray[np.float64], lon_edges: NDArray[np.float64], grid: Grid) -> Floats:
    """Average a finer field over the grid's cells, weighted by the overlapping area.

    Parameters
    ----------
    values : float32 array, shape (lat, lon)
        The field, southernmost row first, NaN for no estimate.
    lat_edges : float64 array, shape (lat + 1,)
        Edges of its rows, ascending, degrees north.
    lon_edges : float64 array, shape (lon + 1,)
        Edges of its columns, ascending, degrees east, in the grid's longitude range.
    grid : Grid
        The grid to average to.

    Returns
    -------
    float32 array, shape (rows, cols)
        Northernmost row first; NaN where less than `MIN_COVER` of a cell has an estimate.
    """
    half = grid.step / 2
    north_first = np.append(grid.latitudes + half, grid.latitudes[-1] - half)
    rows = overlap_shares(np.sin(np.radians(lat_edges)), np.sin(np.radians(north_first[::-1])))
    cols = overlap_shares(lon_edges, np.append(grid.longitudes - half, grid.longitudes[-1] + half))
    valid = np.isfinite(values)
    cover, amount = (
        _weighted_sum(_weighted_sum(field, *rows)[::-1].T, *cols).T
        for field in (valid.astype(np.float32), np.where(valid, values, np.float32(0)))
    )
    return np.where(cover >= MIN_COVER - 1e-3, amount / np.maximum(cover, 1e-6), np.nan).astype(np.float32)


def read_precipitation(path: Path, date: dt.date, grid: Grid) -> Floats:
    """Read one day of precipitation.

    Parameters
    ----------
    path : Path
        The file.
    date : dt.date
        The day it must contain.
    grid : Grid
        The grid to average to.

    Returns
    -------
    float32 array, shape (rows, cols)
        Precipitation, mm/day, NaN for no estimate.

    Raises
    ------
    InputRefused
        The file is not NetCDF, is cut short, has another grid or another day, has no precipitation variable, no
        estimate at all, or implausible values.
    """
    with open_granule(path) as file:
        source = variable(file, path, "precipitation", "precipitationCal", dimensions=3, most=_MOST_CELLS)
        count = variable(file, path, f"{source.name}_cnt", dimensions=3, most=_MOST_CELLS)
        if source.dimensions != ("time", "lon", "lat"):
            raise InputRefused(f"{path}: {source.name} has dimensions {source.dimensions}, wanted (time, lon, lat)")
        _check_day(variable(file, path, "time", dimensions=1, most=1), path, date)
        centres = {name: variable(file, path, name, dimensions=1, most=MAX_AXIS)[:] for name in ("lat", "lon")}
        lat, lon = (cell_edges(values, path, name) for name, values in centres.items())
        _check_grid(lat, lon, path, grid)
        raw = np.asarray(source[0], np.float32)
        fill = np.float32(getattr(source, "_FillValue", -9999.9))
        estimated = (raw != fill) & ~np.isnan(raw) & (np.asarray(count[0]) > 0)
        values = np.where(estimated, raw, np.float32(np.nan)).T
        if not estimated.any():
            fault = f"no cell has an estimate ({count.name} is 0 everywhere, or the rain is no number)"
            raise InputRefused(f"{path}: {fault}; {FETCH_AGAIN}")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < 0.0 or high > MAX_DAILY:
        raise InputRefused(f"{path}: precipitation reaches from {low:g} to {high:g} mm/day; {FETCH_AGAIN}")
    return regrid(values, lat, lon, grid)


def _check_day(time: Any, path: Path, date: dt.date) -> None:
    """Refuse a file whose variable ``time`` is of another day."""
    day = cftime.num2date(float(time[0]), time.units, only_use_cftime_datetimes=True)
    if (day.year, day.month, day.day) != (date.year, date.month, date.day):
        found = f"{day.year:04}-{day.month:02}-{day.day:02}"
        raise InputRefused(f"{path}: holds {found}, not {date} as its name says; {FETCH_AGAIN}")


def _check_grid(lat: NDArray[np.float64], lon: NDArray[np.float64], path: Path, grid: Grid) -> None:
    """Refuse a file that, by its cell edges, is coarser than the grid or does not cover it."""
    slack = 1e-3
    covers = (
        lat[0] <= grid.latitudes[-1] - grid.step / 2 + slack
        and lat[-1] >= grid.latitudes[0] + grid.step / 2 - slack
        and lon[0] <= grid.longitudes[0] - grid.step / 2 + slack
        and lon[-1] >= grid.longitudes[-1] + grid.step / 2 - slack
    )
    if not covers or lat[1] - lat[0] > grid.step + slack:
        raise InputRefused(
            f"{path}: wrong grid: covers {lat[0]:g}..{lat[-1]:g} N, {lon[0]:g}..{lon[-1]:g} E in steps of "
            f"{lat[1] - lat[0]:g}; check the feed's product, or set grid.box to the region the files cover"
        )
