"""The Climate Data Store (CDS) of Copernicus as a feed: ask which days there are, and get a month of them as one zip.

The CDS has no files that could be listed. It says which values of its keywords go together, down to the day; a day of
one record and version is a granule here. Requests wait in a queue, so one request brings all the days of a month that
are wanted, and only one is in the queue at a time: the CDS refuses several of one data set.
"""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from runtime.common.deadline import Deadline, TimeLimits
from runtime.common.sensors import Product
from runtime.config import Cds
from runtime.errors import ConfigError, FeedUnreachable
from runtime.inputs.feeds.base import Feed, Granule, GranuleFilter, Listing, by_day
from runtime.inputs.feeds.cds_service import CdsRequest, CdsService, QueueFull
from runtime.inputs.feeds.zipped import ZippedDays

RECORDS = {"cdr": "TCDR", "icdr": "ICDR"}
"""How file names write a record: the climate data record, and the interim one that is replaced by it later."""

_CHOSEN = ("type_of_record", "version")
"""Keywords whose value is chosen for each day."""
_DATE = ("year", "month", "day")
_NOT_OFFERED = ("format",)
"""Keywords of a request that the list of what is offered does not have."""
_WORD = re.compile(r"[\w.-]{1,40}", re.ASCII)
_SHOWN = 12
"""Values that a message lists."""

logger = logging.getLogger(__name__)

_Part = tuple[str, int, int]
"""Version, year and month of granules that one request can bring."""


