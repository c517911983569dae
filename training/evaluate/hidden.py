"""Simulated gaps: hide observations, fill them with exported bundles as the runtime does, and keep the values."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from runtime.bundle import Bundle
from runtime.common.grid import Bools, Floats
from runtime.common.vocabulary import Tier
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, open_engine
from runtime.fill.base import make_filler
from runtime.fill.result import Filled
from runtime.fill.state import State
from training.evaluate.kinds import GapKind
from training.evaluate.references import (
    NEAR_DAYS,
    TODAY,
    WINDOW,
    Trees,
    nearest_day,
    weighted_mean,
)
from training.samples import TrainingArchive

_LOG = logging.getLogger(__name__)
Field = TypeVar("Field")
"""What a filler returns."""

STRIP, PERIOD, SLANT = 60, 200, 0.35
"""Width of a strip and distance from strip to strip, in columns, both smaller on a narrow grid; columns by which a
strip moves per row."""
WITHOUT_RAIN = " without rain"
"""Ending of a filler's name in the report if it was not given the rain."""
WEIGHTED_MEAN, PLAIN_MEAN, DCT_PLS, TREES = "weighted mean", "plain mean", "DCT-PLS", "trees"
"""The references, in the words of the report."""
_SHIFTS = (-3, -2, -1, 1, 2, 3)
"""Days whose gaps are hidden when trees are fitted, relative to day T."""


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """A day with a part of its observations hidden."""

    date: dt.date
    tier: Tier
    frames: Floats
    """(17, rows, cols), m3 m-3, the days of `WINDOW` without the hidden observations, on the provisional tier also
    without days after T."""
    rain: Floats
    """(17, rows, cols), mm/day, NaN for no estimate."""
    truth: Floats
    """(rows, cols), m3 m-3, the hidden observations on land cells that have another observation in the window; NaN on
    all other cells."""


def cells_to_hide(kind: GapKind, archive: TrainingArchive, date: dt.date) -> Bools:
    """Return the cells to hide on a day; they are the same for every tier and filler.

    Parameters
    ----------
    kind : GapKind
        How observations are hidden.
    archive : TrainingArchive
        The days to evaluate.
    date : date
        The day.

    Returns
    -------
    bool array, shape (rows, cols)
        True on a cell to hide: with real gaps those not observed on the following day, or on the nearest day with an
        observation where that one has none.

    Raises
    ------
    ValueError
        No other day has an observation.
    """
    day = archive.index(date)
    if kind == GapKind.REAL:
        for other in sorted(set(range(len(archive))) - {day}, key=lambda other: abs(other - day - 0.1)):
            if (observed := archive.observed(other)).any():
                return ~observed
        raise ValueError(f"no other day than {date} has an observation; real gaps are those of another day")
    rows, cols = np.indices(archive.grid.shape, sparse=True)
    period = min(PERIOD, archive.grid.shape[1])
    start = np.random.default_rng(date.toordinal()).integers(period)
    return np.asarray((cols + SLANT * rows + start) % period < STRIP / PERIOD * period)


def gaps(archive: TrainingArchive, date: dt.date, tier: Tier, kind: GapKind) -> Gaps:
    """Return a day of an archive with a part of its observations hidden.

    Parameters
    ----------
    archive : TrainingArchive
        The days to evaluate.
    date : date
        The day.
    tier : Tier
        The provisional tier has no days after the day itself.
    kind : GapKind
        How observations are hidden.

    Returns
    -------
    Gaps
        The day and the hidden observations.
    """
    return hide(archive, date, tier, cells_to_hide(kind, archive, date))


def hide(archive: TrainingArchive, date: dt.date, tier: Tier, hidden: Bools) -> Gaps:
    """Return a day of an archive without the observations of some cells.

    Parameters
    ----------
    archive : TrainingArchive
        The days.
    date : date
        The day.
    tier : Tier
        The provisional tier has no days after the day itself.
    hidden : bool array, shape (rows, cols)
        True on a cell to hide on that day.

    Returns
    -------
    Gaps
        The day and the hidden observations.
    """
    grid, day = archive.grid, archive.index(date)
    frames = archive.soil_moisture(day + WINDOW[0], len(WINDOW))
    rain = archive.rain(day + WINDOW[0], len(WINDOW))
    observed = frames[TODAY].copy()
    frames[TODAY][hidden] = np.nan
    if tier == Tier.PROVISIONAL:
        frames[TODAY + 1 :] = np.nan
        rain[TODAY + 1 :] = np.nan
    seen = np.isfinite(np.delete(frames, TODAY, axis=0)).any(0)
    truth = np.where(hidden & grid.land & seen, observed, np.float32(np.nan))
    return Gaps(date=date, tier=tier, frames=frames, rain=rain, truth=truth)


