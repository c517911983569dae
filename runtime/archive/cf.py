"""The ``cf`` layout: one NetCDF-4 file a day with a time axis, CF-1.11 metadata and packed values."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
from netCDF4 import Dataset
from numpy.typing import NDArray

from runtime.archive.record import FILL, PublishedDay
from runtime.fill import NEVER, Flag
from runtime.grid import Floats

STEP = 1e-4
"""m3 m-3 per packed unit."""

EPOCH = dt.date(2000, 1, 1)
_STATUS = {1: "soil_moisture_absent", 2: "precipitation_absent", 4: "window_incomplete"}


def relative_path(date: dt.date) -> Path:
    """Return the day's file below the archive's folder."""
    return Path(f"{date:%Y}", f"seamless_sm_{date:%Y%m%d}.nc")


def _status(day: PublishedDay) -> int:
    missing = day.missing_days
    return ("T" in missing) * 1 + day.precipitation_absent * 2 + bool(set(missing) - {"T"}) * 4


def write(path: Path, day: PublishedDay) -> None:
    """Write one day. Decoded values are within half of `STEP` of the fields."""
    filled, grid = day.filled, day.grid
    with Dataset(path, "w", format="NETCDF4") as file:
        file.setncatts(
            {
                "Conventions": "CF-1.11",
                "title": "Seamless daily surface soil moisture",
                "summary": f"{day.sensor} LPRM {day.band}-band soil moisture with the gaps over land filled",
                "source": f"{day.sensor} LPRM Level 3 retrievals; gaps filled by {day.record.model} ({day.kind} kind)",
                "references": "doi:10.5194/essd-13-1385-2021, doi:10.5194/essd-14-4473-2022",
                **day.record.to_attributes(),
            }
        )
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
            }
        )
        time[:] = [start]
        file.createVariable("time_bnds", "i4", ("time", "nv"))[:] = [[start, start + 1]]
        for name, long_name, units, axis, values in (
            ("lat", "latitude", "degrees_north", "Y", grid.latitudes),
            ("lon", "longitude", "degrees_east", "X", grid.longitudes),
        ):
            file.createDimension(name, values.size)
            coordinate = file.createVariable(name, "f8", (name,))
            coordinate.setncatts({"standard_name": long_name, "long_name": long_name, "units": units, "axis": axis})
            coordinate[:] = values

        packed = {"units": "m3 m-3", "scale_factor": np.float32(STEP), "add_offset": np.float32(0)}
        limits = {"valid_min": np.int16(0), "valid_max": np.int16(round(1 / STEP))}
        soil = {"standard_name": "volume_fraction_of_condensed_water_in_soil", **packed, **limits}
        _field(file, "soil_moisture", _pack(filled.soil_moisture), np.int16(FILL)).setncatts(
            {
                "long_name": "surface soil moisture, observed or filled",
                "ancillary_variables": "flag" if filled.uncertainty is None else "flag soil_moisture_uncertainty",
                **soil,
            }
        )
        _field(file, "soil_moisture_observed", _pack(filled.observed), np.int16(FILL)).setncatts(
            {"long_name": "surface soil moisture as observed", **soil}
        )
        if filled.uncertainty is not None:
            _field(file, "soil_moisture_uncertainty", _pack(filled.uncertainty), np.int16(FILL)).setncatts(
                {
                    "standard_name": "volume_fraction_of_condensed_water_in_soil standard_error",
                    "long_name": "uncertainty of a filled value",
                    "comment": "compared with hidden single retrievals, which are noisy themselves; the model card of "
                    "the bundle says how it was made; no value on observed cells",
                    **packed,
                    **limits,
                }
            )
        _field(file, "flag", filled.flag, None).setncatts(
            {
                "standard_name": "status_flag",
                "long_name": "where the value of soil_moisture comes from",
                "flag_values": np.array(list(Flag), np.int8),
                "flag_meanings": " ".join(flag.name.lower() for flag in Flag),
            }
        )
        _field(file, "days_since_observation", filled.days_since_observation, np.int16(NEVER)).setncatts(
            {"long_name": "days since the cell was last observed", "units": "day", "comment": "0: on the day itself"}
        )
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


def read(path: Path, name: str) -> Floats:
    """Return a variable of a published day, (rows, cols), NaN where there is no value."""
    with Dataset(path) as file:
        return np.asarray(np.ma.filled(np.ma.asarray(file[name][0], np.float32), np.nan))


def _pack(values: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.where(np.isnan(values), FILL, np.rint(np.nan_to_num(values) / STEP)).astype(np.int16)


def _field(file: Dataset, name: str, values: NDArray[Any], fill: np.int16 | None) -> Any:
    chunk = (1, min(360, values.shape[0]), min(720, values.shape[1]))
    variable = file.createVariable(
        name,
        values.dtype.str[1:],
        ("time", "lat", "lon"),
        compression="zlib",
        complevel=4,
        shuffle=True,
        chunksizes=chunk,
        fill_value=False if fill is None else fill,
    )
    variable.set_auto_maskandscale(False)
    variable[0] = values
    return variable
