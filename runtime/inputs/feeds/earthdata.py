"""NASA Earthdata as a feed: search granules in CMR, and download them from the archive that has them.

`earthaccess` searches and logs in. Downloads are made here, because every answer must be checked: for a granule that
does not exist or is not allowed, GES DISC answers 200 with a web page, and a download may end too early.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
import tenacity
from earthaccess import DataGranules
from earthaccess.auth import Auth
from earthaccess.exceptions import LoginAttemptFailure, LoginStrategyUnavailable
from earthaccess.system import PROD, System
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from runtime.config import Earthdata
from runtime.errors import FeedUnreachable, LoginRefused
from runtime.inputs.feeds.base import Granule, GranuleFilter, Listing, by_day
from runtime.inputs.products.granule import is_netcdf

APPLICATION = "NASA GESDISC DATA ARCHIVE"
"""The application that an Earthdata account must approve."""
_RETRY_STATUS = (429, 500, 502, 503, 504)
"""HTTP answers after which a request is repeated."""
_BLOCK = 1 << 18
"""Bytes that are read at a time."""
_SEARCH_LIMIT = 100_000
"""Largest number of granules that a search returns."""
_MAX_DOWNLOAD = 20
"""Longest download, in multiples of the time that a server may keep silent."""
_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
"""Names of hash functions in hashlib, by their names in CMR."""


class _DownloadFailed(Exception):
    """A download did not give the granule; trying again may help."""


class EarthdataFeed:
    """The granules of one product at GES DISC.

    Parameters
    ----------
    settings : Earthdata
        Addresses, time limits and number of tries.
    wanted : GranuleFilter
        Which files. Its product and orbit determine the collections.
    version : str, optional
        Version of the collections, if not the one in `PRODUCTS`.
    """

    in_place = False
    incomplete: str | None = None

    def __init__(self, settings: Earthdata, wanted: GranuleFilter, version: str | None = None) -> None:
        self._settings, self._wanted = settings, wanted
        self._collections = [(name, version or known) for name, known in wanted.chosen]
        self._checksums: dict[str, tuple[str, str]] = {}
        self._sessions = threading.local()
        self._login = threading.Lock()
        self._auth: Auth | None = None

    def granules(self, first: dt.date | None = None, last: dt.date | None = None) -> Listing:
        """Search CMR; see `Feed.granules`.

        Raises
        ------
        FeedUnreachable
            CMR does not answer.
        """
        return by_day(
            granule for name, version in self._collections for granule in self._search(name, version, first, last)
        )

    def oldest(self) -> dt.date | None:
        """Return the first day of the collections, None if they are empty."""
        firsts = [
            granule.date
            for name, version in self._collections
            for granule in self._search(name, version, None, None, limit=1)
        ]
        return min(firsts, default=None)

    def _search(
        self, name: str, version: str, first: dt.date | None, last: dt.date | None, limit: int = _SEARCH_LIMIT
    ) -> Iterator[Granule]:
        query = DataGranules().mode(self._settings.cmr_url).short_name(name).version(version).sort_key("start_date")
        if first and last:  # the day of a granule is the one in its name; its times may begin the day before
            query = query.temporal(f"{first - dt.timedelta(1)}T00:00:00Z", f"{last + dt.timedelta(1)}T23:59:59Z")
        query.session = self._with_retries(requests.Session())
        try:
            with warnings.catch_warnings():  # earthaccess 0.17 uses an attribute that it warns about itself
                warnings.simplefilter("ignore", FutureWarning)
                found = query.get(limit)
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            raise FeedUnreachable(
                f"CMR ({self._settings.cmr_url}) cannot be searched for {name} ({_cause(error)}); check the network, "
                "then run again"
            ) from error
        for item in found:
            granule = self._granule(item)
            if granule and (first is None or last is None or first <= granule.date <= last):
                yield granule

    def _granule(self, item: Any) -> Granule | None:
        """Return the granule of a CMR record (UMM-G), None if it is not wanted or has no URL."""
        umm, meta = item.get("umm", {}), item.get("meta", {})
        urls = [link["URL"] for link in umm.get("RelatedUrls", []) if link.get("Type") == "GET DATA"]
        url = next((url for url in urls if url.startswith("http")), None)
        if url is None:
            return None
        name = url.rsplit("/", 1)[-1].split("?")[0]
        recognised = self._wanted.recognise(name)
        if recognised is None:
            return None
        files = umm.get("DataGranule", {}).get("ArchiveAndDistributionInformation", [])
        checksums = [file.get("Checksum", {}) for file in files]
        checksum = next((known for known in checksums if known.get("Algorithm") in _HASHES), None)
        if checksum:
            version = f"{checksum['Algorithm']} {checksum['Value']}"
            self._checksums[url] = _HASHES[checksum["Algorithm"]], checksum["Value"].lower()
        else:
            version = f"{meta.get('concept-id')} revision {meta.get('revision-id')}"
        date, run = recognised
        return Granule(date=date, product=self._wanted.product, name=name, location=url, version=version, run=run)

    def fetch(self, granule: Granule, target: Path) -> None:
        """Download a granule.

        Raises
        ------
        FeedUnreachable
            None of the tries gave a complete NetCDF file.
        LoginRefused
            There are no credentials, they have expired, or the account has not approved the application.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._settings.attempts),
            wait=tenacity.wait_exponential_jitter(initial=self._settings.wait_s, max=120, jitter=self._settings.wait_s),
            retry=tenacity.retry_if_exception_type((_DownloadFailed, requests.RequestException)),
            reraise=True,
        )
        try:
            retrying(self._download, granule, target)
        except (_DownloadFailed, requests.RequestException) as error:
            raise FeedUnreachable(
                f"{granule.location} did not come in {self._settings.attempts} tries ({_cause(error)}); run again later"
            ) from error

    def _download(self, granule: Granule, target: Path) -> None:
        limit_s = _MAX_DOWNLOAD * self._settings.timeout_s
        started = time.monotonic()
        with self._session().get(granule.location, stream=True, timeout=self._settings.timeout_s) as answer:
            self._check_status(answer, granule)
            with target.open("wb") as file:
                for block in answer.iter_content(_BLOCK):
                    file.write(block)
                    if time.monotonic() - started > limit_s:
                        raise _DownloadFailed(f"not complete after {limit_s:.0f} s")
        with target.open("rb") as file:
            head = file.read(2000)
        if not is_netcdf(head):
            self._refuse_page(answer, head)
        algorithm, expected = self._checksums.get(granule.location, ("", ""))
        if algorithm:
            with target.open("rb") as file:
                if hashlib.file_digest(file, algorithm).hexdigest() != expected:
                    raise _DownloadFailed("its checksum is not the one CMR has")

    def _check_status(self, answer: requests.Response, granule: Granule) -> None:
        """Raise the error that explains the HTTP status, unless it is 200."""
        host = self._settings.edl_host
        if answer.status_code == 401:
            raise LoginRefused(
                f"{granule.location}: Earthdata does not accept the log-in (401), the token has expired or is wrong; "
                f"make a new one at https://{host}/users/profile and set EARTHDATA_TOKEN"
            )
        if answer.status_code == 403:
            raise LoginRefused(
                f"{granule.location}: the account may not read this (403); at https://{host}/profile open "
                f"Applications, Authorized Apps, and approve {APPLICATION}"
            )
        if answer.status_code == 404:
            raise FeedUnreachable(
                f"{granule.location}: CMR lists it, its host does not have it (404); it was moved or is not out yet, "
                "run again later"
            )
        if answer.status_code != 200:
            raise _DownloadFailed(f"HTTP {answer.status_code}")

    def _refuse_page(self, answer: requests.Response, head: bytes) -> NoReturn:
        """Raise the error that explains an answer that is not a granule."""
        text = " ".join(head.decode("utf-8", "replace").split())
        if urlsplit(answer.url).hostname == self._settings.edl_host or "earthdata login" in text.lower():
            raise LoginRefused(
                f"{answer.url}: came as a log-in page; the token has expired, or the account has not approved "
                f"{APPLICATION}: see https://{self._settings.edl_host}/profile, and set EARTHDATA_TOKEN"
            )
        kind = {"<": "a web page", "{": "a JSON message"}.get(text[:1], "no NetCDF file")
        raise _DownloadFailed(f"came as {kind}: {text[:120]!r}")

    def _session(self) -> requests.Session:
        """Return the session of this thread, after logging in."""
        if not hasattr(self._sessions, "session"):
            with self._login:
                self._auth = self._auth or log_in(self._settings)
            self._sessions.session = self._with_retries(self._auth.get_session())
        session: requests.Session = self._sessions.session
        return session

    def _with_retries(self, session: requests.Session) -> requests.Session:
        """Make a session wait and try again when a server is busy or down; return the session."""
        retry = Retry(
            total=self._settings.attempts - 1,
            status_forcelist=_RETRY_STATUS,
            backoff_factor=self._settings.wait_s,
            backoff_jitter=self._settings.wait_s,
            respect_retry_after_header=True,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(self._settings.timeout_s, retry))
        return session


