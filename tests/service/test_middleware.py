"""What happens to every request: the host it is for, HEAD, large bodies; and the headers of every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from runtime.config import Service
from service.middleware import MAX_BODY, SECURITY_HEADERS, allowed_hosts
from service.serve import listening
from tests.conftest import Site
from tests.service.conftest import web

BEARER = {"Authorization": "Bearer open"}


@pytest.fixture(scope="module")
def client(varied: Site) -> Iterator[httpx.Client]:
    settings = "service.token=open", 'service.hosts=["sm.example.org", "2001:db8::1"]'
    with web(varied, *settings) as app, listening(varied.config(), app) as address:
        with httpx.Client(base_url=address) as client:
            yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("LocalHost.:8000", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("[0:0:0:0:0:0:0:1]", 200),
        ("sm.example.org", 200),
        ("[2001:db8::1]:80", 200),
        ("evil.example", 400),
        ("evil.example:8000", 400),
        ("localhost.evil.example", 400),
        ("evil@localhost", 400),
        ("localhost@evil.example", 400),
        ("localhost:8000.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("10.0.0.1", 400),
        ("[::2]", 400),
        ("[::1", 400),
        ("", 400),
        ("*", 400),
        ("é", 400),
    ],
)
def test_a_request_for_another_host_is_refused(host: str, status: int, client: httpx.Client) -> None:
    for path in ("/healthz", "/", "/static/page.css", "/api/archive", "/nothing"):
        answer = client.get(path, headers={"Host": host.encode()})
        assert answer.status_code == (404 if status == 200 and path == "/nothing" else status), path
    if status == 400:
        assert "service.hosts" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0:0:0:0:0:0:0:0", ""])
def test_a_server_on_all_addresses_has_any_name_unless_some_are_given(host: str) -> None:
    assert allowed_hosts(Service(host=host)) == {"*"}
    assert allowed_hosts(Service(host=host, hosts=("a.example",))) >= {"a.example", "localhost", "127.0.0.1", "::1"}
    assert "*" not in allowed_hosts(Service(host=host, hosts=("a.example",)))


def test_the_address_it_listens_on_is_a_name_of_it() -> None:
    assert allowed_hosts(Service(host="192.0.2.7")) == {"192.0.2.7", "localhost", "127.0.0.1", "::1"}


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/healthz", "/metrics", "/api/archive", "/api/days", "/api/days/2020-04-05", "/api/calendar"),
        *("/static/page.css", "/api/days/2020-04-05/map/soil_moisture", "/api/days/2020-04-05/file"),
        *("/archive/stac/collection.json", "/archive/cube.zarr/zarr.json", "/api/series?lat=45.1&lon=2.2"),
        *("/nothing", "/api/days?from=x"),
    ],
)
def test_head_is_answered_as_get_without_the_body(path: str, client: httpx.Client) -> None:
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    if path != "/metrics":
        assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["content-type"] == get.headers["content-type"]


def test_head_starts_no_run(client: httpx.Client) -> None:
    assert client.head("/api/runs", headers=BEARER).status_code == 405


@pytest.mark.parametrize(
    ("path", "status", "host"),
    [
        *(("/", 200, "localhost"), ("/static/page.js", 200, "localhost"), ("/api/archive", 200, "localhost")),
        *(("/nothing", 404, "localhost"), ("/api/days?from=x", 422, "localhost"), ("/", 400, "evil.example")),
        ("/api/runs", 405, "localhost"),
    ],
)
def test_every_answer_says_what_a_browser_may_do_with_it(
    path: str, status: int, host: str, client: httpx.Client
) -> None:
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failure_that_was_not_foreseen_has_them_too(varied: Site) -> None:
    with web(varied) as app:

        @app.get("/fails")
        def fail() -> None:
            raise RuntimeError("a secret")

        with listening(varied.config(), app) as address:
            answer = httpx.get(f"{address}/fails")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "the service failed to answer; its log says why"}
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize(
    "body",
    [
        *('{"from": NaN}', '{"from": Infinity}', '{"from": -Infinity}', '{"from": 1e999}', '{"from": "\\ud800"}'),
        *('{"\\ud800": 1}', '{"\\udfff": NaN}', "NaN", '"\\ud800"', "[NaN]", "[" * 10000, '{"from": "\\u0000"}'),
        *('{"from": {"a": NaN}}', '{"from": [Infinity]}', "{", "\x00", '{"to": "0001-01-01"}', '{"from": true}'),
        *('{"from": "2020-01-01", "days": NaN}', '{"from": 99999999999999}', f'{{"from": {"9" * 5000}}}'),
    ],
)
def test_an_authorised_body_that_makes_no_sense_gets_a_reason(body: str, client: httpx.Client) -> None:
    headers = BEARER | {"Content-Type": "application/json"}
    answer = client.post("/api/runs", headers=headers, content=body.encode())
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


def test_bytes_that_are_no_text_get_a_reason(client: httpx.Client) -> None:
    answer = client.post(
        "/api/runs", headers=BEARER | {"Content-Type": "application/json"}, content=b'{"from": "\xff"}'
    )
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_body_is_refused(is_chunked: bool, client: httpx.Client) -> None:
    content = json.dumps({"from": "x" * MAX_BODY}).encode()
    for headers in (BEARER, {}):
        answer = client.post("/api/runs", headers=headers, content=iter([content]) if is_chunked else content)
        assert answer.status_code == 413
        assert f"more than {MAX_BODY} bytes" in answer.json()["detail"]
