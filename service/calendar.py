"""The calendar: the state of each day, as one letter, and the reason for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum

from runtime.archive.record import DayRecord
from runtime.archive.rows import DayRow, Problem
from runtime.common.clock import day_runs, days_between
from runtime.common.vocabulary import Tier


class CalendarState(StrEnum):
    """State of a day in the calendar; the value is its letter in the JSON answer."""

    CONSOLIDATED = "c"
    PROVISIONAL = "p"
    NO_OBSERVATION = "n"
    REFUSED = "r"
    KEPT = "k"
    MISSING = "m"

    @property
    def meaning(self) -> str:
        """The state in words, as the page shows it."""
        return _MEANINGS[self]

    @property
    def has_map(self) -> bool:
        """Whether a day in this state is published."""
        return self not in (CalendarState.REFUSED, CalendarState.MISSING)


_MEANINGS = {
    CalendarState.CONSOLIDATED: "consolidated",
    CalendarState.PROVISIONAL: "provisional",
    CalendarState.NO_OBSERVATION: "no observation, filled from other days",
    CalendarState.REFUSED: "refused",
    CalendarState.KEPT: "refused, earlier version kept",
    CalendarState.MISSING: "missing",
}


def calendar_states(
    rows: Mapping[dt.date, DayRow], problems: Mapping[dt.date, Problem], today: dt.date, max_lag_days: int
) -> dict[dt.date, tuple[CalendarState, str]]:
    """Return the state of each day and its reason, from the first known day to `today`, or to the last known one.

    Parameters
    ----------
    rows : mapping of date to DayRow
        The published days.
    problems : mapping of date to Problem
        The problems of days, published or not.
    today : date
        The last day; a later day that is published or has a problem extends the calendar.
    max_lag_days : int
        If nothing is known of more days than this before `today`, the feeds have ended, and the calendar ends too.

    Returns
    -------
    dict of date to (CalendarState, str)
        In order of date; the reason is empty for a consolidated day that had all its inputs. Empty if no day is
        known.
    """
    known = [*rows, *problems]
    if not known:
        return {}
    last = max(known)
    if 0 < (today - last).days <= max_lag_days:
        last = today
    return {date: state_and_reason(rows.get(date), problems.get(date)) for date in days_between(min(known), last)}


def state_and_reason(row: DayRow | None, problem: Problem | None) -> tuple[CalendarState, str]:
    """Return the state of a day and the reason for it.

    Parameters
    ----------
    row : DayRow or None
        The published day.
    problem : Problem or None
        What is wrong with the day.

    Returns
    -------
    tuple of CalendarState and str
        The reason is empty for a consolidated day that had all its inputs.
    """
    if problem and problem.kind.needs_decision:
        reason = f"since {problem.since[:10]}: {problem.reason}"
        if row:
            return CalendarState.KEPT, f"{reason}; the day as it was before is still published"
        return CalendarState.REFUSED, reason
    if row is None:
        return (
            CalendarState.MISSING,
            f"{problem.kind}: {problem.reason}" if problem else "not filled: nothing was planned for it yet",
        )
    if row.record.tier is Tier.NO_OBSERVATION:  # one text for all days of an outage, so that the page lists it once
        return CalendarState.NO_OBSERVATION, "nothing of the grid was observed on this day"
    reason = _absent_inputs(row.record)
    if row.record.tier is Tier.PROVISIONAL:
        return CalendarState.PROVISIONAL, reason or "its file, its rain or a day of its window may still change"
    return CalendarState.CONSOLIDATED, reason


def _absent_inputs(record: DayRecord) -> str:
    """Return which inputs a day was made without, in words; empty if it had all."""
    parts = []
    for what, roles in (
        ("soil moisture", [role for role in record.inputs if role.is_soil_moisture]),
        ("rain", [role for role in record.inputs if role.is_precipitation]),
    ):
        days = [record.date + dt.timedelta(role.offset) for role in roles if record.inputs[role] is None]
        if days:
            parts.append(what if len(days) == len(roles) else f"{what} of {_day_ranges(days)}")
    return f"made without {' and '.join(parts)}" if parts else ""


def _day_ranges(days: list[dt.date]) -> str:
    """Return days in words, consecutive ones joined: ``2015-03-31, 2015-04-02 to 2015-04-05``."""
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in day_runs(days))