class CdsFeed(Feed):
    """The days of one product at the CDS.

    Of a day that several versions and records have, the newest version counts, and of it the climate data record (cdr)
    before the interim one (icdr). The text `Granule.version` says both, so that a day is fetched again when its interim
    file is replaced.

    Parameters
    ----------
    settings : Cds
        Address, keywords, time limits and number of tries.
    wanted : GranuleFilter
        Which files belong to the feed, by their names in the zip.
    version : str, optional
        Version of the data, if not the newest.
    limits : TimeLimits, optional
        How long the run, a listing and a file may take.

    Raises
    ------
    ConfigError
        It is not known what the CDS calls the sensor of the product.
    """

    in_place = False
    incomplete: str | None = None

    def __init__(
        self, settings: Cds, wanted: GranuleFilter, version: str | None = None, limits: TimeLimits | None = None
    ) -> None:
        self._settings, self._wanted = settings, wanted
        self._limits = limits or TimeLimits.start()
        self._service = CdsService(settings)
        self._keywords = _keywords(settings, wanted.product, version)
        self._offered: dict[dt.date, str] | None = None
        """Version of the granule of each day that is offered."""
        self._queue = threading.Lock()
        """Held while a request is in the queue."""
        self._announced: dict[_Part, set[dt.date]] = {}
        self._zips: dict[_Part, list[ZippedDays]] = {}
        self._failures: dict[dt.date, str] = {}
        """Why the file of a day cannot be had; it is not asked for again."""
        self._queue_full: str | None = None
        """Why nothing more is requested."""

    def granules(self, first: dt.date | None = None, last: dt.date | None = None) -> Listing:
        """Return the days that are offered; see `Feed.granules`.

        Raises
        ------
        FeedUnreachable
            The CDS does not answer in time, or a keyword was renamed.
        """
        days = (date for date in self._days() if (first or date) <= date <= (last or date))
        return by_day(self._granule(date) for date in days)

    def oldest(self) -> dt.date | None:
        """Return the first day that is offered, None if there is none."""
        return min(self._days(), default=None)

    def _days(self) -> Mapping[dt.date, str]:
        if self._offered is None:
            deadline = self._limits.for_file()
            offers = self._service.offers(deadline)
            self._refuse_renamed(offers)
            try:
                found = deadline.call(offered_days, offers, self._keywords)
            except TimeoutError as error:
                raise FeedUnreachable(f"what {self._settings.dataset} has is too long a list ({error})") from error
            self._offered = {date: text for date, text in found.items() if self._wanted.covers(date)}
        return self._offered

    def _refuse_renamed(self, offers: Sequence[CdsRequest]) -> None:
        """Raise the error that names a keyword or a value that the service does not have."""
        dataset, known = self._settings.dataset, sorted({name for offer in offers for name in offer})
        for name in (*self._keywords, *_DATE):
            if name in _NOT_OFFERED:
                continue
            if name not in known:
                cure = "" if name in _DATE else f'; if it was renamed, set cds.request: {name} = "" and the new one'
                raise FeedUnreachable(f"CDS: {dataset} has no keyword {name}, it has {_listed(known)}{cure}")
            values = {value for offer in offers for value in offer.get(name, ())}
            missing = sorted(set(self._keywords.get(name, ())) - values)
            if missing and (name not in _CHOSEN or len(missing) == len(self._keywords[name])):
                raise FeedUnreachable(
                    f"CDS: {dataset} has no {name} {_listed(missing)}, it has {_listed(sorted(values))}; set "
                    f"cds.request.{name} (or the feed's version)"
                )

    def _granule(self, date: dt.date) -> Granule:
        text = self._days()[date]
        chosen = _chosen(text)
        fixed = [
            value
            for name, values in self._keywords.items()
            if name not in (*_CHOSEN, *_NOT_OFFERED)
            for value in values
        ]
        sensor = self._wanted.product.cds.get("type_of_sensor", self._wanted.product.name).upper()
        record = RECORDS.get(chosen.get("type_of_record", ""), "")
        version = chosen.get("version", "")
        parts = ("C3S-SOILMOISTURE-L3S-SSMV", sensor, "DAILY", f"{date:%Y%m%d}000000", record)
        return Granule(
            date=date,
            product=self._wanted.product.name,
            name="-".join(filter(None, (*parts, version if "." in version or not version else f"{version}.0.0")))
            + ".nc",
            location="/".join([self._settings.url.rstrip("/"), self._settings.dataset, *fixed, date.isoformat()]),
            version=text,
            is_interim=record == "ICDR",
        )

    def check_login(self, listing: Listing) -> str | None:
        """Try the key; see `Feed.check_login`."""
        self._service.check_login(self._limits.for_file())
        return "key accepted"

    # Fetching

    def announce(self, granules: Sequence[Granule]) -> None:
        """Take note of the days that are fetched next: those of a month come with one request."""
        for granule in granules:
            self._announced.setdefault(_part(granule), set()).add(granule.date)

    def fetch(self, granule: Granule, target: Path) -> None:
        """Request a day, with the other announced ones of its month, and unpack it; see `Feed.fetch`.

        Raises
        ------
        FeedUnreachable
            The CDS does not answer in time, refuses the request, or what it sends is not whole.
        LoginRefused
            There is no key, it is not accepted, or the licence of the data is not.
        """
        deadline = self._limits.for_file()
        part = _part(granule)
        if not self._queue.acquire(timeout=min(deadline.left_s, threading.TIMEOUT_MAX)):
            raise FeedUnreachable(
                f"{granule.location}: was not asked for within {deadline.limit}, other requests were in the queue; the "
                "next run asks again"
            )
        try:
            zipped = self._zip_of(granule, part, deadline)
            zipped.unpack(granule.date, target, deadline)
        finally:
            self._done(part, granule.date)
            self._queue.release()

    def _zip_of(self, granule: Granule, part: _Part, deadline: Deadline) -> ZippedDays:
        """Return a zip that has the day; request one if none is here."""
        for zipped in self._zips.get(part, []):
            if granule.date in zipped.days:
                return zipped
        if self._queue_full:
            raise FeedUnreachable(self._queue_full)
        if granule.date not in self._failures:
            days = {granule.date} | self._announced.get(part, set()) - set(self._failures)
            try:
                zipped = self._request(granule.version, sorted(days), deadline)
            except QueueFull as error:
                self._queue_full = str(error)
                raise
            except FeedUnreachable as error:
                self._failures |= dict.fromkeys(days, str(error))
                raise
            self._zips.setdefault(part, []).append(zipped)
            if granule.date in zipped.days:
                return zipped
            self._failures[granule.date] = (
                f"{granule.location}: the CDS offers it, and its answer has no file of that day with a name of the "
                "feed's pattern; run again later"
            )
        raise FeedUnreachable(self._failures[granule.date])

    def _request(self, version: str, days: Sequence[dt.date], deadline: Deadline) -> ZippedDays:
        """Get the zip of some days of one month."""
        chosen = {name: [value] for name, value in _chosen(version).items()}
        keywords = {name: list(values) for name, values in self._keywords.items() if name not in _CHOSEN} | chosen
        request: CdsRequest = keywords | {
            "year": [f"{days[0]:%Y}"],
            "month": [f"{days[0]:%m}"],
            "day": [f"{day:%d}" for day in days],
        }

        def covers(other: CdsRequest) -> bool:
            same = {name: values for name, values in request.items() if name not in ("day", *_NOT_OFFERED)}
            theirs = {name: values for name, values in other.items() if name not in ("day", *_NOT_OFFERED)}
            return same == theirs and set(request["day"]) <= set(other.get("day", []))

        most = 31 * self._wanted.product.max_bytes
        file = self._service.download(request, covers, most, deadline)
        source = f"CDS, {self._settings.dataset} of {days[0]:%Y-%m} ({version})"
        try:
            return ZippedDays(file, self._wanted, source)
        except FeedUnreachable:
            file.close()
            raise

    def _done(self, part: _Part, date: dt.date) -> None:
        """Take note that a day has been dealt with; a zip that nothing more is wanted of is deleted."""
        waiting = self._announced.get(part, set())
        waiting.discard(date)
        if not waiting:
            self._announced.pop(part, None)
            for zipped in self._zips.pop(part, []):
                zipped.close()


