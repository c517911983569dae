"""When to fill: APScheduler with jobs in memory. The configuration is the schedule, the catalog the memory."""

from __future__ import annotations

import datetime as dt
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from runtime.archive.catalog import Catalog
from runtime.common.clock import now
from runtime.config import Config, Policy
from runtime.errors import ArchiveBusy, SeamlessError
from runtime.pipeline.plan import RUNS

MISFIRE_GRACE_S = 12 * 3600
"""APScheduler's own default is 1 s: a job that starts late would be dropped without a word."""

STOP_WAIT_S = 60
"""How long a run may take to end when the service stops; a killed run is finished or undone by the next one."""

JOB_OPTIONS = {"misfire_grace_time": MISFIRE_GRACE_S, "coalesce": True, "max_instances": 1}


@dataclass(frozen=True)
class FillRun:
    """One run of the runtime."""

    started: dt.datetime
    ended: dt.datetime | None = None
    exit_code: int | None = None


class Runner:
    """Runs ``runtime fill`` in a process of its own, one at a time, so that its crash is not the service's.

    Parameters
    ----------
    arguments : sequence of str
        What follows ``runtime fill``'s choice of days: the configuration and its overrides.
    on_end : callable
        Told each run that has ended.
    """

    def __init__(self, arguments: Sequence[str], on_end: Callable[[FillRun], None] = lambda run: None) -> None:
        self._arguments, self._on_end = list(arguments), on_end
        self._child: subprocess.Popen[bytes] | None = None
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._stopped = False
        self.current: FillRun | None = None
        self.last: FillRun | None = None

    def run(self, days: Sequence[str] = ("--date", "today")) -> int | None:
        """Fill once, say how it ended, and return its exit code; None if the service is stopping."""
        with self._turn:
            with self._lock:
                if self._stopped:
                    return None
                command = [sys.executable, "-m", "runtime", "fill", *days, *self._arguments]
                self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
                self.current = FillRun(now())
            code = self._child.wait()
            self.last, self.current = FillRun(self.current.started, now(), code), None
            print(f"{now():%Y-%m-%d %H:%M:%S} UTC fill ended with exit code {code}", flush=True)
            if not self._stopped:
                self._on_end(self.last)
            return code

    def stop(self) -> None:
        """End a run in progress and start no other."""
        with self._lock:
            self._stopped = True
            child = self._child
        if child and child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                child.kill()


class FillSchedule:
    """A run at start, one every day, and more of them inside the daily window until the newest day is complete."""

    def __init__(self, config: Config, runner: Runner, watch: Callable[[], None]) -> None:
        self._config, self._runner, self._was_busy = config, runner, False
        settings = config.service
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a poll that is due while a run works is no fault
        self.scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={
                "default": {"type": "threadpool", "max_workers": 1},
                "watch": {"type": "threadpool", "max_workers": 1},
            },
        )
        hour, minute = map(int, settings.run_at.split(":"))
        daily = CronTrigger(hour=hour, minute=minute, timezone="UTC")
        often = IntervalTrigger(seconds=max(1, round(settings.poll_minutes * 60)), timezone="UTC")
        self.scheduler.add_job(self._daily, daily, id="daily", **JOB_OPTIONS)
        self.scheduler.add_job(self._daily, id="catch-up", **JOB_OPTIONS)
        self.scheduler.add_job(self._poll, often, id="poll", **JOB_OPTIONS)
        self.scheduler.add_job(watch, often, id="watch", executor="watch", **JOB_OPTIONS)

    def request(self, days: Sequence[str]) -> None:
        """Run as soon as no other run is in progress."""
        self.scheduler.add_job(self._runner.run, args=[days], **JOB_OPTIONS)

    def next_run(self) -> dt.datetime | None:
        """Return when the next run is due at the latest."""
        job = self.scheduler.get_job("daily")
        return job.next_run_time if job else None

    def _daily(self) -> None:
        self._was_busy = self._runner.run() == ArchiveBusy.exit_code

    def _poll(self) -> None:
        if self._was_busy or is_due(self._config, now()):
            self._daily()


def is_due(config: Config, now: dt.datetime) -> bool:
    """Whether it is worth looking again: inside the daily window, and the newest day is not complete yet."""
    opens = at(config.service.run_at, now)
    if not opens <= now <= at(config.service.poll_until, now):
        return False
    try:
        with Catalog.open(config.catalog_path, read_only=True) as catalog:
            return not is_complete(catalog, config.policy, opens)
    except SeamlessError:
        return True


def at(time_of_day: str, now: dt.datetime) -> dt.datetime:
    """Return a time of day on the day of `now`."""
    hour, minute = map(int, time_of_day.split(":"))
    return now.replace(hour=hour, minute=minute, second=0, microsecond=0)


def is_complete(catalog: Catalog, policy: Policy, opened: dt.datetime) -> bool:
    """Whether a new day was published since the window opened, with everything it can have by now."""
    span = catalog.span()
    if span is None:
        return False
    (newest,) = catalog.days(span[1], span[1]).values()
    first = min(revision.made_at for revision in catalog.revisions(date=span[1]))
    rain = newest.record.inputs.get("precipitation", "not used")
    enough = rain == "not used" or (
        not isinstance(rain, str | None)
        and RUNS.index(rain.run or "early") >= RUNS.index(policy.consolidated_precipitation)
    )
    return dt.datetime.fromisoformat(first) >= opened and newest.record.inputs["T"] is not None and enough
