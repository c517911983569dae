"""Telling a person how far a run is: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from runtime.fill.statistics import DayStatistics
from runtime.inputs.feeds.base import Granule
from runtime.pipeline.day import Archivist
from runtime.pipeline.plan import PlannedDay
from runtime.pipeline.run import RunEvents

T = TypeVar("T")


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )


def track(items: Sequence[T], what: str) -> Iterable[T]:
    """Yield the items, with a bar on a terminal."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield from items
        return
    with _bars(console) as progress:
        yield from progress.track(items, description=what)


@dataclass
class Reporter(RunEvents):
    """Shows a fill: one line a day, and bars over days and tiles where there is a terminal."""

    quiet: bool
    bars: Progress | None
    days: TaskID | None = None
    tiles: TaskID | None = None
    _read: int = 0
    _reading: TaskID | None = None
    _fetching: TaskID | None = None
    _left: int = 0
    _bytes: int = 0

    def say(self, line: str) -> None:
        """Print a line; warnings go to stderr even when quiet."""
        stream = sys.stderr if self.quiet or line.startswith("warning") else sys.stdout
        if self.bars:
            self.bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=stream, flush=True)

    def on_read(self) -> None:
        """Count a file that is read for the first time: the first plan of a long record reads them all."""
        self._read += 1
        if self.bars:
            if self._reading is None:
                self._reading = self.bars.add_task("reading new files", total=None)
            self.bars.update(self._reading, completed=self._read)
        elif self._read % 500 == 0:
            print(f"read {self._read} new files", file=sys.stderr, flush=True)

    def on_fetch(self, files: int) -> None:
        """Begin: so many files are to be fetched."""
        self._left, self._bytes = files, 0
        if self.bars:
            self._fetching = self.bars.add_task("fetching", total=files)

    def on_fetched(self, granule: Granule, size: int) -> None:
        """Count a file that has come; a terminal shows a bar, elsewhere the last one says how much came."""
        self._left -= 1
        self._bytes += size
        if self.bars and self._fetching is not None:
            self.bars.advance(self._fetching)
            if self._left == 0:
                self.bars.remove_task(self._fetching)
        if not size:
            self.say(f"warning: {granule.name} could not be fetched")
        if self._left == 0 and not self.quiet:
            self.say(f"fetched {self._bytes / 2**20:.1f} MiB")

    def on_plan(self, archivist: Archivist, todo: list[PlannedDay]) -> None:
        """Begin: so many days are to be filled."""
        if self.bars and self._reading is not None:
            self.bars.remove_task(self._reading)
        if self.bars and todo:
            self.days = self.bars.add_task("days", total=len(todo))
            self.tiles = self.bars.add_task("tiles")
            archivist.tile_progress = self._on_tiles

    def _on_tiles(self, done: int, total: int) -> None:
        if self.bars and self.tiles is not None:
            self.bars.update(self.tiles, completed=done, total=total)

    def on_day(self, day: PlannedDay, figures: DayStatistics, seconds: float) -> None:
        """Report a published day."""
        land = max(1, figures.land)
        if not self.quiet:
            shares = ", ".join(
                f"{what} {cells / land:.1%}"
                for what, cells in (
                    ("observed", figures.observed),
                    ("filled", figures.filled),
                    ("not reached", figures.not_reached),
                )
            )
            seams = "" if figures.seam is None else f", seams {figures.seam:.2f}"
            what = f"{day.date} published, {day.record.tier}"
            self.say(f"{what}: land {shares}{seams}; {seconds:.1f} s ({day.reason})")
        if self.bars and self.days is not None:
            self.bars.advance(self.days)


@contextmanager
def reporter(*, quiet: bool) -> Iterator[Reporter]:
    """Yield a reporter for one run."""
    console = Console(stderr=quiet)
    if not console.is_terminal:
        yield Reporter(quiet, None)
        return
    with _bars(console) as bars:
        yield Reporter(quiet, bars)
