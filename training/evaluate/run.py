"""A whole evaluation: it reads days of files and exported bundles, and writes a report."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.archive.reader import Reader
from runtime.archive.record import DayRecord
from runtime.bundle import Bundle, find_bundle, load_bundle, shipped_bundles
from runtime.common.clock import days_between
from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import EngineName, Tier
from runtime.engines.select import EngineSettings
from runtime.errors import SeamlessError
from training.data import DataSection
from training.evaluate.findings import Findings, SeriesFindings
from training.evaluate.hidden import WEIGHTED_MEAN, BundleFiller, fill_hidden
from training.evaluate.insitu import Comparison, Station, compare, read_stations
from training.evaluate.references import WINDOW, weighted_mean
from training.evaluate.report import write_report
from training.evaluate.scores import nugget
from training.evaluate.series import InputFolders, Published, publish_series
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
    suite: bool = False
    """Whether the last eight days of the files are evaluated, and no others."""
    dct_pls: bool = True
    """Whether DCT-PLS is evaluated too."""
    trees: bool = True
    """Whether trees are evaluated too."""
    engine: EngineName = "auto"


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
    if settings.source.granules is None and (settings.series or settings.ismn):
        raise ValueError("time series and stations are filled from granules; give --data")
    archive = settings.source.open(out / "record", grid or Grid.globe())
    if settings.suite and any(settings.tiers.values()):
        raise ValueError("the suite has days of its own; give either --suite, or --consolidated and --provisional")
    tiers = _suite_days(archive) if settings.suite else settings.tiers
    days = {tier: dates for tier, dates in tiers.items() if dates}
    _check_days(archive, days, settings.series)
    stations = _read_all_stations(settings.ismn)
    folders = [find_bundle(name) for name in settings.bundles]
    bundles = {folder.name: load_bundle(folder) for folder in folders}
    if len(bundles) < len(folders):
        raise ValueError("two bundles have the same folder name; the report tells bundles apart by it: rename one")
    fillers = [BundleFiller(name, bundle, archive, EngineSettings(settings.engine)) for name, bundle in bundles.items()]
    hidden = fill_hidden(fillers, archive, days, with_dct_pls=settings.dct_pls, with_trees=settings.trees)
    series = SeriesFindings()
    if settings.series or settings.ismn:
        series = _publish_and_compare(settings, archive, bundles, stations, out / "archives")
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
    )
    write_report(out, found)
    return found


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
    settings: Settings,
    archive: TrainingArchive,
    bundles: dict[str, Bundle],
    read: tuple[list[Station], list[str]],
    folder: Path,
) -> SeriesFindings:
    """Publish days with every bundle below a folder, and compare them and the weighted mean with the stations read."""
    dates = settings.series or days_between(archive.first, archive.first + dt.timedelta(len(archive) - 1))
    source = settings.source
    assert source.granules is not None
    inputs = InputFolders(source.granules, source.rain or source.granules, source.product, source.orbit, source.band)
    sensor = PRODUCTS[source.product].sensor
    stations, left_out = read
    published: dict[str, Published] = {}
    compared: dict[str, list[Comparison]] = {}
    for name, bundle in bundles.items():
        _LOG.info("publishing %s to %s with %s", dates[0], dates[-1], name)
        try:
            published[name] = publish_series(
                folder / name, bundle.path, inputs, first=dates[0], last=dates[-1], grid=archive.grid
            )
        except SeamlessError as error:
            raise SeamlessError(f"{name}: {error}") from error
    mean = {WEIGHTED_MEAN: _fill_with_mean(archive, dates)} if stations else {}
    for name, days in {**published, **mean}.items():
        results = [compare(station, days, sensor, source.orbit) for station in stations]
        compared[name] = [comparison for comparison in results if comparison is not None]
        if len(compared) == 1:
            left_out += [
                f"{station.network} {station.name}: no reading on the days of the series"
                for station, comparison in zip(stations, results, strict=True)
                if comparison is None
            ]
    rain = archive.rain(archive.index(dates[0]), len(dates)) if archive.has_rain else None
    return SeriesFindings(published=published, stations=compared, left_out=left_out, rain=rain)


def _fill_with_mean(archive: TrainingArchive, dates: Sequence[dt.date]) -> Published:
    """Return days whose gaps are filled with the weighted mean of their window."""
    observed = archive.soil_moisture(archive.index(dates[0]), len(dates))
    seamless = observed.copy()
    for day, date in zip(seamless, dates, strict=True):
        mean = weighted_mean(archive.soil_moisture(archive.index(date) + WINDOW[0], len(WINDOW)))
        day[:] = np.where(np.isnan(day), mean, day)
    return Published(archive.grid, list(dates), observed, seamless)


def _read_all_stations(paths: Sequence[Path]) -> tuple[list[Station], list[str]]:
    """Return the stations below all paths, and a line for each file that is left out, which is also logged."""
    stations: list[Station] = []
    left_out: list[str] = []
    for path in paths:
        found, skipped = read_stations(path)
        stations += found
        left_out += skipped
    for line in left_out:
        _LOG.warning("%s", line)
    return stations, left_out
