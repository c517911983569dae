"""IMERG daily precipitation, Early, Late and Final, V06 and V07, brought to the grid by exact area overlap.

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
from runtime.inputs.products.granule import FETCH_AGAIN, open_granule, variable

MAX_DAILY = 3000.0
"""mm/day; the largest daily rain ever measured is 1825 mm (La Reunion, 1966)."""

MIN_COVER = 0.5
"""Share of a cell's area that must have an estimate for the cell to have one."""


def overlap_shares(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the source cells each target cell overlaps, and which share of it each of them takes, (targets, most).

    Parameters
    ----------
    source, target : ascending cell edges
    """
    first = (np.searchsorted(source, target[:-1], "right") - 1).clip(0, source.size - 2)
    last = np.searchsorted(source, target[1:], "left")
    cells = first[:, None] + np.arange(max(1, (last - first).max()))
    there = cells < source.size - 1
    cells = cells.clip(max=source.size - 2)
    low = np.maximum(source[cells], target[:-1, None])
    high = np.minimum(source[cells + 1], target[1:, None])
    share = np.where(there, (high - low).clip(min=0.0), 0.0) / np.diff(target)[:, None]
    return cells, share.astype(np.float32)


def _averaged(values: Floats, cells: NDArray[np.intp], share: NDArray[np.float32]) -> Floats:
    """Return averages over the first axis, with `shares`."""
    total = np.zeros((len(cells), *values.shape[1:]), np.float32)
    for number in range(cells.shape[1]):
        total += values[cells[:, number]] * share[:, number, None]
    return total


def cell_edges(centres: NDArray[np.floating[Any]], path: Path, axis: str) -> NDArray[np.float64]:
    """Return the edges of evenly spaced ascending cells.

    Raises
    ------
    InputRefused
        The centres are not evenly spaced and ascending.
    """
    with np.errstate(invalid="ignore"):  # a damaged axis holds anything
        centres = np.asarray(centres, np.float64)
        steps = np.diff(centres)
    if not steps.size or not np.isfinite(steps).all() or steps.min() <= 0 or np.ptp(steps) > 1e-3:
        raise InputRefused(
            f"{path}: wrong grid: its {axis} is not evenly spaced and ascending; check the feed's product"
        )
    step = (centres[-1] - centres[0]) / steps.size
    return np.asarray(centres[0] + step * (np.arange(centres.size + 1) - 0.5))


def regrid(values: Floats, lat_edges: NDArray[np.float64], lon_edges: NDArray[np.float64], grid: Grid) -> Floats:
    """Average a finer field over the grid's cells, weighted by the area that overlaps.

    Parameters
    ----------
    values : (lat, lon), south first, NaN for no estimate
    lat_edges, lon_edges : ascending edges in degrees, in the grid's longitude range

    Returns
    -------
    (rows, cols), north first; NaN where less than `MIN_COVER` of a cell has an estimate
    """
    half = grid.step / 2
    north_first = np.append(grid.latitudes + half, grid.latitudes[-1] - half)
    rows = overlap_shares(np.sin(np.radians(lat_edges)), np.sin(np.radians(north_first[::-1])))
    cols = overlap_shares(lon_edges, np.append(grid.longitudes - half, grid.longitudes[-1] + half))
    valid = np.isfinite(values)
    cover, amount = (
        _averaged(_averaged(field, *rows)[::-1].T, *cols).T
        for field in (valid.astype(np.float32), np.where(valid, values, np.float32(0)))
    )
    return np.where(cover >= MIN_COVER - 1e-3, amount / np.maximum(cover, 1e-6), np.nan).astype(np.float32)


def read_precipitation(path: Path, date: dt.date, grid: Grid) -> Floats:
    """Read one day of precipitation.

    Returns
    -------
    float32 of the grid's shape, mm/day, NaN for no estimate.

    Raises
    ------
    InputRefused
        Not NetCDF, cut short, another grid, another day, no precipitation variable, implausible, or no estimate at all.
    """
    with open_granule(path) as file:
        source = variable(file, path, "precipitation", "precipitationCal")
        count = variable(file, path, f"{source.name}_cnt")
        if source.dimensions != ("time", "lon", "lat"):
            raise InputRefused(f"{path}: {source.name} has dimensions {source.dimensions}, wanted (time, lon, lat)")
        time = variable(file, path, "time")
        day = cftime.num2date(float(time[0]), time.units, only_use_cftime_datetimes=True)
        if (day.year, day.month, day.day) != (date.year, date.month, date.day):
            found = f"{day.year:04}-{day.month:02}-{day.day:02}"
            raise InputRefused(f"{path}: holds {found}, not {date} as its name says; {FETCH_AGAIN}")
        lat, lon = (cell_edges(variable(file, path, name)[:], path, name) for name in ("lat", "lon"))
        slack = 1e-3
        inside = (
            lat[0] <= grid.latitudes[-1] - grid.step / 2 + slack
            and lat[-1] >= grid.latitudes[0] + grid.step / 2 - slack
            and lon[0] <= grid.longitudes[0] - grid.step / 2 + slack
            and lon[-1] >= grid.longitudes[-1] + grid.step / 2 - slack
        )
        if not inside or lat[1] - lat[0] > grid.step + slack:
            raise InputRefused(
                f"{path}: wrong grid: covers {lat[0]:g}..{lat[-1]:g} N, {lon[0]:g}..{lon[-1]:g} E in steps of "
                f"{lat[1] - lat[0]:g}; check the feed's product, or set grid.box to the region the files cover"
            )
        raw = np.asarray(source[0], np.float32)
        estimated = (raw != np.float32(getattr(source, "_FillValue", -9999.9))) & (np.asarray(count[0]) > 0)
        values = np.where(estimated, raw, np.float32(np.nan)).T
        if not estimated.any():
            raise InputRefused(f"{path}: no cell has an estimate ({count.name} is 0 everywhere); {FETCH_AGAIN}")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < 0.0 or high > MAX_DAILY:
        raise InputRefused(f"{path}: precipitation reaches from {low:g} to {high:g} mm/day; {FETCH_AGAIN}")
    return regrid(values, lat, lon, grid)
