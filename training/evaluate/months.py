"""Averages of months, bundles side by side, on hidden cells and at stations (Table 3 and figure 11 of SGD-SM 2.0)."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.archive.reader import Reader
from runtime.bundle import Bundle
from runtime.common.clock import DAY, days_between
from runtime.common.events import Progress
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import Tier
from runtime.engines.select import EngineSettings
from training.data import DataSection
from training.evaluate.cells import Overpass, overpasses_of
from training.evaluate.hidden import BundleFiller, fill_whole_day, gaps, hide
from training.evaluate.insitu import StationRules, check_paths
from training.evaluate.kinds import HEADLINE
from training.evaluate.references import WINDOW
from training.evaluate.score import Score
from training.evaluate.scores import Cells
from training.evaluate.stations import PARTS, read_station_days
from training.samples import TrainingArchive

DayOfFields = tuple[dt.date, Floats, Mapping[str, Floats]]
"""A day, what is compared with, and the values of each filler; all fields have one shape, NaN for no value."""
Month = dt.date
"""The first day of a month."""
BINS = 60
"""Classes of soil moisture from 0 to 1 m3 m-3 that monthly means are counted in."""
ORIGINAL, RECONSTRUCTED, ALL_DAYS = PARTS
_TRUTH = ""
"""Stands for what is compared with, among the names of the fillers."""


@dataclass(frozen=True, kw_only=True)
class MonthSettings:
    """Which days are averaged, and what fills them."""

    source: DataSection
    """Where the days come from: granules, or an archive."""
    bundles: Mapping[str, Bundle]
    """The bundles by name."""
    days: Sequence[dt.date] = ()
    """The days, in order; all that there are if empty."""
    fewest: int = 3
    """Days of a month that a cell or a station needs."""
    ismn: Sequence[Path] = ()
    """ISMN zips, folders or files."""
    rules: StationRules = field(default_factory=StationRules)
    """Which stations are used."""
    engine: EngineSettings | None = None
    """What the bundles are computed with; chosen by the runtime if not given."""


@dataclass(frozen=True, kw_only=True)
class MonthFindings:
    """What the comparison of monthly averages found."""

    source: str
    """What the days were made from, in words."""
    first: dt.date
    last: dt.date
    hidden: dict[Month, dict[str, Score]] = field(default_factory=dict)
    """Scores on hidden cells, by month and filler."""
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """How many hidden cells have which average, by filler: (`BINS` of the hidden, `BINS` of the filled values)."""
    stations: dict[str, dict[Month, Cells]] = field(default_factory=dict)
    """Averages at the stations, by `PARTS` and month; those of the original days have the filler `ORIGINAL` alone."""
    left_out: list[str] = field(default_factory=list)
    """Files and stations that could not be used, and why."""


def monthly_means(days: Iterable[DayOfFields], fewest: int) -> Iterator[tuple[Month, Cells]]:
    """Yield the averages of each month; of the days, only sums are kept, and of one month at a time.

    Parameters
    ----------
    days : iterable of DayOfFields
        The days in order.
    fewest : int
        Days of a month that a cell needs; a day counts where what is compared with and every filler have a value.

    Yields
    ------
    month : date
        Its first day.
    cells : Cells
        The averages of the cells with enough days.
    """
    for month, of_month in itertools.groupby(days, lambda day: day[0].replace(day=1)):
        sums: dict[str, NDArray[np.float64]] = {}
        count = np.zeros((), np.int64)
        for _, truth, fillers in of_month:
            fields = {_TRUTH: truth, **fillers}
            common = np.all([np.isfinite(values) for values in fields.values()], axis=0)
            count = count + common
            for name, values in fields.items():
                sums[name] = sums.get(name, 0) + np.where(common, values.astype(np.float64), 0)
        enough = count >= fewest
        means = {name: (total[enough] / count[enough]).astype(np.float32) for name, total in sums.items()}
        yield month, Cells(means.pop(_TRUTH), {}, means, {})


def compare_months(settings: MonthSettings, cache: Path, grid: Grid, progress: Progress | None = None) -> MonthFindings:
    """Fill every day with observations hidden, average hidden and filled values over each month, and compare them.

    With stations, every day is filled once more with nothing hidden, and the readings and the values of the stations'
    cells are averaged and compared in the same way.

    Parameters
    ----------
    settings : MonthSettings
        Which days are averaged, and what fills them.
    cache : Path
        Folder that the days are packed in; an earlier call's are used again.
    grid : Grid
        Grid of granules; an archive has its own.
    progress : callable, optional
        Called with the number of days read and filled, and of all.

    Returns
    -------
    MonthFindings
        The scores.

    Raises
    ------
    ValueError
        There is no file of these days, no cell or station has enough days in a month, or a path of `ismn` does not
        exist.
    """
    check_paths(settings.ismn)
    dates = _days_to_average(settings.source.dates(), settings.days)
    spin_up = max(bundle.manifest.spin_up_days for bundle in settings.bundles.values())
    within = dates[0] - max(spin_up, -WINDOW[0]) * DAY, dates[-1] + WINDOW[-1] * DAY
    total = len(days_between(*within)) + len(dates) * (2 if settings.ismn else 1)
    done = itertools.count(1)

    def advance(*_: object) -> None:
        if progress:
            progress(next(done), total)

    archive = settings.source.open(cache, grid, advance, within)
    done = itertools.count(total - len(dates) * (2 if settings.ismn else 1) + 1)
    fillers = [BundleFiller(name, bundle, archive, settings.engine) for name, bundle in settings.bundles.items()]
    found = MonthFindings(source=archive.source, first=dates[0], last=dates[-1])
    for month, cells in monthly_means(_hidden_days(archive, fillers, dates, advance), settings.fewest):
        if cells.truth.size:
            found.hidden[month] = {name: cells.score(name) for name in cells.fillers}
            for name, values in cells.fillers.items():
                counted = np.histogram2d(cells.truth, values, BINS, ((0, 1), (0, 1)))[0].astype(np.int64)
                found.counts[name] = found.counts.get(name, 0) + counted
    if settings.ismn:
        found.stations.update(_at_stations(settings, archive, fillers, dates, found.left_out, advance))
    if not found.hidden and not found.stations:
        raise ValueError(
            f"no cell has {settings.fewest} hidden days in a month from {dates[0]} to {dates[-1]}; "
            "give more days, or a smaller --fewest-days"
        )
    return found


def _days_to_average(there: Sequence[dt.date], wanted: Sequence[dt.date]) -> list[dt.date]:
    """Return the days to average."""
    if not wanted:
        return [*there]
    chosen = [date for date in there if wanted[0] <= date <= wanted[-1]]
    if not chosen:
        raise ValueError(f"no file from {wanted[0]} to {wanted[-1]}; give days from {there[0]} to {there[-1]}")
    return chosen


def _hidden_days(
    archive: TrainingArchive, fillers: Sequence[BundleFiller], dates: Sequence[dt.date], advance: Progress
) -> Iterator[DayOfFields]:
    """Yield the hidden observations of each day and what fills them; days without an observation are left out."""
    for date in dates:
        if archive.observed(archive.index(date)).any():
            hidden = gaps(archive, date, Tier.CONSOLIDATED, HEADLINE)
            yield date, hidden.truth, fill_whole_day(fillers, hidden, archive.grid.land)
        advance(0, 0)


def _at_stations(
    settings: MonthSettings,
    archive: TrainingArchive,
    fillers: Sequence[BundleFiller],
    dates: Sequence[dt.date],
    left_out: list[str],
    advance: Progress,
) -> Iterator[tuple[str, dict[Month, Cells]]]:
    """Yield the averages at the stations for each of `PARTS` that has any."""
    source = settings.source
    if source.archive is not None:
        overpasses = overpasses_of(Reader(source.archive), [*dates])
    else:
        overpasses = dict.fromkeys(dates, Overpass.of(PRODUCTS[source.product].sensor, source.orbit))
    stations, lines = read_station_days(settings.ismn, settings.rules, overpasses, archive.grid)
    left_out += lines
    if not stations:
        return
    rows, cols = np.array([station.cell for station in stations]).T
    in_situ = np.stack([station.in_situ for station in stations], 1)
    nothing = np.zeros(archive.grid.shape, bool)
    days: dict[str, list[DayOfFields]] = {part: [] for part in PARTS}
    for date, readings in zip(dates, in_situ, strict=True):
        day = hide(archive, date, Tier.CONSOLIDATED, nothing)
        observed = archive.soil_moisture(archive.index(date), 1)[0, rows, cols]
        filled = {name: values[rows, cols] for name, values in fill_whole_day(fillers, day, archive.grid.land).items()}
        gap = {name: np.where(np.isnan(observed), values, np.float32(np.nan)) for name, values in filled.items()}
        for part, values in ((ORIGINAL, {ORIGINAL: observed}), (RECONSTRUCTED, gap), (ALL_DAYS, filled)):
            days[part].append((date, readings, values))
        advance(0, 0)
    for part in PARTS:
        months = {month: cells for month, cells in monthly_means(days[part], settings.fewest) if cells.truth.size}
        if months:
            yield part, months
