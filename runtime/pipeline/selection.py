"""Which days a command deals with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.common.clock import DAY, DateRange, days_between
from runtime.errors import UsageError
from runtime.inputs.inbox import CONTEXT
from runtime.pipeline.context import RunContext
from runtime.pipeline.newest import newest_listed


@dataclass(frozen=True)
class DaySelection:
    """The days that a command deals with."""

    dates: Sequence[dt.date]
    """In order."""
    redo_from: dt.date | None
    """Published days before this one stand as they are, stale or not."""
    ended: str | None = None
    """That the feeds have ended earlier than is normal, and what to do; None if they have not, or a range was given."""


def select_days(run: RunContext, wanted: DateRange | None, max_refill_days: int | None = None) -> DaySelection:
    """Return the days of a range; without one, everything from the archive's start to today, or to where feeds end.

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
    first, last = (wanted.first, wanted.last) if wanted else (start, run.last_due)
    if last > today:
        raise UsageError(f"{last} is in the future (today is {today}, UTC); give a past day or `--date today`")
    if first < start:
        raise UsageError(f"{first} is before the archive's first day, {start}; give a later day")
    if wanted:
        return DaySelection(days_between(first, last), first)
    published = run.catalog.first_and_newest()
    if not published or max_refill_days is None:
        last, ended = _end_of_feeds(run, first, last)
        return DaySelection(days_between(first, last), None, ended)
    redo_from = max(start, min(published[1], last) - max_refill_days * DAY)
    last, ended = _end_of_feeds(run, redo_from, last)
    recent = days_between(redo_from, last)
    before = {*run.catalog.missing(start, redo_from - DAY), *run.other_format} - {*recent}
    return DaySelection(sorted(before) + recent, redo_from, ended)


def _end_of_feeds(run: RunContext, first: dt.date, last: dt.date) -> tuple[dt.date, str | None]:
    """Return the last day to deal with, and what to say if the feeds' newest file is older than is normal."""
    limit, oldest = run.config.policy.max_lag_days, first - CONTEXT
    newest = newest_listed(run, oldest, last)
    if (last - (newest or first - DAY)).days <= limit:
        return last, None
    published = run.catalog.first_and_newest()
    days = [day for day in (newest, published and published[1]) if day and day <= last]
    end = f"the newest file is of {newest}" if newest else f"there is no file since {oldest}"
    now = "it is" if last == run.today else "the feeds end on"
    ended = (
        f"{end}, and {now} {last} (policy.max_lag_days is {limit}): later days are not planned. Check the feeds and "
        "this machine's date, or set the feed's `to` if no more files will come"
    )
    return max(days, default=first - DAY), ended


def select_published(run: RunContext) -> DaySelection:
    """Return all published days, none of which stands if it is stale."""
    days = list(run.catalog.days())
    return DaySelection(days, days[0] if days else None)


def select_readers_of_rain(run: RunContext, rain: DateRange) -> DaySelection:
    """Return the published days that read the rain of a range: its windows, or all that follow in a chain."""
    window = run.models.window
    published = run.catalog.first_and_newest()
    newest = published[1] if published else run.today
    begin = max(run.start, rain.first - window[-1] * DAY)
    is_chain = run.models.carry_state
    end = newest if is_chain else min(newest, rain.last - window[0] * DAY)
    return DaySelection(days_between(begin, end), begin)
