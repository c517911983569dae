"""Simulated gaps: hide what was observed, fill it with exported bundles through the runtime, keep what they said."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from runtime.bundle import Bundle
from runtime.common.grid import Bools, Floats, Grid
from runtime.demo.baselines import simple_fillers
from runtime.demo.gaps import strips
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, open_engine
from runtime.fill.recurrent import fill_recurrent, land_tiles
from runtime.fill.result import Filled
from runtime.fill.state import State
from runtime.fill.statistics import seam_ratio
from runtime.fill.window import days_since_observation, fill_window
from runtime.pipeline.day import Say
from training.evaluate.scores import Cells
from training.samples import TrainingArchive

WINDOW = tuple(range(-4, 5))
TODAY = WINDOW.index(0)
SQUARE = 40
"""Cells across of a square gap, and of a complete patch."""
SQUARES = {
    "North America": (40.0, -100.0),
    "South America": (-10.0, -60.0),
    "Europe": (48.0, 20.0),
    "Africa": (10.0, 20.0),
    "Asia": (45.0, 85.0),
    "Australia": (-25.0, 134.0),
}
"""Centres, latitude and longitude, of a square in each of six continents, as SGD-SM 1.0 does; the places are ours."""
TIERS = ("consolidated", "provisional")
KINDS = ("strips", "real masks", "squares")
WITHOUT_RAIN = " without rain"


@dataclass(frozen=True)
class Gaps:
    """A day with a part of it hidden."""

    date: dt.date
    tier: str
    kind: str
    frames: Floats
    """(9, rows, cols), m3 m-3, without what is hidden, and without the future on the provisional tier."""
    rain: Floats
    """(9, rows, cols), mm/day."""
    truth: Floats
    """(rows, cols), m3 m-3, on hidden land cells that an observation of the window speaks for, else NaN."""
    complete: Bools
    """(rows, cols), cells in patches of 40 x 40 that were observed land without a gap."""


def hide(kind: str, record: TrainingArchive, grid: Grid, date: dt.date, seed: int) -> Bools:
    """Return the cells to hide on a day; the same for every tier and filler."""
    rng = np.random.default_rng([seed, date.toordinal(), KINDS.index(kind)])
    if kind == "strips":
        return strips(rng, grid.shape)
    if kind == "real masks":
        others = [day for day in range(len(record)) if day != record.index(date) and record.observed(day).any()]
        return ~record.observed(int(rng.choice(others)))
    hidden = np.zeros(grid.shape, bool)
    for latitude, longitude in SQUARES.values():
        row = np.searchsorted(-grid.latitudes, -latitude) - SQUARE // 2
        col = np.searchsorted(grid.longitudes, longitude) - SQUARE // 2
        hidden[max(row, 0) : row + SQUARE, max(col, 0) : col + SQUARE] = True
    return hidden


def gaps(record: TrainingArchive, date: dt.date, tier: str, kind: str, seed: int) -> Gaps:
    """Return a day of the record with gaps made in it."""
    grid, day = record.grid, record.index(date)
    frames = record.soil_moisture(day + WINDOW[0], len(WINDOW))
    rain = record.rain(day + WINDOW[0], len(WINDOW))
    observed = frames[TODAY].copy()
    hidden = hide(kind, record, grid, date, seed)
    frames[TODAY][hidden] = np.nan
    if tier == "provisional":
        frames[TODAY + 1 :] = np.nan
        rain[TODAY + 1 :] = np.nan
    evidence = frames[:TODAY] if tier == "provisional" else frames
    spoken_for = np.isfinite(evidence).any(0)
    truth = np.where(hidden & grid.land & spoken_for, observed, np.float32(np.nan))
    return Gaps(date, tier, kind, frames, rain, truth, _complete(np.isfinite(observed) & grid.land))


def _complete(observed: Bools) -> Bools:
    """Return the cells that lie in a patch of `SQUARE` x `SQUARE` observed cells."""
    return np.asarray(ndimage.binary_opening(observed, np.ones((SQUARE, SQUARE), bool)))


class BundleFiller:
    """A bundle as the runtime runs it; the recurrent kind walks the record's days once, with nothing hidden."""

    def __init__(
        self,
        name: str,
        bundle: Bundle,
        record: TrainingArchive,
        setup: EngineSettings | None = None,
        engine: Engine | Staged | None = None,
    ) -> None:
        self.name, self.bundle, self._record = name, bundle, record
        self._engine = engine or open_engine(bundle, setup)
        self._day = 0
        self._state: State | None = None

    @property
    def takes_rain(self) -> bool:
        """Whether rain changes what it says."""
        return self.bundle.manifest.takes_rain

    def fill(self, made: Gaps, with_rain: bool = True) -> Filled:
        """Fill a day; days must come in order for the recurrent kind."""
        manifest, grid = self.bundle.manifest, self._record.grid
        rain = made.rain if with_rain else np.full_like(made.rain, np.nan)
        if manifest.kind == "recurrent":
            state = self._before(self._record.index(made.date))
            return fill_recurrent(self._engine, manifest, grid, made.frames[TODAY], rain[TODAY], state)[0]
        chosen = [TODAY + offset for offset in manifest.window]
        return fill_window(self._engine, manifest, grid, made.frames[chosen], rain[chosen])

    def _before(self, day: int) -> State:
        """Return the state that all days before a day leave."""
        manifest, grid = self.bundle.manifest, self._record.grid
        if self._state is None or day < self._day:
            self._state, self._day = State.cold(manifest, grid, len(land_tiles(manifest, grid))), 0
        while self._day < day:
            soil, rain = self._record.soil_moisture(self._day, 1)[0], self._record.rain(self._day, 1)[0]
            self._state = fill_recurrent(self._engine, manifest, grid, soil, rain, self._state)[1]
            self._day += 1
        return self._state


