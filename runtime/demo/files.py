"""Write the synthetic world as files with the format of the real products."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import Dataset, open_dataset
from runtime.common.sensors import IMERG_RUN_LETTERS, PRODUCTS
from runtime.common.vocabulary import ImergRun
from runtime.demo.world import WorldDay

_FREQUENCIES = {"c": "6.9", "c1": "6.9", "c2": "7.3", "x": "10.7"}
"""Frequency of each band, GHz, as text."""
_RUN_LETTERS = {run: f"-{letter}" if letter else "" for letter, run in IMERG_RUN_LETTERS.items()}
_FILL = -32767

_LPRM_NAMES = {
    "lprm-amsr2": "LPRM-AMSR2_L3_D_SOILM3_V001_{date:%Y%m%d}013507.nc4",
    "lprm-amsre": "LPRM-AMSR_E_L3_D_SOILM3_V002_{date:%Y%m%d}.nc",
    "lprm-windsat": "LPRM-WINDSAT_L3_NT_SOILM3_V001_{date:%Y%m%d}.nc4",
}


def write_lprm(folder: Path, day: WorldDay, grid: Grid, product: str = "lprm-amsr2") -> Path:
    """Write the soil moisture of a day as a descending LPRM file of GES DISC.

    Its variables have the dimensions (Longitude, Latitude); soil moisture is int16 percent.

    Parameters
    ----------
    folder : Path
        Folder of the file.
    day : WorldDay
        The day.
    grid : Grid
        Its grid.
    product : str
        ``lprm-amsr2``, ``lprm-amsre`` or ``lprm-windsat``.

    Returns
    -------
    Path
        The file.
    """
    path = folder / _LPRM_NAMES[product].format(date=day.date)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_observed = ~np.isnan(day.observed)
    percent = np.where(is_observed, np.rint(np.nan_to_num(day.observed) * 100), _FILL).astype(np.int16)
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
            frequency = _FREQUENCIES[band]
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
        kelvin = np.where(is_observed, np.rint(day.temperature * 10), _FILL).astype(np.int16)
        attributes = {"long_name": "Skin Temperature (2mm)", "units": "Kelvin", "scale_factor": 0.1, "add_offset": 0.0}
        _write_variable(file, "ts", kelvin, _FILL, attributes)
        midnight = (day.date - dt.date(1993, 1, 1)).days * 86400.0
        overpass = (1.5 - grid.longitudes / 15) % 24 * 3600
        scanned = np.where(is_observed, midnight + overpass[None], 0.0)
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


def imerg_name(date: dt.date, run: ImergRun = ImergRun.LATE, version: str = "V07B") -> str:
    """Return the name of a daily IMERG file at GES DISC."""
    return f"3B-DAY{_RUN_LETTERS[run]}.MS.MRG.3IMERG.{date:%Y%m%d}-S000000-E235959.{version}.nc4"


def write_imerg(
    folder: Path,
    date: dt.date,
    rain: Floats,
    grid: Grid,
    run: ImergRun = ImergRun.LATE,
    version: str = "V07B",
) -> Path:
    """Write the precipitation of a day as an IMERG file of GES DISC.

    Its variables have the dimensions (time, lon, lat), at 0.1 degree, with the southernmost latitude first.

    Parameters
    ----------
    folder : Path
        Folder of the file.
    date : dt.date
        The day.
    rain : float32 array, shape (rows, cols)
        Precipitation, mm/day, NaN for no estimate.
    grid : Grid
        Its grid.
    run : ImergRun
        The run, which is part of the file name.
    version : str
        Version of IMERG; V06 has other variable names and units.

    Returns
    -------
    Path
        The file.
    """
    path = folder / imerg_name(date, run, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_v06 = version.startswith("V06")
    name, units = ("precipitationCal", "mm") if is_v06 else ("precipitation", "mm/day")
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
