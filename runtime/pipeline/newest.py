"""The newest inputs that the feeds have: an archive reaches no further, whatever the clock says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from runtime.common.clock import days_between
from runtime.inputs.day_input import DayInput, Merged, Pending, Ready, Rejected
from runtime.pipeline.context import RunContext


@dataclass
class NewestInputs:
    """The newest inputs between a day and the current one, found when they are first asked for."""

    run: RunContext
    first: dt.date
    """The first day that is looked at."""

    @cached_property
    def soil_moisture(self) -> dt.date | None:
        """The newest day whose soil moisture can be used, or was rejected by an operator; None if there is none."""
        return self._newest(self.run.inbox.soil_moisture)

    @cached_property
    def any(self) -> dt.date | None:
        """The newest day that has soil moisture or, if the network reads rain, rain; None if there is none."""
        rain = self._newest(self.run.inbox.precipitation) if self.run.models.take_rain else None
        return max((day for day in (self.soil_moisture, rain) if day), default=None)

    def is_missing_for_good(self, date: dt.date) -> bool:
        """Whether the soil moisture of a day without any will not arrive: it is old, and newer files did arrive."""
        if (self.run.today - date).days <= self.run.config.policy.max_lag_days:
            return False
        return not self._is_covered(date) or (self.soil_moisture is not None and date < self.soil_moisture)

    def _is_covered(self, date: dt.date) -> bool:
        return any(listing.wanted.covers(date) for listing in self.run.inbox.soil_moisture_feeds)

    def _newest(self, find: Callable[[dt.date], DayInput]) -> dt.date | None:
        days = reversed(days_between(self.first, self.run.today))
        return next((day for day in days if isinstance(find(day), Ready | Pending | Merged | Rejected)), None)


def newest_listed(run: RunContext, first: dt.date, last: dt.date) -> dt.date | None:
    """Return the newest day of a range for which a feed has a file, sound or not; None if there is none.

    A soil-moisture feed that does not answer may have one for any day: then it is `last`.
    """
    inbox = run.inbox
    inbox.list_days(first, last)
    if any(listing.unreachable for listing in inbox.soil_moisture_feeds):
        return last
    listings = list(inbox.soil_moisture_feeds)
    if inbox.precipitation_feed and run.models.take_rain:
        listings.append(inbox.precipitation_feed)
    return max((day for listing in listings if (day := listing.newest(first, last))), default=None)
