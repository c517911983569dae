"""Alerts: one message when something goes wrong, and one when it is over."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from runtime.archive.catalog import Catalog
from runtime.archive.clock_check import clock_fault
from runtime.archive.paths import ArchivePaths
from runtime.common.clock import now
from runtime.config import Config
from runtime.errors import ArchiveBusy, SeamlessError
from runtime.inputs.sensors_seen import silent_sensors
from runtime.mirror.ledger import mirror_fault
from service.faults import failed_run_fault, lag_fault, stuck_run_fault
from service.runner import Runner
from service.schedule import FillSchedule
from service.webhook import NotDelivered, post_message

logger = logging.getLogger(__name__)

LAG = "lag"
"""Kind of the incident that the newest day is too old."""

CLOCK = "clock"
"""Kind of the incident that this machine's clock disagrees with the archive."""

SENSOR = "sensor"
"""Kind, with the sensor's name, of the incident that the newest days lack a sensor while others go on."""

RUN_FAILED = "run failed"
"""Kind of the incident that the last run did less than it could."""

RUN_STUCK = "run stuck"
"""Kind of the incident that the run in progress takes too long."""

SCHEDULE_FAILED = "schedule failed"
"""Kind of the incident that a poll, or the start of a run, failed by itself."""

MIRROR = "mirror"
"""Kind of the incident that the last update of the mirror failed."""

CATALOG = "catalog"
"""Kind of the incident that the catalog cannot be read."""

_CHECK_S = 2.0
_FIRST_RETRY_S, _LONGEST_RETRY_S = 2.0, 900.0


@dataclass(frozen=True)
class _Change:
    """A message: an incident has begun, or is over."""

    event: Literal["opened", "closed"]
    kind: str
    message: str


