"""Searching NASA's CMR for granules; nothing it answers is taken without a look at its shape."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import requests
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runtime.common.deadline import Deadline
from runtime.common.urls import without_secrets
from runtime.config import Earthdata
from runtime.errors import FeedUnreachable
from runtime.inputs.feeds.http import RequestFailed, WebSession, copy_body, open_url, retry

_PAGE = 2000
"""Largest number of records that CMR returns at once."""
_MAX_RECORDS = 100_000
"""Largest number of records of a search: more than three centuries of days."""
_MAX_PAGE_BYTES = 256 << 20
_SHOWN = 120
"""Characters of a record that a message shows."""


class _UmmPart(BaseModel):
    """A part of a record in UMM-G, the metadata model of CMR, with what is used of it."""

    model_config = ConfigDict(strict=True, frozen=True)


class Checksum(_UmmPart):
    """Digest of a granule's content."""

    algorithm: Annotated[str, Field(alias="Algorithm", max_length=256)]
    value: Annotated[str, Field(alias="Value", min_length=1, max_length=256)]


class _File(_UmmPart):
    checksum: Annotated[Checksum | None, Field(alias="Checksum")] = None


class _DataGranule(_UmmPart):
    files: Annotated[list[_File], Field(alias="ArchiveAndDistributionInformation")] = []


class _Link(_UmmPart):
    url: Annotated[str, Field(alias="URL")]
    type: Annotated[str, Field(alias="Type")] = ""
    subtype: Annotated[str, Field(alias="Subtype")] = ""


class _Umm(_UmmPart):
    links: Annotated[list[_Link], Field(alias="RelatedUrls")] = []
    data_granule: Annotated[_DataGranule, Field(alias="DataGranule")] = _DataGranule()


class _Meta(_UmmPart):
    concept_id: Annotated[str | None, Field(alias="concept-id", max_length=256)] = None
    revision_id: Annotated[int | None, Field(alias="revision-id", ge=0, lt=2**63)] = None


class CmrRecord(_UmmPart):
    """A granule as CMR describes it."""

    umm: _Umm = _Umm()
    meta: _Meta = _Meta()

    @property
    def urls(self) -> list[str]:
        """Where the granule is downloaded from, addresses with https first; empty if there is no sound one."""
        links = (link for link in self.umm.links if link.type == "GET DATA" and "OPENDAP" not in link.subtype.upper())
        found = [link.url for link in links if _is_web_address(link.url)]
        return sorted(found, key=lambda url: not url.lower().startswith("https:"))

    @property
    def checksums(self) -> list[Checksum]:
        """Every digest of the granule's content."""
        return [file.checksum for file in self.umm.data_granule.files if file.checksum]

    @property
    def revision(self) -> str:
        """A text that changes when the record changes."""
        return f"{self.meta.concept_id} revision {self.meta.revision_id}"


@dataclass(frozen=True)
class UnusableRecord:
    """A granule that CMR describes in a way that it cannot be fetched."""

    fault: str
    """Which record of which collection it is, and what is wrong with it."""
    names: tuple[str, ...]
    """Every text in it, without folders and collection: its file name is one of them, if it has any."""


class _PageOfRecords(_UmmPart):
    items: list[Any]
    hits: int | None = None


def search_cmr(
    settings: Earthdata,
    collection: tuple[str, str],
    days: tuple[dt.date, dt.date] | None,
    deadline: Deadline,
    limit: int = _MAX_RECORDS,
) -> list[CmrRecord | UnusableRecord]:
    """Return the granules of a collection, by their time.

    Parameters
    ----------
    settings : Earthdata
        Address of CMR, time limits and number of tries.
    collection : (str, str)
        Short name and version of the collection.
    days : (date, date), optional
        First and last day, UTC.
    deadline : Deadline
        When the search must have ended.
    limit : int
        Number of granules that are enough.

    Raises
    ------
    FeedUnreachable
        CMR does not answer in time, or does not list as many granules as it says there are.
    """
    search = _Search(settings, collection, days, deadline, limit)
    try:
        items = search.all_items()
    except RequestFailed as error:
        raise FeedUnreachable(
            f"CMR ({without_secrets(settings.cmr_url)}) cannot be searched for {collection[0]} {error}; check the "
            "network, then run again"
        ) from error
    finally:
        search.session.close()
    return [_read(item, collection[0]) for item in items]


