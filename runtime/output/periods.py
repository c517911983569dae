"""Means over months or dekads: days walk in, one field for each period walks out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from runtime.archive.variables import OBSERVED, PRECIPITATION, SOIL_MOISTURE
from runtime.output.root_zone import ROOT_ZONE

if TYPE_CHECKING:
    import xarray

Period = Literal["dekad", "month"]
"""A dekad is the 1st to 10th, the 11th to 20th, or the 21st to the last day of a month."""
PERIODS: tuple[str, ...] = get_args(Period)

_LAST_DEKAD = 2


def period_bounds(times: NDArray[np.datetime64], period: Period) -> NDArray[np.datetime64]:
    """Return the period of each time.

    Parameters
    ----------
    times : datetime64 array, shape (times,)
        Any times.
    period : {"dekad", "month"}
        Which periods.

    Returns
    -------
    datetime64[D] array, shape (times, 2)
        First day of the period, and first day of the following one.
    """
    months = times.astype("datetime64[M]")
    first, following = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
    if period == "dekad":
        number = np.minimum((times.astype("datetime64[D]") - first).astype(int) // 10, _LAST_DEKAD)
        tenth = np.timedelta64(10, "D")
        following = np.where(number == _LAST_DEKAD, following, first + (number + 1) * tenth)
        first = first + number * tenth
    return np.stack([first, following], axis=1)


def period_means(archive: xarray.Dataset, period: Period) -> xarray.Dataset:
    """Return the mean of each month or dekad.

    Parameters
    ----------
    archive : xarray.Dataset
        What `runtime.open_archive` returns, some days or a box of it, or series made from it.
    period : {"dekad", "month"}
        The periods.

    Returns
    -------
    xarray.Dataset
        Along ``time``, the first day of each period: ``soil_moisture``, ``soil_moisture_observed`` (m3 m-3),
        ``precipitation`` (mm day-1), and ``root_zone_index`` (m3 m-3) if it was added, each the mean of the days that
        have a value, NaN if none has; ``days_with_value`` and ``days_observed``, how many these are. ``time_bnds`` has
        the first day of the period and of the following one. A period of which the archive has some days only is the
        mean of those.
    """
    import xarray

    bounds = period_bounds(archive.time.values, period)
    starts, at = np.unique(bounds[:, 0], return_index=True)
    group = xarray.DataArray(bounds[:, 0].astype("datetime64[ns]"), dims="time", name="period")
    found: dict[str, Any] = {}
    for name in (SOIL_MOISTURE.name, OBSERVED.name, PRECIPITATION.name, ROOT_ZONE):
        if name in archive:
            mean = archive[name].astype(float).groupby(group).mean("time").astype(np.float32)
            found[name] = mean.assign_attrs({**archive[name].attrs, "cell_methods": "time: mean"})
    for name, days, text in (
        (SOIL_MOISTURE.name, "days_with_value", "with a value"),
        (OBSERVED.name, "days_observed", "on which the cell was observed"),
    ):
        if name in archive:
            count = archive[name].notnull().groupby(group).sum("time").astype(np.int16)
            found[days] = count.assign_attrs({"long_name": f"days of the {period} {text}", "units": "1"})
    time = {"standard_name": "time", "long_name": f"first day of the {period}", "axis": "T", "bounds": "time_bnds"}
    found_bounds = (("time", "bnds"), np.stack([starts, bounds[at, 1]], axis=1).astype("datetime64[ns]"))
    return (
        xarray.Dataset(found, attrs=archive.attrs)
        .rename(period="time")
        .assign_coords(time=("time", starts.astype("datetime64[ns]"), time), time_bnds=found_bounds)
        .transpose("time", ...)
    )