def dct_pls(frames: Floats, land: Bools, robust: bool = False) -> Floats:
    """Return day T by penalised least squares on cosines (Garcia 2010), as ESA CCI SM GAPFILLED uses them.

    Parameters
    ----------
    frames : (9, rows, cols), m3 m-3, NaN for a gap
    land : (rows, cols); rows and columns without land are left out of the computation
    robust : give outliers less weight
    """
    from pytesmo.interpolate.dctpls import smoothn

    rows, cols = np.flatnonzero(land.any(1)), np.flatnonzero(land.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says so when its smoothing parameter meets its bounds
        smooth = smoothn(frames[(slice(None), *box)].astype(np.float64), isrobust=robust, smoothOrder=2)[0]
    day = np.full(land.shape, np.nan, np.float32)
    day[box] = smooth[TODAY].clip(0, 1)
    return day


def fill_hidden(
    fillers: Sequence[BundleFiller],
    record: TrainingArchive,
    days: Mapping[str, Sequence[dt.date]],
    kinds: Sequence[str] = KINDS,
    *,
    with_dct_pls: bool = True,
    seed: int = 0,
    say: Say = lambda line: None,
) -> tuple[dict[tuple[str, str], Cells], dict[str, list[float]]]:
    """Fill hidden cells with every filler.

    Parameters
    ----------
    days : dict
        By tier, in order.

    Returns
    -------
    cells : by (tier, kind of gap)
    seams : by bundle, the seam figure of each day and tier with strips
    """
    parts: dict[tuple[str, str], list[Cells]] = {}
    seams: dict[str, list[float]] = {filler.name: [] for filler in fillers}
    for date in sorted({date for dates in days.values() for date in dates}):
        for tier, dates in days.items():
            if date not in dates:
                continue
            for kind in kinds:
                made = gaps(record, date, tier, kind, seed)
                said: dict[str, Filled] = {}
                for filler in fillers:
                    said[filler.name] = filler.fill(made)
                    if filler.takes_rain and record.has_rain:
                        said[filler.name + WITHOUT_RAIN] = filler.fill(made, with_rain=False)
                    if kind == kinds[0]:
                        core = filler.bundle.manifest.tile_core
                        seams[filler.name].append(seam_ratio(said[filler.name], (core, core)))
                others = dict(_references(made, record.grid.land, with_dct_pls and kind == "strips"))
                parts.setdefault((tier, kind), []).append(_cells(made, record.grid, said, others))
                say(f"{date} {tier}, {kind}: {int(np.isfinite(made.truth).sum())} hidden cells")
    return {key: Cells.joined(several) for key, several in parts.items()}, seams


def _references(made: Gaps, land: Bools, with_dct_pls: bool) -> Iterator[tuple[str, Floats]]:
    simple = simple_fillers(made.frames, WINDOW)
    if made.tier == "consolidated":
        yield "mean of nine days", simple["mean of nine days"]
    else:
        yield "mean of past four days", simple["mean of past four days"]
        yield "last value", simple["last value"]
    if with_dct_pls:
        yield "DCT-PLS", dct_pls(made.frames, land)
        yield "DCT-PLS, robust", dct_pls(made.frames, land, robust=True)


def _cells(made: Gaps, grid: Grid, said: dict[str, Filled], others: dict[str, Floats]) -> Cells:
    where = np.isfinite(made.truth)
    age = days_since_observation(made.frames, WINDOW)
    distance = ndimage.distance_transform_edt(np.isnan(made.frames[TODAY]))
    columns = {
        "latitude": np.broadcast_to(grid.latitudes[:, None], grid.shape),
        "age": np.where(age < 0, 99, age),
        "distance": distance,
        "rain": made.rain[TODAY],
        "complete": made.complete,
    }
    return Cells(
        made.truth[where],
        {name: np.asarray(values[where], np.float32) for name, values in columns.items()},
        {
            **{name: filled.soil_moisture[where] for name, filled in said.items()},
            **{k: v[where] for k, v in others.items()},
        },
        {name: f.uncertainty[where] for name, f in said.items() if f.uncertainty is not None},
    )
