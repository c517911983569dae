"""Measure what a machine does, with a GPU or without, in under nine minutes; write one JSON file and one page.

    python -m benchmarks.gpu --out DIR [--device cuda|cpu] [--data FOLDER] [--minutes 8.5] [--only NAME ...] [--list]

It needs no network. Each section runs in a process of its own with its share of the time; one that crashes or takes too
long is named in the page, and the others are run. DIR gets gpu.json and gpu.md. The day is real if --data or
SEAMLESS_SM_DATA names a folder of AMSR2 files with band x; otherwise it is one of the synthetic world. --list shows the
sections, and which packages have to be carried to a machine that has only PyTorch.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import json
import os
import signal
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from benchmarks.gpu.budget import Section, SectionResult, run_sections, write_json
from benchmarks.gpu.page import page
from benchmarks.gpu.sections import SECTIONS

JSON, PAGE = "gpu.json", "gpu.md"
"""Files of the result."""
_MINUTES = 8.5
_IMPORTED_ONCE = [*(f"benchmarks.gpu.{module}" for module in ("network", "training", "year"))]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the result")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--data", type=Path, help="folder of LPRM AMSR2 files with band x")
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="minutes for all sections together")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in SECTIONS], help="sections to run")
    parser.add_argument(
        "--small", action="store_true", help="a region of 40 x 40 cells instead of the globe, to try it"
    )
    parser.add_argument("--list", action="store_true", help="show the sections and the packages, and end")
    arguments = parser.parse_args()
    if not arguments.list and not arguments.out:
        parser.error("give --out DIR")
    if arguments.data is None and (found := os.environ.get("SEAMLESS_SM_DATA")):
        folder = Path(found) / "lprm_april2015_x"
        arguments.data = folder if folder.is_dir() else None
    return arguments


def measure_section(arguments: argparse.Namespace, scratch: Path, section: Section, rows: Path, ends: float) -> None:
    """Run one section in this process, and append its rows to a file as they come."""
    device = "cpu" if section.name == "training-cpu" else arguments.device
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before any library looks for a GPU
    from benchmarks.gpu.context import Context
    from benchmarks.gpu.sections import measure

    results = arguments.out / JSON
    earlier = json.loads(results.read_text())["sections"] if results.exists() else []
    context = Context(
        device=device,
        scratch=scratch,
        ends=ends,
        data=arguments.data,
        small=arguments.small,
        earlier={each["name"]: each["rows"] for each in earlier},
    )
    with rows.open("a") as file:
        for row in measure(section.name, context):
            print(json.dumps(row), file=file, flush=True)


def measure_all(arguments: argparse.Namespace) -> list[SectionResult]:
    """Run the sections, and write the file and the page after each of them."""
    started, out = time.monotonic(), arguments.out
    out.mkdir(parents=True, exist_ok=True)
    chosen = [each for each in SECTIONS if not arguments.only or each.name in arguments.only]
    head = {
        "device": arguments.device,
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "day": "real" if arguments.data else "synthetic world",
        "area": "a region of 40 x 40 cells" if arguments.small else "the globe",
    }

    def done(results: list[SectionResult]) -> None:
        head["seconds"] = f"{time.monotonic() - started:.0f} of at most {60 * arguments.minutes:.0f}"
        write_json(out / JSON, dict(head), results)
        (out / PAGE).write_text(page(dict(head), results))
        last = results[-1]
        print(f"{last.name}: {last.status}, {last.seconds:.0f} s of {last.limit:.0f} s {last.why}", flush=True)

    (out / JSON).unlink(missing_ok=True)  # sections read what those before them measured in this run
    get_context("forkserver").set_forkserver_preload(_IMPORTED_ONCE)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        measure = functools.partial(measure_section, arguments, scratch)
        return run_sections(chosen, measure, 60 * arguments.minutes, scratch, done)


def main() -> None:
    """Run what was asked for."""
    arguments = _arguments()
    if arguments.list:
        from benchmarks.gpu.packages import listing

        print(listing())
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and with it the section that is running
        results = measure_all(arguments)
        print(f"wrote {arguments.out / JSON} and {arguments.out / PAGE}")
        if not any(result.status == "done" for result in results):
            sys.exit("no section was done; the page says why")
