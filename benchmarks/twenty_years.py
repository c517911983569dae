"""A record of years fed as it arrives, against the same record filled in order: is the archive the same to the byte?

Made-up soil and rain on a region of 40 x 40 cells; AMSR-E, WindSat and AMSR2 hand over at their real dates. Files come
late, not at all, in bursts after an outage of the feed, and again with or without another field; rain comes as IMERG
Early, a day later as Late, and a quarter at a time as Final, by `reprocess`. Every simulated day the job runs once, as
cron would run it.

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
from runtime.archive.verify import archive_faults
from runtime.bundle import find_bundle
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.config import Config, load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.gaps import strips
from runtime.demo.world import World, WorldDay
from runtime.pipeline.run import DateRange, RunEvents, fill_archive

BOX = (0.0, 40.0, 10.0, 50.0)
SENSORS = ("lprm-amsre", "lprm-windsat", "lprm-amsr2")
FINAL_AFTER = 105
QUARTER = 91
DAY = dt.timedelta(days=1)


@dataclass
class Event:
    """Something that happens in the incoming folder on a day."""

    date: dt.date
    kind: str
    """``soil``, ``early``, ``late`` or ``final``."""
    change: float = 0.0
    """Added to the field: a republication with other values; nan: the same field in other bytes."""


@dataclass
class Simulation:
    """A record on disk, and the archive that grows from it."""

    folder: Path
    first: dt.date
    days: int
    seed: int = 1
    bundle: str = "sgdsm2-amsr2-x"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rng = np.random.default_rng(self.seed)
        self.grid = Grid.globe().box(*BOX)
        copied = Path(shutil.copytree(find_bundle(self.bundle), self.folder / "bundle"))
        manifest = json.loads((copied / "bundle.json").read_text())
        (copied / "bundle.json").write_text(json.dumps(manifest | {"products": list(SENSORS)}))
        self.calendar = self._calendar()

    @property
    def last(self) -> dt.date:
        """The record's last day."""
        return self.first + (self.days - 1) * DAY

    def _calendar(self) -> dict[dt.date, list[Event]]:
        """Draw what arrives when."""
        arrivals: dict[dt.date, list[Event]] = {}

        def add(when: dt.date, event: Event) -> None:
            arrivals.setdefault(when, []).append(event)

        rng = self.rng
        quiet_until = self.first
        absent = 0
        for number in range(self.days):
            date = self.first + number * DAY
            if rng.random() < 0.004:
                absent = int(rng.integers(2, 8))
            lost = absent > 0 or rng.random() < 0.01
            absent -= 1
            if rng.random() < 0.006:  # the feed is down for days, then everything is there at once
                quiet_until = date + int(rng.integers(3, 12)) * DAY
            soil = date + int(rng.choice([0, 0, 1, 1, 2, 3])) * DAY
            if rng.random() < 0.02:
                soil = date + int(rng.integers(8, 21)) * DAY
            soil = max(soil, quiet_until)
            if not lost:
                add(soil, Event(date, "soil"))
                if rng.random() < 0.02:
                    add(soil + int(rng.integers(1, 8)) * DAY, Event(date, "soil", float(rng.choice([0.03, np.nan]))))
            add(max(date, quiet_until), Event(date, "early"))
            if rng.random() > 0.02:
                add(max(date + DAY, quiet_until), Event(date, "late"))
            if number + FINAL_AFTER + QUARTER < self.days:
                quarter = (number // QUARTER + 1) * QUARTER
                add(self.first + (quarter + FINAL_AFTER) * DAY, Event(date, "final"))
        return arrivals

    def world(self) -> list[WorldDay]:
        """Make the days; half of the land is seen, in strips."""
        days = []
        for day in World(self.grid, self.seed).days(self.first, self.days):
            hidden = strips(self.rng, self.grid.shape, (0.4, 0.6), (10, 30))
            noisy = day.truth + self.rng.normal(0, 0.02, self.grid.shape)
            seen = np.where(hidden, np.nan, np.round(noisy.clip(0.01, 0.9), 2))
            days.append(replace(day, observed=seen.astype(np.float32)))
        return days

    def put(self, incoming: Path, day: WorldDay, event: Event) -> None:
        """Let a file arrive."""
        if event.kind == "soil":
            date = day.date
            product = next(s for s in SENSORS if (PRODUCTS[s].start or date) <= date <= (PRODUCTS[s].end or date))
            shift = np.float32(np.nan_to_num(event.change))
            folder = incoming / product / f"{date:%Y}"
            path = write_lprm(folder, replace(day, observed=(day.observed + shift)), self.grid, product)
            if np.isnan(event.change):
                with path.open("ab") as file:
                    file.write(b"\0")
            return
        better: dict[str, Floats] = {
            "early": day.rain * np.float32(0.8),
            "late": day.rain if day.date.day % 3 else day.rain * np.float32(0.8),  # each third Late is its Early
            "final": day.rain * np.float32(1.1),
        }
        write_imerg(incoming / "imerg" / f"{day.date:%Y}", day.date, better[event.kind], self.grid, event.kind)  # type: ignore[arg-type]

    def config(self, archive: str, incoming: Path, *overrides: str) -> Config:
        """Return the configuration of one of the two archives, and leave it beside it as a file."""
        file = self.folder / f"{archive}.toml"
        feeds = "".join(
            f'[[feeds.soil_moisture]]\npath = "{incoming / product}"\nproduct = "{product}"\nband = "x"\n'
            for product in SENSORS
        )
        file.write_text(
            f'[archive]\npath = "{archive}"\nstart = {self.first}\n[grid]\nbox = {list(BOX)}\n'
            f'[model]\nbundle = "bundle"\n{feeds}'
            f'[feeds.precipitation]\nkind = "folder"\npath = "{incoming / "imerg"}"\n'
        )
        return load_config(file, overrides, environment={})

    def feed_as_it_arrives(self, say: Any = print) -> None:
        """Run the job every day on what is there by then; then once more, when the last late file has come."""
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
            finals = [event.date for event in due if event.kind == "final"]
            if finals:
                outcome = fill_archive(
                    settings, DateRange(min(finals), max(finals)), today, RunEvents(), reprocess=True
                )
                assert outcome.exit_code in (0, 3), outcome.message
            self._run(settings, today)
            if number % 365 == 364:
                say(f"{today}: {time.monotonic() - began:.0f} s", flush=True)
        for events in (self.calendar[when] for when in sorted(self.calendar) if when > self.last):
            for event in events:
                self.put(incoming, days[(event.date - self.first).days], event)
        self._run(settings, self.last)

    def _run(self, settings: Config, today: dt.date) -> None:
        outcome = fill_archive(settings, DateRange(), today, RunEvents())
        assert outcome.exit_code in (0, 3), outcome.message

    def fill_in_order(self) -> None:
        """Fill the finished record in one go."""
        settings = self.config("ordered", self.folder / "incoming", 'feeds.precipitation.runs=["final","late","early"]')
        outcome = fill_archive(settings, DateRange(), self.last, RunEvents())
        assert outcome.exit_code in (0, 3), outcome.message

    def differences(self) -> list[str]:
        """Return what differs between the two archives: files, snapshots, STAC, catalog rows without times.

        And what of the one that grew is not whole, its cube among it.
        """
        found = archive_faults(load_config(self.folder / "arrived.toml", environment={}), lambda items, _: items)
        for what in ("[0-9]*/*.nc", ".state/*/*", "stac/**/*.json"):
            arrived, ordered = (_hashes(self.folder / name, what) for name in ("arrived", "ordered"))
            found += sorted(f"{name}" for name in arrived | ordered if arrived.get(name) != ordered.get(name))
        rows = []
        for name in ("arrived", "ordered"):
            with Catalog.open(self.folder / name / ".catalog" / "catalog.sqlite", read_only=True) as catalog:
                rows.append({d: (r.record, r.path, r.sha256, r.size) for d, r in catalog.days().items()})
        return found + [f"catalog {day}" for day in rows[0] | rows[1] if rows[0].get(day) != rows[1].get(day)]

    def figures(self) -> dict[str, Any]:
        """Return what was counted and measured."""
        with Catalog.open(self.folder / "arrived" / ".catalog" / "catalog.sqlite", read_only=True) as catalog:
            reasons = [revision.reason for revision in catalog.revisions()]
        flags = {"published": len(_hashes(self.folder / "arrived", "[0-9]*/*.nc")), "revisions": len(reasons)}
        parts = ("arrived", "changed", "replaced", "upstream", "provisional to")
        return {
            "days": self.days,
            **flags,
            "snapshots": len(_hashes(self.folder / "arrived", ".state/*/*")),
            "reasons": {part: sum(part in reason for reason in reasons) for part in parts},
        }


def append_cost(folders: dict[str, Path], last: dt.date, days: int = 30) -> dict[str, float]:
    """Append the same days to several simulated archives, in turn; return the median seconds of a daily run of each.

    Parameters
    ----------
    last : the last day of all of them
    """
    grid = Grid.globe().box(*BOX)
    took: dict[str, list[float]] = {name: [] for name in folders}
    for number, day in enumerate(World(grid, 99).days(last + DAY, days)):
        seen = np.where(strips(np.random.default_rng(number), grid.shape, (0.4, 0.6), (10, 30)), np.nan, day.truth)
        for name, folder in folders.items():
            incoming = folder / "incoming"
            write_lprm(incoming / SENSORS[-1] / f"{day.date:%Y}", replace(day, observed=seen.astype(np.float32)), grid)
            write_imerg(incoming / "imerg" / f"{day.date:%Y}", day.date, day.rain, grid)
            settings = load_config(folder / "arrived.toml", environment={})
            began = time.perf_counter()
            outcome = fill_archive(settings, DateRange(), day.date, RunEvents())
            took[name].append(time.perf_counter() - began)
            assert day.date in outcome.filled, outcome.message
    return {name: round(statistics.median(seconds[5:]), 4) for name, seconds in took.items()}


def _hashes(archive: Path, pattern: str) -> dict[str, str]:
    files: Iterable[Path] = sorted(archive.glob(pattern))
    return {str(p.relative_to(archive)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def plan_seconds(file: Path) -> tuple[float, str]:
    """Return how long `runtime plan` takes as a command, and the last line it prints."""
    command = [sys.executable, "-m", "runtime", "plan", "--config", str(file)]
    took = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took), done.stdout.strip().splitlines()[-1]


def measure(folder: Path, bundle: str) -> dict[str, Any]:
    """Return what a day and a plan cost on a simulated archive, beside one of a hundred days that ends with it.

    Appends to the archive, so that it no longer equals the ordered one.
    """
    seconds, said = plan_seconds(folder / "arrived.toml")
    with Catalog.open(folder / "arrived" / ".catalog" / "catalog.sqlite", read_only=True) as catalog:
        span, days = catalog.span(), catalog.count()
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
        "plan_says": said,
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
    today = dt.datetime.now(dt.UTC).date()
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