class Alerts:
    """Compares what is wrong now with the incidents that were reported, and reports the difference.

    Checks and messages have a thread of their own, so a webhook that does not answer stops neither a run nor the
    service. A message that cannot be delivered is tried again, after waits that double. Reported incidents are kept in
    memory, and in the catalog if it can be written: then a service that is restarted does not report them again.

    Parameters
    ----------
    config : Config
        ``service.webhook`` is where messages go; without it they are lines of the log only.
    runner : Runner
        Runs the fills.
    schedule : FillSchedule
        Starts them.
    """

    def __init__(self, config: Config, runner: Runner, schedule: FillSchedule) -> None:
        self._config, self._runner, self._schedule = config, runner, schedule
        self._catalog = ArchivePaths.of(config).catalog
        self._reported: dict[str, tuple[str, str]] = {}
        """Message and beginning of each reported incident, by kind."""
        self._kept: dict[str, tuple[str, str]] | None = None
        """The same as the catalog has it; None until the catalog could be read."""
        self._is_readable = self._is_writable = True
        self._waiting: set[_Change] = set()
        """What has changed and is not delivered yet."""
        self._failures, self._retry_at = 0, 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Check every few seconds, in a thread; at the end, a message on its way is not waited for."""
        stopping = threading.Event()

        def watch() -> None:
            while not stopping.wait(_CHECK_S):
                try:
                    self.check(now())
                except Exception:
                    logger.exception("alerts cannot be checked; they are checked again in %g s", _CHECK_S)

        threading.Thread(target=watch, name="alerts", daemon=True).start()
        try:
            yield
        finally:
            stopping.set()

    def check(self, moment: dt.datetime) -> None:
        """Log what has changed, and send it unless the wait after a failed delivery is not over.

        Parameters
        ----------
        moment : datetime
            The current time, UTC.
        """
        changes = list(self._changes(self._wrong_now(moment)))
        for change in changes:
            if change not in self._waiting:
                level = logging.WARNING if change.event == "opened" else logging.INFO
                logger.log(
                    level,
                    "alert: %s",
                    self._text(change),
                    extra={"fields": {"event": change.event, "kind": change.kind}},
                )
        self._waiting = set(changes)
        if changes and time.monotonic() >= self._retry_at:
            self._send(changes, moment.isoformat(timespec="seconds"))
        self._keep_reported()

    def _changes(self, wrong: dict[str, str]) -> Iterator[_Change]:
        """Yield the incidents that are not reported yet, then the reported ones that are over."""
        for kind, message in wrong.items():
            if kind not in self._reported:
                yield _Change("opened", kind, message)
        for kind, (message, _) in self._reported.items():
            if kind not in wrong and not self._is_undecided(kind):
                yield _Change("closed", kind, message)

    def _is_undecided(self, kind: str) -> bool:
        """Whether it is not known yet if an incident is over.

        Only another run can end the incident that a run failed: after a restart no run has ended yet; a run that found
        the archive busy has not filled. Of days nothing is known while the catalog cannot be read.
        """
        if kind == RUN_FAILED:
            last = self._runner.last
            return last is None or last.exit_code == ArchiveBusy.exit_code
        if kind == SCHEDULE_FAILED:
            return not self._schedule.has_worked
        return not self._is_readable and kind not in (RUN_STUCK, CATALOG)

    def _wrong_now(self, moment: dt.datetime) -> dict[str, str]:
        """Return the message of everything that is wrong now, by kind of incident."""
        found = {
            RUN_FAILED: failed_run_fault(self._runner),
            RUN_STUCK: stuck_run_fault(self._config, self._runner, moment),
            SCHEDULE_FAILED: self._schedule.failure,
            MIRROR: mirror_fault(self._config),
        }
        try:
            with Catalog.open(self._catalog, read_only=True) as catalog:
                found |= self._wrong_days(catalog, moment)
                kept = catalog.incidents()
        except Exception as error:  # whatever is wrong with the catalog, the alert must leave
            found[CATALOG] = str(error) if isinstance(error, SeamlessError) else f"it cannot be read ({error!r})"
            self._is_readable = False
        else:
            if self._kept is None:
                self._reported = kept | self._reported
            self._kept, self._is_readable = kept, True
        return {kind: message for kind, message in found.items() if message}

    def _wrong_days(self, catalog: Catalog, moment: dt.datetime) -> dict[str, str | None]:
        """Return what the catalog says is wrong, by kind of incident."""
        span, today = catalog.first_and_newest(), moment.date()
        refused = (problem for problem in catalog.problems().values() if problem.kind.needs_decision)
        lag = lag_fault(self._config, self._runner, span and span[1], today)
        clock = clock_fault(catalog, moment, today, self._config)
        gone = {f"{SENSOR} {name}": message for name, message in silent_sensors(self._config, catalog).items()}
        refusals = {f"{problem.kind} {problem.date}": problem.reason for problem in refused}
        return {LAG: lag, CLOCK: clock} | gone | refusals

    def _send(self, changes: list[_Change], at: str) -> None:
        """Send messages, and set when to try again."""
        delivered = [self._deliver(change, at) for change in changes]
        self._failures = 0 if all(delivered) else self._failures + 1
        wait = min(_FIRST_RETRY_S * 2 ** min(self._failures - 1, 20), _LONGEST_RETRY_S) if self._failures else 0
        self._retry_at = time.monotonic() + wait

    def _deliver(self, change: _Change, at: str) -> bool:
        """Send a message; return whether it was delivered."""
        if webhook := self._config.service.webhook:
            content = vars(change) | {"archive": str(self._config.archive.path), "at": at, "text": self._text(change)}
            try:
                post_message(webhook, content)
            except NotDelivered as error:
                logger.warning("the webhook did not accept an alert (%s); it is sent again later", error)
                return False
        if change.event == "opened":
            self._reported[change.kind] = change.message, at
        else:
            del self._reported[change.kind]
        return True

    def _text(self, change: _Change) -> str:
        """Return a message in one line."""
        begin = f"{self._config.archive.path}" if change.event == "opened" else "over"
        return f"{begin}: {change.kind}: {change.message}"

    def _keep_reported(self) -> None:
        """Write the reported incidents into the catalog, if there is one that can be written."""
        if self._kept is None or not self._is_readable or not self._catalog.exists() or self._kept == self._reported:
            return
        try:
            with Catalog.open(self._catalog) as catalog:
                for kind in self._kept.keys() - self._reported.keys():
                    catalog.close_incident(kind)
                for kind, (message, since) in self._reported.items() - self._kept.items():
                    catalog.open_incident(kind, message, since)
            self._is_writable = True
        except SeamlessError as error:
            if self._is_writable:
                logger.warning("%s; alerts that were sent are sent again after a restart", error)
            self._is_writable = False
