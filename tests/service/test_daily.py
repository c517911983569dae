"""The daily job with a real scheduler and real child processes."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from runtime.config import Service
from service.daily import MISFIRE_GRACE_S, DailyFill, scheduler_for
from tests.conftest import DAYS, Site


def _young(site: Site) -> list[str]:
    """Overrides that make a fortnight of long ago count as up to date."""
    return ["--config", str(site.file), "--set", "policy.max_outage_days=0", "--set", "policy.max_lag_days=99999"]


def test_jobs_are_not_dropped_and_do_not_overlap() -> None:
    scheduler = scheduler_for(Service(run_at="03:07"), DailyFill([]))
    scheduler.start(paused=True)
    try:
        jobs = {job.id: job for job in scheduler.get_jobs()}
        assert set(jobs) == {"daily", "catch-up"}
        for job in jobs.values():
            assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (MISFIRE_GRACE_S, True, 1)
        assert isinstance(jobs["catch-up"].trigger, DateTrigger)
        assert isinstance(jobs["daily"].trigger, CronTrigger)
        following = jobs["daily"].next_run_time
        assert (following.hour, following.minute, following.utcoffset()) == (3, 7, timedelta(0))
    finally:
        scheduler.shutdown()


def test_a_run_fills_and_reports_its_exit_code(window_site: Site) -> None:
    job = DailyFill(_young(window_site))
    job.run()
    job.run()
    assert job.exit_codes == [0, 0]
    assert len(window_site.published()) == DAYS


def test_a_failing_run_is_reported_not_fatal(window_site: Site) -> None:
    job = DailyFill(["--config", str(window_site.folder / "nowhere.toml")])
    job.run()
    assert job.exit_codes == [2]


def test_sigterm_ends_the_service_and_the_archive_is_whole(window_site: Site) -> None:
    command = [sys.executable, "-m", "service", *_young(window_site)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not window_site.published() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert window_site.published(), "the service catches up at start"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
    check = [sys.executable, "-m", "runtime", "check", "--config", str(window_site.file)]
    assert subprocess.run(check, capture_output=True, text=True).stdout == "the archive is whole\n"
    assert len(window_site.published()) <= DAYS
