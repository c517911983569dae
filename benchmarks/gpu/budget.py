"""Run sections one after the other in processes of their own, so that all end in time whatever one of them does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from benchmarks.gpu.rows import Row, merged

Status = Literal["done", "failed", "stopped", "skipped"]
_SOFT = 0.9
"""Share of its limit that a section is told that it has; at its limit it is killed."""


@dataclass(frozen=True)
class Section:
    """A part of the measurement."""

    name: str
    title: str
    weight: float
    """Its share of the time; what a section leaves is divided among those after it."""
    least: float = 10.0
    """Seconds below which it is not started."""


@dataclass
class SectionResult:
    """What a section measured, and how it ended."""

    name: str
    title: str
    status: Status = "skipped"
    why: str = ""
    """Why it is not done."""
    seconds: float = 0.0
    limit: float = 0.0
    rows: list[Row] = field(default_factory=list)


Measure = Callable[[Section, Path, float], None]
"""Measure a section, append its rows to a file, one JSON object a line, and end before a time of `time.monotonic`."""


def run_sections(
    sections: Sequence[Section],
    measure: Measure,
    seconds: float,
    scratch: Path,
    done: Callable[[list[SectionResult]], None],
) -> list[SectionResult]:
    """Run sections in order, each with its share of the time that is left.

    Parameters
    ----------
    sections : sequence of Section
        What to run.
    measure : callable
        Measures a section; it is called in the section's process.
    seconds : float
        Seconds that all of them have together.
    scratch : Path
        Folder for their rows and messages.
    done : callable
        Called with all results after each section.

    Returns
    -------
    list of SectionResult
        One for each section, also for one that was skipped, stopped or failed.
    """
    ends = time.monotonic() + seconds
    results: list[SectionResult] = []
    server = get_context("forkserver").Process(target=int)  # does nothing, once the server has imported its packages
    server.start()
    server.join()
    for number, section in enumerate(sections):
        left, weights = ends - time.monotonic(), sum(each.weight for each in sections[number:])
        result = SectionResult(section.name, section.title, limit=round(left * section.weight / weights, 1))
        if result.limit < section.least:
            result.why = f"only {max(result.limit, 0):.0f} s were left for it, and it needs {section.least:.0f} s"
        else:
            rows = scratch / f"{number}.jsonl"
            _run(result, measure, section, rows, scratch / f"{number}.err")
        results.append(result)
        done(results)
    return results


def _run(result: SectionResult, measure: Measure, section: Section, rows: Path, messages: Path) -> None:
    """Run a section to its end or its limit, and read what it wrote until then."""
    messages.touch()
    started = time.monotonic()
    ends = started + result.limit * _SOFT
    # from a server that has imported the packages once, and that has never used the device
    child = get_context("forkserver").Process(target=_measure, args=(measure, section, rows, ends, messages))
    child.start()
    try:
        child.join(result.limit)
        if child.exitcode is None:
            result.status, result.why = "stopped", f"it was stopped at its limit of {result.limit:.0f} s"
        else:
            result.status = "failed" if child.exitcode else "done"
            result.why = _failure(child.exitcode, messages) if child.exitcode else ""
    finally:
        assert child.pid
        with contextlib.suppress(ProcessLookupError):  # it has ended, and so has all that it started
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        child.join()
    result.seconds = round(time.monotonic() - started, 1)
    written = rows.read_text().splitlines(keepends=True) if rows.exists() else []
    result.rows = merged([json.loads(line) for line in written if line.endswith("\n")])


def _measure(measure: Measure, section: Section, rows: Path, ends: float, messages: Path) -> None:
    """Measure a section in a process of its own, whose messages go to a file."""
    os.setsid()  # the processes that it starts are stopped with it
    with messages.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    measure(section, rows, ends)


def _failure(code: int, messages: Path) -> str:
    """Return how a process ended and the last line that it wrote."""
    how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    lines = [line for line in messages.read_text(errors="replace").splitlines() if line.strip()]
    return f"{how}: {lines[-1].strip()[:300]}" if lines else how


def write_json(path: Path, head: Row, results: Sequence[SectionResult]) -> None:
    """Write the results so far; the file is complete at every moment."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps({**head, "sections": [asdict(each) for each in results]}, indent=1) + "\n")
    part.replace(path)
