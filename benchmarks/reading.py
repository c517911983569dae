"""Measure how long the web page needs for a time series, the calendar and a map, over HTTP on loopback.

Two archives are published with synthetic fields: twenty years of a region of 40 x 40 cells, and one year of the whole
globe. The reference for a time series is reading the cell from all daily files with netCDF4, one after the other.

    python -m benchmarks.reading --json benchmarks/results/reading.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from netCDF4 import Dataset

from runtime.archive.catalog import Catalog
from runtime.archive.cf import CfLayout
from runtime.archive.cube_update import update_cube
from runtime.archive.derived import day_files, update_derived
from runtime.archive.paths import ArchivePaths
from runtime.archive.publish import Making, publish_day, write_day
from runtime.archive.record import DayRecord, PublishedDay, RecordedInput
from runtime.cli.progress import track
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import InputRole, ModelKind, Tier
from runtime.config import Config, load_config
from runtime.fill.result import Filled, Flag
from runtime.fill.statistics import DayStatistics
from service.metrics import ArchiveCollector
from service.runner import Runner
from service.schedule import FillSchedule
from service.serve import listening
from service.web import application

REGION = (0.0, 40.0, 10.0, 50.0)
ARCHIVES = {"twenty years, a region": 20 * 365, "a year, the globe": 366}
"""The days of each archive."""
TIMES = 15


def made(folder: Path, name: str, days: int) -> Config:
    """Return the configuration of one of the archives; it is made unless it is there."""
    work = folder / name.replace(", ", "-").replace(" ", "-")
    file, globe = work / "seamless-sm.toml", Grid.globe()
    grid = globe.box(*REGION) if "region" in name else globe
    return load_config(file, environment={}) if file.exists() else make(work, grid, days)


@contextmanager
def serving(settings: Config) -> Iterator[str]:
    """Serve an archive over HTTP; nothing is filled."""
    runner = Runner([])
    schedule = FillSchedule(settings, runner)
    schedule.scheduler.start(paused=True)
    collector = ArchiveCollector(settings, runner, lambda: dt.datetime.now(dt.UTC).date())
    try:
        with listening(settings, application(settings, runner, schedule, collector)) as address:
            yield address
    finally:
        schedule.scheduler.shutdown()


def make(folder: Path, grid: Grid, days: int) -> Config:
    """Make an archive with this many days up to yesterday."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "seamless-sm.toml"
    box = "" if grid.wraps else f"[grid]\nbox = {list(REGION)}\n"
    file.write_text(f"[archive]\n{box}[service]\nport = 0\n")
    settings = load_config(file, environment={})
    last = dt.datetime.now(dt.UTC).date() - dt.timedelta(1)
    dates = [last - dt.timedelta(days - 1 - number) for number in range(days)]
    rng = np.random.default_rng(1)
    swing = rng.random(grid.shape, np.float32) * 0.3 + 0.05
    with Catalog.open(ArchivePaths.of(settings).catalog) as catalog:
        for number, date in enumerate(track(dates, "publish")):
            wet = np.float32(0.05 * np.sin(number / 20)) + rng.normal(0, 0.02, grid.shape).astype(np.float32)
            soil = np.where(grid.land, (swing + wet).clip(0.01, 0.9), np.float32(np.nan)).astype(np.float32)
            gap = rng.random(grid.shape) < 0.5
            flag = np.where(grid.land, np.where(gap, Flag.FILLED_FROM_OTHER_DAYS, Flag.OBSERVED), Flag.NOT_LAND)
            nan = np.float32(np.nan)
            filled = Filled(
                soil,
                np.where(gap, nan, soil).astype(np.float32),
                flag.astype(np.int8),
                np.where(grid.land, gap * (1 + number % 4), -1).astype(np.int16),
                np.where(gap & grid.land, np.float32(0.06), nan).astype(np.float32),
            )
            roles = [InputRole.soil_moisture(offset) for offset in range(-4, 5)]
            inputs = {role: RecordedInput("file.nc4", "f" * 64) for role in roles}
            figures = DayStatistics(int((~gap & grid.land).sum()), int((gap & grid.land).sum()), 0, 0.2, 1.0)
            tier = Tier.CONSOLIDATED if number < days - 4 else Tier.PROVISIONAL
            record = DayRecord(
                date=date,
                tier=tier,
                fingerprint=f"{number}",
                state_fingerprint=None,
                model="made up",
                model_id="id",
                settings_digest="s",
                inputs=inputs,
                statistics=figures,
            )
            rain = rng.gamma(0.1, 20, grid.shape).astype(np.float32)
            publish_made_up(settings, catalog, grid, record, filled, rain)
        update_derived(settings, catalog, grid, track)
    return settings


