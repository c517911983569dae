"""Asking the Climate Data Store (CDS) of Copernicus: what it has, and for a file by way of its queue."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests
from ecmwf.datastores import Client
from ecmwf.datastores.processing import LinkError, ProcessingFailedError
from pydantic import TypeAdapter, ValidationError

from runtime.common.atomic import write_guard
from runtime.common.deadline import Deadline
from runtime.common.urls import without_secrets
from runtime.config import Cds
from runtime.errors import FeedUnreachable, LoginRefused
from runtime.inputs.feeds.cds_client import GuardedSession, QuietClient, read_cds_key
from runtime.inputs.feeds.http import RequestFailed, Result, WebSession, cause, copy_body, open_url, retry

CdsRequest = dict[str, list[str]]
"""Values of each keyword."""

_JOBS = 10
"""How many of the account's newest requests are looked through for one that an earlier run left in the queue."""
_WAITING = ("queued", "accepted", "running")
"""States of a request that is not ready yet."""
_SHOWN = 250
"""Characters of the server's words that a message shows."""
_STRANGE = (ValueError, LookupError, TypeError, AttributeError, AssertionError, LinkError, RecursionError)
"""What the client raises if an answer has another shape than it knows."""
_OFFERS = TypeAdapter(list[dict[str, list[str]]])

logger = logging.getLogger(__name__)


class QueueFull(FeedUnreachable):
    """The CDS takes no other request for now."""