class _Search:
    """One search, page by page."""

    def __init__(
        self,
        settings: Earthdata,
        collection: tuple[str, str],
        days: tuple[dt.date, dt.date] | None,
        deadline: Deadline,
        limit: int,
    ) -> None:
        self.session = WebSession()
        self._settings, self._deadline, self._limit = settings, deadline, limit
        name, version = collection
        query = {"short_name": name, "version": version, "sort_key": "start_date", "page_size": min(limit, _PAGE)}
        if days:
            query["temporal[]"] = f"{days[0]}T00:00:00Z,{days[1]}T23:59:59Z"
        self._url = f"{settings.cmr_url.rstrip('/')}/granules.umm_json?{urlencode(query)}"
        self._items: list[Any] = []
        self._after: str | None = None

    def all_items(self) -> list[Any]:
        """Return the records of all pages."""
        settings, is_last = self._settings, False
        while not is_last:
            is_last = retry(settings.attempts, settings.wait_s, self._deadline, self._add_page)
        return self._items

    def _add_page(self) -> bool:
        """Ask for the next page and keep its records; return whether it was the last."""
        page, headers = self._deadline.call(self._ask)
        hits, size = headers.get("CMR-Hits", ""), min(self._limit, _PAGE)
        if not (hits.isascii() and hits.isdigit() and len(hits) < 10):
            raise RequestFailed("the answer does not say how many granules there are")
        expected = min(int(hits) - len(self._items), size)
        if len(page.items) != expected:
            raise RequestFailed(
                f"{len(page.items)} granules came where {max(0, expected)} were to come, of {hits} in all"
            )
        if page.hits not in (None, int(hits)):
            raise RequestFailed(
                f"{expected} granules came, {page.hits} are there by the document and {hits} by CMR-Hits"
            )
        if int(hits) > _MAX_RECORDS:
            raise RequestFailed(f"it has {hits} granules, more than {_MAX_RECORDS}")
        names = [name for item in (*self._items, *page.items) if (name := _concept_id(item))]
        if len(set(names)) < len(names):
            raise RequestFailed("the same granule came twice")
        after = headers.get("CMR-Search-After")
        is_last = len(self._items) + expected >= min(int(hits), self._limit)
        if not is_last and (after is None or after == self._after):
            raise RequestFailed("the answer does not say how to get the next page")
        self._items += page.items
        self._after = after
        return is_last

    def _ask(self) -> tuple[_PageOfRecords, requests.structures.CaseInsensitiveDict[str]]:
        headers = {"CMR-Search-After": self._after} if self._after else {}
        body = bytearray()
        with open_url(self.session, self._url, headers, self._settings.timeout_s, self._deadline) as answer:
            if answer.status_code != 200:
                raise RequestFailed(f"HTTP {answer.status_code}", is_final=True)
            copy_body(answer, body.extend, _MAX_PAGE_BYTES, self._deadline)
            try:
                return _PageOfRecords.model_validate_json(bytes(body)), answer.headers
            except ValidationError as error:
                raise RequestFailed(f"the answer is no list of granules: {_first_fault(error)}") from error


def _read(item: Any, collection: str) -> CmrRecord | UnusableRecord:
    """Return a record, usable if it has the right shape and an address."""
    try:
        record = CmrRecord.model_validate(item)
        if record.urls:
            return record
        fault = "it has no address to download from"
    except ValidationError as error:
        fault = _first_fault(error)
    names = tuple(re.split("[/:]", text)[-1] for text in _every_text(item))
    return UnusableRecord(f"CMR, {collection}: the record of {_name_of(item)} cannot be used: {fault}", names)


def _every_text(item: Any) -> list[str]:
    """Return every text in a record of any shape."""
    parts = [item]
    for part in parts:
        parts += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [part for part in parts if isinstance(part, str)]


def _name_of(item: Any) -> str:
    """Return what a record of any shape can be recognised by."""
    name = _text_in(item, "umm", "GranuleUR") or _concept_id(item) or _text_in(item, "meta", "native-id")
    return without_secrets(ascii(name)[1:-1] if name else f"unknown name, {item!a}")[:_SHOWN]


def _concept_id(item: Any) -> str | None:
    return _text_in(item, "meta", "concept-id")


def _text_in(item: Any, part: str, key: str) -> str | None:
    """Return a text of a record that may have any shape."""
    inside = item.get(part) if isinstance(item, dict) else None
    text = inside.get(key) if isinstance(inside, dict) else None
    return text if isinstance(text, str) else None


def _first_fault(error: ValidationError) -> str:
    """Return the first thing that is wrong, and where it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
