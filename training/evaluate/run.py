"""A whole evaluation: it reads days of files and exported bundles, and writes a report."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from runtime.archive.reader import Reader
from runtime.archive.record import DayRecord
from runtime.bundle import Bundle, find_bundle, load_bundle, shipped_bundles
from runtime.common.clock import days_between
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import EngineName, Tier
from runtime.engines.select import EngineSettings
from runtime.errors import SeamlessError
from training.data import DataSection
from training.evaluate.cells import CellSeries, Overpass, read_cells
from training.evaluate.fill_hidden import Judged, fill_hidden
from training.evaluate.findings import Findings
from training.evaluate.hidden import WEIGHTED_MEAN
from training.evaluate.insitu import StationRules, check_paths
from training.evaluate.references import WINDOW, weighted_mean
from training.evaluate.report import write_report
from training.evaluate.scores import nugget
from training.evaluate.series import PLACES, InputFolders, SeriesFindings, cells_to_follow, publish_series
from training.evaluate.stations import StationFindings, compare, compare_archives, read_station_days
from training.samples import TrainingArchive

_LOG = logging.getLogger(__name__)
SUITE_DAYS = 4
"""Days of each tier in the suite."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to evaluate, and on which days."""

    bundles: tuple[str, ...]
    """Names of shipped bundles, or folders."""
    source: DataSection
    """Where the days come from: granules, or an archive."""
    tiers: dict[Tier, list[dt.date]]
    """The days to evaluate for each tier."""
    series: list[dt.date]
    """Days to publish for time series and stations; if empty, none, or all days if there are stations."""
    ismn: tuple[Path, ...] = ()
    """ISMN zips, folders or files."""
    rules: StationRules = field(default_factory=StationRules)
    """Which stations are used."""
    suite: bool = False
    """Whether the last eight days of the files are evaluated, and no others."""
    dct_pls: bool = True
    """Whether DCT-PLS is evaluated too."""
    trees: bool = True
    """Whether trees are evaluated too."""
    engine: EngineName = "auto"
    workers: int = 1
    """Processes that fill hidden cells."""


def evaluate_bundles(settings: Settings, out: Path, grid: Grid | None = None) -> Findings:
    """Evaluate bundles and write the report.

    Parameters
    ----------
    settings : Settings
        What to evaluate, and on which days.
    out : Path
        Folder of the report. Days that an earlier call published there are used again.
    grid : Grid, optional
        Grid of the days; the globe if not given.

    Returns
    -------
    Findings
        The results.

    Raises
    ------
    ValueError
        No day is named, or the files do not have one of the days.
    SeamlessError
        A bundle cannot be read, or a day cannot be published.
    """
    if settings.source.granules is None and settings.series and not settings.ismn:
        raise ValueError("time series are filled from granules; give --data")
    archive = settings.source.open(out / "record", grid or Grid.globe())
    if settings.suite and any(settings.tiers.values()):
        raise ValueError("the suite has days of its own; give either --suite, or --consolidated and --provisional")
    tiers = _suite_days(archive) if settings.suite else settings.tiers
    days = {tier: dates for tier, dates in tiers.items() if dates}
    _check_days(archive, days, settings.series)
    check_paths(settings.ismn)
    bundles = named_bundles(settings.bundles)
    judged = Judged(bundles, archive, EngineSettings(settings.engine), dct_pls=settings.dct_pls)
    hidden = fill_hidden(judged, days, with_trees=settings.trees, workers=settings.workers)
    series, stations = SeriesFindings(), None
    if settings.source.archive and settings.ismn:
        stations = compare_archives([settings.source.archive], settings.ismn, settings.rules, settings.series)
    elif settings.series or settings.ismn:
        series, stations = _publish_and_compare(settings, archive, bundles, out / "archives")
    product = settings.source.product if settings.source.granules else None
    found = Findings(
        bundles=bundles,
        source=archive.source,
        product=product,
        band=settings.source.band if product and PRODUCTS[product].bands else None,
        days={tier: [date.isoformat() for date in dates] for tier, dates in days.items()},
        hidden=hidden,
        noise=_noise(archive),
        series=series,
        stations=stations,
    )
    write_report(out, found)
    return found


def named_bundles(names: Sequence[str]) -> dict[str, Bundle]:
    """Return bundles by the names of their folders.

    Parameters
    ----------
    names : sequence of str
        Names of shipped bundles, or folders.

    Returns
    -------
    dict
        The bundles, in order.

    Raises
    ------
    ValueError
        Two folders have the same name.
    """
    folders = [find_bundle(name) for name in names]
    bundles = {folder.name: load_bundle(folder) for folder in folders}
    if len(bundles) < len(folders):
        raise ValueError("two bundles have the same folder name; the report tells bundles apart by it: rename one")
    return bundles


def bundle_of_archive(folder: Path) -> str:
    """Return the name of the bundle that filled the newest day of an archive.

    Raises
    ------
    InputsMissing
        No day is published there.
    ValueError
        The bundle of this name is another one, or none is shipped.
    """
    days = Reader(folder).days
    record = DayRecord.from_file(days[max(days)].path)
    name = record.model.partition(" ")[0]
    if name not in shipped_bundles() or load_bundle(find_bundle(name)).model_id != record.model_id:
        raise ValueError(
            f"{folder} was filled by {record.model}, model id {record.model_id[:12]}, which is not among the shipped "
            "bundles; give its folder with --bundle"
        )
    return name


