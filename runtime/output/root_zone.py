"""A root-zone index from the surface: days of soil moisture walk in, their exponentially weighted past walks out.

Water moves from the surface to the roots with a delay. The exponential filter of Wagner et al. (1999,
doi:10.1016/S0034-4257(99)00036-X), in the recursive form of Albergel et al. (2008, doi:10.5194/hess-12-1323-2008),
describes it with one number, the characteristic time T.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.archive.variables import SOIL_MOISTURE
from runtime.common.grid import Floats

if TYPE_CHECKING:
    import xarray

ROOT_ZONE = "root_zone_index"
"""Name of the index."""

Doubles = NDArray[np.float64]


def exponential_filter(values: Floats, days: Doubles, time_days: float) -> Doubles:
    """Filter series by ``K_n = K_(n-1) / (K_(n-1) + exp(-dt / T))``, ``m_n = m_(n-1) + K_n (s_n - m_(n-1))``.

    Parameters
    ----------
    values : float array, shape (..., times)
        Surface soil moisture, NaN where there is none.
    days : float64 array, shape (times,)
        Time of each value, days, ascending.
    time_days : float
        Characteristic time T, days.

    Returns
    -------
    float64 array, shape (..., times)
        The filtered series in the unit of the values. On times without a value it is that of the last one, if this is
        at most T old; NaN otherwise, and before the first value.
    """
    found = np.full(values.shape, np.nan)
    mean, gain = np.full(values.shape[:-1], np.nan), np.ones(values.shape[:-1])
    last = np.full(values.shape[:-1], -np.inf)
    for number, day in enumerate(days):
        value = values[..., number].astype(float)
        has_value, begun = np.isfinite(value), np.isfinite(mean)
        past = gain + np.exp((last - day) / time_days)
        gain = np.where(has_value & begun, gain / past, gain)
        mean = np.where(has_value, np.where(begun, mean + gain * (value - mean), value), mean)
        last = np.where(has_value, day, last)
        found[..., number] = np.where(day - last <= time_days, mean, np.nan)
    return found


def root_zone(archive: xarray.Dataset, time_days: float) -> xarray.Dataset:
    """Return the root-zone index of each day.

    Parameters
    ----------
    archive : xarray.Dataset
        What `runtime.open_archive` returns, or a box or series of it. Choose days afterwards: the index of a day needs
        the days before it, for several times T.
    time_days : float
        Characteristic time T of the filter, days; the deeper and the heavier the soil, the longer. 20 is usual for a
        depth of 1 m.

    Returns
    -------
    xarray.Dataset
        ``root_zone_index`` (m3 m-3, float32) with the dimensions of ``soil_moisture``; see `exponential_filter`.

    Raises
    ------
    ValueError
        T is not a positive number.
    """
    import xarray

    if not 0 < time_days < np.inf:
        raise ValueError(f"a characteristic time of {time_days:g} days: wanted a number above 0")
    values = archive[SOIL_MOISTURE.name]
    days = (values.time.values - values.time.values[0]) / np.timedelta64(1, "D")
    index: xarray.DataArray = xarray.apply_ufunc(
        lambda block: exponential_filter(block, days, time_days).astype(np.float32),
        values.chunk(time=-1),
        input_core_dims=[["time"]],
        output_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[np.float32],
    ).transpose(*values.dims)
    attributes = {
        "long_name": f"root-zone soil moisture index, exponential filter with T = {time_days:g} days",
        "units": "m3 m-3",
        "references": "doi:10.1016/S0034-4257(99)00036-X, doi:10.5194/hess-12-1323-2008",
        "comment": "the surface's past, weighted; not calibrated to measurements at depth",
    }
    return xarray.Dataset({ROOT_ZONE: index.assign_attrs(attributes)}, attrs=archive.attrs)
