"""The service as a process of its own: days that appear on a server, kills, a second service, alerts, HTTP."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.archive.verify import archive_faults
from runtime.common.grid import Grid
from runtime.config import Config, load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World, WorldDay
from service.connections import raise_descriptor_limit
from tests.support.earthdata import TOKEN, Server, serve
from tests.support.hook import DRIP, Hook

LENGTH = 9
REGION = (-5.0, 37.5, 5.0, 47.5)
"""From Catalonia to the Massif Central: 40 x 40 cells."""
NO_POLLING = "service.poll_until=00:00"
"""The only run is the one at the start; polling is no subject of a test that sets this."""
BEARER = {"Authorization": "Bearer open sesame"}


@dataclass
class Live:
    """A configuration whose feeds are a server; its world ends yesterday."""

    folder: Path
    server: Server
    grid: Grid
    days: list[WorldDay]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "seamless-sm.toml"

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def config(self) -> Config:
        return load_config(self.file, environment={})

    def appear(self, first: int, last: int, run: str = "late") -> None:
        for day in self.days[first : last + 1]:
            write_lprm(self.server.folder, day, self.grid)
            write_imerg(self.server.folder, day.date, day.rain, self.grid, run)  # type: ignore[arg-type]

    def start(self, *overrides: str, descriptors: int | None = None) -> subprocess.Popen[bytes]:
        """Start the service, with at most so many open files."""
        sets = [part for item in overrides for part in ("--set", item)]
        limit = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        command = [*limit, sys.executable, "-m", "service", "--config", str(self.file), *sets]
        with self.log(len(self.processes)).open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def log(self, number: int) -> Path:
        return self.folder / f"service-{number}.log"

    def says(self, process: subprocess.Popen[bytes], pattern: str) -> re.Match[str]:
        """Wait for something in a service's log."""
        log = self.log(self.processes.index(process))
        return until(lambda: re.search(pattern, log.read_text()))

    def address(self, process: subprocess.Popen[bytes]) -> str:
        """Wait for the line that says where a service listens."""
        return self.says(process, r"listening on (http://\S+);")[1]

    def is_whole(self) -> bool:
        return archive_faults(self.config(), lambda items, _: items) == []


