"""Days and the current time, UTC."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY = dt.timedelta(days=1)

FIRST_DAY, LAST_DAY = dt.date(1978, 1, 1), dt.date(2199, 12, 31)
"""The days that may be asked for; no satellite measured soil moisture before them."""

YEAR_DAYS = 366
"""Days of the calendar: those of a leap year."""
WINDOW_DAYS = 31
"""Days of the calendar, around a day, that its climatology is made from."""
MIN_DAYS = 5
"""Days with a value that a climatology needs."""


@dataclass(frozen=True)
class DateRange:
    """The days from `first` to `last`, both included."""

    first: dt.date
    last: dt.date

    def __contains__(self, date: dt.date) -> bool:
        return self.first <= date <= self.last

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    @property
    def days(self) -> list[dt.date]:
        """Every day of the range."""
        return days_between(self.first, self.last)


def now() -> dt.datetime:
    """Return the current time, UTC."""
    return dt.datetime.now(dt.UTC)


def now_text() -> str:
    """Return the current time, UTC, as ISO 8601 text with seconds."""
    return now().isoformat(timespec="seconds")


def today() -> dt.date:
    """Return the current day, UTC."""
    return now().date()


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return the days from `first` to `last`, both included; none if `last` is before `first`."""
    return [first + number * DAY for number in range((last - first).days + 1)]


def day_runs(days: Iterable[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Return the first and the last day of each run of days without a gap; the days may be in any order."""
    runs: list[tuple[dt.date, dt.date]] = []
    for day in sorted(days):
        if runs and day - runs[-1][1] == DAY:
            runs[-1] = runs[-1][0], day
        else:
            runs.append((day, day))
    return runs


def calendar_days(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the place of each time in a leap year's calendar, 0 to 365, so that a date has the same in every year."""
    months = times.astype("datetime64[M]")
    day = (times.astype("datetime64[D]") - months).astype(int)
    in_leap_year = np.datetime64("2000-01", "M") + months.astype(int) % 12
    return np.asarray((in_leap_year.astype("datetime64[D]") - np.datetime64("2000-01-01")).astype(int) + day)
