"""Read LPRM Level 3 soil moisture: AMSR2 v001, AMSR-E v002, WindSat.

Product documents: GES DISC ``LPRM_AMSR2_A|D_SOILM3`` v001, ``LPRM_AMSRE_A|D_SOILM3`` v002 and
``LPRM_WINDSAT_DY|NT_SOILM3``.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np

from runtime.common.grid import Grid
from runtime.common.netcdf import Dataset
from runtime.common.regrid import cell_edges, to_grid
from runtime.errors import InputRefused
from runtime.inputs.products.granule import FETCH_AGAIN, MAX_AXIS, Reading, open_granule, require_cover, variable

_MOST_CELLS = 720 * 1440
"""Cells of the globe at 0.25 degree."""

_SCAN_EPOCH = dt.datetime(1993, 1, 1)
"""Start of the time scale of the variable ``scantime``."""


def read_soil_moisture(path: Path, date: dt.date, grid: Grid, band: str) -> Reading:
    """Read one day of one band.

    Parameters
    ----------
    path : Path
        The file.
    date : dt.date
        The day it must contain.
    grid : Grid
        The grid; if its cells are not cells of the file, values are averaged by area.
    band : str
        For example ``x``.

    Returns
    -------
    Reading
        The field in m3 m-3, NaN for a gap, and the share of the file's cells that have a value. Values of 0.99 are
        saturated retrievals; they are kept as the product has them.

    Raises
    ------
    InputRefused
        The file is not NetCDF, is cut short, has another grid or another day, does not have the band, has values
        outside 0..100 %, or has no observation at all.
    """
    name = f"soil_moisture_{band}"
    with open_granule(path) as file:
        source = variable(file, path, name, dimensions=2, most=_MOST_CELLS)
        lat_axis, lon_axis = _axes(source, path)
        latitudes, longitudes = (
            variable(file, path, source.dimensions[axis], dimensions=1, most=MAX_AXIS)[:]
            for axis in (lat_axis, lon_axis)
        )
        with np.errstate(invalid="ignore"):  # a damaged axis may contain any values
            longitudes = (longitudes + 180.0) % 360.0 - 180.0
        west_first = np.argsort(longitudes)
        lat_edges = cell_edges(latitudes, path, "latitude")
        lon_edges = cell_edges(longitudes[west_first], path, "longitude")
        require_cover(lat_edges, lon_edges, path, grid)
        _check_date(file, path, date)
        raw = source[:] if lat_axis == 0 else source[:].T
        fill = getattr(source, "_FillValue", -32767)
        scale, offset = float(getattr(source, "scale_factor", 1.0)), float(getattr(source, "add_offset", 0.0))
        unit = 0.01 if getattr(source, "units", "percent") in ("percent", "%") else 1.0
        retrieved = np.where(raw == fill, np.nan, (raw * scale + offset) * unit).astype(np.float32)
        values = to_grid(retrieved[:, west_first], lat_edges, lon_edges, grid)
        # what is no number is no observation either, whatever the fill value is
        coverage = float(((raw != fill) & ~np.isnan(raw)).mean()) if np.isfinite(scale + offset) else 0.0
    if coverage == 0.0:
        raise InputRefused(f"{path}: {name} is all fill or NaN, no cell was observed; {FETCH_AGAIN}, or reject it")
    observed = values[~np.isnan(values)]
    low, high = (float(observed.min()), float(observed.max())) if observed.size else (0.0, 0.0)
    if low < 0.0 or high > 1.0:
        raise InputRefused(
            f"{path}: {name} reaches from {low * 100:g} to {high * 100:g} percent, wanted 0 to 100; "
            f"{FETCH_AGAIN}, or check whether the product has changed its units"
        )
    return Reading(values, coverage)


def _axes(source: Any, path: Path) -> tuple[int, int]:
    """Return which axes of a variable are latitude and longitude, in this order."""
    names = [name.lower() for name in source.dimensions]
    if sorted(names) not in (["latitude", "longitude"], ["lat", "lon"]):
        raise InputRefused(f"{path}: {source.name} has dimensions {source.dimensions}, wanted longitude and latitude")
    lat_axis = next(axis for axis, name in enumerate(names) if name.startswith("lat"))
    return lat_axis, 1 - lat_axis


def _check_date(file: Dataset, path: Path, date: dt.date) -> None:
    """Refuse a file whose scan times, if it has any, are of another day."""
    if "scantime" not in file.variables:
        return
    seconds = variable(file, path, "scantime", dimensions=2, most=_MOST_CELLS)[:]
    seconds = seconds[np.isfinite(seconds) & (seconds > 0)]
    if not seconds.size:
        return
    scanned = (_SCAN_EPOCH + dt.timedelta(seconds=float(np.median(seconds)))).date()
    if scanned != date:
        raise InputRefused(f"{path}: was scanned on {scanned}, not on {date} as its name says; {FETCH_AGAIN}")
