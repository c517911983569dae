"""When to fill: APScheduler with its jobs in memory; the configuration is the schedule."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.record import DayRecord
from runtime.common.clock import now
from runtime.common.vocabulary import RAIN_TODAY, TODAY, ImergRun
from runtime.config import Config, Policy
from runtime.errors import ArchiveBusy, SeamlessError
from service.runner import Runner

MISFIRE_GRACE_S = 12 * 3600
"""How late a job may start. APScheduler's own default is 1 s: it drops a job that starts later, without a message."""

_UNFINISHED = (ArchiveBusy.exit_code, SeamlessError.exit_code)
"""Exit codes after which the next poll runs again: another run held the archive, or it ended at its time limit."""

JOB_OPTIONS = {"misfire_grace_time": MISFIRE_GRACE_S, "coalesce": True, "max_instances": 1}


class FillSchedule:
    """A run at start, one every day, and more of them inside the daily window until the newest day is complete.

    Parameters
    ----------
    config : Config
        Its section ``[service]`` has the times.
    runner : Runner
        Runs the fills.
    """

    def __init__(self, config: Config, runner: Runner) -> None:
        self._config, self._runner, self._is_unfinished = config, runner, False
        settings = config.service
        logging.getLogger("apscheduler.scheduler").addFilter(_is_worth_a_warning)
        self.failure: str | None = None
        """Why the poll or start of a run that ended last failed by itself; None if it did not."""
        self.has_worked = False
        """Whether a poll or start of a run has ended."""
        executors = {"default": {"type": "threadpool", "max_workers": 1}}
        self.scheduler = BackgroundScheduler(timezone="UTC", executors=executors)
        self.scheduler.add_listener(self._job_ended, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
        hour, minute = map(int, settings.run_at.split(":"))
        daily = CronTrigger(hour=hour, minute=minute, timezone="UTC")
        polling = IntervalTrigger(seconds=max(1, round(settings.poll_minutes * 60)), timezone="UTC")
        self.scheduler.add_job(self._fill, daily, id="daily", **JOB_OPTIONS)
        self.scheduler.add_job(self._fill, id="catch-up", **JOB_OPTIONS)
        self.scheduler.add_job(self._poll, polling, id="poll", **JOB_OPTIONS)

    def request(self, days: Sequence[str]) -> None:
        """Run as soon as no other run is in progress.

        Parameters
        ----------
        days : sequence of str
            Options of ``runtime fill`` that choose the days.
        """
        self.scheduler.add_job(self._runner.run, args=[days], **JOB_OPTIONS)

    def next_run(self) -> dt.datetime | None:
        """Return when the next run starts at the latest."""
        job = self.scheduler.get_job("daily")
        return job.next_run_time if job else None

    def _fill(self) -> None:
        """Run; keep for the next poll whether it must go on, whatever the time of day."""
        self._is_unfinished = self._runner.run() in _UNFINISHED

    def _poll(self) -> None:
        """Run if the last run could not do its work or did not end it, or the newest day is not complete."""
        if self._is_unfinished or is_due(self._config, now()):
            self._fill()

    def _job_ended(self, event: JobExecutionEvent) -> None:
        """Note whether a job failed by itself; APScheduler only writes its traceback to the log."""
        error = event.exception
        failure = f"the job {event.job_id} failed ({type(error).__name__}: {error}); the log has the traceback"
        self.failure, self.has_worked = failure if error else None, True


def _is_worth_a_warning(record: logging.LogRecord) -> bool:
    """Whether a message of APScheduler is reported: a poll that is due while a run is in progress is no fault."""
    return "maximum number of running instances reached" not in record.getMessage()


def is_due(config: Config, moment: dt.datetime) -> bool:
    """Whether another run is worth it: it is inside the daily window, and the newest day is not complete yet.

    Parameters
    ----------
    config : Config
        The configuration.
    moment : datetime
        The current time, UTC.

    Returns
    -------
    bool
        True inside the window also if the catalog cannot be read: the run reports why.
    """
    window_start = time_of_day(config.service.run_at, moment)
    if not window_start <= moment <= time_of_day(config.service.poll_until, moment):
        return False
    try:
        with Catalog.open(ArchivePaths.of(config).catalog, read_only=True) as catalog:
            return not is_complete(catalog, config.policy, window_start)
    except SeamlessError:
        return True


def time_of_day(text: str, moment: dt.datetime) -> dt.datetime:
    """Return a time of day, ``HH:MM``, on the day of `moment`."""
    hour, minute = map(int, text.split(":"))
    return moment.replace(hour=hour, minute=minute, second=0, microsecond=0)


def is_complete(catalog: Catalog, policy: Policy, since: dt.datetime) -> bool:
    """Whether a new day was published since a time, with all inputs that it can have by now.

    Parameters
    ----------
    catalog : Catalog
        The archive's catalog.
    policy : Policy
        Its ``consolidated_precipitation`` is the IMERG run that a complete day has, or a better one.
    since : datetime
        Start of the daily window.

    Returns
    -------
    bool
        Whether the newest day was published for the first time after `since`, has its own soil moisture, and has its
        rain if the model takes rain. False if it is not known when the day was published for the first time: a catalog
        that was read back from the files has no revisions.
    """
    span = catalog.first_and_newest()
    if span is None:
        return False
    newest = span[1]
    (row,) = catalog.days(newest, newest).values()
    first_made = min((revision.made_at for revision in catalog.revisions(date=newest)), default=None)
    if first_made is None or dt.datetime.fromisoformat(first_made) < since:
        return False
    return _has_inputs(row.record, policy.consolidated_precipitation)


def _has_inputs(record: DayRecord, wanted: ImergRun) -> bool:
    """Whether a day has its own soil moisture and, if the model takes rain, rain of the wanted run or a better one."""
    inputs = record.inputs
    if inputs[TODAY] is None:
        return False
    if RAIN_TODAY not in inputs:
        return True
    rain = inputs[RAIN_TODAY]
    return rain is not None and (rain.run or ImergRun.EARLY).is_at_least(wanted)
