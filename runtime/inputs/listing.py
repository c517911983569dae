"""One configured feed: what it lists, month by month, and what reading its files gave before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.archive.catalog import Catalog, GranuleRecord
from runtime.config import Config, PrecipitationFeed, SoilMoistureFeed
from runtime.errors import ConfigError, FeedUnreachable
from runtime.inputs.feeds.base import Feed, Granule, GranuleFilter, Listing

_DAY = dt.timedelta(days=1)


@dataclass(eq=False)
class FeedListing:
    """One feed, how its files are read, and what is known of both for a range of days."""

    feed: Feed
    wanted: GranuleFilter
    band: str | None = None
    runs: Sequence[str] = ()
    """IMERG runs that may be used, best first."""
    unreachable: str | None = None
    _listing: Listing = field(default_factory=dict)
    _known: dict[str, GranuleRecord] = field(default_factory=dict)
    _seen: set[dt.date] = field(default_factory=set)
    """First day of each month that was listed."""

    def look(self, catalog: Catalog, first: dt.date, last: dt.date, *, offline: bool) -> None:
        """List the feed for the months from `first` to `last`, as far as that was not done yet."""
        for begin, end in _runs_of_months([m for m in _months(first, last) if m not in self._seen]):
            self._seen.update(_months(begin, end))
            if not self.wanted.covers(begin, end):
                continue
            arrived = catalog.arrived(self.wanted.product, begin, end)
            self._known |= {item.key: item for item in arrived}
            try:
                if offline and not self.feed.in_place:
                    raise FeedUnreachable("--offline: only what has been fetched is used")
                self._listing |= self.feed.granules(begin, end)
            except FeedUnreachable as error:
                self.unreachable = str(error)
                self._listing |= _listed(arrived)

    def covers(self, date: dt.date) -> bool:
        """Whether `look` has been there."""
        return date.replace(day=1) in self._seen

    def granules(self, date: dt.date) -> list[Granule]:
        """Return what the feed has for a day."""
        return self._listing.get(date, [])

    def known(self, key: str) -> GranuleRecord | None:
        """Return what reading a file gave."""
        return self._known.get(key)

    def learn(self, arrived: GranuleRecord) -> None:
        """Keep what reading a file gave."""
        self._known[arrived.key] = arrived


def _months(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return the first day of each month from `first` to `last`."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [dt.date(first.year + m // 12, m % 12 + 1, 1) for m in range(first.month - 1, first.month - 1 + count)]


def _runs_of_months(months: Sequence[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Return the first and the last day of each unbroken run of months."""
    runs: list[tuple[dt.date, dt.date]] = []
    for month in months:
        end = (month + 31 * _DAY).replace(day=1) - _DAY
        joins = runs and runs[-1][1] + _DAY == month
        runs[-1:] = [(runs[-1][0], end)] if joins else [*runs[-1:], (month, end)]
    return runs


def _listed(arrived: Sequence[GranuleRecord]) -> Listing:
    """Return the newest version of each file that was read, as a feed would list it."""
    newest = {item.location: item for item in arrived}
    found: Listing = {}
    for item in newest.values():
        date = dt.date.fromisoformat(item.date)
        granule = Granule(date, item.product, item.name, item.location, item.version, item.run)
        found.setdefault(date, []).append(granule)
    return found


def open_feed(config: Config, feed: SoilMoistureFeed | PrecipitationFeed) -> tuple[Feed, GranuleFilter]:
    """Return the feed a section of the configuration describes, and what it looks for."""
    if isinstance(feed, SoilMoistureFeed):
        wanted = GranuleFilter(feed.product, feed.orbit, feed.first, feed.last, feed.pattern)
    else:
        wanted = GranuleFilter(feed.product)
    if feed.kind == "earthdata":
        try:
            from runtime.inputs.feeds.earthdata import EarthdataFeed
        except ImportError as error:
            raise ConfigError(
                f'feeds of kind "earthdata" need a package that is not here ({error}); '
                "pip install 'seamless-sm[earthdata]'"
            ) from error
        return EarthdataFeed(config.earthdata, wanted, feed.version), wanted
    from runtime.inputs.feeds.folder import FolderFeed

    return FolderFeed(feed.path, wanted), wanted
