"""Simulated gaps: hide observations, fill them with exported bundles as the runtime does, and keep the values."""

from __future__ import annotations

import datetime as dt
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from runtime.bundle import Bundle
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.vocabulary import Tier
from runtime.demo.baselines import simple_fillers
from runtime.demo.gaps import strips
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, open_engine
from runtime.fill.base import make_filler
from runtime.fill.result import Filled
from runtime.fill.state import State
from runtime.fill.statistics import seam_ratio
from runtime.fill.window import days_since_observation
from training.evaluate.kinds import KINDS, GapKind
from training.evaluate.scores import Cells
from training.samples import TrainingArchive

_LOG = logging.getLogger(__name__)

WINDOW = tuple(range(-4, 5))
"""The days of the window, relative to day T."""
TODAY = WINDOW.index(0)
"""Position of day T in the window."""
SQUARE = 40
"""Height and width in cells of a square gap, and of a complete patch."""
SQUARES = {
    "North America": (40.0, -100.0),
    "South America": (-10.0, -60.0),
    "Europe": (48.0, 20.0),
    "Africa": (10.0, 20.0),
    "Asia": (45.0, 85.0),
    "Australia": (-25.0, 134.0),
}
"""Latitude and longitude of the centre of a square on each of six continents. SGD-SM 1.0 uses such squares too; it does
not publish their places, so these are our own."""
WITHOUT_RAIN = " without rain"
"""Ending of a filler's name in the report if it was not given the rain."""


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """A day with a part of its observations hidden."""

    date: dt.date
    tier: Tier
    kind: GapKind
    frames: Floats
    """(9, rows, cols), m3 m-3, without the hidden observations, on the provisional tier also without days after T."""
    rain: Floats
    """(9, rows, cols), mm/day, NaN for no estimate."""
    truth: Floats
    """(rows, cols), m3 m-3, the hidden observations on land cells that have another observation in the window; NaN on
    all other cells."""
    complete: Bools
    """(rows, cols), cells in patches of 40 x 40 cells that were all observed land."""


def cells_to_hide(kind: GapKind, archive: TrainingArchive, date: dt.date, seed: int) -> Bools:
    """Return the cells to hide on a day; they are the same for every tier and filler.

    Parameters
    ----------
    kind : GapKind
        How observations are hidden.
    archive : TrainingArchive
        The days to evaluate.
    date : date
        The day.
    seed : int
        Seed of the gaps.

    Returns
    -------
    bool array, shape (rows, cols)
        True on a cell to hide.
    """
    grid = archive.grid
    rng = np.random.default_rng([seed, date.toordinal(), KINDS.index(kind)])
    if kind == GapKind.STRIPS:
        return strips(rng, grid.shape)
    if kind == GapKind.REAL_MASKS:
        others = [day for day in range(len(archive)) if day != archive.index(date) and archive.observed(day).any()]
        return ~archive.observed(int(rng.choice(others)))
    hidden = np.zeros(grid.shape, bool)
    for latitude, longitude in SQUARES.values():
        row = np.searchsorted(-grid.latitudes, -latitude) - SQUARE // 2
        col = np.searchsorted(grid.longitudes, longitude) - SQUARE // 2
        hidden[max(row, 0) : row + SQUARE, max(col, 0) : col + SQUARE] = True
    return hidden


