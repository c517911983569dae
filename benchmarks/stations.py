"""Measure memory and time of comparing twenty years of an archive with 124 stations.

A made-up archive of 19 June 2002 to 5 February 2022 is published on a region of 40 x 40 cells: AMSR-E, WindSat and
AMSR2 at their dates, half of the cells observed each day. The stations are made up, too: hourly readings of all twenty
years in one zip, half of them in CEOP and half in header+values format, every tenth station with two sensors near the
surface, all with one deeper down. Then `python -m training evaluate --archive --ismn` runs in a process of its own. A
global archive's cube has the same chunks, of which only those with stations are read.

    python -m benchmarks.stations --json benchmarks/results/stations.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import peak_memory_of_process
from benchmarks.reading import publish_made_up
from runtime.archive.acdd import grid_bounds
from runtime.archive.catalog import Catalog
from runtime.archive.derived import update_derived
from runtime.archive.paths import ArchivePaths
from runtime.archive.record import DayRecord, RecordedInput
from runtime.cli.progress import track
from runtime.common.clock import DAY, days_between
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import TODAY, Tier
from runtime.config import load_config
from runtime.fill.result import Filled, Flag
from runtime.fill.statistics import DayStatistics

REGION = (0.0, 40.0, 10.0, 50.0)
FIRST, LAST = dt.date(2002, 6, 19), dt.date(2022, 2, 5)
SENSORS = {"lprm-amsre": "AMSR_E", "lprm-windsat": "WINDSAT", "lprm-amsr2": "AMSR2"}
"""How LPRM file names write the sensor, by product."""
LIMIT = 1 << 30
"""Bytes of memory that the comparison may take."""


@dataclass(frozen=True)
class MadeUpStation:
    """A station, and its soil moisture on each day."""

    name: str
    latitude: float
    longitude: float
    daily: Floats
    """(days,), m3 m-3."""


def make_archive(folder: Path, grid: Grid, dates: Sequence[dt.date], seed: int = 1) -> Iterator[Floats]:
    """Publish days with made-up fields; yield the true soil moisture of each, m3 m-3."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "seamless-sm.toml"
    file.write_text(f"[archive]\n[grid]\nbox = {list(grid_bounds(grid))}\n")
    settings = load_config(file, environment={})
    rng = np.random.default_rng(seed)
    base, swing = (rng.random(grid.shape, np.float32) * most + least for least, most in ((0.1, 0.2), (0.02, 0.08)))
    wet, nan = np.zeros(grid.shape, np.float32), np.float32(np.nan)
    with Catalog.open(ArchivePaths.of(settings).catalog) as catalog:
        for date in track(dates, "publish"):
            wet = np.float32(0.9) * wet + rng.normal(0, 0.01, grid.shape).astype(np.float32)
            truth = (base + swing * np.float32(np.sin(date.toordinal() * 2 * np.pi / 365.25)) + wet).clip(0.01, 0.6)
            gap = rng.random(grid.shape) < 0.5
            error = rng.standard_normal(grid.shape, np.float32) * np.where(gap, np.float32(0.05), np.float32(0.03))
            soil = (truth + error).clip(0, 0.9)
            filled = Filled(
                soil,
                np.where(gap, nan, soil),
                np.where(gap, Flag.FILLED_FROM_OTHER_DAYS, Flag.OBSERVED).astype(np.int8),
                gap.astype(np.int16),
                np.where(gap, np.float32(0.05), nan),
            )
            product = next(name for name in SENSORS if (PRODUCTS[name].start or date) <= date <= _end(name))
            record = DayRecord(
                date=date,
                tier=Tier.CONSOLIDATED,
                fingerprint=str(date),
                state_fingerprint=None,
                model="made up",
                model_id="id",
                settings_digest="s",
                inputs={TODAY: RecordedInput(f"LPRM-{SENSORS[product]}_L3_D_SOILM3_V001_{date:%Y%m%d}.nc4", "f" * 64)},
                statistics=DayStatistics(int((~gap).sum()), int(gap.sum()), 0, 0.2, 1.0),
            )
            publish_made_up(settings, catalog, grid, record, filled)
            yield truth
        update_derived(settings, catalog, grid, track)


def _end(product: str) -> dt.date:
    return PRODUCTS[product].end or dt.date.max


def write_ceop(station: MadeUpStation, times: Sequence[str], values: Floats, depth: tuple[float, float]) -> str:
    """Return readings in CEOP format; `times` as ``YYYY/MM/DD hh:mm``."""
    where = f"MADEUP MADEUP {station.name} {station.latitude:.5f} {station.longitude:.5f} 100.00"
    where += f" {depth[0]:.2f} {depth[1]:.2f}"
    return "".join(f"{t} {t} {where} {value:.4f} G M\n" for t, value in zip(times, values, strict=True))


