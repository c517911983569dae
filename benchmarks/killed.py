"""Kill a fill with SIGKILL at many points of its run; the next run must repair what it left.

Half of the points are lines of the runtime's own code, counted while the run holds the archive's lock, so that they are
spread over everything it does on any machine. The other half are moments in time, which can also be inside libraries
and the kernel.

The archive has five days, and the input of one of them has been published again. The run fetches files from a server on
loopback, fills the stale days again and appends new ones. After every kill the archive must pass `runtime check`. After
the next run, published files, snapshots and catalog rows must equal those of an archive whose run was not killed.

    python -m benchmarks.killed --points 500 --json benchmarks/results/killed.json

A series that is stopped goes on where it was, if the file with its figures is there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from rich.progress import track

from benchmarks.forked import Command
from runtime.archive.catalog import Catalog
from runtime.archive.cube import Cube
from runtime.archive.paths import ArchivePaths
from runtime.archive.verify import archive_faults
from runtime.common.atomic import move_into_place, part_file
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.config import Config, load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World
from runtime.pipeline.run import fill_archive
from tests.support.earthdata import TOKEN, Server, serve

BOX = (-10.0, 35.0, 10.0, 50.0)
FIRST = dt.date(2020, 4, 1)
DAYS = 10
BEFORE = 5
"""Days that the archive has before the run that is killed."""


@dataclass
class Trial:
    """The archives of a test, all with the same server as feed."""

    folder: Path
    bundle: str
    server: Server

    def settings(self, name: str) -> Config:
        """Return an archive's configuration."""
        return load_config(self._file(name), environment={})

    def _file(self, name: str) -> Path:
        return self.folder / name / "seamless-sm.toml"

    def prepare(self) -> None:
        """Make the archive that every run starts from, and the one whose run is not killed."""
        file = self._file("start")
        file.parent.mkdir()
        host = self.server.url
        file.write_text(
            f"[archive]\nstart = {FIRST}\nkeep_superseded = true\n[grid]\nbox = {list(BOX)}\n"
            f'[model]\nbundle = "{self.bundle}"\n[[feeds.soil_moisture]]\nkind = "earthdata"\nband = "x"\n'
            f'[feeds.precipitation]\nkind = "earthdata"\n[earthdata]\ncmr_url = "{host}/search/"\n'
            'token_hosts = ["127.0.0.1"]\n'
        )
        grid = Grid.globe().box(*BOX)
        days = list(World(grid, 7).days(FIRST, DAYS))
        for day in days[:BEFORE]:
            write_lprm(self.server.folder, day, grid)
            write_imerg(self.server.folder, day.date, day.rain, grid)
        self._fill("start")
        republished = days[2]
        drier = republished.observed - np.float32(0.01)
        republished.observed[:] = np.where(republished.observed > 0.1, drier, republished.observed)
        for day in [republished, *days[BEFORE:]]:
            write_lprm(self.server.folder, day, grid)
            write_imerg(self.server.folder, day.date, day.rain, grid)
        self._copy("undisturbed")
        self._fill("undisturbed")

    def _copy(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.folder / "start", self.folder / name)

    def _fill(self, name: str) -> None:
        wanted = DateRange(FIRST, FIRST + dt.timedelta(BEFORE - 1 if name == "start" else DAYS - 1))
        outcome = fill_archive(self.settings(name), wanted, dt.date(2020, 6, 1), RunEvents())
        assert outcome.exit_code == 0, outcome.message

    def run(self, after_s: float | None = None, at_line: int = 0) -> tuple[float, int, int]:
        """Run a fill in a process of its own, and kill it after some time or at a line of code.

        Parameters
        ----------
        after_s : float, optional
            Seconds after which to kill it, counted from when it holds the archive's lock.
        at_line : int
            Line at which to kill it, if `after_s` is not given; 0 for never.

        Returns
        -------
        held_s : float
            How long it held the lock, seconds.
        code : int
            Its exit code.
        lines : int
            How many lines it ran, if it was not killed.
        """
        self._copy("killed")
        arguments = ["fill", "--from", str(FIRST), "--to", str(FIRST + dt.timedelta(DAYS - 1))]
        command = Command(
            [*arguments, "--config", str(self._file("killed"))],
            self.folder / "output.txt",
            {"EARTHDATA_TOKEN": TOKEN},
            kill_at_line=at_line if after_s is None else None,
        )
        holder = ArchivePaths.below(self.folder / "killed" / "archive").lock.with_name("lock.holder")
        ended = command.run(3600.0, after_s, count_from=holder)
        return ended.seconds, ended.code, ended.lines

    def contents(self, name: str) -> dict[str, Any]:
        """Return what must be equal: files, STAC documents, snapshots, cube, and catalog rows without times."""
        archive = self.folder / name / "archive"
        patterns = ("[0-9]*/*.nc", ".state/*/*", ".superseded/*/*", "stac/**/*.json")
        files = {str(p.relative_to(archive)): p.read_bytes() for g in patterns for p in archive.glob(g)}
        with Catalog.open(ArchivePaths.of(self.settings(name)).catalog, read_only=True) as catalog:
            rows = {str(d): (r.record, r.path, r.sha256, r.size, r.revision) for d, r in catalog.days().items()}
        cube = Cube.open(archive)
        in_cube = {f"cube {name}": cube.read(name, slice(None)).tobytes() for name in cube.names} if cube else {}
        return {**files, "catalog": rows, **in_cube, "cube marks": cube.marks().tolist() if cube else None}

    def point(self, after_s: float | None, at_line: int) -> tuple[str, int]:
        """Kill once, check, run again, compare; return what is wrong, and how many days were published when killed."""
        _, code, _ = self.run(after_s, at_line)
        if code not in (0, -signal.SIGKILL):
            return f"the run ended with {code}", 0
        settings = self.settings("killed")
        found = archive_faults(settings, lambda items, _: items)
        with Catalog.open(ArchivePaths.of(settings).catalog, read_only=True) as catalog:
            published = len(catalog.days())
        if found:
            return f"not whole in between: {found[0]}", published
        self._fill("killed")
        repaired, wanted = self.contents("killed"), self.contents("undisturbed")
        different = sorted(name for name in repaired.keys() | wanted if repaired.get(name) != wanted.get(name))
        found = archive_faults(settings, lambda items, _: items)
        return (f"differs: {different[0]}" if different else found[0] if found else ""), published


