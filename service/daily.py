"""The daily job under APScheduler. Jobs live in memory: the configuration is the schedule, the catalog the memory."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from runtime.config import Service

MISFIRE_GRACE_S = 6 * 3600
"""APScheduler's own default is 1 s: a job that starts late would be dropped without a word."""

STOP_WAIT_S = 60
"""How long a run may take to end when the service stops; a killed run is finished or undone by the next one."""


class DailyFill:
    """Runs ``runtime fill --date today`` in a process of its own, so that its crash is not the service's.

    Parameters
    ----------
    arguments : sequence of str
        What follows ``runtime fill --date today``: the configuration and its overrides.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "runtime", "fill", "--date", "today", *arguments]
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self.exit_codes: list[int] = []

    def run(self) -> None:
        """Fill once, and say how it ended."""
        with self._lock:
            if self._stopped:
                return
            self._child = subprocess.Popen(self._command)
        code = self._child.wait()
        self.exit_codes.append(code)
        print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC fill ended with exit code {code}", flush=True)

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


def scheduler_for(settings: Service, job: DailyFill) -> BackgroundScheduler:
    """Return a scheduler with the daily job, and one run at once to catch up; one runs at a time."""
    scheduler = BackgroundScheduler(timezone="UTC", executors={"default": {"type": "threadpool", "max_workers": 1}})
    hour, minute = map(int, settings.run_at.split(":"))
    options = {"misfire_grace_time": MISFIRE_GRACE_S, "coalesce": True, "max_instances": 1}
    scheduler.add_job(job.run, CronTrigger(hour=hour, minute=minute, timezone="UTC"), id="daily", **options)
    scheduler.add_job(job.run, id="catch-up", **options)
    return scheduler


def serve(settings: Service, arguments: Sequence[str]) -> None:
    """Run until SIGTERM or SIGINT."""
    job = DailyFill(arguments)
    scheduler = scheduler_for(settings, job)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    scheduler.start()
    print(f"filling now, then every day at {settings.run_at} UTC; stop with SIGTERM", flush=True)
    stop.wait()
    job.stop()
    scheduler.shutdown()
