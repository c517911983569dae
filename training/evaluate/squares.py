"""Hide squares of a day in each year and fill them, as SGD-SM 1.0 does for its Table 2 and figures 9 to 12."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.archive.acdd import grid_bounds
from runtime.bundle import Bundle
from runtime.common.clock import DAY
from runtime.common.events import Progress
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import Tier
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, open_engine
from training.data import DataSection
from training.evaluate.hidden import BundleFiller, Gaps, fill_whole_day, hide
from training.evaluate.references import TODAY, WINDOW
from training.evaluate.score import Score
from training.evaluate.scores import Cells
from training.samples import TrainingArchive

_LOG = logging.getLogger(__name__)
Part = tuple[slice, slice]
"""Rows and columns of a part of a grid."""
ALL_SQUARES = "all squares"
"""Stands for the cells of all squares of a day."""


@dataclass(frozen=True, kw_only=True)
class SquareSettings:
    """Which squares of which days are hidden, and what fills them."""

    source: DataSection
    """Where the days come from: granules, or an archive."""
    bundles: Mapping[str, Bundle]
    """The bundles by name."""
    places: Mapping[str, tuple[float, float]]
    """Latitude and longitude of the squares' middles, by name."""
    side: int = 40
    """Cells along each side of a square; those off the grid are left out."""
    month: int = 7
    """Month of the day."""
    day: int = 25
    """Day of the month."""
    engine: EngineSettings | None = None
    """What the bundles are computed with; chosen by the runtime if not given."""


@dataclass(frozen=True, kw_only=True)
class Square:
    """A square and what is around it, on one day; the fields have the shape of `grid`."""

    place: str
    grid: Grid
    """The square with half a side of surroundings."""
    bounds: tuple[float, float, float, float]
    """Western, southern, eastern and northern edge of the square itself, degrees."""
    original: Floats
    """The observations, m3 m-3, NaN for a gap."""
    shown: Floats
    """The observations without those of the squares."""
    filled: dict[str, Floats]
    """What is published by each filler: the shown observations and the filled values, m3 m-3, NaN where there is no
    value."""
    truth: Floats
    """The hidden observations of this square, m3 m-3: those on land that have another observation in the window; NaN
    on all other cells."""

    @property
    def cells(self) -> Cells:
        """The hidden cells that every filler has a value for."""
        where = np.isfinite(self.truth)
        return Cells(self.truth[where], {}, {name: field[where] for name, field in self.filled.items()}, {}).common()


@dataclass(frozen=True, kw_only=True)
class SquaresOfDay:
    """The squares of the day that stands for a year."""

    source: str
    """What the days were made from, in words."""
    wanted: dt.date
    date: dt.date
    """The day that is used: the nearest one of the year with a file."""
    before: int
    """Days with observations among those before it that the fillers read."""
    reach: int
    """Number of the days before it that the fillers read."""
    after: int
    """Days with observations among the four after it."""
    squares: list[Square]

    @property
    def scores(self) -> dict[tuple[str, str], Score]:
        """The score of each place and of `ALL_SQUARES` together, by place and filler."""
        parts = {square.place: square.cells for square in self.squares}
        parts[ALL_SQUARES] = Cells.joined([*parts.values()])
        return {(place, filler): cells.score(filler) for place, cells in parts.items() for filler in cells.fillers}


def squares_at(grid: Grid, places: Mapping[str, tuple[float, float]], side: int) -> dict[str, Part]:
    """Return the squares around places.

    Parameters
    ----------
    grid : Grid
        The grid.
    places : mapping
        Latitude and longitude by name.
    side : int
        Cells along each side.

    Returns
    -------
    dict
        Rows and columns by name, without the places that are not on the grid. The place's cell is the middle one, or of
        an even number the southern and eastern of the two middle ones. At an edge of the grid the square is cut off.
    """
    cells = {name: grid.cell(*point) for name, point in places.items()}
    return {name: (_around(cell[0], side), _around(cell[1], side)) for name, cell in cells.items() if cell}


def days_of_years(dates: Sequence[dt.date], month: int, day: int) -> dict[dt.date, dt.date]:
    """Return the day nearest to a day of the calendar in each year.

    Parameters
    ----------
    dates : sequence of date
        The days that there are, in order.
    month, day : int
        The day of the calendar.

    Returns
    -------
    dict
        The nearest day of the same year, by the wanted day; of two that are as near, the earlier one.
    """
    found = {}
    for year, of_year in itertools.groupby(dates, lambda date: date.year):
        wanted = dt.date(year, month, day)
        found[wanted] = min(of_year, key=lambda date: abs(date - wanted))
    return found


