"""The gates for results: a filled day is checked before it is published.

They depend on dates, not on the order in which files arrived: a replay comes to the same verdict.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Sequence

import numpy as np

from runtime.config import Policy
from runtime.errors import InputsMissing, ResultRefused
from runtime.fill.result import Filled, Flag
from runtime.fill.statistics import DayStatistics

MEAN_DAYS = 7
"""The land mean is compared with the median of so many days before."""

_GLOBAL = 50_000 * 27_798.75**2
"""Land, m2, below which a grid is a region, whose mean follows its weather: 50 000 cells of 0.25 degree, of which the
globe has 234 015, each taken to be as large as at the equator."""

_OVERRULE = "look at it, then `runtime fill --accept {date} --because ...`"


def check_sound(filled: Filled, date: dt.date) -> None:
    """Refuse a day whose values contradict its flags or its observations. No operator can accept such a day.

    Raises
    ------
    ResultRefused
        A filled cell has no value, a cell has a value where there should be none, or an observed cell changed.
    """
    has_value = np.isfinite(filled.soil_moisture)
    should = (filled.flag != Flag.NOT_REACHED) & (filled.flag != Flag.NOT_LAND)
    if (has_value != should).any():
        count = int((has_value != should).sum())
        raise ResultRefused(
            f"{date}: {count} cells have no value that should have one, or the other way round: the network gave NaN; "
            "the day is not published; check the bundle with `runtime doctor`"
        )
    seen = ~np.isnan(filled.observed)
    if (filled.soil_moisture[seen] != filled.observed[seen]).any():
        raise ResultRefused(f"{date}: observed cells were changed; the day is not published; please report this")


def check_reached(filled: Filled, date: dt.date) -> None:
    """Refuse a day without any value: no observation is near enough.

    Raises
    ------
    InputsMissing
        No cell has a value.
    """
    if not np.isfinite(filled.soil_moisture).any():
        raise InputsMissing(f"{date}: no observation reaches it; the day is not published")


def check_plausible(
    day: DayStatistics,
    cut: int,
    means_before: Sequence[float],
    policy: Policy,
    date: dt.date,
    cell_size: float,
) -> None:
    """Refuse a day that differs too much from the days before.

    Parameters
    ----------
    day : DayStatistics
        The filled day in numbers.
    cut : int
        See `Filled.cut`.
    means_before : sequence of float
        Land means of the `MEAN_DAYS` days before, m3 m-3, as far as they are published.
    policy : Policy
        The limits.
    date : date
        The day, for the message.
    cell_size : float
        Size of a cell, m; see `Grid.cell_size`.

    Raises
    ------
    ResultRefused
        The network left the physical range, the land mean jumped, or tile edges show.
    """
    is_global = day.land * cell_size**2 >= _GLOBAL
    cure = f"the day is not published; {_OVERRULE.format(date=date)}"
    if day.filled and cut > policy.max_out_of_range * day.filled:
        raise ResultRefused(
            f"{date}: the network left the range 0..1 m3 m-3 by more than 0.05 on {cut / day.filled:.1%} of "
            f"the filled cells (policy.max_out_of_range); {cure}"
        )
    if day.land_mean is not None and means_before:
        usual = statistics.median(means_before)
        limit = policy.max_mean_jump or (0.1 if is_global else 0.3)
        if abs(day.land_mean - usual) > limit:
            raise ResultRefused(
                f"{date}: the land mean is {day.land_mean:.3f} m3 m-3 where {usual:.3f} is usual of the "
                f"{MEAN_DAYS} days before (policy.max_mean_jump); {cure}"
            )
    limit = policy.max_seam_step or (0.15 if is_global else 0.4)
    if day.seam_step is not None and day.seam_step > limit:
        raise ResultRefused(
            f"{date}: tile edges show, neighbours across them differ by {day.seam_step:.3f} m3 m-3 more than "
            f"inside tiles (policy.max_seam_step); {cure}"
        )