def _suite_days(archive: TrainingArchive) -> dict[Tier, list[dt.date]]:
    """Return the last four observed days for the provisional tier, and the four before for the consolidated one."""
    dates = [archive.first + dt.timedelta(day) for day in range(len(archive)) if archive.observed(day).any()]
    if len(dates) < 3 * SUITE_DAYS:
        raise ValueError(
            f"the suite needs at least {3 * SUITE_DAYS} days with observations, to fit trees to the first ones; "
            f"{archive.source} has {len(dates)}; give days with --consolidated and --provisional"
        )
    return {Tier.CONSOLIDATED: dates[-2 * SUITE_DAYS : -SUITE_DAYS], Tier.PROVISIONAL: dates[-SUITE_DAYS:]}


def _check_days(archive: TrainingArchive, days: dict[Tier, list[dt.date]], series: list[dt.date]) -> None:
    """Raise an error if no day is named, or if one of the days is not there or has no observation."""
    if not days:
        raise ValueError("no day to evaluate; give --suite, --consolidated FIRST:LAST or --provisional FIRST:LAST")
    last = archive.first + dt.timedelta(len(archive) - 1)
    for date in [day for dates in days.values() for day in dates] + series:
        if not archive.first <= date <= last:
            raise ValueError(f"{date} is not among the days of {archive.source}; give days {archive.first}..{last}")
    for date in sorted({day for dates in days.values() for day in dates}):
        if not archive.observed(archive.index(date)).any():
            raise ValueError(f"{date} has no observation in {archive.source}, so none can be hidden; give other days")


def _noise(archive: TrainingArchive) -> dict[str, float]:
    """Return the noise of one retrieval by region, m3 m-3, from up to 30 days; empty with fewer than 6 days."""
    frames = archive.soil_moisture(0, min(len(archive), 30))
    if len(frames) < 6:
        return {}
    latitudes, land = archive.grid.latitudes[:, None], archive.grid.land
    regions = {"all land": land, "south of 45 N": land & (latitudes < 45), "north of 45 N": land & (latitudes >= 45)}
    return {region: nugget(frames, where) for region, where in regions.items() if where.any()}


def _publish_and_compare(
    settings: Settings, archive: TrainingArchive, bundles: dict[str, Bundle], folder: Path
) -> tuple[SeriesFindings, StationFindings | None]:
    """Publish days with every bundle below a folder; compare them, and the weighted mean, with the stations."""
    dates = settings.series or days_between(archive.first, archive.first + dt.timedelta(len(archive) - 1))
    source = settings.source
    assert source.granules is not None
    inputs = InputFolders(source.granules, source.rain or source.granules, source.product, source.orbit, source.band)
    overpasses = dict.fromkeys(dates, Overpass.of(PRODUCTS[source.product].sensor, source.orbit))
    stations, left_out = read_station_days(settings.ismn, settings.rules, overpasses, archive.grid)
    first = archive.index(dates[0])
    followed = cells_to_follow(archive, first, len(dates), PLACES)
    cells = [*followed.values(), *(each.cell for each in stations)]
    published: dict[str, CellSeries] = {}
    for name, bundle in bundles.items():
        _LOG.info("publishing %s to %s with %s", dates[0], dates[-1], name)
        try:
            filled = Reader(publish_series(folder / name, bundle.path, inputs, first=dates[0], last=dates[-1]))
            published[name] = read_cells(filled, cells, filled.dates_between(dates[0], dates[-1]))
        except SeamlessError as error:
            raise SeamlessError(f"{name}: {error}") from error
    latitudes, longitudes = archive.grid.latitudes, archive.grid.longitudes
    series = SeriesFindings(
        places={name: (float(latitudes[row]), float(longitudes[col])) for name, (row, col) in followed.items()},
        dates=dates,
        published={name: days.only(slice(len(followed))) for name, days in published.items()},
        rain=_values(archive.rain, archive.index(dates[0]), len(dates), followed.values())
        if archive.has_rain
        else None,
    )
    if not settings.ismn:
        return series, None
    judged = {name: days.only(slice(len(followed), None)) for name, days in published.items()}
    judged[WEIGHTED_MEAN] = _fill_with_mean(archive, dates, [each.cell for each in stations])
    compared = {name: compare(stations, overpasses, days) for name, days in judged.items()}
    return series, StationFindings(rules=settings.rules, stations=compared, left_out=left_out)


def _fill_with_mean(archive: TrainingArchive, dates: Sequence[dt.date], cells: Sequence[tuple[int, int]]) -> CellSeries:
    """Return days of some cells whose gaps are filled with the weighted mean of their window."""
    first, reach = archive.index(dates[0]), len(WINDOW) - 1
    around = _values(archive.soil_moisture, first + WINDOW[0], len(dates) + reach, cells)
    observed = around[-WINDOW[0] : len(around) - WINDOW[-1]]
    mean = weighted_mean(np.moveaxis(sliding_window_view(around, len(WINDOW), axis=0), -1, 0))
    return CellSeries(list(dates), observed, np.where(np.isnan(observed), mean, observed))


def _values(
    read: Callable[[int, int, int, int, int], Floats], first: int, days: int, cells: Iterable[tuple[int, int]]
) -> Floats:
    """Return days of some cells of a training archive, shape (days, cells)."""
    series = [read(first, days, row, col, 1)[:, 0, 0] for row, col in cells]
    return np.stack(series, 1) if series else np.empty((days, 0), np.float32)
