"""A real S3 server on loopback (moto), whose connections may be lost and that may answer 503."""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from tests.support.serving import in_a_thread

SECRET = "SECRET-KEY-OF-THE-STORE"


class _Quiet(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        pass


@dataclass
class S3Server:
    """The server as a WSGI application, and what it does to requests."""

    share: float = 0.0
    """Share of the requests that end badly."""
    bucket: str = "archive"
    url: str = ""
    sound_url: str = ""
    """Address of the same store where no request ends badly."""
    done: Counter[str] = field(default_factory=Counter)
    """Number of requests by what was done to them."""
    puts: list[str] = field(default_factory=list)
    """Paths of the objects that were put or deleted, in order."""
    _chance: random.Random = field(default_factory=lambda: random.Random(5))
    _app: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))

    def objects(self) -> dict[str, str]:
        """Return the ETag of every object, by key."""
        pages = (
            boto3.client("s3", endpoint_url=self.sound_url)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket)
        )
        return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", ())}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        hit = self._chance.random() < self.share and environ["SERVER_PORT"] in self.url
        fate = self._chance.choice(("503", "lost before", "lost after", "cut")) if hit else "answered"
        self.done[fate] += 1
        if fate == "503":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = b"<?xml version='1.0'?><Error><Code>ServiceUnavailable</Code><Message>no</Message></Error>"
            start_response("503 Service Unavailable", [("Content-Length", str(len(body)))])
            return [body]
        if fate == "lost before":
            return self._lose(environ)
        answer = Response.from_app(self._app, environ)
        if method in ("PUT", "DELETE"):
            self.puts.append(path)
        if fate == "lost after":
            return self._lose(environ)
        body = answer.get_data() if method != "HEAD" else b""
        write = start_response(answer.status, list(answer.headers))
        if fate == "cut" and len(body) > 1:
            write(body[: len(body) // 2])
            return self._lose(environ)
        return [body]

    @staticmethod
    def _lose(environ: dict[str, Any]) -> Iterable[bytes]:
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionError("lost on purpose")


@contextmanager
def serve_s3(monkeypatch: pytest.MonkeyPatch, home: Any) -> Iterator[S3Server]:
    """Run a server with an empty bucket until the end of the block; log-in and address are in the environment."""
    store = S3Server()
    servers = [make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Quiet) for _ in range(2)]
    with in_a_thread(servers[0]), in_a_thread(servers[1]):
        store.url, store.sound_url = (f"http://127.0.0.1:{server.server_port}" for server in servers)
        settings = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": SECRET, "DEFAULT_REGION": "us-east-1"}
        for name, value in (settings | {"ENDPOINT_URL": store.url}).items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("HOME", str(home))
        for account in get_backend("s3").values():
            for backend in account.values():
                backend.reset()
        boto3.client("s3").create_bucket(Bucket=store.bucket)
        yield store
