"""Posting a message to the webhook: with a deadline, without following redirects, and without printing its address."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import SecretStr

DEADLINE_S = 15.0
"""How long a delivery may take in all, however slowly the host answers."""

_CONNECT_S = 10.0


class NotDelivered(Exception):
    """A message was not accepted; the text says why, and does not contain the address."""


def post_message(address: SecretStr, content: Mapping[str, Any]) -> None:
    """Post a message as JSON.

    Parameters
    ----------
    address : SecretStr
        The webhook.
    content : mapping of str to anything JSON can hold
        The message.

    Raises
    ------
    NotDelivered
        The host cannot be reached, does not answer before the deadline, or answers with another status than 2xx.
    """
    connections: list[http.client.HTTPConnection] = []
    opener = urllib.request.build_opener(_NoRedirect, _Http(connections), _Https(connections))
    headers = {"Content-Type": "application/json", "User-Agent": "seamless-sm"}
    with _cut_at_deadline(connections) as is_cut:
        try:
            request = urllib.request.Request(address.get_secret_value(), json.dumps(content).encode(), headers)  # noqa: S310 - the configuration accepts http and https only
            with opener.open(request, timeout=_CONNECT_S):
                if not is_cut():  # an answer that is cut counts as whole for http.client
                    return
                reason = _late()
        except Exception as error:  # also what a library raises for an address that it does not like
            reason = _late() if is_cut() else _reason(error)
    raise NotDelivered(reason)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error: following it would turn the POST into a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Http(urllib.request.HTTPHandler):
    """Opens http addresses, and keeps the connections."""

    def __init__(self, connections: list[http.client.HTTPConnection]) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_kept(http.client.HTTPConnection, self._connections), request)


class _Https(urllib.request.HTTPSHandler):
    """Opens https addresses, and keeps the connections."""

    def __init__(self, connections: list[http.client.HTTPConnection]) -> None:
        super().__init__()
        self._connections = connections

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_kept(http.client.HTTPSConnection, self._connections), request)


def _kept(
    kind: Callable[..., http.client.HTTPConnection], connections: list[http.client.HTTPConnection]
) -> Callable[..., http.client.HTTPConnection]:
    """Return a function that makes a connection and keeps it in a list."""

    def connect(*arguments: Any, **options: Any) -> http.client.HTTPConnection:
        connections.append(kind(*arguments, **options))
        return connections[-1]

    return connect


@contextmanager
def _cut_at_deadline(connections: list[http.client.HTTPConnection]) -> Iterator[Callable[[], bool]]:
    """Shut connections down at the deadline: a time-out of a socket begins anew with every byte that arrives."""
    is_done, is_late = threading.Event(), threading.Event()

    def cut() -> None:
        is_done.wait(DEADLINE_S)
        while not is_done.wait(0.1):  # again, because a connection may be made only now
            is_late.set()
            for connection in connections:
                if connection.sock is not None:
                    with suppress(OSError):
                        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)  # below TLS

    thread = threading.Thread(target=cut, name="webhook deadline", daemon=True)
    thread.start()
    try:
        yield is_late.is_set
    finally:
        is_done.set()
        thread.join()


def _late() -> str:
    """Return what went wrong if the deadline passed."""
    return f"no answer within {DEADLINE_S:g} s"


def _reason(error: Exception) -> str:
    """Return what went wrong, without the address: texts of the libraries may contain it."""
    cause = getattr(error, "reason", None)
    if isinstance(error, urllib.error.HTTPError):
        is_redirect = 300 <= error.code < 400
        return f"status {error.code}" + (", a redirect; set service.webhook to where it leads" if is_redirect else "")
    if isinstance(error, urllib.error.URLError) and isinstance(cause, OSError):
        error = cause
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'failed'}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
