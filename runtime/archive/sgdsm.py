"""The ``sgd-sm`` layout: files that the published SGD-SM reader opens unchanged.

Two integer-percent variables on (Latitude, Longitude), north first, fill -32767, no time dimension. The variables carry
the published names, ``..._c1``, whatever the band: the reader knows no other. The attribute ``band`` says which it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.acdd import day_attributes
from runtime.archive.record import PublishedDay
from runtime.archive.variables import OBSERVED, SOIL_MOISTURE, STEP
from runtime.common.grid import Floats
from runtime.common.netcdf import open_dataset

FILL = -32767
PREFIXES = ("SGD-SM", "SGD_SM", "LPRM_AMSR2_")
"""How names of files begin: ours, and those of the published data sets, whose program writes LPRM_AMSR2_YYYYMMDD.nc."""
_NAMES = {SOIL_MOISTURE.name: "reconstructed_sm_c1", OBSERVED.name: "original_sm_c1"}
_UNITS_PER_PERCENT = round(0.01 / STEP)
_FLOAT32_ERROR = 1e-4
"""More than what a percentage below 100 loses in float32, percent."""


class SgdSmLayout:
    """Files that readers of the published SGD-SM data sets open unchanged; see `runtime.archive.layout`."""

    def relative_path(self, date: dt.date) -> Path:
        """Return the day's file, relative to the archive's folder."""
        return Path(f"{date:%Y}", f"SGD-SM_{date:%Y%m%d}.nc")

    def write(self, path: Path, day: PublishedDay) -> None:
        """Write one day in whole percent; see `whole_percent`."""
        attributes = {**day_attributes(day), "Conventions": "ACDD-1.3", "band": day.band}
        grid, filled = day.grid, day.filled
        write_fields(
            path,
            grid.latitudes,
            grid.longitudes,
            observed=filled.observed,
            filled=filled.soil_moisture,
            attributes=attributes,
        )

    def read(self, path: Path, names: Collection[str] = tuple(_NAMES)) -> dict[str, NDArray[Any]]:
        """Return variables of a published day as the ``cf`` layout stores them; see `runtime.archive.cf.CfLayout`."""
        with open_dataset(path) as file:
            file.set_auto_maskandscale(False)
            percent = {name: np.asarray(file[own][:]) for name, own in _NAMES.items() if name in names}
        # the published program writes what it divided by zero as numbers far outside of the range
        return {
            name: np.where(valid, np.where(valid, p, 0) * _UNITS_PER_PERCENT, FILL).astype(np.int16)
            for name, p in percent.items()
            for valid in [(p >= 0) & (p <= 100)]
        }

    def axes(self, path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the latitudes and longitudes of the cells' centres, degrees."""
        with open_dataset(path) as file:
            return np.asarray(file["Latitude"][:], np.float64), np.asarray(file["Longitude"][:], np.float64)


def write_fields(
    path: Path,
    latitudes: NDArray[np.float64],
    longitudes: NDArray[np.float64],
    *,
    observed: Floats,
    filled: Floats,
    attributes: Mapping[str, Any],
) -> None:
    """Write two fields, (latitudes, longitudes), m3 m-3, NaN for a gap."""
    with open_dataset(path, "w", format="NETCDF4") as file:
        file.setncatts(dict(attributes))
        for name, units, values in (
            ("Latitude", "degrees_north", latitudes),
            ("Longitude", "degrees_east", longitudes),
        ):
            file.createDimension(name, values.size)
            axis = file.createVariable(name, "f4", (name,))
            axis.units = units
            axis[:] = values
        for name, field in (("original_sm_c1", observed), ("reconstructed_sm_c1", filled)):
            variable = file.createVariable(
                name, "i2", ("Latitude", "Longitude"), compression="zlib", complevel=4, fill_value=np.int16(FILL)
            )
            variable.setncatts({"units": "percent", "long_name": f"{name.split('_')[0]} volumetric soil moisture"})
            variable.set_auto_maskandscale(False)
            variable[:] = np.where(np.isnan(field), FILL, whole_percent(field)).astype(np.int16)


def whole_percent(field: Floats) -> NDArray[np.float64]:
    """Return a field in whole percent, rounded down as the writer of the published files does; 0 for NaN.

    A whole percent is kept, although the nearest float32 may be a little smaller.
    """
    return np.floor(np.nan_to_num(field).astype(np.float64) * 100 + _FLOAT32_ERROR)
