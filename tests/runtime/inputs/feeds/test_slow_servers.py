"""Servers that never end: a file, a search and a run each have a limit, and the next run goes on."""

import datetime as dt
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from runtime.common.deadline import Deadline, TimeLimits
from runtime.common.events import DayReport, RunEvents
from runtime.common.sensors import PRODUCTS
from runtime.errors import FeedUnreachable, RunOverdue
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from runtime.pipeline.run import fill_archive
from tests.conftest import DAYS, START, Runtime, Site, messages
from tests.runtime.inputs.feeds.conftest import earthdata_feed
from tests.support.earthdata import Server

ENDLESS = ["silent", "drip", "drip headers", "loop", "later"]


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("fault", ENDLESS)
def test_a_search_that_never_ends_is_given_up(fault: str, remote: tuple[Site, Server]) -> None:
    _, server = remote
    server.faults["search"] = [fault] * 99
    feed = earthdata_feed(server, limits=TimeLimits.start(file_minutes=1.5 / 60), timeout_s=1.0)
    begun = time.monotonic()
    with pytest.raises(FeedUnreachable, match="cannot be searched"):
        feed.granules(START, START)
    assert time.monotonic() - begun < 4


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("fault", ENDLESS)
def test_a_file_that_never_ends_is_given_up(fault: str, remote: tuple[Site, Server], tmp_path: Path) -> None:
    site, server = remote
    feed = earthdata_feed(server, limits=TimeLimits.start(file_minutes=1.5 / 60), timeout_s=1.0)
    (granule,) = feed.granules(START, START)[START]
    server.faults[granule.name] = [fault] * 99
    begun = time.monotonic()
    with pytest.raises(FeedUnreachable, match="did not come"):
        feed.fetch(granule, tmp_path / "got")
    assert time.monotonic() - begun < 4
    assert site.lprm(0).name == granule.name


@pytest.mark.slow
def test_a_slow_download_may_take_all_the_time_of_its_file(remote: tuple[Site, Server], tmp_path: Path) -> None:
    """It is never silent for as long as `earthdata.timeout_s`, and takes 26 times as long."""
    site, server = remote
    feed = earthdata_feed(server, timeout_s=0.1)
    (granule,) = feed.granules(START, START)[START]
    server.faults[granule.name] = ["in parts"] * 3
    feed.fetch(granule, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == site.lprm(0).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drip", "drip headers"])
def test_the_limit_of_a_file_is_the_only_one_that_a_dripping_server_meets(
    fault: str, remote: tuple[Site, Server], tmp_path: Path
) -> None:
    _, server = remote
    feed = earthdata_feed(server, limits=TimeLimits.start(file_minutes=2.5 / 60), timeout_s=0.1)
    (granule,) = feed.granules(START, START)[START]
    server.faults[granule.name] = [fault] * 99
    begun = time.monotonic()
    with pytest.raises(FeedUnreachable, match=r"in 1 try \(not there within 2.5 s \(policy.max_file_minutes\)\)"):
        feed.fetch(granule, tmp_path / "got")
    assert 2.4 < time.monotonic() - begun < 6


def test_a_wait_of_an_hour_is_left_to_the_next_run(remote: tuple[Site, Server]) -> None:
    _, server = remote
    server.faults["search"] = ["later"] * 9
    begun = time.monotonic()
    with pytest.raises(FeedUnreachable, match=r"in 1 try \(HTTP 503, to be asked again after 3600 s\)"):
        earthdata_feed(server).granules(START, START)
    assert time.monotonic() - begun < 2


@pytest.mark.slow
def test_a_run_ends_at_its_limit_and_the_next_one_goes_on(
    remote: tuple[Site, Server], runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, server = remote
    monkeypatch.setattr("runtime.pipeline.run._CHUNK", 3)
    server.faults[site.lprm(12).name] = ["drip"] * 99
    slow = [*server.settings(), "earthdata.timeout_s=60", "policy.max_run_minutes=0.3"]
    begun = time.monotonic()
    result = runtime("fill", "--config", site.file, *(part for item in slow for part in ("--set", item)))
    assert time.monotonic() - begun < 35
    assert result.exit_code == 3, result.output
    assert result.stderr.count("error: ") == 1
    assert "not there within 18 s (policy.max_run_minutes)" in result.stderr
    before = site.published()
    assert 0 < len(before) < DAYS
    server.faults.clear()
    outcome = site.fill(None, None, *server.settings())
    assert (outcome.exit_code, site.date(12) in outcome.filled) == (0, True)
    assert len(site.published()) == DAYS
    assert before.keys() <= site.published().keys()


def _fill_process(site: Site, *overrides: str) -> tuple[int, list[str], float]:
    """Fill in a process of its own; return its exit code, the messages in its log, and the seconds it took."""
    days = ["--from", str(START), "--to", str(site.date(DAYS - 1))]
    sets = [part for item in overrides for part in ("--set", item)]
    command = [sys.executable, "-m", "runtime", "fill", *days, "--config", str(site.file), *sets]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, messages(done.stderr), time.monotonic() - begun


@pytest.mark.slow
def test_a_search_without_end_holds_the_archive_no_longer_than_the_run(remote: tuple[Site, Server]) -> None:
    site, server = remote
    server.faults["search"] = ["drip headers"] * 99
    slow = [*server.settings(), "earthdata.timeout_s=60", "policy.max_run_minutes=0.03"]
    code, (message,), seconds = _fill_process(site, *slow)
    assert code == 3
    assert "not there within 1.8 s (policy.max_run_minutes)" in message
    assert seconds < 20
    server.faults.clear()
    assert len(site.fill(None, None, *server.settings()).filled) == DAYS


class _SleepAfterTheFirstDay(RunEvents):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def day_published(self, day: DayReport) -> None:
        time.sleep(self.seconds)
        self.seconds = 0.0


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])
def test_a_run_that_computes_too_long_ends_after_a_whole_day(bundle: str, make_site: Callable[..., Site]) -> None:
    site, whole = make_site(bundle), make_site(bundle, "whole")
    config = site.config("policy.max_run_minutes=0.15")
    outcome = fill_archive(config, None, site.today, _SleepAfterTheFirstDay(9.0))
    assert outcome.exit_code == 1
    assert isinstance(outcome.error, RunOverdue)
    assert 0 < len(outcome.filled) == len(site.published()) < DAYS
    days = DAYS - len(outcome.filled)
    assert outcome.message == (
        f"the run ended after 9 s (policy.max_run_minutes) with {days} days still to fill; what is published stays, "
        "and the next run goes on"
    )
    assert len(site.fill().filled) == days
    whole.fill()
    assert site.published() == whole.published()


