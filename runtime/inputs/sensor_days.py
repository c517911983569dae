"""The soil moisture of one sensor, day by day; or of several of which one follows the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runtime.common.clock import DAY
from runtime.config import Policy
from runtime.inputs.day_input import Absent, DayInput, Ready, Refused, Unknown
from runtime.inputs.gates import COVERAGE_DAYS, coverage_fault
from runtime.inputs.listing import FeedListing


@dataclass
class SensorDays:
    """What some feeds have for each day: the file of the first one that covers the day and has one."""

    listings: Sequence[FeedListing]
    policy: Policy
    find: Callable[[FeedListing, dt.date], DayInput]
    """Returns what one feed has for a day."""
    is_uniform: Callable[[Ready], bool]
    """Returns whether a field is empty or the same everywhere."""
    _raw: dict[dt.date, DayInput] = field(default_factory=dict)
    _judged: dict[dt.date, DayInput] = field(default_factory=dict)

    @property
    def sensor(self) -> str:
        """Name of the sensor; see `SoilMoistureFeed.sensor`."""
        return self.listings[0].sensor

    def covers(self, date: dt.date) -> bool:
        """Whether a feed is used for a day."""
        return any(listing.wanted.covers(date) for listing in self.listings)

    def raw(self, date: dt.date) -> DayInput:
        """Return the day's soil moisture before its gates."""
        if date not in self._raw:
            self._raw[date] = self._find(date)
        return self._raw[date]

    def judged(self, date: dt.date, *, accepted: bool = False) -> DayInput:
        """Return the day's soil moisture; an implausible one is `Refused` unless an operator accepted the day."""
        if accepted:
            return self.raw(date)
        if date not in self._judged:
            self._judged[date] = self._judge(date)
        return self._judged[date]

    def reset(self) -> None:
        """Judge every day anew when it is next asked for."""
        self._raw.clear()
        self._judged.clear()

    def _find(self, date: dt.date) -> DayInput:
        found: DayInput = Absent()
        for listing in self.listings:
            if not listing.wanted.covers(date):
                continue
            candidate = self.find(listing, date)
            if candidate.listed:
                return candidate
            if not isinstance(found, Unknown):
                found = candidate
        return found

    def _judge(self, date: dt.date) -> DayInput:
        found = self.raw(date)
        fault = self._fault(date, found) if isinstance(found, Ready) else None
        if fault is None or not isinstance(found, Ready):
            return found
        cure = f"`runtime fill --accept {date} --because ...`, or --reject"
        return Refused(found.file, f"{found.file.granule.location}: {fault}; {cure}", found.sha256)

    def _fault(self, date: dt.date, found: Ready) -> str | None:
        """Return why a sound file is implausible compared with the days before; None if it is not."""
        if self.raw(date - DAY).identity == found.identity and not self.is_uniform(found):
            return f"holds the field of {date - DAY}"
        if found.coverage is None:
            return None
        before = [self.raw(date - number * DAY) for number in range(1, COVERAGE_DAYS + 1)]
        shares = [day.coverage for day in before if isinstance(day, Ready) and day.coverage is not None]
        return coverage_fault(found.coverage, shares, self.policy)