class _Adapter(HTTPAdapter):
    """Set a time limit for every request; `earthaccess` sets none when it searches."""

    def __init__(self, timeout_s: float, retry: Retry) -> None:
        self._timeout_s = timeout_s
        super().__init__(max_retries=retry)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request, with the time limit unless the request has its own."""
        options["timeout"] = options.get("timeout") or self._timeout_s
        return super().send(request, *args, **options)


def log_in(settings: Earthdata) -> Auth:
    """Log in with the credentials from the environment or from netrc.

    In the environment these are EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD.

    Raises
    ------
    LoginRefused
        There are no credentials, or Earthdata does not accept them.
    FeedUnreachable
        Earthdata does not answer.
    """
    system = System(settings.cmr_url, PROD.status_url, PROD.status_api_url, settings.edl_host)  # type: ignore[arg-type]
    auth = Auth()
    for strategy in ("environment", "netrc"):
        try:
            auth.login(strategy=strategy, system=system)
        except (LoginStrategyUnavailable, FileNotFoundError):
            continue
        except LoginAttemptFailure as error:
            raise LoginRefused(
                f"Earthdata ({settings.edl_host}) does not accept the log-in from the {strategy} ({_cause(error)}); "
                "check user name and password, or set EARTHDATA_TOKEN"
            ) from error
        except requests.RequestException as error:
            raise FeedUnreachable(
                f"Earthdata ({settings.edl_host}) does not answer ({_cause(error)}); check the network, then run again"
            ) from error
        if auth.authenticated:
            return auth
    raise LoginRefused(
        f"no Earthdata log-in: set EARTHDATA_TOKEN, or put {settings.edl_host} into ~/.netrc; a token is made at "
        f"https://{settings.edl_host}/users/profile (docs/operating.md, Earthdata account)"
    )


def _cause(error: BaseException) -> str:
    """Return an error in one line; of a failed connection only the reason, without the request."""
    error = getattr(error.args[0], "reason", None) or error if error.args else error
    return " ".join(str(error).split())[:200] or type(error).__name__
