"""LPRM Level 3 soil moisture: AMSR2 v001, AMSR-E v002, WindSat.

Product documents: GES DISC ``LPRM_AMSR2_A|D_SOILM3`` v001, ``LPRM_AMSRE_A|D_SOILM3`` v002 and
``LPRM_WINDSAT_DY|NT_SOILM3``.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np

from runtime.common.grid import Floats, Grid
from runtime.errors import InputRefused
from runtime.inputs.products.granule import FETCH_AGAIN, Reading, open_granule, positions, variable

_SCAN_EPOCH = dt.datetime(1993, 1, 1)


def read(path: Path, date: dt.date, grid: Grid, band: str) -> Floats:
    """Read one day of one band; see `measure`."""
    return read_soil_moisture(path, date, grid, band).field


def read_soil_moisture(path: Path, date: dt.date, grid: Grid, band: str) -> Reading:
    """Read one day of one band, and how much of the whole file has a value.

    Returns
    -------
    float32 of the grid's shape, m3 m-3, NaN for a gap. 0.99 is a saturated retrieval and kept as the product has it.

    Raises
    ------
    InputRefused
        Not NetCDF, cut short, another grid, another day, no such band, values beyond 0..100 %, or nothing observed
        anywhere in the file.
    """
    name = f"soil_moisture_{band}"
    with open_granule(path) as file:
        source = variable(file, path, name)
        dimensions = [dimension.lower() for dimension in source.dimensions]
        axes = {dimension: dimensions.index(dimension) for dimension in dimensions}
        if sorted(axes) not in (["latitude", "longitude"], ["lat", "lon"]):
            raise InputRefused(
                f"{path}: {source.name} has dimensions {source.dimensions}, wanted longitude and latitude"
            )
        lat_axis, lon_axis = (next(axes[n] for n in axes if n.startswith(p)) for p in ("lat", "lon"))
        rows = positions(file[source.dimensions[lat_axis]][:], grid.latitudes, path, "latitude")
        cols = positions(file[source.dimensions[lon_axis]][:], grid.longitudes, path, "longitude", 360.0)
        raw = source[:]
        _check_date(file, path, date)
        fill = getattr(source, "_FillValue", -32767)
        coverage = float((raw != fill).mean())
        field = raw if lat_axis == 0 else raw.T
        field = field[np.ix_(rows, cols)]
        scale, offset = float(getattr(source, "scale_factor", 1.0)), float(getattr(source, "add_offset", 0.0))
        unit = 0.01 if getattr(source, "units", "percent") in ("percent", "%") else 1.0
        values = np.where(field == fill, np.nan, (field * scale + offset) * unit).astype(np.float32)
    if coverage == 0.0:
        raise InputRefused(f"{path}: {name} is all fill, no cell was observed; {FETCH_AGAIN}, or reject it")
    seen = values[~np.isnan(values)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    if low < 0.0 or high > 1.0:
        raise InputRefused(
            f"{path}: {name} reaches from {low * 100:g} to {high * 100:g} percent, wanted 0 to 100; "
            f"{FETCH_AGAIN}, or check whether the product has changed its units"
        )
    return Reading(values, coverage)


def _check_date(file: object, path: Path, date: dt.date) -> None:
    """Refuse a file whose scan times, where it has them, belong to another day."""
    variables = file.variables  # type: ignore[attr-defined]
    if "scantime" not in variables:
        return
    seconds = variables["scantime"][:]
    seconds = seconds[np.isfinite(seconds) & (seconds > 0)]
    if not seconds.size:
        return
    scanned = (_SCAN_EPOCH + dt.timedelta(seconds=float(np.median(seconds)))).date()
    if scanned != date:
        raise InputRefused(f"{path}: was scanned on {scanned}, not on {date} as its name says; {FETCH_AGAIN}")
