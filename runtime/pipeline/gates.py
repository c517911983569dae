"""The gates: inputs before a day is filled, results before it is published. What is wrong with a file, its reader says.

Every gate looks at dates, not at what arrived when: a replay comes to the same verdict.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Sequence

import numpy as np

from runtime.config import Policy
from runtime.errors import ResultRefused
from runtime.fill.result import Filled, Flag
from runtime.fill.statistics import DayStatistics

MEAN_DAYS = 7
"""The land mean is compared with the median of so many days before."""


_GLOBAL = 50_000
"""Land cells below which a grid is a region, whose mean follows its weather. The globe has 234 015."""

_OVERRULE = "look at it, then `runtime fill --accept {date} --because ...`"


def check_sound(filled: Filled, date: dt.date) -> None:
    """Refuse a day whose values contradict its flags or its observations. No operator can accept such a day.

    Raises
    ------
    ResultRefused
        A filled cell without a value, a value where there should be none, or an observed cell that changed.
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


def check_plausible(
    filled: Filled, figures: DayStatistics, before: Sequence[float], policy: Policy, date: dt.date
) -> None:
    """Refuse a day that differs too much from the days before.

    Parameters
    ----------
    before : land means of the `MEAN_DAYS` days before, as far as they are published

    Raises
    ------
    ResultRefused
        A network that leaves the physical range, a jump of the land mean, or tile edges that show.
    """
    is_global = figures.land >= _GLOBAL
    cure = f"the day is not published; {_OVERRULE.format(date=date)}"
    if figures.filled and filled.cut > policy.max_out_of_range * figures.filled:
        raise ResultRefused(
            f"{date}: the network left the range 0..1 m3 m-3 by more than 0.05 on {filled.cut / figures.filled:.1%} of "
            f"the filled cells (policy.max_out_of_range); {cure}"
        )
    if figures.land_mean is not None and before:
        usual = statistics.median(before)
        limit = policy.max_mean_jump or (0.1 if is_global else 0.3)
        if abs(figures.land_mean - usual) > limit:
            raise ResultRefused(
                f"{date}: the land mean is {figures.land_mean:.3f} m3 m-3 where {usual:.3f} is usual of the "
                f"{MEAN_DAYS} days before (policy.max_mean_jump); {cure}"
            )
    limit = policy.max_seam_step or (0.15 if is_global else 0.4)
    if figures.seam_step is not None and figures.seam_step > limit:
        raise ResultRefused(
            f"{date}: tile edges show, neighbours across them differ by {figures.seam_step:.3f} m3 m-3 more than "
            f"inside tiles (policy.max_seam_step); {cure}"
        )
