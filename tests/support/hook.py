"""A server on loopback that receives the service's alerts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.serving import in_a_thread

DRIP = "drip"
"""An answer of which a byte comes every few milliseconds, without an end."""


class Hook(ThreadingHTTPServer):
    """Receives alerts.

    Attributes
    ----------
    got : list of dict
        The messages that were accepted.
    answers : list of int or str
        The next answers, one after the other: an HTTP status, or `DRIP`; then 204.
    always : int or str or None
        The answer to every message, if given.
    asked_at : list of float
        When each request came, seconds of a monotonic clock.
    methods : list of str
        The method of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HookHandler)
        self.got: list[dict[str, Any]] = []
        self.answers: list[int | str] = []
        self.always: int | str | None = None
        self.asked_at: list[float] = []
        self.methods: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    @property
    def setting(self) -> str:
        return f'service.webhook="{self.url}"'

    def kinds(self) -> list[tuple[str, str]]:
        """Return event and kind of each accepted message."""
        return [(message["event"], message["kind"]) for message in self.got]


class _HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.methods.append(self.command)
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.methods.append(self.command)
        self.server.asked_at.append(time.monotonic())
        answer = self.server.always or (self.server.answers.pop(0) if self.server.answers else 204)
        if isinstance(answer, str):
            self._drip()
            return
        if answer < 300:
            self.server.got.append(body)
        self.send_response(answer)
        if 300 <= answer < 400:
            self.send_header("Location", self.server.url)
        self.end_headers()

    def _drip(self) -> None:
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.0 200 ")
            while True:
                self.wfile.write(b"O")
                time.sleep(0.02)


@contextmanager
def serve_hook() -> Iterator[Hook]:
    """Serve a webhook, in a thread."""
    server = Hook()
    with in_a_thread(server):
        yield server
