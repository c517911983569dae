"""Folders on another machine: one that is down, too large, or not to be named in full."""

import gzip
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pytest

from runtime.common.deadline import TimeLimits
from runtime.common.sensors import PRODUCTS
from runtime.errors import ConfigError, FeedUnreachable
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from runtime.pipeline.plan import Action
from tests.conftest import DAYS, Runtime, Site

NAME = "LPRM-AMSR2_L3_D_SOILM3_V001_20150401013507.nc4"
WANTED = GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")


Pages = dict[str, tuple[int, bytes, dict[str, str]]]
"""Status, body and headers by path."""


@contextmanager
def _web(pages: Pages) -> Iterator[str]:
    """Serve pages; yield their address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            status, body, headers = pages.get(self.path.split("?")[0], (404, b"", {}))
            self.send_response(status)
            for key, value in ({"Content-Type": "text/html", "Content-Length": str(len(body))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _link(name: str) -> bytes:
    return f'<a href="{name}">x</a>'.encode()


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("kind", ["http", "ftp"])
def test_days_are_filled_while_only_the_rain_is_down(
    kind: str, window_site: Site, runtime: Runtime, closed_port: int
) -> None:
    site, url = window_site, f"{kind}://me:SECRET@127.0.0.1:{closed_port}/imerg/?token=SECRET"
    result = runtime("fill", "--config", site.file, "--set", f"feeds.precipitation.path={url}")
    assert result.exit_code == 3, result.output
    assert f"the feed {kind}://127.0.0.1:{closed_port}/imerg/ cannot be listed" in result.stderr
    assert "SECRET" not in result.output
    assert len(site.published()) == DAYS
    assert site.fill().exit_code == 0


def test_a_remote_folder_of_soil_moisture_that_is_down_is_named(
    window_site: Site, runtime: Runtime, closed_port: int
) -> None:
    site, url = window_site, f"http://127.0.0.1:{closed_port}/lprm/"
    result = runtime("fill", "--config", site.file, "--set", f"feeds.soil_moisture.0.path={url}")
    assert result.exit_code == 3, result.output
    assert result.stderr.count("\n") == 1
    assert f"the feed {url} cannot be listed" in result.stderr
    assert site.published() == {}
    outcome = site.fill(None, None, f"feeds.soil_moisture.0.path={url}", "policy.max_lag_days=0")
    assert {day.action for day in outcome.planned.values()} == {Action.WAIT}
    assert len(site.fill().filled) == DAYS


def test_the_oldest_day_of_a_folder_that_is_down_is_unreachable(closed_port: int) -> None:
    with pytest.raises(FeedUnreachable, match="cannot be listed"):
        FolderFeed(f"http://127.0.0.1:{closed_port}/lprm/", WANTED).oldest()


def test_a_remote_folder_without_any_file_is_no_proof_that_there_is_none() -> None:
    with _web({"/": (200, b"<html>down for maintenance</html>", {})}) as address:
        with pytest.raises(FeedUnreachable, match=f"the feed {address}/ has no file at all; check its address"):
            FolderFeed(f"{address}/", WANTED).granules()
    with pytest.raises(FeedUnreachable, match="the feed memory://nothing cannot be listed"):
        FolderFeed("memory://nothing", WANTED).granules()


@pytest.mark.parametrize("url", ["nosuch://SECRET@host/lprm", "abfs://me:SECRET@host/lprm"])
def test_a_kind_of_folder_that_cannot_be_opened_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be opened") as raised:
        FolderFeed(url, WANTED).granules()
    assert "SECRET" not in str(raised.value)


def test_a_remote_file_that_is_too_large_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/large/{NAME}", bytes(129 << 20))
    feed = FolderFeed("memory://large", WANTED, TimeLimits.start())
    ((granule,),) = feed.granules().values()
    with pytest.raises(FeedUnreachable, match="has more than 128 MiB, it cannot be what it should be"):
        feed.fetch(granule, tmp_path / "got")
    memory.rm("/large", recursive=True)
    assert list(tmp_path.iterdir()) == []


def test_a_remote_file_grows_only_to_the_largest_size(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(200 << 20), 1)
    pages: Pages = {"/": (200, _link(f"{NAME}?sig=SECRET"), {}), f"/{NAME}": (200, bomb, {"Content-Encoding": "gzip"})}
    with _web(pages) as address:
        feed = FolderFeed(f"{address}/", WANTED)
        ((granule,),) = feed.granules().values()
        with pytest.raises(FeedUnreachable, match="has more than 128 MiB"):
            feed.fetch(granule, tmp_path / "got")
    assert list(tmp_path.iterdir()) == []
    assert granule.location == f"{address}/{NAME}"


@pytest.mark.parametrize("status", [403, 404, 500, 503])
@pytest.mark.parametrize("broken", ["/", "/2015"])
def test_a_sub_folder_that_cannot_be_listed_is_not_an_empty_one(broken: str, status: int) -> None:
    pages: Pages = {
        "/": (200, _link("2015/") + _link("2016/"), {}),
        "/2015": (200, _link(NAME), {}),
        "/2016": (200, _link(NAME.replace("2015", "2016")), {}),
    }
    with _web(pages) as address:
        assert len(FolderFeed(f"{address}/", WANTED).granules()) == 2
    with _web(pages | {broken: (status, b"no", {})}) as address:
        with pytest.raises(FeedUnreachable, match=f"the feed {address}/ cannot be listed"):
            FolderFeed(f"{address}/", WANTED).granules()


def test_a_remote_name_too_long_for_a_file_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    memory = fsspec.filesystem("memory")
    for name in (NAME, NAME.replace("013507", "1" * 300)):
        memory.pipe(f"/names/{name}", b"x")
    with caplog.at_level(logging.WARNING):
        ((granule,),) = FolderFeed("memory://names", WANTED).granules().values()
    memory.rm("/names", recursive=True)
    assert granule.name == NAME
    assert "its name has more than 200 bytes" in caplog.text
