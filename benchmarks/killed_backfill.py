"""Kill workers, scheduler and publisher of a backfill at random moments; at the end the archive must be that of a fill.

    python -m benchmarks.killed_backfill [--days 400] [--kills 40] [--json benchmarks/results/killed_backfill.json]

Days of the synthetic world, on 60 x 80 cells, are filled by `runtime fill`, then by `runtime backfill` on a cluster of
a scheduler and two workers, each a process. Every few seconds one of the processes is killed with SIGKILL, in turn a
worker, the scheduler and the command; what was killed is started again. If everything is filled before all kills are
done, the archive is deleted and filled once more. Compared at the end, and before an archive is deleted: every file
that a reader sees, the cube and STAC documents among them, the state snapshots, and `runtime check`.

The network with a memory computes a tile at a time, so that the four tiles are shares of both workers.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from distributed.utils import open_port

from benchmarks.backfill import contents
from runtime.archive.paths import ArchivePaths
from runtime.archive.verify import archive_faults
from runtime.bundle import find_bundle
from runtime.common.grid import Grid
from runtime.config import Config, load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World

BOX = (-10.0, 35.0, 10.0, 50.0)
FIRST = dt.date(2019, 1, 1)
BUNDLES = ("seamless-2", "sgdsm1-amsr2-x", "sgdsm2-amsr2-x")
VICTIMS = ("worker", "scheduler", "publisher")
PAUSE_S = (0.5, 12.0)
"""Between two kills."""
LIMIT_S = 1800
"""A command that takes longer hangs."""


@dataclass
class Processes:
    """A cluster and the command that uses it."""

    folder: Path
    config: Path
    last: dt.date
    port: int = field(default_factory=open_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    """Exit codes of commands that nobody killed."""

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return f"tcp://127.0.0.1:{self.port}"

    def start_missing(self) -> None:
        """Start what does not run; a command that ended well is not started again."""
        python = [sys.executable, "-m"]
        worker = [*python, "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-nanny"]
        wanted = {
            "scheduler": [
                *python,
                *("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"),
            ],
            "worker 1": [*worker, "--no-dashboard"],
            "worker 2": [*worker, "--no-dashboard"],
            "publisher": [
                *python,
                *("runtime", "backfill", "--from", str(FIRST), "--to", str(self.last), "--block", "4"),
                *("--scheduler", self.address, "--config", str(self.config)),
            ],
        }
        for name, command in wanted.items():
            process = self.running.get(name)
            if process and process.poll() is not None and name == "publisher" and process.returncode >= 0:
                self.ended.append(process.returncode)
                if process.returncode == 0:
                    return
            if process is None or process.poll() is not None:
                self.running[name] = self._start(name, command)

    def _start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self.folder)

    def kill(self, name: str) -> None:
        """Kill a process with SIGKILL."""
        self.running[name].kill()
        self.running[name].wait()

    @property
    def is_done(self) -> bool:
        """Whether the command has filled everything."""
        return self.running["publisher"].poll() == 0

    def stop(self) -> None:
        """End all processes."""
        for name in list(self.running):
            self.kill(name)
        self.running.clear()


@dataclass
class Trial:
    """One network: an archive that was filled, and one that is backfilled while processes are killed."""

    folder: Path
    bundle: str
    days: int

    def config(self, name: str) -> Config:
        """Write and return the configuration of an archive that is empty yet."""
        file = self.file(name)
        shutil.rmtree(file.parent, ignore_errors=True)
        file.parent.mkdir(parents=True)
        file.write_text(
            f"[archive]\nstart = {FIRST}\n[grid]\nbox = {list(BOX)}\n"
            f'[model]\nbundle = "{self.network}"\nengine = "cpu"\n'
            f'[[feeds.soil_moisture]]\npath = "{self.folder}/lprm"\nproduct = "lprm-amsr2"\nband = "x"\n'
            f'[feeds.precipitation]\nkind = "folder"\npath = "{self.folder}/imerg"\n'
            "[policy]\nmax_refill_days = 5000\nmax_run_minutes = 600\n"
        )
        return load_config(file, environment={})

    def file(self, name: str) -> Path:
        """Return where an archive's configuration is."""
        return self.folder / name / "seamless-sm.toml"

    @property
    def last(self) -> dt.date:
        """The last day."""
        return FIRST + dt.timedelta(self.days - 1)

    @property
    def network(self) -> Path:
        """The bundle."""
        return self.folder / self.bundle

    def prepare(self) -> None:
        """Write the files and the bundle."""
        grid = Grid.globe().box(*BOX)
        for day in World(grid, 7).days(FIRST, self.days):
            write_lprm(self.folder / "lprm", day, grid)
            write_imerg(self.folder / "imerg", day.date, day.rain, grid)
        shutil.copytree(find_bundle(self.bundle), self.network)
        manifest = self.network / "bundle.json"
        if "sgdsm2" in self.bundle:
            manifest.write_text(manifest.read_text().replace('"batch": 32', '"batch": 1'))

    def run(self, kills: int, rng: np.random.Generator) -> dict[str, Any]:
        """Fill, backfill, kill, compare."""
        self.prepare()
        serial = self.config("serial")
        began = time.monotonic()
        command = [sys.executable, "-m", "runtime", "fill", "--from", str(FIRST), "--to", str(self.last)]
        subprocess.run([*command, "--config", self.file("serial")], check=True, capture_output=True)
        serial_s, expected = time.monotonic() - began, _everything(serial)
        killed: Counter[str] = Counter()
        codes: Counter[int] = Counter()
        wrong: list[str] = []
        archives = 0
        while killed.total() < kills:
            archives += 1
            config = self.config("backfilled")
            processes = Processes(self.folder, self.file("backfilled"), self.last)
            try:
                self._disturb(processes, kills, killed, rng)
            finally:
                processes.stop()
            codes.update(processes.ended)
            wrong += _differences(config, expected)
        return {
            "days": self.days,
            "killed": dict(killed),
            "archives": archives,
            "exit codes of commands that lost their cluster, or ended": dict(codes),
            "seconds of the fill": round(serial_s, 1),
            "wrong": wrong,
        }

    def _disturb(self, processes: Processes, kills: int, killed: Counter[str], rng: np.random.Generator) -> None:
        """Kill until everything is filled, or all kills are done."""
        processes.start_missing()
        next_kill, limit = time.monotonic() + rng.uniform(*PAUSE_S), time.monotonic() + LIMIT_S
        while not processes.is_done:
            time.sleep(0.2)
            if time.monotonic() > limit:
                raise SystemExit(f"{self.bundle}: the backfill has not ended after {LIMIT_S} s; see {self.folder}")
            if time.monotonic() > next_kill and killed.total() < kills:
                victim = VICTIMS[killed.total() % len(VICTIMS)]
                processes.kill(f"worker {rng.integers(1, 3)}" if victim == "worker" else victim)
                killed[victim] += 1
                next_kill = time.monotonic() + rng.uniform(*PAUSE_S)
            processes.start_missing()


def _everything(config: Config) -> dict[str, bytes]:
    """Return what readers see, and the state snapshots."""
    folder = ArchivePaths.of(config).state
    snapshots = {f"state {path.name}": path.read_bytes() for path in folder.rglob("*.safetensors")}
    return contents(config) | snapshots


def _differences(config: Config, expected: dict[str, bytes]) -> list[str]:
    found = _everything(config)
    names = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    return [f"{name} differs" for name in names] + archive_faults(config, lambda items, _: items)


def main() -> None:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", nargs="+", default=BUNDLES, help="shipped bundles")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    figures = {}
    for bundle in arguments.bundle:
        with tempfile.TemporaryDirectory() as scratch:
            figures[bundle] = Trial(Path(scratch), bundle, arguments.days).run(
                arguments.kills, np.random.default_rng(arguments.seed)
            )
        print(json.dumps({bundle: figures[bundle]}, indent=1), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(1 if any(found["wrong"] for found in figures.values()) else 0)


if __name__ == "__main__":
    main()