def fit_trees(archive: TrainingArchive, tier: Tier, before: dt.date, seed: int = 0) -> Trees:
    """Fit the trees to the days before a date, with the gaps of days near to each hidden.

    Parameters
    ----------
    archive : TrainingArchive
        The days.
    tier : Tier
        On the provisional tier the trees see no day after the one they fill.
    before : date
        No day from this one on is read.
    seed : int
        Seed of the gaps and of the trees.

    Returns
    -------
    Trees
        The fitted trees.

    Raises
    ------
    ValueError
        There is no day to fit them to.
    """
    rng, grid, newest = np.random.default_rng(seed), archive.grid, archive.index(before)

    def days() -> Iterator[tuple[Floats, Floats]]:
        for day in range(min(NEAR_DAYS, max(newest - 2, 0)), newest):
            others = [day + shift for shift in _SHIFTS if 0 <= day + shift < newest]
            if not others:
                continue
            frames = archive.soil_moisture(day + WINDOW[0], len(WINDOW))
            frames[TODAY + newest - day :] = np.nan
            if tier == Tier.PROVISIONAL:
                frames[TODAY + 1 :] = np.nan
            observed = frames[TODAY].copy()
            hidden = ~archive.observed(int(rng.choice(others)))
            frames[TODAY][hidden] = np.nan
            wanted = hidden & grid.land & (nearest_day(frames) <= NEAR_DAYS)
            yield frames, np.where(wanted, observed, np.float32(np.nan))

    return Trees.fit(days(), grid.latitudes, seed=seed)


class BundleFiller:
    """Fills days with a bundle, as the runtime does; the recurrent kind first reads the days before, nothing hidden."""

    def __init__(
        self,
        name: str,
        bundle: Bundle,
        archive: TrainingArchive,
        settings: EngineSettings | None = None,
        engine: Engine | Staged | None = None,
    ) -> None:
        self.name, self.bundle, self._archive = name, bundle, archive
        self._filler = make_filler(engine or open_engine(bundle, settings), bundle.manifest, archive.grid)
        self._state, self._day = self._filler.initial_state(), 0

    @property
    def takes_rain(self) -> bool:
        """Whether rain changes the filled values."""
        return self.bundle.manifest.takes_rain

    def fill(self, gaps: Gaps, with_rain: bool = True) -> Filled:
        """Fill a day; a recurrent bundle reads all days before again if the day is earlier than the last one."""
        rain = gaps.rain if with_rain else np.full_like(gaps.rain, np.nan)
        window = [TODAY + offset for offset in self.bundle.manifest.window]
        state = self._state_before(self._archive.index(gaps.date))
        return self._filler.fill(gaps.frames[window], rain[window], state)[0]

    def _state_before(self, day: int) -> State | None:
        """Return the state after all days before a day; None for a window bundle."""
        if day < self._day:
            self._state, self._day = self._filler.initial_state(), 0
        while self._state is not None and self._day < day:
            soil_moisture, rain = self._archive.soil_moisture(self._day, 1), self._archive.rain(self._day, 1)
            self._state = self._filler.fill(soil_moisture, rain, self._state)[1]
            self._day += 1
        return self._state


def fill_whole_day(fillers: Sequence[BundleFiller], gaps: Gaps, land: Bools) -> dict[str, Floats]:
    """Return a day as every bundle and the weighted mean publish it: the observations that they see, and filled gaps.

    Parameters
    ----------
    fillers : sequence of BundleFiller
        The bundles.
    gaps : Gaps
        The day.
    land : bool array, shape (rows, cols)
        True on land.

    Returns
    -------
    dict
        Fields of shape (rows, cols) by the filler's name, m3 m-3, NaN where there is no value.
    """
    seen = gaps.frames[TODAY]
    mean = np.where(land & np.isnan(seen), weighted_mean(gaps.frames), seen)
    return {filler.name: filler.fill(gaps).soil_moisture for filler in fillers} | {WEIGHTED_MEAN: mean}
