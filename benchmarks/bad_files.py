"""Fill with thousands of damaged granules: each must be read, or be refused with an error of this software.

Real and synthetic files are cut, overwritten, spliced, and changed in attributes, dimensions and values. Each of them
replaces the newest day of an archive, and the daily job runs in a process of its own. A traceback, a crash, a run that
does not end, or more than 2 GiB of memory is a fault. A refused file must leave all published files and snapshots as
they were. "other values" counts files whose values, or their meaning, were changed in a way that nothing in the file
shows; it also counts refused rain, because the day is then filled without rain. (A download is compared with the
checksum in CMR.)

    python -m benchmarks.bad_files --files 2000 --data ../shared/data --json benchmarks/results/bad_files.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from netCDF4 import Dataset

from benchmarks.memory import peak_memory_of_process
from runtime.archive.record import DayRecord
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.config import load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World
from runtime.errors import SeamlessError
from runtime.pipeline.run import fill_archive

BOX = (-10.0, 35.0, 10.0, 50.0)
LAST = dt.date(2015, 4, 1)
"""The day whose files are damaged."""
DAYS = 4
"""Days in the archive."""
MAX_MEMORY = 2 << 30
"""Bytes."""
TIME_LIMIT_S = 60
Rng = np.random.Generator


def _flip(rng: Rng, raw: bytearray) -> None:
    for _ in range(int(rng.integers(1, 20))):
        raw[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))


def _flip_head(rng: Rng, raw: bytearray) -> None:
    for _ in range(int(rng.integers(1, 12))):
        raw[int(rng.integers(8, min(len(raw), 9000)))] = int(rng.integers(256))


def _cut(rng: Rng, raw: bytearray) -> None:
    del raw[int(rng.integers(len(raw))) :]


def _blank(rng: Rng, raw: bytearray) -> None:
    begin = int(rng.integers(len(raw)))
    length = int(rng.integers(1, 5000))
    raw[begin : begin + length] = bytes([int(rng.choice([0, 255, 32]))]) * len(raw[begin : begin + length])


def _splice(rng: Rng, raw: bytearray) -> None:
    begin, other = rng.integers(len(raw), size=2)
    piece = raw[int(other) : int(other) + int(rng.integers(1, 4000))]
    raw[int(begin) : int(begin) + len(piece)] = piece


def _other_kind(rng: Rng, raw: bytearray) -> None:
    pages = [b"", b"\0", b"<html>log in</html>", b'{"error": 1}', b"\x89HDF\r\n\x1a\n", b"CDF\x01", rng.bytes(3000)]
    raw[:] = pages[int(rng.integers(len(pages)))] + (raw[8:500] if rng.random() < 0.3 else b"")


BYTES: list[Callable[[Rng, bytearray], None]] = [_flip, _flip_head, _flip_head, _cut, _blank, _splice, _other_kind]


def _change_content(rng: Rng, path: Path) -> None:
    """Change attributes, values or names, so that the file is still valid NetCDF."""
    with Dataset(path, "a") as file:
        file.set_auto_maskandscale(False)
        names = list(file.variables)
        variable = file[names[int(rng.integers(len(names)))]]
        change = int(rng.integers(7))
        unusual = [np.nan, "text", -1, 0, 1e30, 2**31 - 1][int(rng.integers(6))]
        if change == 0:
            variable.setncattr(["scale_factor", "add_offset", "units", "valid_min"][int(rng.integers(4))], unusual)
        elif change == 1 and variable.ncattrs():
            variable.delncattr(next(a for a in variable.ncattrs() if a != "_FillValue"))
        elif change == 2:
            file.renameVariable(variable.name, "x" + variable.name)
        elif change == 3:
            dimension = next(iter(file.dimensions))
            file.renameDimension(dimension, "x" + dimension)
        elif change == 4 and variable.dtype.kind == "f":
            variable[...] = rng.choice([np.nan, np.inf, -np.inf, 1e30, 0.0])
        elif change == 5:
            variable[...] = np.asarray(variable[...])[..., ::-1]
        else:
            variable[...] = rng.integers(-100, 32000, variable.shape).astype(variable.dtype)


@dataclass
class Worker:
    """A process that runs the job when it is asked to."""

    folder: Path
    process: subprocess.Popen[str] | None = None
    answers: queue.Queue[str] = field(default_factory=queue.Queue)
    reader: threading.Thread | None = None

    def ask(self) -> dict[str, Any]:
        """Run the job once; return its answer, or how the process ended."""
        if self.process is None or self.process.poll() is not None:
            self.end()
            command = [sys.executable, "-m", "benchmarks.bad_files", "--worker", str(self.folder)]
            root = Path(__file__).parents[1]
            self.process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.answers = queue.Queue()
            self.reader = threading.Thread(target=self._read_answers, args=(self.process, self.answers), daemon=True)
            self.reader.start()
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        try:
            answer = self.answers.get(timeout=TIME_LIMIT_S)
        except queue.Empty:
            self.process.kill()
            return {"fault": f"hung for {TIME_LIMIT_S} s"}
        if not answer:
            return {"fault": f"crashed with {self.process.wait()}"}
        return dict(json.loads(answer))

    @staticmethod
    def _read_answers(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("{"):
                answers.put(line)
        answers.put("")

    def end(self) -> None:
        """End the process, if there is one."""
        if self.process and self.process.stdin and self.process.stdout:
            self.process.stdin.close()
            self.process.wait(30)
            if self.reader:
                self.reader.join()
            self.process.stdout.close()


def work(folder: Path) -> None:
    """Run the job for each line on stdin, and print the answer as JSON; this is what a `Worker` process does."""
    settings = load_config(folder / "seamless-sm.toml", environment={})
    for _ in sys.stdin:
        answer: dict[str, Any] = {}
        try:
            outcome = fill_archive(settings, DateRange(LAST, LAST), dt.date(2015, 6, 1), RunEvents())
            answer = {"code": outcome.exit_code, "message": outcome.message}
        except SeamlessError as error:
            answer = {"code": error.exit_code, "message": str(error)}
        except BaseException:
            answer = {"fault": traceback.format_exc()}
        memory = peak_memory_of_process()
        if memory > MAX_MEMORY:
            answer["fault"] = f"{memory / 2**30:.1f} GiB of memory"
        print(json.dumps(answer | {"memory": memory}), flush=True)


def _digest(archive: Path) -> str:
    """Return the sha256 of all published files and snapshots."""
    files = sorted(p for pattern in ("[0-9]*/*.nc", ".state/*/*") for p in archive.glob(pattern))
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()


def _input_digests(archive: Path) -> list[str | None]:
    """Return the digests of the fields that the newest published day was made from."""
    record = DayRecord.from_file(archive / f"{LAST:%Y}" / f"seamless_sm_{LAST:%Y%m%d}.nc")
    return [item and item.field_digest for item in record.inputs.values()]


@dataclass
class Trial:
    """An archive whose newest day is filled again and again, with damaged files."""

    folder: Path
    sources: list[tuple[Path, bytes]]
    """The files of the newest day: where each of them lies, and its sound content."""

    @classmethod
    def prepare(cls, folder: Path, data: Path | None) -> Trial:
        """Make the input files and fill the archive; `data` is a folder with genuine granules."""
        grid = Grid.globe().box(*BOX)
        incoming, first = folder / "incoming", LAST - dt.timedelta(DAYS - 1)
        for day in World(grid, 7).days(first, DAYS):
            soil = write_lprm(incoming / "lprm", day, grid)
            rain = write_imerg(incoming / "imerg", day.date, day.rain, grid)
        sources = [(soil, soil.read_bytes()), (rain, rain.read_bytes())]
        if data:  # a genuine granule takes the place of the synthetic file of that day
            sources += [(soil, next((data / "lprm").glob("*.nc4")).read_bytes())]
            sources += [(soil, next((data / "lprm_april2015_x").glob("*_20150401*")).read_bytes())]
            sources += [(rain, path.read_bytes()) for path in sorted((data / "imerg").glob("*.nc4"))[:1]]
        (folder / "seamless-sm.toml").write_text(
            f"[archive]\nstart = {first}\n[grid]\nbox = {list(BOX)}\n"
            '[model]\nbundle = "sgdsm2-amsr2-x"\n[[feeds.soil_moisture]]\nband = "x"\n'
            '[feeds.precipitation]\nkind = "folder"\n[policy]\ninbox_gib = 0\n'
        )
        settings = load_config(folder / "seamless-sm.toml", environment={})
        fill_archive(settings, DateRange(first, LAST), dt.date(2015, 6, 1), RunEvents())
        shutil.copytree(folder / "archive", folder / "pristine")
        return cls(folder, sources)

    @property
    def archive(self) -> Path:
        """The archive under test."""
        return self.folder / "archive"

    def restore(self) -> None:
        """Make the archive as it was."""
        shutil.rmtree(self.archive)
        shutil.copytree(self.folder / "pristine", self.archive)

    def restore_inputs(self) -> None:
        """Make the synthetic files as they were."""
        for path, content in self.sources[:2]:
            path.unlink(missing_ok=True)
            path.write_bytes(content)

    def sound_inputs(self, worker: Worker) -> list[list[str | None]]:
        """Fill with each sound file; return the digests of the fields that are read then."""
        found = []
        for target, content in self.sources:
            target.write_bytes(content)
            worker.ask()
            found.append(_input_digests(self.archive))
            self.restore_inputs()
        self.restore()
        return found

    def damage(self, rng: Rng, number: int) -> Path:
        """Write a damaged copy of one of the files in its place, and return its path."""
        target, content = self.sources[number % len(self.sources)]
        damaged = bytearray(content)
        target.unlink()  # the NetCDF library may keep a file open after an error
        if rng.random() < 0.25:
            target.write_bytes(content)
            _change_content(rng, target)
        else:
            BYTES[int(rng.integers(len(BYTES)))](rng, damaged)
            target.write_bytes(damaged)
        return target


def trials(folder: Path, count: int, data: Path | None, seed: int = 1) -> dict[str, Any]:
    """Fill with damaged files.

    Parameters
    ----------
    folder : Path
        Where to work.
    count : int
        Number of damaged files.
    data : Path, optional
        Folder with genuine granules, which are damaged too.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    dict of str to Any
        How many files were refused and read, all faults, and the peak memory.
    """
    rng = np.random.default_rng(seed)
    trial, worker = Trial.prepare(folder, data), Worker(folder)
    before, counts, faults, peak = _digest(trial.archive), Counter[str](), [], 0
    sound = trial.sound_inputs(worker)
    for number in range(count):
        target = trial.damage(rng, number)
        answer = worker.ask()
        peak = max(peak, answer.get("memory", 0))
        same = _digest(trial.archive) == before
        refused = answer.get("code") not in (0, None)
        if "fault" in answer or (refused and not same) or answer.get("code") not in (0, 4, 5):
            faults.append(f"file {number} ({target.name}): {answer.get('fault') or answer}"[:2000])
            shutil.copy(target, folder.parent / f"fault-{number}-{target.name}")
        read = "read as it was" if _input_digests(trial.archive) == sound[number % len(sound)] else "other values"
        counts["refused" if refused else read] += 1
        trial.restore_inputs()
        if not same or number % 200 == 199:
            trial.restore()
    worker.end()
    return {"files": count, **counts, "faults": faults, "most_memory_mib": round(peak / 2**20)}


def main() -> None:
    """Damage, run, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, help="folder with genuine granules")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return
    with tempfile.TemporaryDirectory() as temporary:
        results = trials(Path(temporary) / "site", arguments.files, arguments.data, arguments.seed)
    print(json.dumps(results, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if results["faults"] else 0)


if __name__ == "__main__":
    main()
