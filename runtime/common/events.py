"""What a run reports while it works: to a terminal, a log, a test, or to nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.common.vocabulary import Tier

Progress = Callable[[int, int], None]
"""Called with how many parts of a work are done, and how many there are."""

Track = Callable[[Sequence[Any], str], Iterable[Any]]
"""Yields the items of a work, and shows how far it is under the given title."""


def untracked(items: Sequence[Any], _title: str) -> Iterable[Any]:
    """Yield the items and show nothing; see `Track`."""
    return items


@dataclass(frozen=True)
class DayReport:
    """A day that was published, in numbers."""

    date: dt.date
    tier: Tier
    reason: str
    """Why it was filled."""
    observed: int
    """Land cells with an observation."""
    filled: int
    not_reached: int
    seam: float | None
    """Mean step across tile edges over that inside tiles; 1: edges do not show."""
    seconds: float
    """What reading, computing, checking and writing took."""


class RunEvents:
    """Receives what a run reports; this base class ignores everything."""

    def file_read(self) -> None:
        """Take note that an input file was read for the first time."""

    def fetch_started(self, files: int) -> None:
        """Take note that so many files are about to be fetched."""

    def file_fetched(self, name: str, size: int) -> None:
        """Take note that a file has arrived (`size` in bytes), or could not be fetched (0)."""

    def fill_started(self, days: int) -> None:
        """Take note that so many days are about to be filled."""

    def tiles_done(self, done: int, total: int) -> None:
        """Take note how many tiles of the current day are computed."""

    def day_published(self, day: DayReport) -> None:
        """Take note that a day was published."""
