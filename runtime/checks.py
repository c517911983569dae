"""The gates: inputs before a day is filled, results before it is published. What is wrong with a file, its reader says.

Every gate looks at dates, not at what arrived when: a replay comes to the same verdict.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Sequence

import numpy as np

from runtime.archive.record import Figures
from runtime.config import Policy
from runtime.errors import ResultRefused
from runtime.fill import Filled, Flag
from runtime.grid import Floats, Grid

COVERAGE_DAYS = 30
"""Coverage is compared with the median of so many days before."""

MEAN_DAYS = 7
"""The land mean is compared with the median of so many days before."""

_ENOUGH = 10

_GLOBAL = 50_000
"""Land cells below which a grid is a region, whose mean follows its weather. The globe has 234 015."""

_OVERRULE = "look at it, then `runtime fill --accept {date} --because ...`"


def coverage(share: float, before: Sequence[float], policy: Policy) -> str | None:
    """Return what is wrong with how much of the globe a file covers, None if nothing.

    Parameters
    ----------
    share : of the file's cells that have a value
    before : the same of the `COVERAGE_DAYS` days before, as far as there were any
    """
    if len(before) < _ENOUGH:
        return None
    usual = statistics.median(before)
    if share >= policy.min_coverage * usual:
        return None
    return f"covers {share:.2%} of its cells where {usual:.2%} is usual of the {COVERAGE_DAYS} days before"


def sound(filled: Filled, date: dt.date) -> None:
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


def plausible(filled: Filled, figures: Figures, before: Sequence[float], policy: Policy, date: dt.date) -> None:
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


def figures(filled: Filled, grid: Grid, core: int) -> Figures:
    """Return a day in numbers.

    Parameters
    ----------
    core : rows and columns of a tile
    """
    counts = filled.counts
    on_land = filled.soil_moisture[grid.land & np.isfinite(filled.soil_moisture)]
    across, inside = steps(filled, (core, core))
    known = np.isfinite(across) and np.isfinite(inside)
    return Figures(
        observed=counts["observed"],
        filled=counts["filled_from_neighbours"] + counts["filled_from_other_days"],
        not_reached=counts["not_reached"],
        land_mean=round(float(on_land.mean(dtype=float)), 6) if on_land.size else None,
        seam=round(across / inside, 4) if known and inside > 0 else None,
        seam_step=round(across - inside, 6) if known else None,
    )


def seam(filled: Filled, core: tuple[int, int]) -> float:
    """Return how much tile edges show: the mean step across them over that inside tiles; 1 is not at all.

    NaN where it cannot be said; see `steps`.
    """
    across, inside = steps(filled, core)
    return across / inside if inside > 0 else float("nan")


def steps(filled: Filled, core: tuple[int, int]) -> tuple[float, float]:
    """Return the mean step between filled neighbours across tile edges, and inside tiles, m3 m-3.

    NaN where there are no such neighbours.

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
    return (float(edge.mean()) if edge.size else float("nan"), float(within.mean()) if within.size else float("nan"))
