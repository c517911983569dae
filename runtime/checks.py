"""What is looked at after filling. What is wrong with an input, its reader says."""

from __future__ import annotations

import datetime as dt

import numpy as np

from runtime.errors import ResultRefused
from runtime.fill import Filled, Flag
from runtime.grid import Floats, Grid


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


def seam(filled: Filled, core: tuple[int, int]) -> float:
    """Return how much tile edges show: the mean jump between filled neighbours across them over that inside tiles.

    1 means that they do not show. NaN where there are no such neighbours.

    Parameters
    ----------
    core : rows and columns of a tile; tiles start at the grid's north-west corner
    """
    made = np.isin(filled.flag, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
    field = np.where(made, filled.soil_moisture, np.float32(np.nan))
    across: list[Floats] = []
    inside: list[Floats] = []
    for axis, size in enumerate(core):
        jumps = np.abs(np.diff(field, axis=axis))
        at_edge = np.arange(1, field.shape[axis]) % size == 0
        for jumped, chosen in ((across, at_edge), (inside, ~at_edge)):
            part = np.compress(chosen, jumps, axis)
            jumped.append(part[np.isfinite(part)])
    edge, within = np.concatenate(across), np.concatenate(inside)
    return float(edge.mean() / within.mean()) if edge.size and within.any() else float("nan")
