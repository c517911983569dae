"""Does a change of the code leave every published byte as it was, and cost no more?

    python -m benchmarks.same_bytes --before COMMIT --data FOLDER --work FOLDER [--rounds 3]

COMMIT is checked out beside this code and run in the same environment, through the command line. Cases: twenty real
days with each shipped bundle, five of them in the ``sgd-sm`` layout, and sixteen made-up days of a region with rain
that end yesterday, so that some are provisional. For each case:

- the archive that COMMIT wrote is current for this code: nothing is filled, no byte changes, `runtime check` is clean;
- a fresh run of this code gives the same files, snapshots, STAC documents, cube and catalog (but for the times in it).

Then the twenty days of the default bundle are filled again by both in turn, and the ratio of the seconds is printed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUNDLES = ("seamless-amsr2-x", "sgdsm1-amsr2-x", "sgdsm2-amsr2-x")
BOX = [-10.0, 35.0, 10.0, 50.0]
REAL = ("--from", "2015-04-01", "--to", "2015-04-20")

_TIMES = {
    "day": {"mtime_ns"},
    "revision": {"id", "made_at", "seconds", "phases"},
    "arrival": {"arrived_at"},
    "problem": {"since"},
    "decision": {"made_at"},
}
"""Columns of the catalog that say when, and how fast."""


def runtime(code: Path, *arguments: str | Path, check: bool = True) -> str:
    """Run a command of the runtime of a checkout; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "runtime", *map(str, arguments)],
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
    )
    if check and done.returncode:
        raise SystemExit(f"{code}: runtime {' '.join(map(str, arguments))} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def cases(work: Path, data: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the configuration, without its archive, and the days of each case; made-up feeds are written first."""
    april = f'[[feeds.soil_moisture]]\npath = "{data / "lprm_april2015_x"}"\nband = "x"\n'
    found = {name: (f'[model]\nbundle = "{name}"\n{april}', REAL) for name in BUNDLES}
    found["sgd-sm"] = (april, ("--from", "2015-04-08", "--to", "2015-04-12", "--set", "archive.layout=sgd-sm"))
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(1)
    start = yesterday - dt.timedelta(15)
    made_up = (
        f'[archive]\nstart = {start}\n[grid]\nbox = {BOX}\n[[feeds.soil_moisture]]\npath = "{work}/feeds/lprm"\n'
        "to = 2199-12-31\n"
        f'[feeds.precipitation]\nkind = "folder"\npath = "{work}/feeds/imerg"\n'
    )
    if not (work / "feeds").exists():
        _write_feeds(work / "feeds", start)
    for name in BUNDLES:
        found[f"region-{name}"] = (f'{made_up}[model]\nbundle = "{name}"\nengine = "cpu"\n', ("--date", "today"))
    return found


def _write_feeds(folder: Path, start: dt.date) -> None:
    from runtime.common.grid import Grid
    from runtime.demo.files import write_imerg, write_lprm
    from runtime.demo.world import World

    grid = Grid.globe().box(*BOX)
    for day in World(grid, seed=7).days(start, 16):
        write_lprm(folder / "lprm", day, grid)
        write_imerg(folder / "imerg", day.date, day.rain, grid)


def fill(code: Path, folder: Path, case: tuple[str, tuple[str, ...]]) -> float:
    """Fill a case into an archive of its own; return the seconds."""
    config, days = case
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "c.toml").write_text(config)
    began = time.monotonic()
    runtime(code, "fill", *days, "--config", folder / "c.toml")
    return time.monotonic() - began


def contents(archive: Path) -> dict[str, bytes | list[Any]]:
    """Return everything an archive holds, by name; of its catalog the rows, without times."""
    found: dict[str, bytes | list[Any]] = {}
    for path in sorted(p for p in archive.rglob("*") if p.is_file() and p.parent.name != ".catalog"):
        found[str(path.relative_to(archive))] = path.read_bytes()
    db = sqlite3.connect(archive / ".catalog" / "catalog.sqlite")
    for table, times in _TIMES.items():
        cursor = db.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        rows = [{n: v for n, v in zip(names, row, strict=True) if n not in times} for row in cursor]
        found[f"catalog: {table}"] = sorted(json.dumps(row, sort_keys=True) for row in rows)
    db.close()
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the names whose contents are not the same."""
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def compare(name: str, case: tuple[str, tuple[str, ...]], before: Path, work: Path) -> bool:
    """Fill a case with both codes and print what differs; return whether nothing does."""
    old, copy, fresh = (work / kind / name for kind in ("before", "copy", "fresh"))
    if not (old / "archive").exists():
        fill(before, old, case)
    for folder in (copy, fresh):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(old, copy)
    wanted = contents(old / "archive")
    days = [part for part in case[1] if part not in ("--date", "today")]
    said = runtime(ROOT, "fill", *(days or ["--date", "today"]), "--config", copy / "c.toml")
    layout = [part for part in case[1] if part.startswith("archive.layout")]
    faults = runtime(ROOT, "check", "--config", copy / "c.toml", *(("--set", *layout) if layout else ()))
    fill(ROOT, fresh, case)
    found = {
        "is current": [] if said.strip().endswith("already current") else [said],
        "is whole": [] if faults.strip() == "the archive is whole" else [faults],
        "is untouched": differences(wanted, contents(copy / "archive")),
        "is made the same": differences(wanted, contents(fresh / "archive")),
    }
    print(f"{name}: {len(wanted)} files and tables; " + ", ".join(f"{k}: {v or 'yes'}" for k, v in found.items()))
    return not any(found.values())


def main() -> None:
    """Compare, time, and end with 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="commit to compare with")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds lprm_april2015_x")
    parser.add_argument("--work", type=Path, required=True, help="folder to work in; what COMMIT wrote is kept there")
    parser.add_argument("--rounds", type=int, default=3, help="timed fills of each; 0 times none")
    parser.add_argument("--case", action="append", help="only these cases")
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    before = work / "code"
    if not before.exists():
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "worktree", "add", "--detach", before, arguments.before], cwd=ROOT, check=True)
    known = cases(work, arguments.data.resolve())
    chosen = {name: case for name, case in known.items() if not arguments.case or name in arguments.case}
    same = [compare(name, case, before, work) for name, case in chosen.items()]
    seconds: dict[Path, list[float]] = {before: [], ROOT: []}
    for number in range(arguments.rounds):
        for code in (before, ROOT) if number % 2 == 0 else (ROOT, before):
            shutil.rmtree(work / "timed", ignore_errors=True)
            seconds[code].append(fill(code, work / "timed", known[BUNDLES[0]]))
    if arguments.rounds:
        old, new = (statistics.median(seconds[code]) for code in (before, ROOT))
        print(f"twenty real days: {old:.1f} s before, {new:.1f} s after, ratio {new / old:.3f}")
    raise SystemExit(0 if all(same) else 1)


if __name__ == "__main__":
    main()
