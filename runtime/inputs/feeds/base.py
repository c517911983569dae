"""Where files come from."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from runtime.common.sensors import IMERG_RUN_LETTERS, ORBITS, PRODUCTS, Product


@dataclass(frozen=True)
class Granule:
    """One file a feed offers."""

    date: dt.date
    product: str
    name: str
    location: str
    """Where the feed finds it again; a path or URL."""
    version: str
    """Changes when the file's content may have changed (size and time of change, a checksum, or a revision)."""
    run: str | None = None
    """IMERG: early, late or final."""


Listing = dict[dt.date, list[Granule]]


class Feed(Protocol):
    """Offers granules and brings them to this machine."""

    in_place: bool
    """Whether a granule's location is a local file that can be read where it is."""

    def granules(self, first: dt.date | None = None, last: dt.date | None = None) -> Listing:
        """Return what there is now from `first` to `last`, both included, by day; the newest name first.

        Raises
        ------
        FeedUnreachable
            The feed does not answer.
        """

    def oldest(self) -> dt.date | None:
        """Return the first day there is anything for."""

    def fetch(self, granule: Granule, target: Path) -> None:
        """Bring a granule's content to `target`.

        Raises
        ------
        FeedUnreachable
            It cannot be had now.
        LoginRefused
            It cannot be had with these credentials.
        """


@dataclass(frozen=True)
class GranuleFilter:
    """Which files of a product a feed looks for.

    Parameters
    ----------
    product : a key of `PRODUCTS`
    orbit : ``ascending`` or ``descending``; both unless given
    first, last : days the feed is used for; the sensor's era unless given
    pattern : regular expression of the file names, with a group ``date`` (YYYYMMDD), if not the product's own
    """

    product: str
    orbit: str | None = None
    first: dt.date | None = None
    last: dt.date | None = None
    pattern: str | None = None

    @cached_property
    def details(self) -> Product:
        """The product's entry in the table."""
        return PRODUCTS[self.product]

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return re.compile(self.pattern) if self.pattern else self.details.pattern

    @property
    def chosen(self) -> list[tuple[str, str]]:
        """Short name and version of the Earthdata collections it comes from."""
        table = self.details.collections
        return [table[self.orbit]] if self.orbit else list(table.values())

    def covers(self, first: dt.date, last: dt.date | None = None) -> bool:
        """Whether the feed is used for a day, or for any day of a range."""
        begin, end = self.first or self.details.start, self.last or self.details.end
        return not ((begin and (last or first) < begin) or (end and first > end))

    def recognise(self, name: str) -> tuple[dt.date, str | None] | None:
        """Return the day and the IMERG run of a file name, None if it is not wanted."""
        match = self._names.match(name)
        if not match:
            return None
        groups = match.groupdict()
        try:
            stamp = groups["date"]
            date = dt.date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:]))
        except ValueError:
            return None
        if self.orbit and "orbit" in groups and groups["orbit"] not in ORBITS[self.orbit]:
            return None
        return (date, IMERG_RUN_LETTERS[groups["run"]] if "run" in groups else None) if self.covers(date) else None


def by_day(granules: Iterable[Granule]) -> Listing:
    """Return the granules of each day, the newest name first."""
    found: Listing = {}
    for granule in sorted(granules, key=lambda g: g.name, reverse=True):
        found.setdefault(granule.date, []).append(granule)
    return found