class CdsService:
    """The data store that ``[cds]`` names.

    Parameters
    ----------
    settings : Cds
        Address, time limits and number of tries.
    """

    def __init__(self, settings: Cds) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/")
        parts = urlsplit(self._url)
        self.host = parts.netloc.lower()
        self._site = f"{parts.scheme}://{parts.netloc}"
        self._said: set[str] = set()

    def offers(self, deadline: Deadline) -> list[dict[str, list[str]]]:
        """Return what the data set offers: in each entry, every combination of the values of its keywords.

        Parameters
        ----------
        deadline : Deadline
            When the answer must be there.

        Raises
        ------
        FeedUnreachable
            The service does not answer in time, or with something else.
        """
        dataset = self._settings.dataset

        def ask(client: Client) -> list[dict[str, list[str]]]:
            return _OFFERS.validate_python(client.get_collection(dataset).constraints)

        return self._ask(f"cannot be asked what {dataset} has", deadline, ask, None)

    def check_login(self, deadline: Deadline) -> None:
        """Try the key.

        Parameters
        ----------
        deadline : Deadline
            When the answer must be there.

        Raises
        ------
        LoginRefused
            There is no key, or the service does not accept it.
        FeedUnreachable
            The service does not answer in time.
        """
        key = read_cds_key(self.host)
        self._ask("cannot check the key", deadline, lambda client: client.check_authentication(), key)

    def download(
        self,
        request: CdsRequest,
        covers: Callable[[CdsRequest], bool],
        most: int,
        deadline: Deadline,
    ) -> BinaryIO:
        """Queue a request, wait for it, and download what it gives.

        A request that an earlier run left in the queue is taken up, so that no request is queued twice.

        Parameters
        ----------
        request : CdsRequest
            The request.
        covers : callable
            Whether another request, of an earlier run, serves as well.
        most : int
            Largest size that the result can have, bytes.
        deadline : Deadline
            When the result must be there.

        Returns
        -------
        BinaryIO
            The result, a file without a name: it is gone when it is closed, also by the end of the program.

        Raises
        ------
        QueueFull
            The result is not ready in time, or there are too many requests in the queue.
        FeedUnreachable
            The service does not answer in time, or refuses the request.
        LoginRefused
            There is no key, the service does not accept it, or the licence of the data is not accepted.
        ArchiveError
            The folder for temporary files cannot be written.
        """
        key = read_cds_key(self.host)
        job = self._ask("takes no request", deadline, lambda client: self._queue(client, request, covers), key)
        self._wait_for(job, key, deadline)
        address, size = self._ask("gives no result", deadline, _result_of(job), key)
        return self._fetch(address, size, most, deadline)

    def _wait_for(self, job: str, key: str, deadline: Deadline) -> None:
        """Return when a request is not in the queue any more."""
        status, wait_s = "queued", min(1.0, self._settings.poll_s)
        while True:
            try:
                status = self._ask("does not say how far a request is", deadline, _status_of(job), key)
            except FeedUnreachable:
                if not deadline.has_passed:
                    raise
            if status not in _WAITING:
                return
            if deadline.left_s < wait_s:
                raise QueueFull(
                    f"CDS ({self.host}): request {job} is still {status} after {deadline.limit}; it stays in the "
                    "queue, and the next run takes it up"
                )
            time.sleep(wait_s)
            wait_s = min(1.5 * wait_s, self._settings.poll_s)

    def _queue(self, client: Client, request: CdsRequest, covers: Callable[[CdsRequest], bool]) -> str:
        """Return the name of a request of an earlier run that serves, or else queue one."""
        jobs = client.get_jobs(limit=_JOBS, sortby="-created", status=["accepted", "running", "successful"])
        for job in jobs.request_ids[:_JOBS]:
            known = client.get_remote(job).json
            earlier = _request_of(known)
            if known.get("processID") != self._settings.dataset or not earlier or not covers(earlier):
                continue
            with contextlib.suppress(requests.HTTPError, ProcessingFailedError):  # results are deleted after some days
                if known.get("status") == "successful":
                    client.get_results(job)
                return str(job)
        return str(client.submit(self._settings.dataset, request).request_id)

    def _fetch(self, address: str, size: int, most: int, deadline: Deadline) -> BinaryIO:
        """Download a result; the key is not sent, its address needs none."""
        shown, timeout_s, folder = without_secrets(address), self._settings.timeout_s, Path(tempfile.gettempdir())
        if size > most:
            raise FeedUnreachable(
                f"{shown}: has {size >> 20} MiB, more than {most >> 20}, it cannot be what it should be; look at it"
            )

        def download(until: Deadline) -> BinaryIO:
            with write_guard(folder):
                file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever asked for it closes it

            def write(block: bytes) -> None:
                with write_guard(folder):
                    file.write(block)

            try:
                with WebSession() as session, open_url(session, address, {}, timeout_s, until) as answer:
                    if answer.status_code != 200:
                        raise RequestFailed(f"HTTP {answer.status_code}")
                    copy_body(answer, write, most, until)
                if file.tell() != size:
                    raise RequestFailed(f"{file.tell()} bytes came of {size}")
                with write_guard(folder):
                    file.flush()
            except BaseException:
                file.close()
                raise
            return file

        try:
            return retry(
                self._settings.attempts, self._settings.wait_s, deadline, lambda: deadline.call(download, deadline)
            )
        except RequestFailed as error:
            raise FeedUnreachable(f"{shown} did not come {error}; run again later") from error

    def _ask(self, failing: str, deadline: Deadline, ask: Callable[[Client], Result], key: str | None) -> Result:
        """Return an answer of the service; `failing` says in a message what it does not do."""

        def call(until: Deadline) -> Result:
            with GuardedSession(self.host, until) as session:
                client = QuietClient(
                    url=self._url,
                    key=key,
                    timeout=self._settings.timeout_s,
                    maximum_tries=1,
                    session=session,
                    log_callback=self._listen,
                )
                try:
                    return ask(client)
                except requests.HTTPError as error:
                    raise self._explained(error) from error
                except ProcessingFailedError as error:
                    raise self._refusal(str(error)) from error
                except ValidationError as error:
                    raise RequestFailed("the answer is no list of what is offered", is_final=True) from error
                except _STRANGE as error:
                    raise RequestFailed(f"the answer is not one of the CDS: {cause(error)}") from error

        try:
            return retry(
                self._settings.attempts, self._settings.wait_s, deadline, lambda: deadline.call(call, deadline)
            )
        except RequestFailed as error:
            raise FeedUnreachable(
                f"CDS ({self.host}) {failing} {error}; check the network and cds.url, then run again"
            ) from error

    def _listen(self, level: int, text: object, **_: object) -> None:
        """Log the warnings of the service, each once."""
        shown = without_secrets(str(text))[:_SHOWN]
        if level >= logging.WARNING and shown not in self._said:
            self._said.add(shown)
            logger.warning(f"CDS ({self.host}) says: {ascii(shown)[1:-1]}")

    def _explained(self, error: requests.HTTPError) -> Exception:
        """Return the error that says what an HTTP error means and what to do."""
        status = error.response.status_code if error.response is not None else 0
        text = " ".join(str(error).split("\n")[1:])
        dataset, page = self._settings.dataset, f"{self._site}/datasets/{self._settings.dataset}"
        if status == 401:
            return LoginRefused(
                f"CDS ({self.host}) does not accept the key (401); copy the one at {self._site}/profile into "
                "CDSAPI_KEY or ~/.cdsapirc"
            )
        if status == 403 and "licence" in text.lower():
            return LoginRefused(
                f"CDS ({self.host}): the licence of {dataset} is not accepted yet (403); log in at {page}, and accept "
                "it below the form of the page Download"
            )
        if status == 403 and not text:
            return LoginRefused(f"CDS ({self.host}) refuses the account (403); log in at {self._site} and look at it")
        if status == 404:
            return RequestFailed(f"it has no {dataset} (404), or its interface has changed: see {page}", is_final=True)
        if 400 <= status < 500:
            return self._refusal(text or f"HTTP {status}")
        return RequestFailed(f"HTTP {status}")

    def _refusal(self, text: str) -> FeedUnreachable:
        """Return the error for a request that the service refused, with the service's words."""
        said = ascii(without_secrets(text)[:_SHOWN])
        if re.search(r"queued requests|temporarily limited|too many", text, re.IGNORECASE):
            return QueueFull(
                f"CDS ({self.host}) has too many queued requests and takes no more ({said}); run again later, or "
                f"delete requests of yours at {self._site}/requests"
            )
        return FeedUnreachable(
            f"CDS ({self.host}) refuses the request for {self._settings.dataset}: {said}; if a keyword was renamed, "
            "set it in cds.request"
        )


def _status_of(job: str) -> Callable[[Client], str]:
    return lambda client: client.get_remote(job).status


def _result_of(job: str) -> Callable[[Client], tuple[str, int]]:
    def ask(client: Client) -> tuple[str, int]:
        results = client.get_results(job)
        return results.location, results.content_length

    return ask


def _request_of(job: Mapping[str, Any]) -> CdsRequest | None:
    """Return the request of a job; None if the service does not say it."""
    try:
        inputs = job["metadata"]["request"]["ids"]
        return {str(k): [v] if isinstance(v, str) else [str(each) for each in v] for k, v in inputs.items()}
    except (LookupError, TypeError, AttributeError):
        return None
