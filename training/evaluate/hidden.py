"""Simulated gaps: hide observations, fill them with exported bundles as the runtime does, and keep the values."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import ndimage

from runtime.bundle import Bundle
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.vocabulary import Tier
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, open_engine
from runtime.fill.base import make_filler
from runtime.fill.result import Filled
from runtime.fill.state import State
from runtime.fill.statistics import seam_ratio
from runtime.fill.window import days_since_observation
from training.evaluate.kinds import KINDS, GapKind
from training.evaluate.references import (
    NEAR_DAYS,
    TODAY,
    WINDOW,
    Trees,
    dct_pls,
    nearest_day,
    plain_mean,
    weighted_mean,
)
from training.evaluate.scores import Cells
from training.evaluate.structure import Structure
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


@dataclass(frozen=True)
class Hidden:
    """What an evaluation of hidden observations measured."""

    cells: dict[tuple[Tier, GapKind], Cells]
    """The hidden cells and their filled values, by tier and kind of gap."""
    structures: dict[tuple[Tier, GapKind], Structure]
    """Variogram and spectrum of the hidden and the filled values, by tier and kind of gap."""
    seams: dict[str, list[float]]
    """The seam figure of each day and tier with the first kind of gap, by bundle."""
    seconds: dict[str, list[float]]
    """Seconds that each filling of a day took, by filler. Trees fill the hidden cells only, all others all gaps."""


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


def fill_hidden(
    fillers: Sequence[BundleFiller],
    archive: TrainingArchive,
    days: Mapping[Tier, Sequence[dt.date]],
    kinds: Sequence[GapKind] = KINDS,
    *,
    with_dct_pls: bool = True,
    with_trees: bool = True,
) -> Hidden:
    """Hide observations and fill them with every filler.

    Parameters
    ----------
    fillers : sequence of BundleFiller
        The bundles.
    archive : TrainingArchive
        The days to evaluate.
    days : mapping
        The days of each tier, in order.
    kinds : sequence of GapKind
        How observations are hidden.
    with_dct_pls : bool
        Whether DCT-PLS also fills the real gaps; a day takes most of a minute.
    with_trees : bool
        Whether trees also fill the gaps, fitted for each tier to the days before the first one evaluated.

    Returns
    -------
    Hidden
        The hidden cells and their filled values, and what was measured of the fields.
    """
    structures: dict[tuple[Tier, GapKind], Structure] = {}
    parts: dict[tuple[Tier, GapKind], list[Cells]] = {}
    seams: dict[str, list[float]] = {filler.name: [] for filler in fillers}
    seconds: dict[str, list[float]] = {}
    trees: dict[Tier, Trees] = {}
    for tier, dates in days.items() if with_trees else ():
        _LOG.info("fitting trees, %s, to the days before %s", tier, dates[0])
        trees[tier] = fit_trees(archive, tier, dates[0])
    for date in sorted({date for dates in days.values() for date in dates}):
        for tier, dates in days.items():
            if date not in dates:
                continue
            for kind in kinds:
                hidden = gaps(archive, date, tier, kind)
                filled = dict(_timed(_fill_with_bundles(fillers, hidden, archive.has_rain), seconds))
                if kind == kinds[0]:
                    for filler in fillers:
                        core = filler.bundle.manifest.tile_core
                        seams[filler.name].append(seam_ratio(filled[filler.name], (core, core)))
                with_dct = with_dct_pls and kind == GapKind.REAL
                references = dict(
                    _timed(_fill_with_references(hidden, archive.grid.land, trees.get(tier), with_dct), seconds)
                )
                parts.setdefault((tier, kind), []).append(_collect(hidden, archive.grid, filled, references))
                fields = {name: day.soil_moisture for name, day in filled.items()} | references
                structures.setdefault((tier, kind), Structure()).add(hidden.truth, fields)
                _LOG.info("%s %s, %s: %d hidden cells", date, tier, kind, np.isfinite(hidden.truth).sum())
    return Hidden({key: Cells.joined(several) for key, several in parts.items()}, structures, seams, seconds)


def _timed(fields: Iterator[tuple[str, Field]], seconds: dict[str, list[float]]) -> Iterator[tuple[str, Field]]:
    """Yield names and fields, and note how long each of them took."""
    while True:
        start = time.perf_counter()
        named = next(fields, None)
        if named is None:
            return
        seconds.setdefault(named[0], []).append(time.perf_counter() - start)
        yield named


def _fill_with_bundles(fillers: Sequence[BundleFiller], hidden: Gaps, has_rain: bool) -> Iterator[tuple[str, Filled]]:
    """Yield the name and a day filled by every bundle, and also without rain by those that take rain."""
    for filler in fillers:
        yield filler.name, filler.fill(hidden)
        if filler.takes_rain and has_rain:
            yield filler.name + WITHOUT_RAIN, filler.fill(hidden, with_rain=False)


def _fill_with_references(
    hidden: Gaps, land: Bools, trees: Trees | None, with_dct_pls: bool
) -> Iterator[tuple[str, Floats]]:
    """Yield the name and the field of every filler that is no bundle."""
    yield WEIGHTED_MEAN, weighted_mean(hidden.frames)
    yield PLAIN_MEAN, plain_mean(hidden.frames)
    if trees:
        yield TREES, trees.fill(hidden.frames, np.isfinite(hidden.truth))
    if with_dct_pls:
        yield DCT_PLS, dct_pls(hidden.frames, land)


def _collect(hidden: Gaps, grid: Grid, filled: dict[str, Filled], references: dict[str, Floats]) -> Cells:
    """Return the hidden cells of a day with the values of all fillers."""
    where = np.isfinite(hidden.truth)
    age = days_since_observation(hidden.frames, WINDOW)
    columns = {
        "latitude": np.broadcast_to(grid.latitudes[:, None], grid.shape),
        "age": np.where(age < 0, 99, age),
        "nearest": nearest_day(hidden.frames),
        "distance": ndimage.distance_transform_edt(np.isnan(hidden.frames[TODAY])),
        "rain": hidden.rain[TODAY],
        "wetness": references[WEIGHTED_MEAN],
    }
    return Cells(
        hidden.truth[where],
        {name: np.asarray(values[where], np.float32) for name, values in columns.items()},
        {
            **{name: day.soil_moisture[where] for name, day in filled.items()},
            **{name: values[where] for name, values in references.items()},
        },
        {name: day.uncertainty[where] for name, day in filled.items() if day.uncertainty is not None},
    )
