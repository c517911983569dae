"""The ``sgd-sm`` layout: files that the published SGD-SM reader opens unchanged.

Two integer-percent variables on (Latitude, Longitude), north first, fill -32767, no time dimension. The variables carry
the published names, ``..._c1``, whatever the band: the reader knows no other. The attribute ``band`` says which it is.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from netCDF4 import Dataset

from runtime.archive.record import FILL, PublishedDay


def relative_path(date: dt.date) -> Path:
    """Return the day's file below the archive's folder."""
    return Path(f"{date:%Y}", f"SGD-SM_{date:%Y%m%d}.nc")


def write(path: Path, day: PublishedDay) -> None:
    """Write one day, rounded to whole percent."""
    with Dataset(path, "w", format="NETCDF4") as file:
        file.setncatts(
            {
                "title": "Seamless daily surface soil moisture, SGD-SM layout",
                "source": f"{day.sensor} LPRM {day.band}-band retrievals; gaps filled by {day.record.model}",
                "band": day.band,
                **day.record.to_attributes(),
            }
        )
        for name, units, values in (
            ("Latitude", "degrees_north", day.grid.latitudes),
            ("Longitude", "degrees_east", day.grid.longitudes),
        ):
            file.createDimension(name, values.size)
            axis = file.createVariable(name, "f4", (name,))
            axis.units = units
            axis[:] = values
        for name, field in (
            ("original_sm_c1", day.filled.observed),
            ("reconstructed_sm_c1", day.filled.soil_moisture),
        ):
            variable = file.createVariable(
                name, "i2", ("Latitude", "Longitude"), compression="zlib", complevel=4, fill_value=np.int16(FILL)
            )
            variable.setncatts({"units": "percent", "long_name": f"{name.split('_')[0]} volumetric soil moisture"})
            variable.set_auto_maskandscale(False)
            variable[:] = np.where(np.isnan(field), FILL, np.rint(np.nan_to_num(field) * 100)).astype(np.int16)
