"""What many workers bring: the same days filled one after the other, by one worker and by two, and a model of more.

    python -m benchmarks.backfill --data FOLDER [--bundle NAME ...] [--days N] [--json FILE]
    python -m benchmarks.backfill --data FOLDER --bundle seamless-2 --days 365 --workers 2 --without-fill

FOLDER has real days of AMSR2 (LPRM, X band), which are repeated if more days are wanted. Each archive is filled with
all of them by `fill_archive` and by `backfill_archive` with one and two workers of one thread each. The archives must
be equal, byte for byte. Printed for each bundle: seconds, speed-up of two workers over one, how long the publisher was
busy with a day, and the peak memory of a worker with the process that reads its files.

The model plays the same order of work with 1 to 256 workers, event by event. Blocks of days are sent in order, a
bounded number before the oldest is published; days are published one after the other. Of a network with a memory, each
share of the tiles goes through all days, reads each of them, and waits for its own last day; a block is joined by any
worker. A day takes what it took here with two workers. Disks and networks are taken as never busy, so what the model
says is what workers, chain and publisher allow.
"""

from __future__ import annotations

import argparse
import datetime as dt
import heapq
import json
import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.backfill import days as cluster_days
from runtime.backfill.cluster import ClusterChoice
from runtime.backfill.run import backfill_archive
from runtime.backfill.work import ChainOfDays, SeparateDays
from runtime.bundle import find_bundle, load_bundle
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.config import Config, load_config
from runtime.fill.recurrent import shares_of_tiles
from runtime.pipeline.run import fill_archive

BUNDLES = ["seamless-2", "sgdsm1-amsr2-x", "sgdsm2-amsr2-x"]
FIRST = dt.date(2015, 4, 1)
BLOCK = 4
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
RECORD = 8_800
"""Days of 2002 to 2026."""


def make(folder: Path, data: Path, bundle: str) -> Config:
    """Write the configuration of an archive that is empty yet."""
    folder.mkdir()
    (folder / "seamless-sm.toml").write_text(
        f'[archive]\nstart = {FIRST}\n[model]\nbundle = "{find_bundle(bundle)}"\nengine = "cpu"\n'
        f'[[feeds.soil_moisture]]\npath = "{data.resolve()}"\nproduct = "lprm-amsr2"\nband = "x"\n'
        '[feeds.precipitation]\nkind = "none"\n'
        "[policy]\nmax_out_of_range = 1\nmax_mean_jump = 1\nmax_seam_step = 1\n"  # weights may be random
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
            workers = [each for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())]
            families = [[worker, *worker.children(recursive=True)] for worker in workers]
            self.memory = max(self.memory, *(sum(_memory(each) for each in family) for family in families), 0)
            began = time.perf_counter()
            published = self._publish(filling, day, task)
            self.busy_s += time.perf_counter() - began
            self.days += 1
            return published

        cluster_days._Filling._publish = publish  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        cluster_days._Filling._publish = self._publish  # type: ignore[method-assign]


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def repeated(data: Path, days: int, folder: Path) -> Path:
    """Return a folder with files of so many days from `FIRST` on: those of `data`, again and again."""
    files = sorted(data.glob("LPRM*.nc4"))
    folder.mkdir()
    for number in range(days):
        source = files[number % len(files)]
        name = re.sub(r"_\d{8}", f"_{FIRST + dt.timedelta(number):%Y%m%d}", source.name, count=1)
        shutil.copyfile(source, folder / name)
    return folder


def phases_of_a_day(config: Config) -> dict[str, float]:
    """Return how long workers were busy with each phase of a day, seconds, on average."""
    with Catalog.open(ArchivePaths.of(config).catalog, read_only=True) as catalog:
        days = [revision.phases for revision in catalog.revisions()]
    return {name: sum(day.get(name, 0.0) for day in days) / len(days) for name in ("read", "infer", "join", "check")}