def test_a_call_that_hangs_does_not_hold_its_caller() -> None:
    hung = Event()
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"not there within 0.2 s \(a.key\)"):
        Deadline.after(0.2, "a.key").call(hung.wait)
    assert time.monotonic() - begun < 2
    hung.set()
    assert Deadline.after(9.0, "a.key").call(lambda number: number + 1, 2) == 3
    with pytest.raises(KeyError):
        Deadline.after(9.0, "a.key").call({}.__getitem__, "missing")


class _Index(SimpleHTTPRequestHandler):
    """A folder as a web server lists it; paths with ``drip`` in their query or name come byte by byte."""

    drips: tuple[str, ...] = ()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if any(name in self.path for name in self.drips):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "99999999")
            self.end_headers()
            while True:
                self.wfile.write(b" ")
                time.sleep(0.05)
        super().do_GET()


class _IndexServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def index(window_site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, str]]:
    """A site, and the URL under which a web server lists the files of its feeds."""
    handler = partial(_Index, directory=str(window_site.folder / "incoming"))
    monkeypatch.setattr(_Index, "drips", ())
    with _IndexServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield window_site, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("drips", ["/lprm/", "_20200404"])
def test_a_remote_folder_that_never_ends_is_given_up(
    drips: str, index: tuple[Site, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_Index, "drips", (drips,))
    limits = TimeLimits.start(file_minutes=1 / 60)
    feed = FolderFeed(f"{index[1]}/lprm/", GranuleFilter(PRODUCTS["lprm-amsr2"], "descending"), limits)
    begun = time.monotonic()
    with pytest.raises(FeedUnreachable, match=r"not there within 1 s \(policy.max_file_minutes\)"):
        feed.fetch(feed.granules()[dt.date(2020, 4, 4)][0], tmp_path / "got")
    assert time.monotonic() - begun < 4
    assert list(tmp_path.glob("got*")) == []


@pytest.mark.slow
def test_a_run_over_a_remote_folder_ends_at_its_limit(index: tuple[Site, str], monkeypatch: pytest.MonkeyPatch) -> None:
    site, url = index
    feeds = [f"feeds.soil_moisture.0.path={url}/lprm/", f"feeds.precipitation.path={url}/imerg/"]
    monkeypatch.setattr(_Index, "drips", ("_20200404",))
    code, (*_, message), seconds = _fill_process(site, *feeds, "policy.max_run_minutes=0.1")
    assert code == 3
    assert "_20200404" in message
    assert "not there within 6 s (policy.max_run_minutes)" in message
    assert seconds < 25
    monkeypatch.setattr(_Index, "drips", ())
    assert site.fill(None, None, *feeds).exit_code == 0
    assert len(site.published()) == DAYS