@dataclass
class Kills:
    """Points at which the run of a bundle was killed, and what came of them."""

    points: int
    """Of the whole series."""
    played: int = 0
    run_s: float = 0.0
    """Median seconds of a run that is not killed, from when it holds the lock."""
    published: dict[int, int] = field(default_factory=dict)
    """How often each number of days was published when the run was killed."""
    wrong: list[str] = field(default_factory=list)


def play(folder: Path, bundle: str, kills: Kills) -> Iterator[None]:
    """Kill at the points that were not played yet; yield after each of them."""
    os.environ["EARTHDATA_TOKEN"] = TOKEN
    (folder / "server").mkdir(parents=True)
    with serve(folder / "server") as server:
        trial = Trial(folder, bundle, server)
        trial.prepare()
        lines = trial.run()[2]
        kills.run_s = round(statistics.median(trial.run(3600.0)[0] for _ in range(3)), 2)
        for number in range(kills.played, kills.points):
            share = (number + 0.5) / kills.points
            fault, days = trial.point(*((None, int(lines * share)) if number % 2 else (kills.run_s * share, 0)))
            kills.published[days] = kills.published.get(days, 0) + 1
            kills.played += 1
            if fault:
                kills.wrong.append(f"point {number + 1} of {kills.points}: {fault}")
            yield


def main() -> None:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--bundle", action="append", help="shipped bundles; default: one of each kind")
    parser.add_argument("--json", type=Path, help="write the figures here; go on from those that are there")
    arguments = parser.parse_args()
    known = TypeAdapter(dict[str, Kills])
    there = arguments.json is not None and arguments.json.exists()
    results = known.validate_json(arguments.json.read_bytes()) if there else {}
    for bundle in arguments.bundle or ["sgdsm2-amsr2-x", "seamless-amsr2-x"]:
        kills = results.setdefault(bundle, Kills(arguments.points))
        with tempfile.TemporaryDirectory() as folder:
            for _ in track(play(Path(folder), bundle, kills), bundle, kills.points - kills.played):
                if arguments.json:
                    with part_file(arguments.json) as part:
                        part.write_bytes(known.dump_json(results, indent=1) + b"\n")
                    move_into_place(arguments.json)
    print(known.dump_json(results, indent=1).decode())
    sys.exit(1 if any(kills.wrong for kills in results.values()) else 0)


if __name__ == "__main__":
    main()
