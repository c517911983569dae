"""Days as the command lines take them."""

from __future__ import annotations

import datetime as dt

from runtime.common.clock import days_between


def parse_month_and_day(text: str) -> tuple[int, int]:
    """Return the month and the day of a day of the calendar that every year has.

    Parameters
    ----------
    text : str
        ``MM-DD``.

    Returns
    -------
    (int, int)
        The month and the day of the month.

    Raises
    ------
    ValueError
        The text is no such day.
    """
    try:
        date = dt.date.fromisoformat(f"2001-{text}")
    except ValueError:
        raise ValueError(f"{text!r} is no day that every year has; give MM-DD, like 07-25") from None
    return date.month, date.day


def parse_days(text: str) -> list[dt.date]:
    """Return the days that a text names.

    Parameters
    ----------
    text : str
        ``FIRST:LAST``, both included, one day, or nothing; days as YYYY-MM-DD.

    Returns
    -------
    list of date
        The days in order; empty for an empty text.

    Raises
    ------
    ValueError
        The text is no range of days.
    """
    if not text:
        return []
    try:
        first, _, last = text.partition(":")
        return days_between(dt.date.fromisoformat(first), dt.date.fromisoformat(last or first))
    except ValueError:
        raise ValueError(f"{text!r} is no range of days; give FIRST:LAST, like 2015-04-13:2015-04-16") from None
