"""Compare two archives byte for byte: one filled day by day as files arrived over years, one filled at once in order.

Soil and rain are synthetic, on a region of 40 x 40 cells. AMSR-E, WindSat and AMSR2 follow one another at their real
dates. Files come late, never, many at once after an outage of the feed, and again with the same or with another field.
Rain comes as IMERG Early, a day later as Late, and three months at a time as Final, by `reprocess`. The job runs once
on every simulated day, as cron would run it.

    python benchmarks/twenty_years.py --days 7300 --json benchmarks/results/twenty_years.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.verify import archive_faults
from runtime.bundle import find_bundle, load_bundle
from runtime.common.clock import DAY, DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import ImergRun
from runtime.config import Config, load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.gaps import strips
from runtime.demo.world import World, WorldDay
from runtime.pipeline.run import fill_archive, reprocess_archive

BOX = (0.0, 40.0, 10.0, 50.0)
SENSORS = ("lprm-amsre", "lprm-windsat", "lprm-amsr2")
FINAL_AFTER = 105
"""Days after which IMERG Final of a quarter is published."""
QUARTER = 91
"""Days in a quarter."""


@dataclass
class Event:
    """The arrival of one file."""

    date: dt.date
    """The day of the file's field."""
    run: ImergRun | None = None
    """The IMERG run; None for a soil-moisture file."""
    change: float = 0.0
    """What a republished file adds to the field, m3 m-3; NaN for the same field in other bytes."""


