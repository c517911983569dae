"""How far a run is: bars on a terminal, log lines everywhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from runtime.common.events import DayReport, RunEvents
from runtime.common.events import Progress as ProgressCalls

T = TypeVar("T")

_FILES_PER_LINE = 500

logger = logging.getLogger(__name__)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )


def track(items: Sequence[T], title: str) -> Iterable[T]:
    """Yield the items, with a bar on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    with _bars(console) as progress:
        yield from progress.track(items, description=title)


@contextmanager
def share_bar(title: str) -> Iterator[ProgressCalls | None]:
    """Yield what shows how much of a work is done, as a bar; None if there is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console
    ) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def run_events() -> Iterator[RunEvents]:
    """Yield the events of one run: logged, and on a terminal shown as bars over files, days and tiles."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield LoggedEvents()
        return
    with _bars(console) as bars:
        yield BarEvents(bars)


class LoggedEvents(RunEvents):
    """Writes a log line a day, and one for every few hundred files."""

    def __init__(self) -> None:
        self._read = 0
        self._to_fetch, self._bytes = 0, 0

    def file_read(self) -> None:
        """Count a file: the first plan of a long record reads them all."""
        self._read += 1
        if self._read % _FILES_PER_LINE == 0:
            logger.info(f"read {self._read} new files")

    def fetch_started(self, files: int) -> None:
        """Begin to count fetched files."""
        self._to_fetch, self._bytes = files, 0

    def file_fetched(self, name: str, size: int) -> None:
        """Count a fetched file; the last one logs how much was fetched."""
        self._to_fetch -= 1
        self._bytes += size
        if not size:
            logger.warning(f"{name} could not be fetched")
        if self._to_fetch == 0:
            logger.info(f"fetched {self._bytes / 2**20:.1f} MiB")

    def day_published(self, day: DayReport) -> None:
        """Log a published day."""
        land = max(1, day.observed + day.filled + day.not_reached)
        cells = {"observed": day.observed, "filled": day.filled, "not reached": day.not_reached}
        shares = ", ".join(f"{name} {count / land:.1%}" for name, count in cells.items())
        text = f"{day.date} published, {day.tier}: land {shares}; {day.seconds:.1f} s ({day.reason})"
        fields = {**vars(day), "seconds": round(day.seconds, 3)}
        logger.info(text, extra={"fields": fields})


class BarEvents(LoggedEvents):
    """Also shows bars over files, days and tiles; for a terminal."""

    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def file_read(self) -> None:
        """Count a file that is read for the first time."""
        self._advance("reading new files")

    def fetch_started(self, files: int) -> None:
        """Show a bar over the files to be fetched."""
        super().fetch_started(files)
        self._start("fetching", files)

    def file_fetched(self, name: str, size: int) -> None:
        """Count a fetched file."""
        super().file_fetched(name, size)
        self._advance("fetching")
        if self._to_fetch == 0:
            self._remove("fetching")

    def fill_started(self, days: int) -> None:
        """Show bars over days and tiles."""
        self._remove("reading new files")
        if days:
            self._start("days", days)
            self._start("tiles", None)

    def tiles_done(self, done: int, total: int) -> None:
        """Show how many tiles of the current day are computed."""
        self._bars.update(self._tasks["tiles"], completed=done, total=total)

    def day_published(self, day: DayReport) -> None:
        """Log and count a published day."""
        super().day_published(day)
        self._advance("days")

    def _start(self, title: str, total: int | None) -> None:
        self._remove(title)
        self._tasks[title] = self._bars.add_task(title, total=total)

    def _advance(self, title: str) -> None:
        if title not in self._tasks:
            self._start(title, None)
        self._bars.advance(self._tasks[title])

    def _remove(self, title: str) -> None:
        if title in self._tasks:
            self._bars.remove_task(self._tasks.pop(title))