def gaps(archive: TrainingArchive, date: dt.date, tier: Tier, kind: GapKind, seed: int) -> Gaps:
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
    seed : int
        Seed of the gaps.

    Returns
    -------
    Gaps
        The day and the hidden observations.
    """
    grid, day = archive.grid, archive.index(date)
    frames = archive.soil_moisture(day + WINDOW[0], len(WINDOW))
    rain = archive.rain(day + WINDOW[0], len(WINDOW))
    observed = frames[TODAY].copy()
    hidden = cells_to_hide(kind, archive, date, seed)
    frames[TODAY][hidden] = np.nan
    if tier == Tier.PROVISIONAL:
        frames[TODAY + 1 :] = np.nan
        rain[TODAY + 1 :] = np.nan
    visible = frames[:TODAY] if tier == Tier.PROVISIONAL else frames
    seen = np.isfinite(visible).any(0)
    truth = np.where(hidden & grid.land & seen, observed, np.float32(np.nan))
    return Gaps(
        date=date,
        tier=tier,
        kind=kind,
        frames=frames,
        rain=rain,
        truth=truth,
        complete=_complete(np.isfinite(observed) & grid.land),
    )


def _complete(observed: Bools) -> Bools:
    """Return the cells that are part of a patch of `SQUARE` x `SQUARE` observed cells."""
    return np.asarray(ndimage.binary_opening(observed, np.ones((SQUARE, SQUARE), bool)))


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


def dct_pls(frames: Floats, land: Bools, robust: bool = False) -> Floats:
    """Fill day T by penalised least squares on cosines (Garcia 2010), as in ESA CCI SM GAPFILLED.

    Parameters
    ----------
    frames : float32 array, shape (9, rows, cols)
        Soil moisture, m3 m-3, NaN for a gap.
    land : bool array, shape (rows, cols)
        True on land; rows and columns without land are left out of the computation.
    robust : bool
        Whether outliers get less weight.

    Returns
    -------
    float32 array, shape (rows, cols)
        Soil moisture of day T, m3 m-3, NaN on rows and columns without land.
    """
    from pytesmo.interpolate.dctpls import smoothn

    rows, cols = np.flatnonzero(land.any(1)), np.flatnonzero(land.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning if the smoothing parameter reaches its bounds
        smooth = smoothn(frames[(slice(None), *box)].astype(np.float64), isrobust=robust, smoothOrder=2)[0]
    day = np.full(land.shape, np.nan, np.float32)
    day[box] = smooth[TODAY].clip(0, 1)
    return day


def fill_hidden(
    fillers: Sequence[BundleFiller],
    archive: TrainingArchive,
    days: Mapping[Tier, Sequence[dt.date]],
    kinds: Sequence[GapKind] = KINDS,
    *,
    with_dct_pls: bool = True,
    seed: int = 0,
) -> tuple[dict[tuple[Tier, GapKind], Cells], dict[str, list[float]]]:
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
        Whether DCT-PLS also fills the strips.
    seed : int
        Seed of the gaps.

    Returns
    -------
    cells : dict
        The hidden cells and their filled values, by tier and kind of gap.
    seams : dict
        The seam figure of each day and tier with the first kind of gap, by bundle.
    """
    parts: dict[tuple[Tier, GapKind], list[Cells]] = {}
    seams: dict[str, list[float]] = {filler.name: [] for filler in fillers}
    for date in sorted({date for dates in days.values() for date in dates}):
        for tier, dates in days.items():
            if date not in dates:
                continue
            for kind in kinds:
                hidden = gaps(archive, date, tier, kind, seed)
                filled = _fill_with_bundles(fillers, hidden, archive.has_rain)
                if kind == kinds[0]:
                    for filler in fillers:
                        core = filler.bundle.manifest.tile_core
                        seams[filler.name].append(seam_ratio(filled[filler.name], (core, core)))
                references = dict(
                    _fill_with_references(hidden, archive.grid.land, with_dct_pls and kind == GapKind.STRIPS)
                )
                parts.setdefault((tier, kind), []).append(_collect(hidden, archive.grid, filled, references))
                _LOG.info("%s %s, %s: %d hidden cells", date, tier, kind, np.isfinite(hidden.truth).sum())
    return {key: Cells.joined(several) for key, several in parts.items()}, seams


def _fill_with_bundles(fillers: Sequence[BundleFiller], hidden: Gaps, has_rain: bool) -> dict[str, Filled]:
    """Return a day filled by every bundle, and also without rain by those that take rain."""
    filled: dict[str, Filled] = {}
    for filler in fillers:
        filled[filler.name] = filler.fill(hidden)
        if filler.takes_rain and has_rain:
            filled[filler.name + WITHOUT_RAIN] = filler.fill(hidden, with_rain=False)
    return filled


def _fill_with_references(hidden: Gaps, land: Bools, with_dct_pls: bool) -> Iterator[tuple[str, Floats]]:
    """Yield the name and the field of every filler that is no bundle."""
    simple = simple_fillers(hidden.frames, WINDOW)
    if hidden.tier == Tier.CONSOLIDATED:
        yield "mean of nine days", simple["mean of nine days"]
    else:
        yield "mean of past four days", simple["mean of past four days"]
        yield "last value", simple["last value"]
    if with_dct_pls:
        yield "DCT-PLS", dct_pls(hidden.frames, land)
        yield "DCT-PLS, robust", dct_pls(hidden.frames, land, robust=True)


def _collect(hidden: Gaps, grid: Grid, filled: dict[str, Filled], references: dict[str, Floats]) -> Cells:
    """Return the hidden cells of a day with the values of all fillers."""
    where = np.isfinite(hidden.truth)
    age = days_since_observation(hidden.frames, WINDOW)
    distance = ndimage.distance_transform_edt(np.isnan(hidden.frames[TODAY]))
    columns = {
        "latitude": np.broadcast_to(grid.latitudes[:, None], grid.shape),
        "age": np.where(age < 0, 99, age),
        "distance": distance,
        "rain": hidden.rain[TODAY],
        "complete": hidden.complete,
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