def offered_days(offers: Iterable[CdsRequest], keywords: Mapping[str, Sequence[str]]) -> dict[dt.date, str]:
    """Return the days that are offered, each with the record and version that count for it.

    Parameters
    ----------
    offers : iterable of CdsRequest
        What the data set has: each entry stands for every combination of its values.
    keywords : mapping
        Accepted values of each keyword. Of ``type_of_record`` and ``version`` one of them is enough, and none given
        means any; of the others an entry must have all.

    Returns
    -------
    dict of dt.date to str
        ``type_of_record=icdr version=v202505``, without a keyword that the request leaves out.
    """
    best: dict[dt.date, tuple[tuple[int, tuple[int, ...]], str]] = {}
    for offer in offers:
        fixed = (name for name in keywords if name not in (*_CHOSEN, *_NOT_OFFERED))
        if not all(set(keywords[name]) <= set(offer.get(name, ())) for name in fixed):
            continue
        choices = [
            [value for value in offer.get(name, ()) if value in (keywords[name] or (value,)) and _WORD.fullmatch(value)]
            for name in _CHOSEN
            if name in keywords
        ]
        days = list(_dates(offer))
        for values in itertools.product(*choices):
            chosen = dict(zip((name for name in _CHOSEN if name in keywords), values, strict=True))
            rank = _rank(chosen, keywords)
            text = " ".join(f"{name}={value}" for name, value in chosen.items())
            for date in days:
                if date not in best or rank > best[date][0]:
                    best[date] = rank, text
    return {date: text for date, (_, text) in best.items()}


def _rank(chosen: Mapping[str, str], keywords: Mapping[str, Sequence[str]]) -> tuple[int, tuple[int, ...]]:
    """Return what sorts offers: the record that is named first last, and of one record the newest version last."""
    numbers = tuple(int(number) for number in re.findall(r"\d{1,9}", chosen.get("version", "")))
    record = chosen.get("type_of_record")
    return -keywords["type_of_record"].index(record) if record else 0, numbers


def _dates(offer: CdsRequest) -> Iterable[dt.date]:
    """Yield the days of an entry; it may name a 31st for months that have none."""
    years, months, days = (
        {value for value in offer.get(name, ()) if re.fullmatch(pattern, value, re.ASCII)}
        for name, pattern in zip(_DATE, (r"(?:19|20|21)\d\d", r"\d\d?", r"\d\d?"), strict=True)
    )
    for year, month, day in itertools.product(years, months, days):
        try:
            yield dt.date(int(year), int(month), int(day))
        except ValueError:
            continue


def _keywords(settings: Cds, product: Product, version: str | None) -> dict[str, tuple[str, ...]]:
    """Return the accepted values of each keyword of the requests for a product, but for the days."""
    usual: dict[str, str | tuple[str, ...] | None] = {
        "variable": "surface_soil_moisture_volumetric",
        "type_of_sensor": None,
        "time_aggregation": "daily",
        "type_of_record": tuple(RECORDS),
        "version": version or (),
        "format": "zip",
    }
    keywords = usual | product.cds | settings.request | ({"version": version} if version else {})
    if keywords["type_of_sensor"] is None:
        raise ConfigError(
            f"it is not known what the CDS calls the sensor of {product}; set cds.request.type_of_sensor, or "
            f'cds.type_of_sensor in [products.{product}], for example to "passive"'
        )
    return {
        name: (value,) if isinstance(value, str) else value or () for name, value in keywords.items() if value != ""
    }


def _chosen(text: str) -> dict[str, str]:
    """Read the keywords that `Granule.version` says."""
    return dict(word.split("=", 1) for word in text.split())


def _part(granule: Granule) -> _Part:
    return granule.version, granule.date.year, granule.date.month


def _listed(values: Sequence[str]) -> str:
    shown = ", ".join(ascii(value)[1:-1][:40] for value in values[:_SHOWN])
    return f"{shown}, ..." if len(values) > _SHOWN else shown or "nothing"
