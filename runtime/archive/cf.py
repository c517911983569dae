"""The ``cf`` layout: one NetCDF-4 file a day with a time axis, CF-1.11 metadata and packed values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.acdd import day_attributes
from runtime.archive.record import PublishedDay
from runtime.archive.variables import (
    MERGED_UNCERTAINTY,
    QUALITY_MASKS,
    SOURCE,
    VARIABLES,
    Variable,
    source_bits,
    source_variable,
)
from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import Dataset, open_dataset
from runtime.common.vocabulary import TODAY

EPOCH = dt.date(2000, 1, 1)
_ANCILLARY = ("flag", "quality_flag", "soil_moisture_uncertainty", "days_since_observation", "soil_moisture_source")
_STATUS = {1: "soil_moisture_absent", 2: "precipitation_absent", 4: "window_incomplete"}


class CfLayout:
    """One NetCDF-4 file a day with a time axis, CF-1.11 metadata and packed values; see `runtime.archive.layout`."""

    def relative_path(self, date: dt.date) -> Path:
        """Return the day's file, relative to the archive's folder."""
        return Path(f"{date:%Y}", f"seamless_sm_{date:%Y%m%d}.nc")

    def write(self, path: Path, day: PublishedDay) -> None:
        """Write one day. Decoded values are within half of `STEP` of the fields."""
        grid = day.grid
        with open_dataset(path, "w", format="NETCDF4") as file:
            file.setncatts(day_attributes(day))
            file.createDimension("time", None)
            file.createDimension("nv", 2)
            start = (day.record.date - EPOCH).days
            time = file.createVariable("time", "i4", ("time",))
            time.setncatts(
                {
                    "standard_name": "time",
                    "long_name": "start of the UTC day",
                    "units": f"days since {EPOCH}",
                    "calendar": "standard",
                    "axis": "T",
                    "bounds": "time_bnds",
                    "units_metadata": "leap_seconds: none",
                }
            )
            time[:] = [start]
            file.createVariable("time_bnds", "i4", ("time", "nv"))[:] = [[start, start + 1]]
            write_axes(file, grid)
            crs = file.createVariable("crs", "i1", ("time",))  # one a day: xarray then joins days without a warning
            crs.setncatts(
                {
                    "grid_mapping_name": "latitude_longitude",
                    "long_name": "WGS 84, cell centres",
                    "longitude_of_prime_meridian": 0.0,
                    "semi_major_axis": 6378137.0,
                    "inverse_flattening": 298.257223563,
                    "units": "1",
                    "coverage_content_type": "referenceInformation",
                }
            )
            crs[:] = [0]
            fields = _fields(day)
            for kind in VARIABLES.values():
                if (field := fields[kind.name]) is not None:
                    write_field(file, source_variable(day.source_bits) if kind is SOURCE else kind, field)
                    file[kind.name].grid_mapping = "crs"
            if day.source is not None and "soil_moisture_uncertainty" in file.variables:
                file["soil_moisture_uncertainty"].setncatts(MERGED_UNCERTAINTY)
            file["soil_moisture"].ancillary_variables = " ".join(n for n in _ANCILLARY if n in file.variables)
            status = file.createVariable("input_status", "i1", ("time",))
            status.setncatts(
                {
                    "standard_name": "status_flag",
                    "long_name": "what was missing when the day was filled",
                    "flag_masks": np.array(list(_STATUS), np.int8),
                    "flag_meanings": " ".join(_STATUS.values()),
                }
            )
            status[:] = [_status(day)]
            if day.quality is not None:
                judged = file.createVariable("quality_judged", "i2", ("time",))
                judged.setncatts({**QUALITY_MASKS, "long_name": "bits of quality_flag that could be judged on the day"})
                judged[:] = [int(day.quality.judged)]

    def read(self, path: Path, names: Collection[str] = tuple(VARIABLES)) -> dict[str, NDArray[Any]]:
        """Return variables of a published day as they are stored, (rows, cols); a variable may be missing."""
        with open_dataset(path) as file:
            file.set_auto_maskandscale(False)
            return {name: np.asarray(file[name][0]) for name in VARIABLES if name in names and name in file.variables}

    def axes(self, path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the latitudes and longitudes of the cells' centres, degrees."""
        with open_dataset(path) as file:
            return np.asarray(file["lat"][:]), np.asarray(file["lon"][:])


def write_axes(file: Dataset, grid: Grid) -> None:
    """Write latitudes and longitudes, with their dimensions, into an open file."""
    for name, long_name, units, axis, values in (
        ("lat", "latitude", "degrees_north", "Y", grid.latitudes),
        ("lon", "longitude", "degrees_east", "X", grid.longitudes),
    ):
        file.createDimension(name, values.size)
        coordinate = file.createVariable(name, "f8", (name,))
        coordinate.setncatts({"standard_name": long_name, "long_name": long_name, "units": units, "axis": axis})
        coordinate[:] = values


def stored_source_bits(path: Path) -> dict[str, int]:
    """Return the bit of each sensor in `SOURCE` of a published day; empty if the day does not have it."""
    with open_dataset(path) as file:
        found = file.variables.get(SOURCE.name)
        return {} if found is None else source_bits({key: found.getncattr(key) for key in found.ncattrs()})


def _status(day: PublishedDay) -> int:
    missing = day.missing_days
    return (TODAY in missing) * 1 + day.precipitation_absent * 2 + bool(set(missing) - {TODAY}) * 4


def values(path: Path, name: str) -> Floats:
    """Return a variable of a published day, (rows, cols), NaN where there is no value."""
    return VARIABLES[name].unpack(CfLayout().read(path, (name,))[name])


def _fields(day: PublishedDay) -> dict[str, NDArray[Any] | None]:
    filled = day.filled
    return {
        "soil_moisture": filled.soil_moisture,
        "soil_moisture_observed": filled.observed,
        "soil_moisture_uncertainty": filled.uncertainty,
        "precipitation": day.precipitation,
        "flag": filled.flag,
        "quality_flag": day.quality.flags if day.quality else None,
        "days_since_observation": filled.days_since_observation,
        "soil_moisture_source": day.source,
    }


def write_field(file: Dataset, kind: Variable, values: NDArray[Any]) -> None:
    """Write a variable, (rows, cols), at the first time of an open file, packed and compressed."""
    variable = file.createVariable(
        kind.name,
        kind.dtype.str[1:],
        ("time", "lat", "lon"),
        compression="zlib",
        complevel=4,
        shuffle=True,
        chunksizes=(1, min(360, values.shape[0]), min(720, values.shape[1])),
        fill_value=False if kind.fill is None else kind.dtype.type(kind.fill),
    )
    variable.setncatts(kind.attributes)
    variable.set_auto_maskandscale(False)
    variable[0] = kind.pack(values)