def publish_made_up(
    settings: Config, catalog: Catalog, grid: Grid, record: DayRecord, filled: Filled, rain: Floats | None = None
) -> None:
    """Publish a day with made-up fields; cube and STAC documents are not updated."""
    day = PublishedDay(
        record=record,
        grid=grid,
        filled=filled,
        kind=ModelKind.WINDOW,
        band="x",
        sensor="AMSR2",
        metadata=settings.metadata,
        precipitation=rain,
    )
    written = write_day(settings.archive.path, CfLayout(), day)
    making = Making(reason="new", engine="none", phases={}, inputs={})
    publish_day(settings.archive.path, catalog, record, written, making, before=None)


def timed(ask: Callable[[], Any], times: int = TIMES) -> dict[str, float]:
    """Call a function several times; return the median and the largest of the seconds."""
    seconds = []
    for _ in range(times):
        started = time.monotonic()
        ask()
        seconds.append(time.monotonic() - started)
    return {"median_s": round(statistics.median(seconds), 4), "most_s": round(max(seconds), 4)}


def by_files(archive: Path, row: int, col: int) -> int:
    """Read the soil moisture of one cell from every daily file; return the number of files."""
    files = ArchivePaths.below(archive).day_files()
    for path in files:
        with Dataset(path) as file:
            file["soil_moisture"][0, row, col]
    return len(files)


def append(settings: Config) -> float:
    """Remove the newest day from the cube and copy it again; return the seconds of the copy."""
    with Catalog.open(ArchivePaths.of(settings).catalog, read_only=True) as catalog:
        grid, published = settings.make_grid(), day_files(settings.archive.path, catalog)
    for days in ({date: source for date, source in published.items() if date != max(published)}, published):
        started = time.monotonic()
        update_cube(settings.archive.path, days, grid, {}, track)
        seconds = time.monotonic() - started
    return seconds


def measure(settings: Config) -> dict[str, Any]:
    """Send the requests of the web page to a service for this archive, and measure them."""
    grid = settings.make_grid()
    rng = np.random.default_rng(2)
    land = np.argwhere(grid.land)

    def place() -> dict[str, float]:
        row, col = land[rng.integers(len(land))]
        return {"lat": grid.latitudes[row], "lon": grid.longitudes[col]}

    with serving(settings) as address:
        client = httpx.Client(base_url=address, timeout=60)
        days = client.get("/api/archive").json()["days"]
        newest = dt.date.fromisoformat(days["newest"])
        asked = iter(range(10_000))

        def get(path: str, **parameters: Any) -> None:
            client.get(path, params=parameters).raise_for_status()

        def other_day() -> str:
            return str(newest - dt.timedelta(next(asked) % days["count"]))

        first_series = timed(lambda: get("/api/series", **place()), 1)["most_s"]
        series = timed(lambda: get("/api/series", **place()))
        table = timed(lambda: get("/api/series", **place(), format="csv"))
        calendar = timed(lambda: get("/api/calendar"))
        status = timed(lambda: get("/api/status"))
        first_map = timed(lambda: get(f"/api/days/{other_day()}/map/soil_moisture"), 1)["most_s"]
        maps = timed(lambda: get(f"/api/days/{other_day()}/map/soil_moisture"))
        same_day = timed(lambda: get(f"/api/days/{newest}/map/soil_moisture"))
    started = time.monotonic()
    by_files(settings.archive.path, *land[0])
    reference = time.monotonic() - started
    folder = ArchivePaths.of(settings).cube
    return {
        "days": days["count"],
        "cells": list(grid.shape),
        "series": {**series, "first_s": first_series, "all variables of all days": True},
        "series as CSV": table,
        "calendar": calendar,
        "status": status,
        "another day's map": {**maps, "first_s": first_map},
        "the same day's map again": same_day,
        "reference: one variable of the cell from the daily files, netCDF4": {"s": round(reference, 2)},
        "series, times as fast as the reference": round(reference / series["median_s"], 1),
        "the newest day into the cube": {"s": round(append(settings), 2)},
        "cube_mb": round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6, 1),
        "files_mb": round(sum(f.stat().st_size for f in ArchivePaths.of(settings).day_files()) / 1e6, 1),
    }


def main() -> None:
    """Publish, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=20, help="of the small archive")
    parser.add_argument(
        "--globe", type=int, default=ARCHIVES["a year, the globe"], metavar="DAYS", help="of the globe; 0: leave it out"
    )
    parser.add_argument("--folder", type=Path, help="where to work; kept, and not made again")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    results = {}
    asked = {"twenty years, a region": arguments.years * 365, "a year, the globe": arguments.globe}
    with tempfile.TemporaryDirectory() as temporary:
        for name, days in asked.items():
            if days:
                results[name] = measure(made(arguments.folder or Path(temporary), name, days))
                print(json.dumps({name: results[name]}, indent=1), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