@dataclass(frozen=True)
class Model:
    """What the tasks of a backfill take, seconds a day."""

    publish_s: float
    whole_s: float
    """Of a window network: a day. Of a network with a memory: what is done once for a day, joining and writing it."""
    read_s: float = 0.0
    """Of a network with a memory: what each share reads of a day."""
    batch_s: float = 0.0
    """Of a network with a memory: a batch of tiles."""
    batches: int = 0
    """Batches of tiles; 0 for a window network."""

    def hours(self, workers: int, days: int, block: int) -> float:
        """Return how long a backfill takes."""
        shares = min(workers, self.batches)
        counts = [self.batches * (n + 1) // shares - self.batches * n // shares for n in range(shares)]
        ahead = ChainOfDays.BLOCKS if shares else SeparateDays.BLOCKS * workers
        free, published, left = [0.0] * workers, [0.0] * ahead, [0.0] * shares
        for _ in range(-(-days // block)):
            allowed = published[-ahead]
            for share, count in enumerate(counts):
                left[share] = _work(free, max(allowed, left[share]), block * (self.read_s + count * self.batch_s))
            done = _work(free, max([allowed, *left]), block * self.whole_s)
            published.append(max(done, published[-1]) + block * self.publish_s)
        return published[-1] / 3600


def _work(free: list[float], ready: float, seconds: float) -> float:
    """Let the worker do it that is free first; return when it is done."""
    done = max(heapq.heappop(free), ready) + seconds
    heapq.heappush(free, done)
    return done


class Way(NamedTuple):
    """How days are filled."""

    workers: Sequence[int]
    block: int
    """Days in a row of a task."""
    with_fill: bool
    """Whether `fill_archive` fills them as well."""


def measure(folder: Path, data: Path, bundle: str, wanted: DateRange, way: Way) -> dict[str, Any]:
    """Fill the same days in each way."""
    folder = folder / Path(bundle).name
    folder.mkdir()
    today = wanted.last + dt.timedelta(60)
    seconds, archives = {}, []
    if way.with_fill:
        archives.append(make(folder / "serial", data, bundle))
        began = time.perf_counter()
        fill_archive(archives[0], wanted, today, RunEvents())
        seconds["fill, all cores"] = time.perf_counter() - began
    for count in way.workers:
        config = make(folder / f"{count}", data, bundle)
        archives.append(config)
        began = time.perf_counter()
        with Watch() as watch:
            outcome = backfill_archive(
                config, wanted, today, RunEvents(), ClusterChoice(count, threads=1), block=way.block
            )
        seconds[f"{count} workers"] = time.perf_counter() - began
    first, *others = archives
    if not all(contents(first) == contents(other) for other in others):
        raise SystemExit(f"{bundle}: workers give another archive than a fill")
    phases, publish_s = phases_of_a_day(config), watch.busy_s / watch.days
    manifest = load_bundle(find_bundle(bundle)).manifest
    model = Model(publish_s, sum(phases.values()))
    if manifest.carries_state:
        grid, once = config.make_grid(), phases["join"] + phases["check"]
        batches, shares = (len(shares_of_tiles(manifest, grid, most)) for most in (sys.maxsize, way.workers[-1]))
        model = Model(publish_s, once, phases["read"] / shares, phases["infer"] / batches, batches)
    return {
        "days": len(outcome.filled),
        "seconds": {name: round(took, 1) for name, took in seconds.items()},
        "two workers over one": round(seconds.get("1 workers", math.nan) / seconds.get("2 workers", math.nan), 2),
        "seconds a day of all workers": {name: round(took, 3) for name, took in phases.items()},
        "seconds a day of the publisher": round(publish_s, 3),
        "memory of a worker, MiB": watch.memory >> 20,
        f"model, hours of {RECORD} days": {str(n): round(model.hours(n, RECORD, way.block), 2) for n in WORKERS},
        "model, efficiency": {
            str(n): round(model.hours(1, RECORD, way.block) / model.hours(n, RECORD, way.block) / n, 3) for n in WORKERS
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
    parser.add_argument(
        "--bundle", nargs="+", default=["seamless-2", "sgdsm1-amsr2-x", "sgdsm2-amsr2-x"], help="shipped bundles"
    )
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--block", type=int, default=BLOCK, help="days in a row of a task; fewer than --days / --workers"
    )
    parser.add_argument("--without-fill", action="store_true", help="only backfill")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    wanted = DateRange(FIRST, FIRST + dt.timedelta(arguments.days - 1))
    with tempfile.TemporaryDirectory() as scratch:
        data = repeated(arguments.data, arguments.days, Path(scratch, "files"))
        found = {}
        for name in arguments.bundle:
            way = Way(arguments.workers, arguments.block, not arguments.without_fill)
            found[Path(name).name] = measure(Path(scratch), data, name, wanted, way)
            if arguments.json:
                arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    show(found, list(found))


if __name__ == "__main__":
    main()
