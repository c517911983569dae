"""Is a day wetter than usual at its time of year? Days walk in; climatology, anomaly and percentile of each walk out.

The climatology of a day is made from all days of the record, in any year, that are at most half a window away from it
in the calendar. The record should have several years: with one, a day is compared with its own weeks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.variables import SOIL_MOISTURE
from runtime.common.clock import MIN_DAYS, WINDOW_DAYS, YEAR_DAYS, calendar_days
from runtime.common.grid import Floats

if TYPE_CHECKING:
    import xarray


def compared_with_usual(values: Floats, calendar: NDArray[np.int64], window: int, min_days: int) -> Floats:
    """Compare each value with those of the same weeks of all years.

    Parameters
    ----------
    values : float array, shape (..., times)
        NaN where there is none.
    calendar : int array, shape (times,)
        What `runtime.common.clock.calendar_days` returns.
    window : int
        Days of the calendar to compare a day with, itself in their middle; odd.
    min_days : int
        Values that a climatology needs; where there are fewer, results are NaN.

    Returns
    -------
    float32 array, shape (4, ..., times)
        Mean of the values in the window (the climatology); the value minus this mean; the share of the values in the
        window that are below it, those equal to it counted as half, in percent; and how many values there are.
        Anomaly and percentile are NaN where there is no value.
    """
    found = np.full((4, *values.shape), np.nan, np.float32)
    found[3] = 0
    for day in np.unique(calendar):
        here = calendar == day
        compared = values[..., _in_window(calendar, day, window)].astype(float)
        count = np.isfinite(compared).sum(-1, keepdims=True)
        enough = count >= max(min_days, 1)
        mean = np.where(enough, np.nansum(compared, -1, keepdims=True) / np.maximum(count, 1), np.nan)
        today = values[..., here].astype(float)
        below = np.stack(
            [
                ((compared < value[..., None]).sum(-1) + (compared <= value[..., None]).sum(-1)) / 2
                for value in np.moveaxis(today, -1, 0)
            ],
            axis=-1,
        )
        percentile = np.where(np.isfinite(today) & enough, 100 * below / np.maximum(count, 1), np.nan)
        for number, part in enumerate((mean, today - mean, percentile, count)):
            found[number][..., here] = part
    return found


def usual_range(
    values: Floats, calendar: NDArray[np.int64], window: int = WINDOW_DAYS, min_days: int = MIN_DAYS
) -> Floats:
    """Return between which values the same weeks of all years lie, without the driest and the wettest tenth.

    Parameters
    ----------
    values : float array, shape (times,)
        NaN where there is none.
    calendar : int array, shape (times,)
        What `runtime.common.clock.calendar_days` returns.
    window : int
        Days of the calendar to compare a day with, itself in their middle; odd.
    min_days : int
        Values that a range needs.

    Returns
    -------
    float32 array, shape (2, times)
        The 10th and the 90th percentile of the values in the window around each time; NaN where there are fewer values.
    """
    found = np.full((2, *values.shape), np.nan, np.float32)
    for day in np.unique(calendar):
        compared = values[_in_window(calendar, day, window)]
        compared = compared[np.isfinite(compared)]
        if compared.size >= max(min_days, 1):
            found[:, calendar == day] = np.percentile(compared, [10, 90])[:, None]
    return found


def _in_window(calendar: NDArray[np.int64], day: int, window: int) -> NDArray[np.bool_]:
    """Return which times are at most half a window away from a day of the calendar."""
    away = np.abs(calendar - day)
    return np.asarray(np.minimum(away, YEAR_DAYS - away) <= window // 2)


def anomalies(archive: xarray.Dataset, window_days: int = WINDOW_DAYS, min_days: int = MIN_DAYS) -> xarray.Dataset:
    """Return how each day compares with the same weeks of all years of the record.

    Parameters
    ----------
    archive : xarray.Dataset
        The whole record, or a box or series of it: what it has is what days are compared with. Choose days afterwards.
    window_days : int
        Days of the calendar that the climatology of a day is made from, the day in their middle; odd.
    min_days : int
        Days with a value that a climatology needs.

    Returns
    -------
    xarray.Dataset
        With the dimensions of ``soil_moisture``, float32: ``soil_moisture_climatology`` and ``soil_moisture_anomaly``
        (m3 m-3), ``soil_moisture_percentile`` (0 to 100), and ``climatology_days``, the number of days compared with.
        NaN where there is no value, or where fewer than `min_days` days have one.

    Raises
    ------
    ValueError
        The window is even, or not between 1 and 365 days.
    """
    import xarray

    if not 1 <= window_days <= YEAR_DAYS - 1 or window_days % 2 == 0:
        raise ValueError(f"a window of {window_days} days: wanted an odd number from 1 to {YEAR_DAYS - 1}")
    values = archive[SOIL_MOISTURE.name]
    calendar = calendar_days(values.time.values)
    usual = f"days of all years that are at most {window_days // 2} days away in the calendar"
    text: dict[str, dict[str, Any]] = {
        "soil_moisture_climatology": {"long_name": f"mean soil moisture of the {usual}", "units": "m3 m-3"},
        "soil_moisture_anomaly": {
            "long_name": "soil moisture minus its climatology",
            "units": "m3 m-3",
            "comment": f"climatology: mean of the {usual}",
        },
        "soil_moisture_percentile": {
            "long_name": "percentile of soil moisture",
            "units": "percent",
            "comment": f"among the {usual}; equal values count as half",
        },
        "climatology_days": {"long_name": f"number of values in the {usual}", "units": "1"},
    }
    compared: xarray.DataArray = xarray.apply_ufunc(
        lambda block: np.moveaxis(compared_with_usual(block, calendar, window_days, min_days), 0, -1),
        values.chunk(time=-1),
        input_core_dims=[["time"]],
        output_core_dims=[["time", "what"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"what": len(text)}},
    ).transpose(*values.dims, "what")
    found = {
        name: compared.isel(what=at).assign_attrs(attributes) for at, (name, attributes) in enumerate(text.items())
    }
    return xarray.Dataset(found, attrs=archive.attrs)