def write_header_values(
    station: MadeUpStation, times: Sequence[str], values: Floats, depth: tuple[float, float]
) -> str:
    """Return readings in header+values format; `times` as ``YYYY/MM/DD hh:mm``."""
    head = f"MADEUP MADEUP {station.name} {station.latitude:.5f} {station.longitude:.5f} 100.00"
    head += f" {depth[0]:.2f} {depth[1]:.2f} Made-up-Probe\n"
    return head + "".join(f"{t} {value:.4f} G M\n" for t, value in zip(times, values, strict=True))


def write_ismn(path: Path, stations: Sequence[MadeUpStation], dates: Sequence[dt.date], seed: int = 2) -> None:
    """Write a zip as ISMN provides it: hourly readings of the stations, in both formats."""
    rng = np.random.default_rng(seed)
    times = [f"{date:%Y/%m/%d} {hour:02}:00" for date in dates for hour in range(24)]
    span = f"{dates[0]:%Y%m%d}_{dates[-1]:%Y%m%d}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, station in enumerate(track(stations, "write stations")):
            write = write_header_values if number % 2 else write_ceop
            depths = [(0.0, 0.05), (0.05, 0.05)] if number % 10 == 0 else [(0.05, 0.05)]
            for depth in [*depths, (0.5, 0.5)]:
                hourly = np.repeat(station.daily, 24)
                values = (hourly + rng.normal(0, 0.02, hourly.size)).clip(0, 0.9).astype(np.float32)
                name = f"MADEUP_MADEUP_{station.name}_sm_{depth[0]:f}_{depth[1]:f}_Made-up-Probe_{span}.stm"
                shallow = depth[1] <= max(each[1] for each in depths)
                kept = slice(None) if shallow else slice(24)  # what lies deeper is not read
                text = write(station, times[kept], values[kept], depth)
                archive.writestr(f"MADEUP/{station.name}/{name}", text)


def place_stations(grid: Grid, count: int, seed: int = 3) -> dict[str, tuple[int, int]]:
    """Return row and column of made-up stations, by name."""
    cells = np.random.default_rng(seed).choice(grid.land.size, count, replace=False)
    return {f"S{number:03}": divmod(int(cell), grid.shape[1]) for number, cell in enumerate(cells)}


def make(folder: Path, dates: Sequence[dt.date], count: int) -> None:
    """Make the archive, and the zip with the stations."""
    grid = Grid.globe().box(*REGION)
    places = place_stations(grid, count)
    rows, cols = np.array([*places.values()]).T
    daily = np.array([truth[rows, cols] for truth in make_archive(folder, grid, dates)])
    stations = [
        MadeUpStation(name, float(grid.latitudes[row]), float(grid.longitudes[col]), daily[:, number])
        for number, (name, (row, col)) in enumerate(places.items())
    ]
    write_ismn(folder / "ismn.zip", stations, dates)


def judge(folder: Path) -> dict[str, Any]:
    """Compare the archive with the stations in this process; return the seconds, and the peak memory in MiB."""
    from training.cli import app

    began = time.monotonic()
    where = ["--archive", str(folder / "archive"), "--ismn", str(folder / "ismn.zip"), "--out", str(folder / "report")]
    app(["evaluate", *where], standalone_mode=False)
    return {
        "minutes": round((time.monotonic() - began) / 60, 2),
        "peak_mib": round(peak_memory_of_process() / (1 << 20)),
        "torch": "torch" in sys.modules,
    }


def main() -> None:
    """Make, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=(LAST - FIRST) // DAY + 1, help="up to 5 February 2022")
    parser.add_argument("--stations", type=int, default=124)
    parser.add_argument("--folder", type=Path, help="where to work; kept, and not made again")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    if arguments.judge:
        print(json.dumps(judge(arguments.judge)))
        return
    dates = days_between(LAST - (arguments.days - 1) * DAY, LAST)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / "ismn.zip").exists():
            make(folder, dates, arguments.stations)
        command = [sys.executable, "-m", "benchmarks.stations", "--judge", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report = json.loads((folder / "report" / "report.json").read_text())["stations"]
        results = {
            "days": arguments.days,
            "stations": len({row["station"] for row in report["rows"]}),
            "ismn_zip_mb": round((folder / "ismn.zip").stat().st_size / 1e6),
            **json.loads(done.stdout.splitlines()[-1]),
            "means": {
                f"{mean['sensor']}, {mean['part']}": {k: round(v, 3) for k, v in mean["score"].items()}
                for mean in report["means"]
            },
        }
    print(json.dumps(results, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(results["peak_mib"] << 20 >= LIMIT)


if __name__ == "__main__":
    main()