@dataclass
class Simulation:
    """A synthetic record of files, and the archives that are filled from it."""

    folder: Path
    """Where to work."""
    first: dt.date
    """The record's first day."""
    days: int
    """Number of days."""
    seed: int = 1
    bundle: str = "sgdsm2-amsr2-x"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rng = np.random.default_rng(self.seed)
        self.grid = Grid.globe().box(*BOX)
        if not all(load_bundle(find_bundle(self.bundle)).manifest.accepts(sensor, "x") for sensor in SENSORS):
            self.bundle = str(self._copy_for_all_sensors())
        self.calendar = self._calendar()

    def _copy_for_all_sensors(self) -> Path:
        """Copy the bundle and let it accept all sensors: no shipped network with a memory does."""
        copied = Path(shutil.copytree(find_bundle(self.bundle), self.folder / "bundle")).resolve()
        manifest = json.loads((copied / "bundle.json").read_text())
        (copied / "bundle.json").write_text(json.dumps(manifest | {"products": list(SENSORS)}))
        return copied

    @property
    def last(self) -> dt.date:
        """The record's last day."""
        return self.first + (self.days - 1) * DAY

    def _calendar(self) -> dict[dt.date, list[Event]]:
        """Draw which files arrive on which day."""
        arrivals: dict[dt.date, list[Event]] = {}

        def add(when: dt.date, event: Event) -> None:
            arrivals.setdefault(when, []).append(event)

        rng = self.rng
        quiet_until = self.first
        lost_days = 0
        for number in range(self.days):
            date = self.first + number * DAY
            if rng.random() < 0.004:
                lost_days = int(rng.integers(2, 8))
            is_lost = lost_days > 0 or rng.random() < 0.01
            lost_days -= 1
            if rng.random() < 0.006:  # the feed is down for some days, then all files arrive at once
                quiet_until = date + int(rng.integers(3, 12)) * DAY
            soil = date + int(rng.choice([0, 0, 1, 1, 2, 3])) * DAY
            if rng.random() < 0.02:
                soil = date + int(rng.integers(8, 21)) * DAY
            soil = max(soil, quiet_until)
            if not is_lost:
                add(soil, Event(date))
                if rng.random() < 0.02:
                    add(soil + int(rng.integers(1, 8)) * DAY, Event(date, change=float(rng.choice([0.03, np.nan]))))
            add(max(date, quiet_until), Event(date, ImergRun.EARLY))
            if rng.random() > 0.02:
                add(max(date + DAY, quiet_until), Event(date, ImergRun.LATE))
            if number + FINAL_AFTER + QUARTER < self.days:
                quarter = (number // QUARTER + 1) * QUARTER
                add(self.first + (quarter + FINAL_AFTER) * DAY, Event(date, ImergRun.FINAL))
        return arrivals

    def world(self) -> list[WorldDay]:
        """Make the days; about half of the cells are observed, in strips."""
        days = []
        for day in World(self.grid, self.seed).days(self.first, self.days):
            hidden = strips(self.rng, self.grid.shape, (0.4, 0.6), (10, 30))
            noisy = day.truth + self.rng.normal(0, 0.02, self.grid.shape)
            observed = np.where(hidden, np.nan, np.round(noisy.clip(0.01, 0.9), 2))
            days.append(replace(day, observed=observed.astype(np.float32)))
        return days

    def put(self, incoming: Path, day: WorldDay, event: Event) -> None:
        """Write the file that arrives."""
        if event.run is None:
            date = day.date
            product = next(s for s in SENSORS if (PRODUCTS[s].start or date) <= date <= (PRODUCTS[s].end or date))
            shift = np.float32(np.nan_to_num(event.change))
            folder = incoming / product / f"{date:%Y}"
            path = write_lprm(folder, replace(day, observed=(day.observed + shift)), self.grid, product)
            if np.isnan(event.change):
                with path.open("ab") as file:
                    file.write(b"\0")
            return
        rain: dict[ImergRun, Floats] = {
            ImergRun.EARLY: day.rain * np.float32(0.8),
            ImergRun.LATE: day.rain if day.date.day % 3 else day.rain * np.float32(0.8),  # some Late equal Early
            ImergRun.FINAL: day.rain * np.float32(1.1),
        }
        write_imerg(incoming / "imerg" / f"{day.date:%Y}", day.date, rain[event.run], self.grid, event.run)

    def config(self, archive: str, incoming: Path, *overrides: str) -> Config:
        """Write the configuration file of one of the two archives, and return the configuration."""
        file = self.folder / f"{archive}.toml"
        feeds = "".join(
            f'[[feeds.soil_moisture]]\npath = "{incoming / product}"\nproduct = "{product}"\nband = "x"\n'
            for product in SENSORS
        )
        file.write_text(
            f'[archive]\npath = "{archive}"\nstart = {self.first}\n[grid]\nbox = {list(BOX)}\n'
            f'[model]\nbundle = "{self.bundle}"\n{feeds}'
            f'[feeds.precipitation]\nkind = "folder"\npath = "{incoming / "imerg"}"\n'
        )
        return load_config(file, overrides, environment={})

    def feed_as_it_arrives(self, say: Any = print) -> None:
        """Run the job every day with the files that have arrived; then once more after the last late file."""
        incoming = self.folder / "incoming"
        for name in (*SENSORS, "imerg"):
            (incoming / name).mkdir(parents=True)
        days = self.world()
        settings = self.config("arrived", incoming)
        began = time.monotonic()
        for number in range(self.days):
            today = self.first + number * DAY
            due = self.calendar.get(today, [])
            for event in due:
                self.put(incoming, days[(event.date - self.first).days], event)
            finals = [event.date for event in due if event.run is ImergRun.FINAL]
            if finals:
                rain = DateRange(min(finals), max(finals))
                outcome = reprocess_archive(settings, rain, today, RunEvents())
                assert outcome.exit_code in (0, 3), outcome.message
            self._run(settings, today)
            if number % 365 == 364:
                say(f"{today}: {time.monotonic() - began:.0f} s", flush=True)
        for events in (self.calendar[when] for when in sorted(self.calendar) if when > self.last):
            for event in events:
                self.put(incoming, days[(event.date - self.first).days], event)
        self._run(settings, self.last)

    def _run(self, settings: Config, today: dt.date) -> None:
        outcome = fill_archive(settings, None, today, RunEvents())
        assert outcome.exit_code in (0, 3), outcome.message

    def fill_in_order(self) -> None:
        """Fill the complete record at once."""
        settings = self.config("ordered", self.folder / "incoming", 'feeds.precipitation.runs=["final","late","early"]')
        outcome = fill_archive(settings, None, self.last, RunEvents())
        assert outcome.exit_code in (0, 3), outcome.message

    def differences(self) -> list[str]:
        """Return what differs between the two archives: files, snapshots, STAC documents, catalog rows without times.

        The faults that `runtime check` finds in the archive that was filled day by day are listed first.
        """
        found = archive_faults(load_config(self.folder / "arrived.toml", environment={}), lambda items, _: items)
        for pattern in ("[0-9]*/*.nc", ".state/*/*", "stac/**/*.json"):
            arrived, ordered = (_hashes(self.folder / name, pattern) for name in ("arrived", "ordered"))
            found += sorted(f"{name}" for name in arrived | ordered if arrived.get(name) != ordered.get(name))
        rows = []
        for name in ("arrived", "ordered"):
            with Catalog.open(ArchivePaths.below(self.folder / name).catalog, read_only=True) as catalog:
                rows.append({d: (r.record, r.path, r.sha256, r.size) for d, r in catalog.days().items()})
        return found + [f"catalog {day}" for day in rows[0] | rows[1] if rows[0].get(day) != rows[1].get(day)]

    def figures(self) -> dict[str, Any]:
        """Return the numbers of days, revisions, snapshots and reasons."""
        with Catalog.open(ArchivePaths.below(self.folder / "arrived").catalog, read_only=True) as catalog:
            reasons = [revision.reason for revision in catalog.revisions()]
        counts = {"published": len(_hashes(self.folder / "arrived", "[0-9]*/*.nc")), "revisions": len(reasons)}
        parts = ("arrived", "changed", "replaced", "upstream", "provisional to")
        return {
            "days": self.days,
            **counts,
            "snapshots": len(_hashes(self.folder / "arrived", ".state/*/*")),
            "reasons": {part: sum(part in reason for reason in reasons) for part in parts},
        }


def append_cost(folders: dict[str, Path], last: dt.date, days: int = 30) -> dict[str, float]:
    """Append the same days to several simulated archives in turns.

    Parameters
    ----------
    folders : dict of str to Path
        Folders of the simulations, by name.
    last : dt.date
        Their last day, which is the same for all.
    days : int
        Number of days to append.

    Returns
    -------
    dict of str to float
        The median seconds of a daily run, by name.
    """
    grid = Grid.globe().box(*BOX)
    seconds: dict[str, list[float]] = {name: [] for name in folders}
    for number, day in enumerate(World(grid, 99).days(last + DAY, days)):
        observed = np.where(strips(np.random.default_rng(number), grid.shape, (0.4, 0.6), (10, 30)), np.nan, day.truth)
        for name, folder in folders.items():
            incoming = folder / "incoming"
            write_lprm(
                incoming / SENSORS[-1] / f"{day.date:%Y}", replace(day, observed=observed.astype(np.float32)), grid
            )
            write_imerg(incoming / "imerg" / f"{day.date:%Y}", day.date, day.rain, grid)
            settings = load_config(folder / "arrived.toml", environment={})
            began = time.perf_counter()
            outcome = fill_archive(settings, None, day.date, RunEvents())
            seconds[name].append(time.perf_counter() - began)
            assert day.date in outcome.filled, outcome.message
    return {name: round(statistics.median(values[5:]), 4) for name, values in seconds.items()}


def _hashes(archive: Path, pattern: str) -> dict[str, str]:
    files: Iterable[Path] = sorted(archive.glob(pattern))
    return {str(p.relative_to(archive)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def plan_seconds(file: Path) -> tuple[float, str]:
    """Return how long the command `runtime plan` takes, and the last line that it prints."""
    command = [sys.executable, "-m", "runtime", "plan", "--config", str(file)]
    took = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took), done.stdout.strip().splitlines()[-1]


def measure(folder: Path, bundle: str) -> dict[str, Any]:
    """Measure a daily run and a plan on a simulated archive, and a daily run on one of the last hundred days only.

    This appends to the archive, so that it no longer equals the one filled in order.
    """
    seconds, last_line = plan_seconds(folder / "arrived.toml")
    with Catalog.open(ArchivePaths.below(folder / "arrived").catalog, read_only=True) as catalog:
        span, days = catalog.first_and_newest(), catalog.count()
    assert span
    shutil.rmtree(folder / "short", ignore_errors=True)
    short = Simulation(folder / "short", span[1] - 99 * DAY, 100, bundle=bundle)
    short.feed_as_it_arrives()
    append = append_cost({"after 100 days": short.folder, f"after {days} days": folder}, span[1])
    hundred, whole = append.values()
    return {
        "append_s": append,
        "append_ratio": round(whole / hundred, 3),
        "plan_s": round(seconds, 3),
        "plan_says": last_line,
    }


def main() -> None:
    """Simulate, compare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=7300)
    parser.add_argument("--bundle", default="sgdsm2-amsr2-x", help="a shipped bundle")
    parser.add_argument("--folder", type=Path, help="where to work; kept")
    parser.add_argument(
        "--measure", action="store_true", help="only measure again what an earlier run left in --folder"
    )
    parser.add_argument("--json", type=Path, help="also write the figures here; with --measure, those measured")
    arguments = parser.parse_args()
    today = PRODUCTS[SENSORS[-1]].end or dt.datetime.now(dt.UTC).date()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        results: dict[str, Any] = {}
        different: list[str] = []
        if arguments.measure:
            known = arguments.json and arguments.json.exists()
            results = json.loads(arguments.json.read_text()) if known else {}
        else:
            simulation = Simulation(folder, today - (arguments.days - 1) * DAY, arguments.days, bundle=arguments.bundle)
            simulation.feed_as_it_arrives()
            simulation.fill_in_order()
            different = simulation.differences()
            results = {"bundle": arguments.bundle, **simulation.figures(), "differences": len(different)}
        results |= measure(folder, arguments.bundle)
    print(json.dumps(results, indent=1))
    print("\n".join(different[:20]))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
