"""Alerts: one message when something goes wrong, and one when it is over."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import urllib.request

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.common.clock import now
from runtime.config import Config
from runtime.errors import ArchiveBusy, SeamlessError
from service.runner import FillRun

logger = logging.getLogger(__name__)

LAG = "lag"
"""Kind of the incident that the newest day is too old."""

RUN_FAILED = "run failed"
"""Kind of the incident that the last run did less than it could."""

SCHEDULE_FAILED = "schedule failed"
"""Kind of the incident that a poll, or the start of a run, failed by itself."""

_TIMEOUT_S = 15


class Alerts:
    """Compares what is wrong now with the incidents that were reported, and reports the difference.

    Reported incidents are kept in the catalog: a service that is restarted does not report them again. A message that
    cannot be delivered is tried again at the next check.

    Parameters
    ----------
    config : Config
        ``service.webhook`` is where messages go; without it they are lines of the log only.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()  # the schedule and the runner call from threads of their own
        self._last_run: FillRun | None = None
        self._job_has_ended, self._job_failure = False, ""

    def check(self) -> None:
        """Report what has changed."""
        with self._lock:
            self._report_changes(now())

    def run_ended(self, run: FillRun) -> None:
        """Take the result of a run into account, and report what has changed.

        Parameters
        ----------
        run : FillRun
            The run.
        """
        with self._lock:
            self._last_run = run
            self._report_changes(now())

    def job_ended(self, failure: str | None) -> None:
        """Take the end of a job of the schedule into account, and report what has changed.

        Parameters
        ----------
        failure : str or None
            Why the job failed; None if it did not.
        """
        with self._lock:
            self._job_has_ended, self._job_failure = True, failure or ""
            self._report_changes(now())

    def _report_changes(self, moment: dt.datetime) -> None:
        try:
            with Catalog.open(ArchivePaths.of(self._config).catalog) as catalog:
                wrong, reported = self._wrong_now(catalog, moment.date()), catalog.incidents()
                for kind, message in wrong.items():
                    if kind not in reported and self._report("opened", kind, message, moment):
                        catalog.open_incident(kind, message, moment.isoformat(timespec="seconds"))
                for kind, (message, _) in reported.items():
                    is_over = kind not in wrong and not self._is_undecided(kind)
                    if is_over and self._report("closed", kind, message, moment):
                        catalog.close_incident(kind)
        except SeamlessError as error:
            logger.warning("alerts cannot be checked: %s", error)

    def _is_undecided(self, kind: str) -> bool:
        """Whether it is not known yet if an incident is over.

        Only another run can end the incident that a run failed. After a restart no run has ended yet; a run that found
        the archive busy has not filled. The same holds for jobs of the schedule.
        """
        if kind == SCHEDULE_FAILED:
            return not self._job_has_ended
        last = self._last_run
        return kind == RUN_FAILED and (last is None or last.exit_code == ArchiveBusy.exit_code)

    def _wrong_now(self, catalog: Catalog, today: dt.date) -> dict[str, str]:
        """Return the message of everything that is wrong now, by kind of incident."""
        wrong = {}
        last, span, limit = self._last_run, catalog.first_and_newest(), self._config.policy.max_lag_days
        if span and (lag := (today - span[1]).days) > limit:
            wrong[LAG] = f"the newest day is {span[1]}, {lag} days ago; {limit} are normal"
        elif span is None and last:
            wrong[LAG] = f"no day has been published yet; the first run ended with exit code {last.exit_code}"
        for problem in catalog.problems().values():
            if problem.kind.needs_decision:
                wrong[f"{problem.kind} {problem.date}"] = problem.reason
        if last and last.failed:
            wrong[RUN_FAILED] = f"runtime fill ended with exit code {last.exit_code}; its log says why"
        if self._job_failure:
            wrong[SCHEDULE_FAILED] = f"{self._job_failure}; the log has the traceback"
        return wrong

    def _report(self, event: str, kind: str, message: str, moment: dt.datetime) -> bool:
        """Send a message; return whether it was delivered."""
        text = f"{self._config.archive.path}: {kind}: {message}" if event == "opened" else f"over: {kind}: {message}"
        level = logging.WARNING if event == "opened" else logging.INFO
        logger.log(level, "alert: %s", text, extra={"fields": {"event": event, "kind": kind}})
        if not self._config.service.webhook:
            return True
        content = {
            "event": event,
            "kind": kind,
            "message": message,
            "archive": str(self._config.archive.path),
            "at": moment.isoformat(timespec="seconds"),
            "text": text,
        }
        request = urllib.request.Request(
            self._config.service.webhook,
            json.dumps(content).encode(),
            {"Content-Type": "application/json", "User-Agent": "seamless-sm"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
                return True
        except (OSError, ValueError) as error:
            logger.warning("the webhook does not accept the alert (%s); it is sent again at the next check", error)
            return False
