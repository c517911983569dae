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
from runtime.common.regrid import cell_edges, to_grid
from runtime.errors import InputRefused
from runtime.inputs.products.granule import FETCH_AGAIN, MAX_AXIS, open_granule, variable

MAX_DAILY = 3000.0
"""Largest plausible precipitation, mm/day; the largest ever measured on one day is 1825 mm (La Reunion, 1966)."""

_STEP = 0.1
"""Cell size of the product, degrees."""

_MOST_CELLS = 3600 * 1800
"""Cells of the globe at 0.1 degree."""


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
    return to_grid(values, lat, lon, grid)


def _check_day(time: Any, path: Path, date: dt.date) -> None:
    """Refuse a file whose variable ``time`` is of another day."""
    day = cftime.num2date(float(time[0]), time.units, only_use_cftime_datetimes=True)
    if (day.year, day.month, day.day) != (date.year, date.month, date.day):
        found = f"{day.year:04}-{day.month:02}-{day.day:02}"
        raise InputRefused(f"{path}: holds {found}, not {date} as its name says; {FETCH_AGAIN}")


def _check_grid(lat: NDArray[np.float64], lon: NDArray[np.float64], path: Path, grid: Grid) -> None:
    """Refuse a file that, by its cell edges, is coarser than the product and the grid, or does not cover the grid."""
    slack = 1e-3
    covers = (
        lat[0] <= grid.lat_edges[-1] + slack
        and lat[-1] >= grid.lat_edges[0] - slack
        and lon[0] <= grid.lon_edges[0] + slack
        and lon[-1] >= grid.lon_edges[-1] - slack
    )
    if not covers or lat[1] - lat[0] > max(grid.step, _STEP) + slack:
        raise InputRefused(
            f"{path}: wrong grid: covers {lat[0]:g}..{lat[-1]:g} N, {lon[0]:g}..{lon[-1]:g} E in steps of "
            f"{lat[1] - lat[0]:g}; check the feed's product, or set grid.box to the region the files cover"
        )
