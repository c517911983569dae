"""The gate after filling: a day that fails it is not published. What is wrong with an input, its reader says."""

from __future__ import annotations

import datetime as dt

import numpy as np

from runtime.errors import ResultRefused
from runtime.fill import Filled, Flag
from runtime.grid import Grid


def result(filled: Filled, grid: Grid, date: dt.date) -> None:
    """Refuse a day whose values contradict its flags or its observations.

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
