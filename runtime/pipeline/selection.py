"""Which days a command deals with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.common.clock import DAY, DateRange, days_between
from runtime.errors import UsageError
from runtime.pipeline.context import RunContext


@dataclass(frozen=True)
class DaySelection:
    """The days that a command deals with."""

    dates: Sequence[dt.date]
    """In order."""
    redo_from: dt.date | None
    """Published days before this one stand as they are, stale or not."""


def select_days(run: RunContext, wanted: DateRange | None, max_refill_days: int | None = None) -> DaySelection:
    """Return the days of a range; without one, everything from the archive's start to today.

    Parameters
    ----------
    run : RunContext
        The run.
    wanted : DateRange or None
        The days asked for; None for all that are due.
    max_refill_days : int, optional
        Without a range: published days further back than this from the newest one stand as they are, if they have the
        archive's grid and layout.

    Raises
    ------
    UsageError
        The range begins before the archive or reaches into the future.
    """
    start, today = run.start, run.today
    first, last = (wanted.first, wanted.last) if wanted else (start, today)
    if last > today:
        raise UsageError(f"{last} is in the future (today is {today}, UTC); give a past day or `--date today`")
    if first < start:
        raise UsageError(f"{first} is before the archive's first day, {start}; give a later day")
    published = run.catalog.first_and_newest()
    if wanted or not published or max_refill_days is None:
        return DaySelection(days_between(first, last), wanted.first if wanted else None)
    redo_from = max(start, published[1] - max_refill_days * DAY)
    before = {*run.catalog.missing(start, redo_from - DAY), *run.other_format}
    return DaySelection(sorted(before - {*days_between(redo_from, today)}) + days_between(redo_from, today), redo_from)


def select_published(run: RunContext) -> DaySelection:
    """Return all published days, none of which stands if it is stale."""
    days = list(run.catalog.days())
    return DaySelection(days, days[0] if days else None)


def select_readers_of_rain(run: RunContext, rain: DateRange) -> DaySelection:
    """Return the published days that read the rain of a range: its windows, or all that follow in a chain."""
    window = run.bundle.manifest.window
    published = run.catalog.first_and_newest()
    newest = published[1] if published else run.today
    begin = max(run.start, rain.first - window[-1] * DAY)
    is_chain = run.bundle.manifest.carries_state
    end = newest if is_chain else min(newest, rain.last - window[0] * DAY)
    return DaySelection(days_between(begin, end), begin)
