"""Disturb the daily job with faults drawn from a grammar, and compare its archive with that of an undisturbed one.

A scenario has thirty days of a small world. The archive has twenty of them. The others arrive in portions: some of
their files are damaged, some are repaired later, odd things lie in the folder, a server answers wrongly, copies in the
inbox and published days are damaged, the clock is wrong, and runs are killed. At the end come two runs that nothing
disturbs.

What must hold after each scenario:

- Every published byte equals that of an archive that was filled at once from those files that the readers accept; what
  a server sends instead of a file is left there, since a file that is listed and does not come is waited for.
- Every other day is absent because none of its soil-moisture files can be used, and the catalog says so.
- The last run finds nothing to do, and `runtime check` finds nothing.
- No run has ended with a traceback, with an exit code that does not belong to it, after more than five minutes, or with
  more than 1 GiB of memory; no output and no file holds the token.

    python -m benchmarks.campaign --seeds 2000 --json benchmarks/results/campaign.json

A campaign that is stopped goes on where it was, if the file with its figures is there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, TypeAdapter
from rich.progress import track

from benchmarks.faults import Place, Rng, damaged, disturb_disk, disturb_folder, disturb_server
from benchmarks.forked import Ended
from benchmarks.thirty_days import (
    BEFORE,
    BUNDLES,
    DAYS,
    END,
    FIRST,
    KINDS,
    TIME_LIMIT_S,
    Site,
    ThirtyDays,
)
from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.verify import archive_faults
from runtime.common.atomic import move_into_place, part_file
from runtime.common.clock import now
from runtime.common.sensors import PRODUCTS
from runtime.errors import InputRefused
from runtime.inputs.products.granule import is_netcdf
from runtime.inputs.reader_process import reader_process
from tests.support.earthdata import TOKEN, serve

MAX_MEMORY = 1 << 30
_CODES = {0, 3, 4, 5}
"""Exit codes that a disturbed run may end with."""
_FAULT_WORDS = ("is damaged", "is repaired", "SIGKILL", "SIGTERM", "SIGINT", "deleted", "pipe", "sparse", "loop")
"""What is counted, as the scenarios tell it."""


@dataclass
class Played:
    """A scenario that is over: what happened, and what went wrong."""

    seed: int
    told: list[str]
    wrong: list[str]


@dataclass
class Scenario:
    """What happens to one archive, determined by a seed."""

    world: ThirtyDays
    seed: int
    told: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def play(self) -> None:
        """Disturb an archive, let it recover, and compare it with an undisturbed one."""
        rng = np.random.default_rng(self.seed)
        bundle, kind = BUNDLES[int(rng.integers(len(BUNDLES)))], KINDS[int(rng.integers(len(KINDS)))]
        site = Site(self.world, self.world.folder / "site", bundle, kind)
        self.told = [f"{bundle}, {kind}"]
        self.world.start(site)
        damaged_days: list[int] = []
        bounds = sorted(int(n) for n in rng.integers(BEFORE, DAYS, 2))
        for begin, end in zip((BEFORE, *bounds), (*bounds, DAYS), strict=True):
            self._arrive(rng, site, range(begin, end), damaged_days)
            self._run_disturbed(rng, site, end - 1)
        self.world.server.faults.clear()
        self._finish(site)

    def _arrive(self, rng: Rng, site: Site, numbers: range, damaged_days: list[int]) -> None:
        for number in damaged_days[:]:
            if rng.random() < 0.4:
                site.bring(number)
                damaged_days.remove(number)
                self.told.append(f"day {number} is repaired")
        for number in numbers:
            site.bring(number)
            file = site.soil_moisture(number)
            place = Place(site.incoming / "lprm", file)
            if rng.random() < 0.25:
                file.write_bytes(damaged(rng, file.read_bytes()))
                damaged_days.append(number)
                self.told.append(f"day {number} is damaged")
            if site.kind == "folder" and rng.random() < 0.25:
                self.told.append(f"day {number}: {disturb_folder(rng, place)}")
        if site.kind == "earthdata":
            names = sorted(path.name for path in (site.incoming / "lprm").iterdir())
            self.told.append(disturb_server(rng, self.world.server.faults, names))
        self.told.append(disturb_disk(rng, site.archive) if rng.random() < 0.4 else "")

    def _run_disturbed(self, rng: Rng, site: Site, newest: int) -> None:
        wrong_clock = int(rng.choice([0, 0, 0, 0, -3, 1, 40, -400, 4000]))
        today = FIRST + dt.timedelta(newest + int(rng.integers(0, 12)) + wrong_clock)
        kill_after = float(rng.uniform(0.05, 3.0)) if rng.random() < 0.4 else None
        how = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[int(rng.integers(3))]
        self.told.append(f"run of {today}" + (f", {how.name} after {kill_after:.2f} s" if kill_after else ""))
        self._judge(site.run(today, kill_after, how))

    def _judge(self, ended: Ended) -> None:
        if not ended.interrupted and ended.code not in _CODES:
            self.wrong.append(f"ended with {ended.code}: {ended.output[-1500:]}")
        if ended.seconds > TIME_LIMIT_S:
            self.wrong.append(f"took {ended.seconds:.0f} s")
        if "Traceback" in ended.output:
            self.wrong.append(f"a traceback: {ended.output[-1500:]}")
        if TOKEN in ended.output:
            self.wrong.append("the token stands in the output")
        if ended.memory > MAX_MEMORY:
            self.wrong.append(f"took {ended.memory >> 20} MiB")

    def _finish(self, site: Site) -> None:
        """Run twice without a fault, and compare."""
        recovery = site.run(END)
        self._judge(recovery)
        before = _published(site)
        again = site.run(END)
        self._judge(again)
        if _published(site) != before:
            self.wrong.append("the last run published something again")
        self.wrong += archive_faults(site.config(), lambda items, _: items)
        accepted = self._accepted(site)
        undisturbed = Site(self.world, self.world.folder / "undisturbed", site.bundle, site.kind)
        self.world.start(undisturbed)
        for number in range(BEFORE, DAYS):
            undisturbed.bring(number)
            undisturbed.soil_moisture(number).unlink()
            left = site.soil_moisture(number)
            is_fetched = site.kind == "folder" or is_netcdf(left.read_bytes())  # a web page is never taken for the file
            source = accepted.get(number, None if is_fetched else left)
            if source:
                undisturbed.soil_moisture(number).with_name(source.name).write_bytes(source.read_bytes())
        self._judge(undisturbed.run(END))
        wanted = _published(undisturbed)
        with Catalog.open(ArchivePaths.of(site.config()).catalog, read_only=True) as catalog:
            reasons = set(catalog.problems())
        for name in sorted(before.keys() | wanted):
            date = dt.datetime.strptime(name[-11:-3], "%Y%m%d").date()
            if (date - FIRST).days >= BEFORE and (date - FIRST).days not in accepted:
                if name in before or date not in reasons:
                    self.wrong.append(f"{name}: all of its files are refused, and it is published or has no reason")
            elif before.get(name) != wanted.get(name):
                self.wrong.append(f"{name}: differs from the undisturbed one")
        holders = [p for p in site.archive.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
        self.wrong += [f"{path.name}: holds the token" for path in holders]
        if self.wrong:
            self.wrong.append(f"the run after the faults said: {recovery.output[-3000:]}")

    def _accepted(self, site: Site) -> dict[int, Path]:
        """Return by day the file that counts: the newest name, then the first path, that can be read."""
        found: dict[int, Path] = {}
        for number in range(BEFORE, DAYS):
            date = FIRST + dt.timedelta(number)
            paths = sorted((site.incoming / "lprm").glob(f"**/LPRM*_{date:%Y%m%d}*.nc4"))
            plain = [p for p in paths if p.is_file() and not any(part.startswith(".") for part in p.parts)]
            for path in sorted(plain, key=lambda path: path.name, reverse=True):
                try:
                    if path.stat().st_size < 100 << 20:
                        reader_process().read(PRODUCTS["lprm-amsr2"], path, date, self.world.grid, "x")
                        found[number] = path
                        break
                except (InputRefused, OSError):
                    continue
        return found


def _published(site: Site) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in site.archive.glob("[0-9]*/*.nc")}


@contextmanager
def world_of_thirty_days() -> Iterator[ThirtyDays]:
    """Make the world of the scenarios, and remove it at the end."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server:
        world = ThirtyDays(Path(folder), server)
        world.prepare()
        yield world


