"""What many workers bring: the same days filled one after the other, by one worker and by two, and a model of more.

    python -m benchmarks.backfill --data FOLDER [--bundle NAME ...] [--days N] [--json FILE]

FOLDER has real days of AMSR2 (LPRM, X band); each archive is filled with all of them by `fill_archive` and by
`backfill_archive` with one and two workers of one thread each. The archives must be equal, byte for byte. Printed for
each bundle: seconds, speed-up of two workers over one, how long the publisher was busy with a day, and the peak memory
of a worker.

The model plays the same code with 1 to 256 workers: blocks of days are sent in order, at most three a worker before the
oldest is published, each takes what a block took here; days are published one after the other. Disks and networks are
taken as never busy, so that what it says is what the publisher allows.
"""

from __future__ import annotations

import argparse
import datetime as dt
import heapq
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.backfill import days as cluster_days
from runtime.backfill.cluster import ClusterChoice
from runtime.backfill.run import backfill_archive
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.config import Config, load_config
from runtime.pipeline.run import fill_archive

FIRST = dt.date(2015, 4, 1)
BLOCK = 4
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
RECORD = 8_800
"""Days of 2002 to 2026."""


def make(folder: Path, data: Path, bundle: str) -> Config:
    """Write the configuration of an archive that is empty yet."""
    folder.mkdir()
    (folder / "seamless-sm.toml").write_text(
        f'[archive]\nstart = {FIRST}\n[model]\nbundle = "{bundle}"\nengine = "cpu"\n'
        f'[[feeds.soil_moisture]]\npath = "{data.resolve()}"\nproduct = "lprm-amsr2"\nband = "x"\n'
        '[feeds.precipitation]\nkind = "none"\n'
    )
    return load_config(folder / "seamless-sm.toml", environment={})


def contents(config: Config) -> dict[str, bytes]:
    """Return every file that a reader sees."""
    root = config.archive.path
    names = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".")}


class Watch:
    """Counts how long the publisher is busy with days, and the memory of workers meanwhile."""

    def __init__(self) -> None:
        self.busy_s, self.days, self.memory = 0.0, 0, 0
        self._publish = cluster_days._Filling._publish

    def __enter__(self) -> Watch:
        def publish(filling: Any, day: Any, task: Any) -> Any:
            children = [each for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())]
            self.memory = max(self.memory, *(each.memory_info().rss for each in children), 0)
            began = time.perf_counter()
            published = self._publish(filling, day, task)
            self.busy_s += time.perf_counter() - began
            self.days += 1
            return published

        cluster_days._Filling._publish = publish  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        cluster_days._Filling._publish = self._publish  # type: ignore[method-assign]


def computing_seconds(config: Config) -> float:
    """Return how long workers were busy with a day, on average: reading, computing, checking, writing."""
    with Catalog.open(ArchivePaths.of(config).catalog, read_only=True) as catalog:
        took = [sum(revision.phases.values()) for revision in catalog.revisions()]
    return sum(took) / len(took)


def simulated(workers: int, count: int, day_s: float, publish_s: float, block: int, ahead: int = 3) -> float:
    """Return how long a backfill takes, seconds, if only workers and publisher are ever busy."""
    free = [0.0] * workers
    published: list[float] = []
    now = 0.0
    for number in range(-(-count // block)):
        allowed = published[number - ahead * workers] if number >= ahead * workers else 0.0
        done = max(heapq.heappop(free), allowed) + block * day_s
        heapq.heappush(free, done)
        now = max(now, done) + block * publish_s
        published.append(now)
    return now


def measure(folder: Path, data: Path, bundle: str, wanted: DateRange) -> dict[str, Any]:
    """Fill the same days three times."""
    today = wanted.last + dt.timedelta(60)
    serial = make(folder / f"{bundle}-serial", data, bundle)
    began = time.perf_counter()
    outcome = fill_archive(serial, wanted, today, RunEvents())
    seconds = {"fill, all cores": time.perf_counter() - began}
    expected = contents(serial)
    found: dict[str, Any] = {"days": len(outcome.filled)}
    for workers in (1, 2):
        config = make(folder / f"{bundle}-{workers}", data, bundle)
        began = time.perf_counter()
        with Watch() as watch:
            backfill_archive(config, wanted, today, RunEvents(), ClusterChoice(workers, threads=1), block=BLOCK)
        seconds[f"{workers} workers"] = time.perf_counter() - began
        if contents(config) != expected:
            raise SystemExit(f"{bundle}: {workers} workers give another archive than a fill")
    day_s, publish_s = computing_seconds(config), watch.busy_s / watch.days
    one = simulated(1, RECORD, day_s, publish_s, BLOCK)
    return found | {
        "seconds": {name: round(took, 1) for name, took in seconds.items()},
        "two workers over one": round(seconds["1 workers"] / seconds["2 workers"], 2),
        "seconds a day of a worker": round(day_s, 3),
        "seconds a day of the publisher": round(publish_s, 3),
        "memory of a worker, MiB": watch.memory >> 20,
        f"simulated, {RECORD} days": {
            str(n): {
                "hours": round((took := simulated(n, RECORD, day_s, publish_s, BLOCK)) / 3600, 2),
                "efficiency": round(one / took / n, 3),
            }
            for n in WORKERS
        },
    }


def show(found: dict[str, dict[str, Any]], names: Sequence[str]) -> None:
    """Print what was measured."""
    table = Table("", *names)
    for key in next(iter(found.values())):
        if isinstance(found[names[0]][key], dict):
            for inner in found[names[0]][key]:
                table.add_row(f"{key}: {inner}", *(str(found[name][key][inner]) for name in names))
        else:
            table.add_row(key, *(str(found[name][key]) for name in names))
    Console().print(table)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SEAMLESS_SM_DATA", "."), "lprm_april2015_x"))
    parser.add_argument("--bundle", nargs="+", default=["seamless-2", "sgdsm1-amsr2-x"], help="shipped bundles")
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    wanted = DateRange(FIRST, FIRST + dt.timedelta(arguments.days - 1))
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: measure(Path(scratch), arguments.data, name, wanted) for name in arguments.bundle}
    show(found, arguments.bundle)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
