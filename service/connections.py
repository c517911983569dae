"""Connections of clients: how many there may be, and how long they may wait, so that the runs keep what they need."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)

REQUEST_S = 20.0
"""How long a client may take to send a whole request."""

_UNREAD_ANSWER_MS = 60_000
"""How long a client may leave an answer unread."""

MAX_CONNECTIONS = 512

_WARNING_EVERY_S = 600.0


def raise_descriptor_limit() -> None:
    """Allow this process and its runs as many open files as the system lets them have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # the system may allow less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_limit() -> int:
    """Return how many connections are kept: each may open a file, and half of the descriptors is for the runs."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if limit == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, limit // 4))


def drop_unread_answers(listener: socket.socket) -> None:
    """Let the kernel end connections that a listener accepts and whose client has stopped reading."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_ANSWER_MS)


class LimitedConnection(H11Protocol):
    """A connection that is closed if its request does not come in time, or if there are too many connections.

    uvicorn itself limits neither: its ``limit_concurrency`` refuses requests, but keeps connections without one.
    Where there are too many, the one that has waited longest for a request makes room for the new one.
    """

    _warned_at = -_WARNING_EVERY_S

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limit = connection_limit()
        self._unfinished: asyncio.TimerHandle | None = None
        self._idle_since = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep a new connection, and close another one if there are too many."""
        super().connection_made(transport)
        self._make_room()
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request; a whole one has come in time."""
        super().data_received(data)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._cancel()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._idle_since = time.monotonic()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection without requests, also one whose answer was not read."""
        self.transport.abort()

    @property
    def _is_waiting(self) -> bool:
        """Whether no whole request has come that is not answered yet."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _expect_request(self) -> None:
        """Start to count the time if a request is unfinished; stop if it is whole."""
        if not self._is_waiting:
            self._cancel()
        elif self._unfinished is None:
            self._unfinished = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _cancel(self) -> None:
        if self._unfinished is not None:
            self._unfinished.cancel()
            self._unfinished = None

    def _make_room(self) -> None:
        """If there are too many, close the connection that has waited longest: this one if no other waits."""
        ours = (each for each in self.connections if isinstance(each, LimitedConnection))
        alive = [each for each in ours if not each.transport.is_closing()]
        if len(alive) <= self._limit:
            return
        waiting = (each for each in alive if each._is_waiting)
        min(waiting, key=lambda each: each._idle_since, default=self).transport.abort()
        self._warn()

    @classmethod
    def _warn(cls) -> None:
        """Log that there are too many connections, but not for each of them."""
        if time.monotonic() - cls._warned_at >= _WARNING_EVERY_S:
            cls._warned_at = time.monotonic()
            logger.warning("more than %d connections; those that wait longest are closed", connection_limit())