def play(seeds: list[int]) -> list[Played]:
    """Play the scenarios of some seeds in one world."""
    with world_of_thirty_days() as world:
        return [_played(world, seed) for seed in seeds]


def _played(world: ThirtyDays, seed: int) -> Played:
    scenario = Scenario(world, seed)
    try:
        scenario.play()
    except Exception:  # a campaign of hours goes on; a scenario that ends in this way counts as a violation
        scenario.wrong.append(traceback.format_exc())
    return Played(seed, [line for line in scenario.told if line], scenario.wrong)


_KEPT: list[ThirtyDays] = []
"""The world of a worker process, kept from one seed to the next."""


def _play_next(seed: int) -> Played:
    if not _KEPT:
        world = world_of_thirty_days()
        _KEPT.append(world.__enter__())
        multiprocessing.util.Finalize(None, world.__exit__, (None, None, None), exitpriority=1)
    return _played(_KEPT[0], seed)


@dataclass
class Figures:
    """What a campaign has found so far; it is written after each scenario, and a campaign goes on from it."""

    first: int
    """The first seed."""
    seeds: int = 0
    """Number of scenarios, from the first seed on."""
    minutes: float = 0.0
    scenarios_with: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FAULT_WORDS, 0))
    violations: list[Played] = field(default_factory=list)

    __pydantic_config__ = ConfigDict(extra="forbid")

    @classmethod
    def read(cls, path: Path | None, first: int) -> Figures:
        """Return the figures of a campaign that was stopped, or none."""
        if path is None or not path.exists():
            return cls(first)
        figures = TypeAdapter(cls).validate_json(path.read_bytes())
        if figures.first != first:
            sys.exit(f"{path}: is of a campaign whose first seed is {figures.first}; give --first {figures.first}")
        print(f"{path}: goes on after {figures.seeds} scenarios; delete it to begin anew")
        return figures

    def add(self, played: Played) -> None:
        """Count a scenario."""
        self.seeds += 1
        for word in _FAULT_WORDS:
            self.scenarios_with[word] += any(word in line for line in played.told)
        if played.wrong:
            self.violations.append(played)


def main() -> None:
    """Play, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2000, help="number of scenarios")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write the figures here; go on from those that are there")
    arguments = parser.parse_args()
    figures = Figures.read(arguments.json, arguments.first)
    before, began = figures.minutes, now()
    seeds = range(arguments.first + figures.seeds, arguments.first + arguments.seeds)
    with ProcessPoolExecutor(arguments.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for played in track(pool.map(_play_next, seeds), "play", len(seeds)):
            figures.add(played)
            figures.minutes = round(before + (now() - began).total_seconds() / 60, 1)
            if arguments.json:
                with part_file(arguments.json) as part:
                    part.write_text(json.dumps(asdict(figures), indent=1) + "\n")
                move_into_place(arguments.json)
    print(json.dumps(asdict(figures), indent=1))
    sys.exit(1 if figures.violations else 0)


if __name__ == "__main__":
    main()
