"""NASA Earthdata as a feed: search granules in CMR, and download them from the archive that has them.

The archives are GES DISC and NSIDC. Every answer is checked: for a granule that does not exist or is not allowed, GES
DISC answers 200 with a web page, and a download may end too early.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import urlsplit

import requests

from runtime.common.atomic import write_guard
from runtime.common.deadline import Deadline, TimeLimits
from runtime.common.urls import without_secrets
from runtime.config import Earthdata
from runtime.errors import FeedUnreachable, LoginRefused
from runtime.inputs.feeds.base import Feed, Granule, GranuleFilter, Listing, by_day
from runtime.inputs.feeds.cmr import CmrRecord, UnusableRecord, search_cmr
from runtime.inputs.feeds.http import RequestFailed, WebSession, copy_body, may_have_token, open_url, retry
from runtime.inputs.feeds.login import EarthdataLogin
from runtime.inputs.products.granule import is_netcdf

APPLICATIONS = {"nsidc": "the applications of NSIDC (NSIDC_DATAPOOL_OPS, ...)", "": "NASA GESDISC DATA ARCHIVE"}
"""What an Earthdata account must approve, by a part of the name of the host that has the granules."""
_HEAD = 2000
"""Bytes of a file that tell a granule from a web page."""
_FIRST_RECORDS = 20
"""Records among which the first day of a collection is looked for: some of them may not be usable."""
_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
"""Names of hash functions in hashlib, by their names in CMR."""


class EarthdataFeed(Feed):
    """The granules of one product at an archive of NASA.

    Parameters
    ----------
    settings : Earthdata
        Addresses, time limits and number of tries.
    wanted : GranuleFilter
        Which files. Its product and orbit determine the collections.
    version : str, optional
        Version of the collections, if not the one that the product declares.
    limits : TimeLimits, optional
        How long the run, a search and a file may take.
    """

    in_place = False

    def __init__(
        self,
        settings: Earthdata,
        wanted: GranuleFilter,
        version: str | None = None,
        limits: TimeLimits | None = None,
    ) -> None:
        self._settings, self._wanted = settings, wanted
        self._wanted_any_day = replace(wanted, first=dt.date.min, last=dt.date.max)
        self.incomplete: str | None = None
        self._collections = [(name, version or known) for name, known in wanted.chosen]
        self._limits = limits or TimeLimits.start()
        self._addresses: dict[str, str] = {}
        """Address of each granule by its location, which has no signature."""
        self._checksums: dict[str, tuple[str, str]] = {}
        self._faults: dict[str, str] = {}
        """Why the record of a granule cannot be used, by its location."""
        self._session, self._login = WebSession(), EarthdataLogin(settings)

    def granules(self, first: dt.date | None = None, last: dt.date | None = None) -> Listing:
        """Search CMR; see `Feed.granules`.

        A record that cannot be used is a granule that cannot be fetched, so that its day is not taken for one without
        a file. If it does not even say its day, the listing is `incomplete`.

        Raises
        ------
        FeedUnreachable
            CMR does not answer in time, or not in full.
        """
        days = None
        if first and last:  # the day of a granule is the one in its name; its times may begin the day before
            days = first - dt.timedelta(1), last + dt.timedelta(1)
        deadline = self._limits.for_file()
        records = [
            record
            for collection in self._collections
            for record in search_cmr(self._settings, collection, days, deadline)
        ]
        for record in records:
            if isinstance(record, UnusableRecord) and not self._name_in(record):
                self.incomplete = f"{record.fault}; it does not say its day, so no day is known to have no file"
        found = [granule for record in records if (granule := self._granule(record))]
        return by_day(granule for granule in found if not (first and last) or first <= granule.date <= last)

    def oldest(self) -> dt.date | None:
        """Return the first day of the collections, None if they are empty."""
        deadline = self._limits.for_file()
        firsts = [
            granule.date
            for collection in self._collections
            for record in search_cmr(self._settings, collection, None, deadline, limit=_FIRST_RECORDS)
            if (granule := self._granule(record))
        ]
        return min(firsts, default=None)

    def _name_in(self, record: UnusableRecord) -> str | None:
        """Return the file name that a record gives, None if there is none, or names of several days."""
        days = {found.date: name for name in record.names if (found := self._wanted_any_day.recognise(name))}
        return min(days.values()) if len(days) == 1 else None

    def _granule(self, record: CmrRecord | UnusableRecord) -> Granule | None:
        """Return the granule of a record, None if it is not wanted."""
        if isinstance(record, UnusableRecord):
            return self._unusable_granule(record)
        usable = [url for url in record.urls if self._wanted.recognise(_name_in(url))]
        if not usable:
            return None
        address = min(usable, key=lambda url: not may_have_token(url, self._settings.token_hosts))
        location, name = without_secrets(address), _name_in(address)
        recognised = self._wanted.recognise(name)
        assert recognised
        self._addresses[location] = address
        checksum = next((known for known in record.checksums if known.algorithm in _HASHES), None)
        if checksum:
            self._checksums[location] = _HASHES[checksum.algorithm], checksum.value.lower()
        version = f"{checksum.algorithm} {checksum.value}" if checksum else record.revision
        return Granule(
            date=recognised.date,
            product=self._wanted.product.name,
            name=name,
            location=location,
            version=version,
            run=recognised.run,
            edition=recognised.edition,
            is_interim=recognised.is_interim,
        )

    def _unusable_granule(self, record: UnusableRecord) -> Granule | None:
        """Return the granule of a record that cannot be used, None if it is not wanted or its day is not known."""
        name = self._name_in(record)
        recognised = self._wanted.recognise(name) if name else None
        if name is None or recognised is None:
            return None
        location = f"CMR record of {name}"
        self._faults[location] = record.fault
        return Granule(
            date=recognised.date,
            product=self._wanted.product.name,
            name=name,
            location=location,
            version="unusable",
            run=recognised.run,
            edition=recognised.edition,
            is_interim=recognised.is_interim,
        )

    def check_login(self, listing: Listing) -> str | None:
        """Ask for the first bytes of the newest granule; see `Feed.check_login`."""
        deadline, settings = self._limits.for_file(), self._settings
        if not listing:
            self._login.token(deadline)
            return "a log-in is there, and no file to try it with"
        newest = listing[max(listing)][0]
        try:
            return retry(
                settings.attempts, settings.wait_s, deadline, lambda: deadline.call(self._probe, newest, deadline)
            )
        except RequestFailed as error:
            raise FeedUnreachable(f"{newest.location} cannot be read {error}; run again later") from error

    def _probe(self, granule: Granule, deadline: Deadline) -> str:
        address = self._addresses[granule.location]
        token = self._login.token(deadline) if may_have_token(address, self._settings.token_hosts) else None
        headers = {"Accept-Encoding": "identity", "Range": f"bytes=0-{_HEAD - 1}"}
        with open_url(self._session, address, headers, self._settings.timeout_s, deadline, token) as answer:
            if answer.status_code != 206:
                self._check_status(answer, granule, is_logged_in=token is not None)
            head = answer.raw.read(_HEAD)
        if not is_netcdf(head):
            self._refuse_page(answer, head, granule)
        return "log-in accepted" if token else "no log-in is asked for"

    def fetch(self, granule: Granule, target: Path) -> None:
        """Download a granule.

        Raises
        ------
        FeedUnreachable
            None of the tries gave a complete NetCDF file in time, or its record in CMR cannot be used.
        LoginRefused
            There are no credentials, they have expired, or the account has not approved the application.
        """
        if fault := self._faults.get(granule.location):
            raise FeedUnreachable(f"{fault}; run again later, or put the file into a folder feed")
        deadline, settings = self._limits.for_file(), self._settings
        try:
            retry(settings.attempts, settings.wait_s, deadline, lambda: self._try(granule, target, deadline))
        except RequestFailed as error:
            raise FeedUnreachable(f"{granule.location} did not come {error}; run again later") from error

    def _try(self, granule: Granule, target: Path, deadline: Deadline) -> None:
        """Try once to download a granule."""
        address = self._addresses.get(granule.location, granule.location)
        token = self._login.token(deadline) if may_have_token(address, self._settings.token_hosts) else None
        with write_guard(target):
            file = target.open("wb")
        try:  # a try that was given up may still run; its file is closed, so it cannot write into that of the next
            answer = deadline.call(self._download, granule, address, token, file, deadline)
            with write_guard(target):
                file.flush()
        finally:
            with contextlib.suppress(OSError):
                file.close()
        self._check_content(answer, granule, target)

    def _download(
        self, granule: Granule, address: str, token: str | None, file: BinaryIO, deadline: Deadline
    ) -> requests.Response:
        def write(block: bytes) -> None:
            with write_guard(Path(file.name)):
                file.write(block)

        headers = {"Accept-Encoding": "identity"}  # NetCDF is compressed inside
        with open_url(self._session, address, headers, self._settings.timeout_s, deadline, token) as answer:
            self._check_status(answer, granule, is_logged_in=token is not None)
            copy_body(answer, write, self._wanted.product.max_bytes, deadline)
        return answer

    def _check_status(self, answer: requests.Response, granule: Granule, *, is_logged_in: bool) -> None:
        """Raise the error that explains the HTTP status, unless it is 200."""
        host = self._settings.edl_host
        if answer.status_code in (401, 403) and not is_logged_in:
            raise FeedUnreachable(
                f"{granule.location}: wants a log-in ({answer.status_code}), which is sent only with https and to the "
                "hosts in earthdata.token_hosts; if you trust this host, add it there"
            )
        if answer.status_code == 401:
            raise LoginRefused(
                f"{granule.location}: Earthdata does not accept the log-in (401), the token has expired or is wrong; "
                f"make a new one at https://{host}/users/profile and set EARTHDATA_TOKEN"
            )
        if answer.status_code == 403:
            raise LoginRefused(
                f"{granule.location}: the account may not read this (403); at https://{host}/profile open "
                f"Applications, Authorized Apps, and approve {_application(granule)}"
            )
        if answer.status_code == 404:
            raise FeedUnreachable(
                f"{granule.location}: CMR lists it, its host does not have it (404); it was moved or is not out yet, "
                "run again later"
            )
        if answer.status_code != 200:
            raise RequestFailed(f"HTTP {answer.status_code}")

    def _check_content(self, answer: requests.Response, granule: Granule, target: Path) -> None:
        """Raise the error that explains why a download is not the granule, if it is not."""
        with target.open("rb") as file:
            head = file.read(_HEAD)
        if not is_netcdf(head):
            self._refuse_page(answer, head, granule)
        algorithm, expected = self._checksums.get(granule.location, ("", ""))
        if algorithm:
            with target.open("rb") as file:
                if hashlib.file_digest(file, algorithm).hexdigest() != expected:
                    raise RequestFailed("its checksum is not the one CMR has")

    def _refuse_page(self, answer: requests.Response, head: bytes, granule: Granule) -> NoReturn:
        """Raise the error that explains an answer that is not a granule."""
        text = " ".join(head.decode("utf-8", "replace").split())
        if urlsplit(answer.url).hostname == self._settings.edl_host or "earthdata login" in text.lower():
            raise LoginRefused(
                f"{without_secrets(answer.url)}: came as a log-in page; the token has expired, or the account has not "
                f"approved {_application(granule)}: see https://{self._settings.edl_host}/profile, and set "
                "EARTHDATA_TOKEN"
            )
        kind = {"<": "a web page", "{": "a JSON message"}.get(text[:1], "no NetCDF file")
        raise RequestFailed(f"came as {kind}: {without_secrets(text)[:120]!r}")


def _name_in(url: str) -> str:
    """Return the name of the file at a URL."""
    return without_secrets(url).rsplit("/", 1)[-1]


def _application(granule: Granule) -> str:
    """Return the name of what an account must approve to get a granule."""
    host = urlsplit(granule.location).hostname or ""
    return next(name for part, name in APPLICATIONS.items() if part in host)
