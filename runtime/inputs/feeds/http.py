"""Asking web servers: within a deadline and a size, and with the log-in only where it may go."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import tenacity
import urllib3
from requests.adapters import HTTPAdapter

from runtime.common.deadline import Deadline
from runtime.common.urls import without_secrets

Result = TypeVar("Result")

BUSY = (429, 500, 502, 503, 504)
"""HTTP answers after which a request is repeated."""
_BLOCK = 1 << 16
"""Bytes that are read at a time, at most."""
_MAX_REDIRECTS = 10
_MAX_CONNECTIONS = 64
"""Connections that stay open for the next request."""
_MAX_WAIT_S = 120.0
"""Longest wait before a request is repeated; a server that wants a longer one is left to the next run."""

_NETWORK_ERRORS = (OSError, urllib3.exceptions.HTTPError, ValueError)
"""What a request can raise: those of requests are OSErrors, and it passes some of the libraries below it through."""


class RequestFailed(Exception):
    """A request did not give what was asked for.

    Parameters
    ----------
    reason : str
        What came instead.
    wait_s : float
        How long the server wants to be left alone, seconds.
    is_final : bool
        Whether trying again is of no use.
    """

    def __init__(self, reason: str, wait_s: float = 0.0, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.wait_s, self.is_final = wait_s, is_final


class WebSession(requests.Session):
    """A session that follows no redirect by itself, see `open_url`; several threads may use it."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=_MAX_CONNECTIONS))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return nothing: `requests` would read the whole body of a redirect, however large."""
        return None


def open_url(
    session: WebSession,
    url: str,
    headers: Mapping[str, str],
    timeout_s: float,
    deadline: Deadline,
    token: str | None = None,
) -> requests.Response:
    """Ask for a URL, follow redirects, and return the answer with its body still to be read.

    Parameters
    ----------
    session : WebSession
        Keeps connections open.
    url : str
        An ``http`` or ``https`` URL.
    headers : mapping
        Headers of the request.
    timeout_s : float
        How long the server may keep silent, seconds.
    deadline : Deadline
        No redirect is followed after it.
    token : str, optional
        Bearer token, sent to the server of `url` only; see `may_have_token`.

    Raises
    ------
    RequestFailed
        The server is busy, or redirects without end.
    """
    first = url
    for _ in range(_MAX_REDIRECTS + 1):
        deadline.check()
        sent = {**headers, "Authorization": f"Bearer {token}"} if token and _server(url) == _server(first) else headers
        # With an `auth` that adds nothing, requests does not look for a password in netrc or in the URL.
        request = session.prepare_request(requests.Request("GET", url, headers=dict(sent), auth=lambda it: it))
        settings = session.merge_environment_settings(request.url, {}, True, None, None)
        if "Authorization" in sent and urlsplit(url).scheme == "http":
            settings["proxies"] = {}
        answer = session.send(request, timeout=timeout_s, **settings)
        target = requests.Session.get_redirect_target(session, answer)
        if target is None:
            refuse_busy(answer)
            return answer
        answer.close()
        url = urljoin(url, target)
    raise RequestFailed(f"redirected more than {_MAX_REDIRECTS} times")


def refuse_busy(answer: requests.Response) -> None:
    """Raise `RequestFailed` if a server's answer is to come back later.

    Parameters
    ----------
    answer : requests.Response
        The answer.

    Raises
    ------
    RequestFailed
        It is, with the wait that the server asks for.
    """
    if answer.status_code not in BUSY:
        return
    asked = answer.headers.get("Retry-After")
    try:
        wait_s = urllib3.Retry().parse_retry_after(asked) if asked else 0.0
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        wait_s = 0.0
    answer.close()
    longer = f", to be asked again after {wait_s:.0f} s" if wait_s > _MAX_WAIT_S else ""
    raise RequestFailed(f"HTTP {answer.status_code}{longer}", wait_s)


def copy_body(answer: requests.Response, write: Callable[[bytes], object], max_bytes: int, deadline: Deadline) -> None:
    """Pass an answer's body on, decompressed, block by block.

    Raises
    ------
    RequestFailed
        It has more than `max_bytes`.
    TimeoutError
        It did not end before the deadline.
    """
    size = 0
    while block := answer.raw.read1(_BLOCK, decode_content=True):  # whatever has come, be it one byte
        deadline.check()
        size += len(block)
        if size > max_bytes:
            answer.close()
            raise RequestFailed(
                f"it has more than {max_bytes / 2**20:g} MiB, it cannot be what it should be", is_final=True
            )
        write(block)


def may_have_token(url: str, hosts: Collection[str]) -> bool:
    """Return whether a token may be sent to a URL.

    Parameters
    ----------
    url : str
        The URL.
    hosts : collection of str
        Hosts that may have the token, as ``host`` or ``host:port``: with https; with http only on this machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", _port(parts)
    except ValueError:
        return False
    named = f"[{host}]" if ":" in host else host
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host))
    return is_safe and not {host, named, f"{named}:{port}"}.isdisjoint(hosts)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(parts: SplitResult) -> int | None:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, _port(parts)


def retry(attempts: int, wait_s: float, deadline: Deadline, request: Callable[[], Result]) -> Result:
    """Return the result of a request that is repeated while it fails.

    Parameters
    ----------
    attempts : int
        How often the request is made, at most.
    wait_s : float
        The first wait, seconds; it doubles, and a server may ask for a longer one.
    deadline : Deadline
        No wait ends after it.
    request : callable
        Makes the request.

    Raises
    ------
    RequestFailed
        All of them failed; its message says how many there were, and why the last one failed.
    """
    usual = tenacity.wait_exponential_jitter(initial=wait_s, max=_MAX_WAIT_S, jitter=wait_s)

    def wait(state: tenacity.RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        return max(usual(state), getattr(failure, "wait_s", 0.0))

    def gives_up(state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= attempts or state.upcoming_sleep > min(_MAX_WAIT_S, deadline.left_s)

    retrying = tenacity.Retrying(
        stop=gives_up,
        wait=wait,
        retry=tenacity.retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        return retrying(request)
    except (RequestFailed, *_NETWORK_ERRORS) as error:
        tries = retrying.statistics["attempt_number"]
        raise RequestFailed(f"in {tries} {'try' if tries == 1 else 'tries'} ({cause(error)})", is_final=True) from error


def _may_pass(error: BaseException) -> bool:
    """Return whether a request that failed so is worth another try."""
    return not error.is_final if isinstance(error, RequestFailed) else isinstance(error, _NETWORK_ERRORS)


def cause(error: BaseException) -> str:
    """Return an error in one line that may be shown; of a failed connection only the reason, without the request."""
    error = getattr(error.args[0], "reason", None) or error if error.args else error
    return without_secrets(str(error))[:200] or type(error).__name__
