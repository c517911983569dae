"""The made-up world as files that the readers cannot tell from real ones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import Dataset, open_dataset
from runtime.common.sensors import PRODUCTS
from runtime.demo.world import WorldDay

_BANDS = {"c": "6.9", "c1": "6.9", "c2": "7.3", "x": "10.7"}
_RUN = {"early": "-E", "late": "-L", "final": ""}
_FILL = -32767


_LPRM_NAMES = {
    "lprm-amsr2": "LPRM-AMSR2_L3_D_SOILM3_V001_{date:%Y%m%d}013507.nc4",
    "lprm-amsre": "LPRM-AMSR_E_L3_D_SOILM3_V002_{date:%Y%m%d}.nc",
    "lprm-windsat": "LPRM-WINDSAT_L3_NT_SOILM3_V001_{date:%Y%m%d}.nc4",
}


def write_lprm(folder: Path, day: WorldDay, grid: Grid, product: str = "lprm-amsr2") -> Path:
    """Write a day as GES DISC writes descending LPRM: (Longitude, Latitude), int16 percent, scan time in seconds."""
    path = folder / _LPRM_NAMES[product].format(date=day.date)
    path.parent.mkdir(parents=True, exist_ok=True)
    seen = ~np.isnan(day.observed)
    percent = np.where(seen, np.rint(np.nan_to_num(day.observed) * 100), _FILL).astype(np.int16)
    with open_dataset(path, "w", format="NETCDF4_CLASSIC") as file:
        file.Conventions = "CF-1.0"
        for name, units, values in (
            ("Longitude", "degrees_east", grid.longitudes),
            ("Latitude", "degrees_north", grid.latitudes),
        ):
            file.createDimension(name, values.size)
            axis = file.createVariable(name, "f4", (name,))
            axis.units = units
            axis[:] = values
        for band in PRODUCTS[product].bands:
            frequency = _BANDS[band]
            _write_variable(
                file,
                f"soil_moisture_{band}",
                percent,
                _FILL,
                {
                    "long_name": f"Volumetric Soil Moisture from {frequency} GHZ",
                    "units": "percent",
                    "scale_factor": 1.0,
                    "add_offset": 0.0,
                },
            )
        kelvin = np.where(seen, np.rint(day.temperature * 10), _FILL).astype(np.int16)
        attributes = {"long_name": "Skin Temperature (2mm)", "units": "Kelvin", "scale_factor": 0.1, "add_offset": 0.0}
        _write_variable(file, "ts", kelvin, _FILL, attributes)
        midnight = (day.date - dt.date(1993, 1, 1)).days * 86400.0
        overpass = (1.5 - grid.longitudes / 15) % 24 * 3600
        scanned = np.where(seen, midnight + overpass[None], 0.0)
        _write_variable(
            file, "scantime", scanned, 0.0, {"long_name": "Scan time", "units": "seconds since 1993-01-01 00:00:00"}
        )
    return path


def _write_variable(file: Dataset, name: str, values: NDArray[Any], fill: float, attributes: dict[str, object]) -> None:
    variable = file.createVariable(
        name, values.dtype.str[1:], ("Longitude", "Latitude"), compression="zlib", complevel=1, fill_value=fill
    )
    variable.setncatts(attributes)
    variable.set_auto_maskandscale(False)
    variable[:] = values.T


def imerg_name(date: dt.date, run: str = "late", version: str = "V07B") -> str:
    """Return the name GES DISC would give a daily IMERG file."""
    return f"3B-DAY{_RUN[run]}.MS.MRG.3IMERG.{date:%Y%m%d}-S000000-E235959.{version}.nc4"


def write_imerg(
    folder: Path,
    date: dt.date,
    rain: Floats,
    grid: Grid,
    run: Literal["early", "late", "final"] = "late",
    version: str = "V07B",
) -> Path:
    """Write a day of rain as ``GPM_3IMERGDE|DL|DF``: (time, lon, lat) at 0.1 degree, south first.

    Parameters
    ----------
    rain : (rows, cols) on `grid`, mm/day; NaN for no estimate
    """
    path = folder / imerg_name(date, run, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    old = version.startswith("V06")
    name, units = ("precipitationCal", "mm") if old else ("precipitation", "mm/day")
    east = grid.west + grid.step * grid.shape[1]
    south = grid.north - grid.step * grid.shape[0]
    lons = _tenths(grid.west, east)
    lats = _tenths(south, grid.north)
    rows = ((grid.north - lats) / grid.step).astype(int).clip(0, grid.shape[0] - 1)
    cols = ((lons - grid.west) / grid.step).astype(int).clip(0, grid.shape[1] - 1)
    fine = rain[np.ix_(rows, cols)].T
    missing = np.isnan(fine)
    with open_dataset(path, "w", format="NETCDF4_CLASSIC") as file:
        file.BeginDate = file.EndDate = date.isoformat()
        for dimension, size in (("time", 1), ("lon", lons.size), ("lat", lats.size)):
            file.createDimension(dimension, size)
        time = file.createVariable("time", "f8", ("time",))
        time.units = "days since 1980-01-06 00:00:00Z"
        time[:] = [(date - dt.date(1980, 1, 6)).days]
        for axis, values, axis_units in (("lon", lons, "degrees_east"), ("lat", lats, "degrees_north")):
            coordinate = file.createVariable(axis, "f8", (axis,))
            coordinate.units = axis_units
            coordinate[:] = values
        amount = file.createVariable(
            name, "f4", ("time", "lon", "lat"), compression="zlib", complevel=1, fill_value=np.float32(-9999.9)
        )
        amount.units = units
        amount[0] = np.where(missing, np.float32(-9999.9), fine)
        count = file.createVariable(f"{name}_cnt", "i2", ("time", "lon", "lat"), compression="zlib", complevel=1)
        count.units = "count"
        count[0] = np.where(missing, 0, 48)
    return path


def _tenths(low: float, high: float) -> NDArray[np.float64]:
    """Return the centres of the 0.1 degree cells that cover an interval."""
    first, last = np.floor(low * 10 + 1e-6), np.ceil(high * 10 - 1e-6)
    return np.arange(first, last) / 10 + 0.05