def fill_squares(
    settings: SquareSettings, cache: Path, grid: Grid, progress: Progress | None = None
) -> Iterator[SquaresOfDay]:
    """Hide the squares of one day of each year, all at once, and fill the day with every bundle and the weighted mean.

    Of each year only the days are read that the fillers see: those of the window, and those before it that a recurrent
    bundle needs.

    Parameters
    ----------
    settings : SquareSettings
        Which squares of which days are hidden, and what fills them.
    cache : Path
        Folder that the days are packed in; an earlier call's are used again.
    grid : Grid
        Grid of granules; an archive has its own.
    progress : callable, optional
        Called with the number of days read and filled, and of all.

    Yields
    ------
    SquaresOfDay
        The squares of each year in order.

    Raises
    ------
    ValueError
        There are no files, or no place is on the grid.
    """
    manifests = [bundle.manifest for bundle in settings.bundles.values()]
    reach = max(-WINDOW[0], *(manifest.spin_up_days for manifest in manifests))
    engines = {name: open_engine(bundle, settings.engine) for name, bundle in settings.bundles.items()}
    days = days_of_years(settings.source.dates(), settings.month, settings.day)
    read = reach + 1 + WINDOW[-1]
    of_year = read + 1
    done = itertools.count(1)

    def advance(*_: object) -> None:
        if progress:
            progress(min(next(done), of_year * len(days)), of_year * len(days))

    for number, (wanted, date) in enumerate(days.items()):
        if date != wanted:
            _LOG.warning("%s: no file of this day; %s, the nearest one of the year, is used", wanted, date)
        archive = settings.source.open(cache, grid, advance, (date - reach * DAY, date + WINDOW[-1] * DAY))
        done = itertools.count(of_year * number + read + 1)
        yield _fill(settings, archive, engines, wanted, date, reach)
        advance()


def _fill(
    settings: SquareSettings,
    archive: TrainingArchive,
    engines: Mapping[str, Engine | Staged],
    wanted: dt.date,
    date: dt.date,
    reach: int,
) -> SquaresOfDay:
    grid, day = archive.grid, archive.index(date)
    parts = squares_at(grid, settings.places, settings.side)
    if not parts:
        raise ValueError(f"none of the places ({', '.join(settings.places)}) is on the grid; give others with --places")
    hidden = np.zeros(grid.shape, bool)
    for part in parts.values():
        hidden[part] = True
    gaps = hide(archive, date, Tier.CONSOLIDATED, hidden)
    bundles = settings.bundles.items()
    fillers = [BundleFiller(name, bundle, archive, engine=engines[name]) for name, bundle in bundles]
    filled = fill_whole_day(fillers, gaps, grid.land)
    original = archive.soil_moisture(day, 1)[0]
    squares = [_cut_square(grid, place, part, settings.side, gaps, original, filled) for place, part in parts.items()]
    seen = {offset for offset in range(-reach, WINDOW[-1] + 1) if 0 <= day + offset < len(archive)}
    seen = {offset for offset in seen if archive.observed(day + offset).any()}
    before, after = sum(offset < 0 for offset in seen), sum(offset > 0 for offset in seen)
    return SquaresOfDay(
        source=archive.source, wanted=wanted, date=date, before=before, reach=reach, after=after, squares=squares
    )


def _cut_square(
    grid: Grid, place: str, part: Part, side: int, gaps: Gaps, original: Floats, filled: Mapping[str, Floats]
) -> Square:
    """Return a square with half a side around it."""
    margin = side // 2
    rows, cols = (slice(max(each.start - margin, 0), each.stop + margin) for each in part)
    inside = np.zeros(grid.shape, bool)
    inside[part] = True
    view = rows, cols
    return Square(
        place=place,
        grid=_box_of(grid, view),
        bounds=grid_bounds(_box_of(grid, part)),
        original=original[view].copy(),
        shown=gaps.frames[TODAY][view].copy(),
        filled={name: field[view].copy() for name, field in filled.items()},
        truth=np.where(inside, gaps.truth, np.float32(np.nan))[view],
    )


def _around(middle: int, length: int) -> slice:
    """Return the rows or columns around one, from the edge of the grid on."""
    first = middle - length // 2
    return slice(max(first, 0), first + length)


def _box_of(grid: Grid, part: Part) -> Grid:
    """Return a part of a grid."""
    rows, cols = (range(length)[each] for length, each in zip(grid.shape, part, strict=True))
    edges = grid.lon_edges[cols.start], grid.lat_edges[rows.stop], grid.lon_edges[cols.stop], grid.lat_edges[rows.start]
    return grid.box(*map(float, edges))
