"""How many connections clients may hold, and for how long."""

from __future__ import annotations

import contextlib
import gc
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from service.connections import connection_limit, raise_descriptor_limit
from service.serve import listening
from tests.conftest import Site
from tests.service.conftest import web

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def _served(site: Site) -> Iterator[tuple[str, int]]:
    with web(site, "service.token=open") as app, listening(site.config(), app) as address:
        host, port = address.removeprefix("http://").split(":")
        yield host, int(port)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests must come within half a second."""
    monkeypatch.setattr("service.connections.REQUEST_S", 0.5)


def _is_open(connection: socket.socket) -> bool:
    """Return whether the server has not closed a connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_idle_connections_make_room_for_new_ones(varied: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.connections.MAX_CONNECTIONS", 20)
    with _served(varied) as address, ExitStack() as stack:
        asking = stack.enter_context(socket.create_connection(address, 10))
        idle = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(60)]
        assert httpx.get(f"http://{address[0]}:{address[1]}/healthz").status_code == 200
        time.sleep(0.2)
        assert sum(map(_is_open, idle)) <= 20
        assert not any(map(_is_open, idle[:39])), "the oldest are closed"
        assert not _is_open(asking)


@pytest.mark.slow
def test_a_connection_with_a_request_is_not_closed_for_an_idle_one(
    varied: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.connections.MAX_CONNECTIONS", 5)
    with _served(varied) as address, ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(address, 10))
            answer = httpx.get(f"http://{address[0]}:{address[1]}/api/calendar")
            assert answer.status_code == 200


@pytest.mark.slow_but_the_first
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-",
        b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer open\r\nContent-Length: 1000\r\n\r\n",
        b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
        ASK + b"GET / HTTP/1.1\r\nX-",
    ],
)
def test_a_request_that_drips_is_ended(begin: bytes, varied: Site) -> None:
    with _served(varied) as address, socket.create_connection(address, 10) as client:
        client.sendall(begin)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 5:
                if begin:
                    client.sendall(b"x")
                time.sleep(0.05)
                client.settimeout(0.01)
                with contextlib.suppress(TimeoutError):
                    if client.recv(4096) == b"":
                        break
        assert 0.3 < time.monotonic() - began < 3


@pytest.mark.usefixtures("short")
def test_a_connection_is_kept_between_whole_requests(varied: Site) -> None:
    with _served(varied) as address, socket.create_connection(address, 10) as client:
        for _ in range(2):
            client.sendall(ASK)
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):  # head and body may come apart
                answer += client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.8)
        assert _is_open(client)


def test_a_connection_that_was_not_asked_to_close_is_cut_off_when_the_service_stops(
    varied: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was accepted while the others were asked."""
    monkeypatch.setattr("service.serve._SHUTDOWN_S", 0.2)
    monkeypatch.setattr("service.connections.LimitedConnection.shutdown", lambda self: None)
    with _served(varied) as served:
        connection = socket.create_connection(served)
        connection.sendall(ASK)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    with connection:
        connection.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(10_000):
                pass
    gc.collect()  # pytest tells of a socket that nobody closed


def test_half_of_the_files_that_may_be_open_are_left_to_the_runs() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for limit, connections in ((1024, 256), (64, 16), (before[1], min(512, before[1] // 4))):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
            assert connection_limit() == connections
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.slow
def test_an_answer_that_is_not_read_ends_the_connection(varied: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.connections._UNREAD_ANSWER_MS", 500)
    ask = b"GET /static/vendor/leaflet.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with _served(varied) as address, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(address)
        client.sendall(ask * 200)
        time.sleep(4)
        client.settimeout(5)
        with pytest.raises(ConnectionError):
            _read_all(client)


def _read_all(client: socket.socket) -> None:
    while client.recv(1 << 20):
        pass