def until(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = what()
        except httpx.TransportError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


@contextmanager
def _live(folder: Path) -> Iterator[Live]:
    today = dt.datetime.now(dt.UTC).date()
    grid = Grid.globe().box(*REGION)
    days = list(World(grid, 7).days(today - dt.timedelta(LENGTH), LENGTH))
    (folder / "server").mkdir()
    with serve(folder / "server") as server:
        (folder / "seamless-sm.toml").write_text(
            f'[archive]\nstart = {days[0].date}\n[grid]\nbox = {list(REGION)}\n[model]\nbundle = "sgdsm2-amsr2-x"\n'
            '[[feeds.soil_moisture]]\nkind = "earthdata"\nband = "x"\nto = 2199-12-31\n'
            '[feeds.precipitation]\nkind = "earthdata"\n'
            f'[earthdata]\ncmr_url = "{server.url}/search/"\ntoken_hosts = ["127.0.0.1"]\n'
            "wait_s = 0.01\nattempts = 2\ntimeout_s = 5\n"
            '[service]\nport = 0\nrun_at = "00:00"\npoll_until = "23:59"\npoll_minutes = 0.02\n'
        )
        live = Live(folder, server, grid, days)
        try:
            yield live
        finally:
            for process in live.processes:
                process.kill()
                process.wait()


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    with _live(tmp_path) as live:
        yield live


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service on an empty archive, without a token and without polling; it answers all tests of this module."""
    with pytest.MonkeyPatch.context() as monkeypatch, _live(tmp_path_factory.mktemp("quiet")) as live:
        monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
        live.start(NO_POLLING)
        yield live


def _newest(url: str) -> str | None:
    rows = [row for row in httpx.get(f"{url}/api/days").json() if row["tier"]]
    return rows[-1]["date"] if rows else None


def test_a_day_appears_and_is_filled_without_a_human(live: Live) -> None:
    live.appear(0, LENGTH - 2, run="early")
    url = live.address(live.start())
    until(lambda: _newest(url) == str(live.days[-2].date))
    live.appear(LENGTH - 1, LENGTH - 1)
    until(lambda: _newest(url) == str(live.days[-1].date))
    metrics = httpx.get(f"{url}/metrics").text
    samples = {s.name: s.value for family in text_string_to_metric_families(metrics) for s in family.samples}
    stamp = dt.datetime.combine(live.days[-1].date, dt.time(), dt.UTC).timestamp()
    assert samples["seamless_last_filled_day_timestamp_seconds"] == stamp
    assert "seamless_lag_days 1.0" in metrics
    for name in (
        'seamless_phase_seconds{phase="infer"}',
        'seamless_gap_fraction{when="before"}',
        'seamless_gap_fraction{when="after"} 0.0',
        "seamless_refused_inputs 0.0",
        "seamless_fetched_bytes_total",
        'seamless_runs_total{exit_code="0"}',
    ):
        assert name in metrics
    one = httpx.get(f"{url}/api/days/{live.days[-1].date}").json()
    assert one["inputs"]["precipitation"]["run"] == "late"
    assert one["revisions"][0]["reason"].startswith("new")
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{url}/readyz").json()["newest"] == str(live.days[-1].date)
    state = httpx.get(f"{url}/api/status").json()
    assert (state["lag_days"], state["last_run"]["exit_code"]) == (1, 0)


@pytest.mark.slow
def test_killed_in_mid_run_and_restarted_it_catches_up(live: Live) -> None:
    live.appear(0, LENGTH - 1)
    process = live.start(NO_POLLING)
    until(lambda: list(live.archive.glob("*/*.nc")))
    process.kill()
    subprocess.run(["pkill", "-KILL", "-f", f"runtime fill .*{live.file}"], check=False)
    assert live.is_whole()
    url = live.address(live.start(NO_POLLING))
    until(lambda: _newest(url) == str(live.days[-1].date))
    until(lambda: len(list(live.archive.glob("*/*.nc"))) == LENGTH)
    assert live.is_whole()


@pytest.mark.slow
def test_sigterm_ends_it_cleanly(live: Live) -> None:
    live.appear(0, LENGTH - 1)
    process = live.start(NO_POLLING)
    until(lambda: list(live.archive.glob("*/*.nc")))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert live.is_whole()


@pytest.mark.slow
def test_a_signal_that_another_thread_takes_ends_it_too(live: Live) -> None:
    """As happens when it arrives while a run is being started."""
    process = live.start(NO_POLLING)
    live.address(process)
    main, *others = sorted(int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir())
    assert main == process.pid
    os.kill(others[0], signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.slow
def test_a_second_service_says_who_holds_the_archive_and_waits(live: Live) -> None:
    live.appear(0, 2)
    first = live.start(NO_POLLING)
    url = live.address(first)
    second = live.start(NO_POLLING)
    waiting = live.says(second, r".*serves this archive; wait for it to end, or stop it; waiting")[0]
    assert f"process {first.pid} on " in waiting
    assert second.poll() is None
    assert httpx.get(f"{url}/healthz").status_code == 200
    first.kill()
    assert live.address(second)


def test_without_a_token_no_run_can_be_requested(quiet: Live) -> None:
    assert httpx.post(f"{quiet.address(quiet.processes[0])}/api/runs", headers=BEARER).status_code == 404


@pytest.mark.slow
def test_runs_are_asked_for_with_the_right_token_only(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.appear(0, 2)
    monkeypatch.setenv("SEAMLESS_SM__SERVICE__TOKEN", "open sesame")
    url = live.address(live.start(NO_POLLING))
    until(lambda: _newest(url) == str(live.days[2].date))
    until(lambda: httpx.get(f"{url}/api/status").json()["last_run"])
    live.appear(3, 3)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic open sesame"}):
        answer = httpx.post(f"{url}/api/runs", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert httpx.post(f"{url}/api/runs", headers=BEARER, json={"to": "2026-01-01"}).status_code == 422
    assert httpx.post(f"{url}/api/runs", headers=BEARER, json={"days": 3}).status_code == 422
    assert _newest(url) == str(live.days[2].date)
    assert httpx.post(f"{url}/api/runs", headers=BEARER).status_code == 202
    until(lambda: _newest(url) == str(live.days[3].date))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/days/yesterday", 422),
        ("/api/days/1999-01-01", 404),
        ("/api/days?from=2020-02-30", 422),
        ("/api/days?from=2020-02-03&to=2020-02-01", 422),
        ("/api/days?from=0001-01-01", 422),
        ("/api/days/..%2f..%2fetc%2fpasswd", 404),
        ("/nothing", 404),
    ],
)
def test_odd_questions_get_a_reason(path: str, status: int, quiet: Live) -> None:
    answer = httpx.get(f"{quiet.address(quiet.processes[0])}{path}")
    assert answer.status_code == status
    assert answer.json()["detail"]


@pytest.mark.slow
def test_one_alert_when_it_begins_and_one_when_it_ends(live: Live, hook: Hook) -> None:
    """A refused day is reported once although the webhook fails at first and the service is restarted."""
    live.appear(0, 4, run="early")
    path = next(live.server.folder.glob(f"LPRM*{live.days[3].date:%Y%m%d}*"))
    sound = path.read_bytes()
    path.write_bytes(sound[:3000])
    live.server.checksums = False
    hook.answers = [500]
    first = live.start(hook.setting)
    live.address(first)
    until(lambda: hook.got)
    kind = f"refused {live.days[3].date}"
    assert [(a["event"], a["kind"]) for a in hook.got] == [("opened", kind)]
    assert "cut short" in hook.got[0]["message"]
    first.send_signal(signal.SIGTERM)
    first.wait(30)
    os.utime(path)
    url = live.address(live.start(hook.setting))
    until(lambda: httpx.get(f"{url}/api/status").json()["last_run"])
    time.sleep(2.5)
    assert len(hook.got) == 1, "reported once"
    path.write_bytes(sound)
    until(lambda: len(hook.got) == 2)
    assert (hook.got[1]["event"], hook.got[1]["kind"]) == ("closed", kind)


@pytest.mark.slow
def test_a_failed_run_is_reported_and_makes_it_unready(live: Live, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "expired")
    live.appear(0, 2)
    url = live.address(live.start(hook.setting))
    until(lambda: len(hook.got) == 2)
    assert {(a["kind"], a["event"]) for a in hook.got} == {("run failed", "opened"), ("lag", "opened")}
    ready = httpx.get(f"{url}/readyz")
    assert (ready.status_code, httpx.get(f"{url}/healthz").status_code) == (503, 200)
    assert "exit code 2" in ready.json()["detail"]


@pytest.mark.slow
def test_a_webhook_that_drips_stops_neither_runs_nor_the_end(
    live: Live, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "expired")
    hook.always = DRIP
    live.appear(0, 2)
    process = live.start(hook.setting)
    url = live.address(process)
    until(lambda: hook.asked_at)
    before = _runs(url)
    until(lambda: _runs(url) >= before + 2)
    assert len(hook.asked_at) == 1, "the message was on its way all the time"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def _runs(url: str) -> float:
    """Return how many runs have ended."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.name == "seamless_runs_total")


@pytest.mark.slow
def test_a_thousand_idle_connections_stop_neither_runs_nor_answers(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "expired")  # so that it runs again and again
    live.appear(0, 2)
    raise_descriptor_limit()  # of this process, which has the other ends
    url = live.address(live.start(descriptors=1024))
    host, port = url.removeprefix("http://").split(":")
    with ExitStack() as idle:
        for _ in range(1100):
            idle.enter_context(socket.create_connection((host, int(port)), 10))
        before = until(lambda: _runs(url))
        until(lambda: _runs(url) >= before + 2)
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert 'exit_code="1"' not in httpx.get(f"{url}/metrics").text


def test_it_may_open_as_many_files_as_the_system_allows(quiet: Live) -> None:
    quiet.address(quiet.processes[0])
    lines = Path(f"/proc/{quiet.processes[0].pid}/limits").read_text().splitlines()
    soft, hard = next(line for line in lines if line.startswith("Max open files")).split()[3:5]
    assert soft == hard


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["POLL_UNTIL=01:00", "PORT=hidden", "TOKENN=hidden", "WEBHOOK=hidden/hidden"])
def test_a_secret_is_in_no_message(wrong: str, tmp_path: Path) -> None:
    name, _, value = wrong.partition("=")
    prefix = "SEAMLESS_SM__SERVICE__"
    secrets = {f"{prefix}TOKEN": "hidden", f"{prefix}WEBHOOK": "https://example.org/hidden"}
    for module in ("service", "runtime"):
        command = [sys.executable, "-m", module, *(["plan"] if module == "runtime" else [])]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | secrets | {prefix + name: value}
        )
        assert done.returncode == 2
        assert name.lower() in done.stderr
        assert "hidden" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(quiet: Live) -> None:
    port = quiet.address(quiet.processes[0]).rsplit(":", 1)[1]
    other = quiet.start(f"service.port={port}", 'archive.path="another"')
    assert other.wait(30) == 2
    quiet.says(other, f"127.0.0.1 port {port} cannot be listened on")
