"""When the service runs a fill: a real scheduler, and a clock that jumps."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time

import pytest
import time_machine
from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from runtime.archive.catalog import Catalog
from runtime.archive.verify import rebuild_catalog
from runtime.common.clock import now
from runtime.config import Config, Service
from service.alerts import SCHEDULE_FAILED, Alerts
from service.runner import Runner
from service.schedule import MISFIRE_GRACE_S, FillSchedule, is_due
from tests.conftest import MakeSite, Site


class _Counted(Runner):
    """Counts the calls of `run`, and runs nothing."""

    def __init__(self, exit_codes: tuple[int, ...] = (), takes_s: float = 0) -> None:
        super().__init__([])
        self.takes_s = takes_s
        self.ran, self.codes, self.happened = 0, list(exit_codes), threading.Event()

    def run(self, days: object = ()) -> int:
        self.ran += 1
        self.happened.set()
        time.sleep(self.takes_s)
        return self.codes.pop(0) if self.codes else 0


def test_jobs_are_not_dropped_and_do_not_overlap() -> None:
    schedule = FillSchedule(Config(service=Service(run_at="03:07")), _Counted())
    schedule.scheduler.start(paused=True)
    try:
        jobs = {job.id: job for job in schedule.scheduler.get_jobs()}
        assert set(jobs) == {"daily", "catch-up", "poll"}
        for job in jobs.values():
            assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (MISFIRE_GRACE_S, True, 1)
        assert isinstance(jobs["catch-up"].trigger, DateTrigger)
        assert isinstance(jobs["daily"].trigger, CronTrigger)
        following = schedule.next_run()
        assert following
        assert (following.hour, following.minute, following.utcoffset()) == (3, 7, dt.timedelta(0))
    finally:
        schedule.scheduler.shutdown()


@pytest.mark.slow
def test_a_clock_that_jumps_over_the_minute_does_not_lose_the_run() -> None:
    """Three hours are set forward ten minutes before the daily run; it runs late instead of never."""
    runner = _Counted()
    config = Config(service=Service(run_at="15:30", poll_until="15:30", poll_minutes=0.02))
    with time_machine.travel(dt.datetime(2026, 3, 1, 15, 20, tzinfo=dt.UTC), tick=True) as clock:
        schedule = FillSchedule(config, runner)
        schedule.scheduler.start()
        try:
            assert runner.happened.wait(5), "catch-up at start"
            runner.happened.clear()
            time.sleep(2.5)
            assert runner.ran == 1, "not yet time"
            clock.shift(dt.timedelta(hours=3))
            assert runner.happened.wait(10)
            assert runner.ran == 2
        finally:
            schedule.scheduler.shutdown()


@pytest.mark.parametrize("code", [7, 1])
def test_a_run_that_found_the_archive_held_or_no_more_time_is_followed_by_another(code: int) -> None:
    runner = _Counted(exit_codes=(code, 0))
    config = Config(service=Service(run_at="00:00", poll_until="00:00", poll_minutes=0.02))
    schedule = FillSchedule(config, runner)
    schedule.scheduler.start()
    try:
        deadline = time.monotonic() + 10
        while runner.ran < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert runner.ran == 2
    finally:
        schedule.scheduler.shutdown()


def test_it_stops_while_a_run_finds_the_archive_held() -> None:
    """A job that asks the scheduler for something while the scheduler waits for the job would wait for ever."""
    runner = _Counted(exit_codes=(7,), takes_s=0.5)
    schedule = FillSchedule(Config(), runner)
    schedule.scheduler.start()
    assert runner.happened.wait(10)
    assert schedule.scheduler.get_jobs(), "waits until the job that has begun is off the list"
    stopping = threading.Thread(target=schedule.scheduler.shutdown, daemon=True)
    stopping.start()
    stopping.join(10)
    assert not stopping.is_alive()


def test_a_poll_that_is_due_during_a_run_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    runner, skipped = _Counted(takes_s=1), threading.Event()
    schedule = FillSchedule(Config(), runner)
    schedule.scheduler.add_listener(lambda _: skipped.set(), EVENT_JOB_MAX_INSTANCES)
    schedule.scheduler.start()
    try:
        assert runner.happened.wait(10)
        while not skipped.wait(0.05):  # the first poll waits for the run, the second is one too many
            schedule.scheduler.modify_job("poll", next_run_time=now())
        logging.getLogger("apscheduler.scheduler").warning("another message")
    finally:
        schedule.scheduler.shutdown()
    assert [r.getMessage() for r in caplog.records] == ["another message"]


def test_polling_ends_when_the_newest_day_is_complete(make_site: MakeSite) -> None:
    site = make_site("sgdsm2-amsr2-x", arrived=False)
    site.bring(0, 5)
    late = site.imerg(5)
    early = late.rename(late.with_name(late.name.replace("3B-DAY-L", "3B-DAY-E")))
    config = site.config()
    now = dt.datetime.now(dt.UTC).replace(hour=12)
    inside, outside = now.replace(hour=23, minute=0), now.replace(hour=1, minute=0)
    assert is_due(config, inside), "nothing is published"
    assert not is_due(config, outside)
    site.fill(0, 5, 'service.run_at="00:00"')
    whole_day = site.config('service.run_at="00:00"')
    assert is_due(whole_day, now), "the newest day has only Early rain"
    early.rename(late)
    site.fill(0, 5)
    assert not is_due(whole_day, now)
    assert is_due(whole_day, now + dt.timedelta(days=1)), "tomorrow there is another day to wait for"


def test_a_catalog_read_back_from_the_files_is_polled(window_site: Site) -> None:
    """It has no revisions, so nothing says when the newest day was published for the first time."""
    window_site.fill(0, 3)
    window_site.paths.catalog.unlink()
    rebuild_catalog(window_site.config(), lambda items, _: items)
    config = window_site.config('service.run_at="00:00"', 'service.poll_until="23:59"')
    assert is_due(config, now())


@pytest.mark.slow
def test_a_poll_that_fails_is_an_alert_until_one_does_not(window_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    window_site.fill(0, 0)
    config = window_site.config("service.poll_minutes=0.01")
    schedule = FillSchedule(config, _Counted())
    alerts = Alerts(config, _Counted(), schedule)

    def incident() -> str | None:
        alerts.check(now())
        with Catalog.open(window_site.paths.catalog, read_only=True) as catalog:
            return catalog.incidents().get(SCHEDULE_FAILED, (None, ""))[0]

    def wait_until(is_open: bool) -> str | None:
        deadline = time.monotonic() + 20
        while bool(incident()) is not is_open and time.monotonic() < deadline:
            time.sleep(0.05)
        return incident()

    def broken(*_: object) -> bool:
        raise ValueError("min() arg is an empty sequence")

    monkeypatch.setattr("service.schedule.is_due", broken)
    schedule.scheduler.start()
    try:
        expected = "the job poll failed (ValueError: min() arg is an empty sequence); the log has the traceback"
        assert wait_until(True) == expected
        monkeypatch.setattr("service.schedule.is_due", lambda *_: False)
        assert wait_until(False) is None
    finally:
        schedule.scheduler.shutdown()
