"""One evaluation from start to end: days of files and exported bundles in, a report out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.bundle import Bundle, find_bundle, load_bundle
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import EngineName
from runtime.engines.select import EngineSettings
from runtime.errors import SeamlessError
from runtime.pipeline.day import Say
from runtime.pipeline.run import RunEvents
from training.evaluate.hidden import BundleFiller, fill_hidden
from training.evaluate.insitu import compare, stations
from training.evaluate.report import Findings, write_report
from training.evaluate.scores import nugget
from training.evaluate.series import InputFolders, publish_series
from training.recipe import Data
from training.samples import TrainingArchive


@dataclass(frozen=True)
class Settings:
    """What to judge, and on what."""

    bundles: tuple[str, ...]
    """Shipped names or folders."""
    granules: Path
    rain: Path
    product: str
    orbit: str
    band: str
    tiers: dict[str, list[dt.date]]
    series: list[dt.date]
    """Days to publish for time series and stations; none leaves them out, unless there are stations."""
    ismn: tuple[Path, ...] = ()
    dct_pls: bool = True
    engine: EngineName = "auto"
    seed: int = 0


def evaluate_bundles(settings: Settings, out: Path, grid: Grid | None = None, say: Say = lambda line: None) -> Findings:
    """Judge bundles and write the report; days that an earlier call published in `out` are used again.

    Raises
    ------
    ValueError
        A day to judge is not among the files, or no day is named.
    SeamlessError
        A bundle cannot be read, or a day not be published.
    """
    grid = grid or Grid.globe()
    source = Data(
        granules=settings.granules,
        rain=settings.rain,
        product=settings.product,
        orbit=settings.orbit,  # type: ignore[arg-type]
        band=settings.band,
    )
    record = source.open(out / "record", grid)
    days = {tier: dates for tier, dates in settings.tiers.items() if dates}
    _check(record, days, settings.series)
    opened = {path.name: load_bundle(path) for path in (find_bundle(name) for name in settings.bundles)}
    fillers = [BundleFiller(name, bundle, record, EngineSettings(settings.engine)) for name, bundle in opened.items()]
    cells, seams = fill_hidden(fillers, record, days, with_dct_pls=settings.dct_pls, seed=settings.seed, say=say)
    found = Findings(
        bundles=opened,
        source=record.source,
        days={tier: [date.isoformat() for date in dates] for tier, dates in days.items()},
        cells=cells,
        seams=seams,
        noise=_noise(record),
    )
    if settings.series or settings.ismn:
        _publish_and_compare(settings, record, opened, out, found, say)
    write_report(out, found)
    return found


def _check(record: TrainingArchive, days: dict[str, list[dt.date]], series_days: list[dt.date]) -> None:
    if not days:
        raise ValueError("no day to judge; give --consolidated FIRST:LAST or --provisional FIRST:LAST")
    last = record.first + dt.timedelta(len(record) - 1)
    for date in [day for dates in days.values() for day in dates] + series_days:
        if not record.first <= date <= last:
            raise ValueError(f"{date} is not among the days of {record.source}; give days {record.first}..{last}")


def _noise(record: TrainingArchive) -> dict[str, float]:
    frames = record.soil_moisture(0, min(len(record), 30))
    if len(frames) < 6:
        return {}
    latitudes, land = record.grid.latitudes[:, None], record.grid.land
    regions = {"all land": land, "south of 45 N": land & (latitudes < 45), "north of 45 N": land & (latitudes >= 45)}
    return {region: nugget(frames, where) for region, where in regions.items() if where.any()}


def _publish_and_compare(
    settings: Settings,
    record: TrainingArchive,
    opened: dict[str, Bundle],
    out: Path,
    found: Findings,
    say: Say,
) -> None:
    """Publish days with every bundle, and compare them with stations."""
    dates = settings.series or [record.first + dt.timedelta(number) for number in range(len(record))]
    feed = InputFolders(settings.granules, settings.rain, settings.product, settings.orbit, settings.band)
    sensor = PRODUCTS[settings.product].sensor
    found_stations = [station for path in settings.ismn for station in stations(path, found.left_out.append)]
    for line in found.left_out:
        say(line)
    for name, bundle in opened.items():
        say(f"publishing {dates[0]} to {dates[-1]} with {name}")
        try:
            published = publish_series(
                out / "archives" / name, bundle.path, feed, dates[0], dates[-1], record.grid, RunEvents()
            )
        except SeamlessError as error:
            raise SeamlessError(f"{name}: {error}") from error
        found.published[name] = published
        compared = [compare(station, published, sensor, settings.orbit) for station in found_stations]
        found.stations[name] = [c for c in compared if c is not None]
        for station, comparison in zip(found_stations, compared, strict=True):
            if comparison is None and name == next(iter(opened)):
                found.left_out.append(f"{station.network} {station.name}: no reading on the days of the series")
    found.series_rain = _rain(record, dates) if record.has_rain else None


def _rain(record: TrainingArchive, dates: list[dt.date]) -> Floats:
    return np.asarray(record.rain(record.index(dates[0]), len(dates)))
