"""Judge each value of a filled day: mark those that may be wrong, and change none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools, Floats, Grid
from runtime.common.quality import ProductMarks, QualityBit
from runtime.fill.result import NEVER, Filled

ZERO = 5e-5
"""Values below this one are 0 in a daily file, m3 m-3."""

SATURATED = 0.6
"""From this value on more water than the pores of mineral soils can hold, m3 m-3."""

LEAST_JUMP = 0.04
"""No smaller step is a jump, m3 m-3: the accuracy that satellite missions aim at."""

_OF_MEDIAN = 3 * 1.4826
"""Three standard deviations of normally distributed steps, as a multiple of their median size."""

_LEAST_STEPS = 3
"""Steps that a cell must have for the size of its steps to be known."""

_LEAST_DAYS = 8
"""Days that must have been observed before land counts as never observed: in fewer, orbits leave too many cells out."""


@dataclass(frozen=True)
class DayQuality:
    """The quality of a filled day."""

    flags: NDArray[np.int16]
    """Bits of `QualityBit`, the grid's shape; 0 for a value that nothing speaks against, and for a cell without one."""
    judged: QualityBit
    """The bits that could be judged on this day; the others are 0 everywhere."""


def day_quality(
    filled: Filled, grid: Grid, frames: Sequence[Floats], today: int, marks: Sequence[ProductMarks | None]
) -> DayQuality:
    """Judge the values of a filled day.

    Parameters
    ----------
    filled : Filled
        The day.
    grid : Grid
        Its grid.
    frames : sequence of float32 arrays, shape (rows, cols)
        Soil moisture of the days that the network read, in order, m3 m-3, NaN for a gap.
    today : int
        Which of them is day T.
    marks : sequence of ProductMarks or None
        What the files of these days say; None for a file that says nothing.

    Returns
    -------
    DayQuality
        The bits of each value, and which bits could be judged.
    """
    values = filled.soil_moisture
    flags = np.where((values < ZERO) | (values >= SATURATED), QualityBit.AT_LIMIT, 0).astype(np.int16)
    judged = QualityBit.AT_LIMIT
    seen_on = [bool(np.isfinite(frame).any()) for frame in frames]
    if any(seen_on[:today]) and any(seen_on[today + 1 :]):
        flags[is_jump(values, frames, today)] |= QualityBit.JUMP
        judged |= QualityBit.JUMP
    if max(sum(seen_on), int(filled.days_since_observation.max()) + 1) >= _LEAST_DAYS:
        never = grid.land & (filled.days_since_observation == NEVER)
        for frame in frames:
            never &= np.isnan(frame)
        flags[with_neighbours(never, wraps=grid.wraps)] |= QualityBit.NEAR_NEVER_OBSERVED
        judged |= QualityBit.NEAR_NEVER_OBSERVED
    flags |= nearest_marks(frames, today, marks)
    for each in marks:
        judged |= each.judged if each else QualityBit(0)
    return DayQuality(np.where(np.isfinite(values), flags, 0).astype(np.int16), judged)


def is_jump(values: Floats, frames: Sequence[Floats], today: int) -> Bools:
    """Return where a value is far above, or far below, both the observation before and the one after it.

    Far is more than `LEAST_JUMP`, and more than three standard deviations of the steps between successive observations
    of the cell on the other days. These steps are retrieval noise and weather together, so a jump is larger than both
    explain. A cell with less than three such steps has no jump.

    Parameters
    ----------
    values : float32 array, shape (rows, cols)
        Soil moisture of day T, observed or filled, m3 m-3, NaN where there is none.
    frames : sequence of float32 arrays, shape (rows, cols)
        Observations of the days of the window, in order, m3 m-3, NaN for a gap.
    today : int
        Which of them is day T.

    Returns
    -------
    bool array, shape (rows, cols)
        False where there is no observation before or none after day T.
    """
    others = [*frames[:today], *frames[today + 1 :]]
    before, after = _first_observed(others[:today][::-1]), _first_observed(others[today:])
    rise, fall = np.fmin(values - before, values - after), np.fmin(before - values, after - values)
    smaller_step = np.where(np.isfinite(before + after), np.fmax(rise, fall), np.nan)
    jumps = smaller_step > LEAST_JUMP
    steps = _steps(np.stack([frame[jumps] for frame in others]))
    enough = np.isfinite(steps).sum(0) >= _LEAST_STEPS
    jumps[jumps] = enough & (smaller_step[jumps] > _OF_MEDIAN * np.nanmedian(steps, axis=0))
    return jumps


def _first_observed(frames: Sequence[Floats]) -> Floats:
    """Return the value of each cell on the first of some days on which it was observed, NaN if it never was."""
    found = frames[0]
    for frame in frames[1:]:
        found = np.where(np.isnan(found), frame, found)
    return found


def _steps(series: Floats) -> Floats:
    """Return how much each observation differs from the one before it; shape (days, cells), NaN where it has none."""
    steps, last = np.full_like(series, np.nan), series[0]
    for day, values in enumerate(series[1:], 1):
        steps[day] = np.abs(values - last)
        last = np.where(np.isnan(values), last, values)
    return steps


def with_neighbours(cells: Bools, *, wraps: bool) -> Bools:
    """Return some cells and the eight around each of them.

    Parameters
    ----------
    cells : bool array, shape (rows, cols)
        The cells.
    wraps : bool
        Whether the last column is next to the first.
    """
    padded = np.pad(cells, ((0, 0), (1, 1)), mode="wrap" if wraps else "constant")
    wide = padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]
    tall = np.pad(wide, ((1, 1), (0, 0)))
    return np.asarray(tall[:-2] | tall[1:-1] | tall[2:])


def nearest_marks(frames: Sequence[Floats], today: int, marks: Sequence[ProductMarks | None]) -> NDArray[np.int16]:
    """Return what the input files say of each cell on the day nearest to day T on which they say something of it.

    A file says something of a cell that it observes or marks. Of two days as near, the earlier one counts.

    Parameters
    ----------
    frames : sequence of float32 arrays, shape (rows, cols)
        Observations of the days of the window, in order, m3 m-3, NaN for a gap.
    today : int
        Which of them is day T.
    marks : sequence of ProductMarks or None
        What the files of these days say; None for a file that says nothing.

    Returns
    -------
    int16 array, shape (rows, cols)
        Bits of `QualityBit`.
    """
    found, open_cells = np.zeros(frames[today].shape, np.int16), np.ones(frames[today].shape, bool)
    for day in sorted(range(len(frames)), key=lambda day: (abs(day - today), day)):
        if (said := marks[day]) is not None:
            found = np.where(open_cells, said.bits, found)
            open_cells &= said.bits == 0
        open_cells &= np.isnan(frames[day])
    return found.astype(np.int16)
