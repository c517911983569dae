"""What one configured feed offers, month by month, and what reading its files gave earlier."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from runtime.archive.catalog import Catalog
from runtime.archive.rows import GranuleRecord
from runtime.common import digest
from runtime.common.clock import DAY, DateRange
from runtime.common.deadline import TimeLimits
from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import ImergRun
from runtime.config import Config, PrecipitationFeed, SoilMoistureFeed
from runtime.errors import ConfigError, FeedUnreachable
from runtime.inputs.feeds.base import Feed, Granule, GranuleFilter, Listing, by_day


@dataclass(eq=False)
class FeedListing:
    """The files that one feed offers, and the catalog's records of those that were read."""

    feed: Feed
    wanted: GranuleFilter
    """Which files of the feed are used."""
    band: str | None = None
    """Band of the soil moisture; None for precipitation, and for products that have none."""
    runs: Sequence[ImergRun] = ()
    """IMERG runs that may be used, best first."""
    sensor: str = ""
    """Name of the sensor of the soil moisture; see `SoilMoistureFeed.sensor`."""
    unreachable: str | None = None
    """Why the feed, or a part of it, could not be listed; None if it could."""
    _failure: str | None = None
    """Why the feed does not answer at all."""
    _listing: Listing = field(default_factory=dict)
    _known: dict[str, GranuleRecord] = field(default_factory=dict)
    _listed_months: set[dt.date] = field(default_factory=set)
    """First day of each month that was listed."""

    def list_days(self, catalog: Catalog, first: dt.date, last: dt.date, *, offline: bool) -> list[DateRange]:
        """List the feed for the months from `first` to `last` that were not listed yet; return those months.

        If the feed does not answer, the files that were read earlier stand for its listing.
        """
        new = _join_months([m for m in _months(first, last) if m not in self._listed_months])
        for part in new:
            self._listed_months.update(_months(part.first, part.last))
            if not self.wanted.covers(part.first, part.last):
                continue
            known = catalog.granules(self.wanted.product.name, part.first, part.last)
            self._known |= {record.key: record for record in known}
            try:
                if offline and not self.feed.in_place:
                    raise FeedUnreachable("--offline: only what has been fetched is used")
                if self._failure:  # a run waits for a feed that does not answer only once
                    raise FeedUnreachable(self._failure)
                self._listing |= self.feed.granules(part.first, part.last)
                self.unreachable = self.feed.incomplete
            except FeedUnreachable as error:
                self.failed(error)
                self._listing |= _listing_of(known, self.wanted)
        return new

    def oldest(self, catalog: Catalog, *, offline: bool) -> dt.date | None:
        """Return the first day that the feed has a file for; None if it has none.

        If the feed does not answer, the files that were read earlier stand for it.
        """
        try:
            if offline and not self.feed.in_place:
                raise FeedUnreachable("--offline: only what has been fetched is used")
            return self.feed.oldest()
        except FeedUnreachable as error:
            self.failed(error)
            return catalog.first_granule(self.wanted.product.name)

    def failed(self, error: FeedUnreachable) -> None:
        """Take note that the feed does not answer; it is not asked again."""
        self._failure = self.unreachable = str(error)

    def is_listed(self, date: dt.date) -> bool:
        """Whether the month of a day was listed."""
        return date.replace(day=1) in self._listed_months

    def granules(self, date: dt.date) -> list[Granule]:
        """Return the files that the feed has for a day."""
        return self._listing.get(date, [])

    def newest(self, first: dt.date, last: dt.date) -> dt.date | None:
        """Return the newest day of a range, listed before, for which the feed has a file; None if it has none."""
        return max((date for date in self._listing if first <= date <= last), default=None)

    @cached_property
    def reading(self) -> str:
        """A text that changes when files are read in another way: the band, the orbit, or a user's declaration."""
        product = self.wanted.product
        parts = [str(self.band), self.wanted.orbit if product.orbit_words else None]
        if PRODUCTS.get(product.name) != product:
            parts.append(digest.of_values(product.model_dump(mode="json"))[:12])
        return " ".join(part for part in parts if part)

    def known(self, key: str) -> GranuleRecord | None:
        """Return what reading a version of a file gave; None if it was not read yet."""
        return self._known.get(key)

    def cache(self, record: GranuleRecord) -> None:
        """Keep what reading a file gave."""
        self._known[record.key] = record


def _months(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return the first day of each month from `first` to `last`."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [dt.date(first.year + m // 12, m % 12 + 1, 1) for m in range(first.month - 1, first.month - 1 + count)]


def _join_months(months: Sequence[dt.date]) -> list[DateRange]:
    """Return months as ranges of days; months that follow each other make one range."""
    ranges: list[DateRange] = []
    for month in months:
        end = (month + 31 * DAY).replace(day=1) - DAY
        if ranges and ranges[-1].last + DAY == month:
            ranges[-1] = DateRange(ranges[-1].first, end)
        else:
            ranges.append(DateRange(month, end))
    return ranges


def _listing_of(records: Sequence[GranuleRecord], wanted: GranuleFilter) -> Listing:
    """Return the newest version of each file that was read, as a feed would list it."""
    newest = {record.location: record for record in records}
    return by_day(
        Granule(
            date=dt.date.fromisoformat(record.date),
            product=record.product,
            name=record.name,
            location=record.location,
            version=record.version,
            run=record.run,
            edition=recognised.edition,
            is_interim=recognised.is_interim,
        )
        for record in newest.values()
        if (recognised := wanted.recognise(record.name))
    )


def granule_filter(config: Config, feed: SoilMoistureFeed) -> GranuleFilter:
    """Return which files belong to a soil-moisture feed."""
    return GranuleFilter(config.product(feed.product), feed.orbit, feed.first, feed.last, feed.pattern)


def open_feed(
    config: Config, feed: SoilMoistureFeed | PrecipitationFeed, limits: TimeLimits
) -> tuple[Feed, GranuleFilter]:
    """Return the feed that a section of the configuration describes, and which files of it are used.

    Parameters
    ----------
    config : Config
        The configuration.
    feed : SoilMoistureFeed or PrecipitationFeed
        The section.
    limits : TimeLimits
        How long the run may take, and each file and listing of the feed.

    Raises
    ------
    ConfigError
        The feed needs a package that is not installed.
    """
    if isinstance(feed, SoilMoistureFeed):
        wanted = granule_filter(config, feed)
    else:
        wanted = GranuleFilter(config.product(feed.product))
    if feed.kind == "earthdata":
        try:
            from runtime.inputs.feeds.earthdata import EarthdataFeed
        except ImportError as error:
            raise ConfigError(
                f'feeds of kind "earthdata" need a package that is not here ({error}); '
                "pip install 'seamless-sm[earthdata]'"
            ) from error
        return EarthdataFeed(config.earthdata, wanted, feed.version, limits), wanted
    if feed.kind == "cds":
        try:
            from runtime.inputs.feeds.cds import CdsFeed
        except ImportError as error:
            raise ConfigError(
                f"feeds of kind \"cds\" need a package that is not here ({error}); pip install 'seamless-sm[cds]'"
            ) from error
        return CdsFeed(config.cds, wanted, feed.version, limits), wanted
    from runtime.inputs.feeds.folder import FolderFeed

    return FolderFeed(feed.path, wanted, limits), wanted
