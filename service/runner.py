"""Running ``runtime fill``, as a process of its own."""

from __future__ import annotations

import datetime as dt
import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.common.clock import now
from runtime.common.logs import LogFormat, logged_error
from runtime.errors import ArchiveBusy, InputRefused, InputsMissing, ResultRefused, SeamlessError

logger = logging.getLogger(__name__)

LOG_FORMAT_VARIABLE = "SEAMLESS_SM_LOG_FORMAT"
"""Environment variable with the format of the log, for the service and for ``runtime``."""

EXPECTED_EXIT_CODES = (
    0,
    InputsMissing.exit_code,
    InputRefused.exit_code,
    ResultRefused.exit_code,
    ArchiveBusy.exit_code,
)
"""Exit codes of a run that did what it could; the catalog has the reason for each day that is not published."""

_LOG_WAIT_S = 5
"""How long the end of a run's log is waited for, once the run has ended."""

STOP_WAIT_S = 60
"""How long a run may take to end when the service stops; a killed run is finished or undone by the next one."""


@dataclass(frozen=True)
class FillRun:
    """A run that has ended."""

    started: dt.datetime
    ended: dt.datetime
    exit_code: int
    message: str = ""
    """The last error that the run logged; empty without one."""

    @property
    def failed(self) -> bool:
        """Whether the run did less than it could."""
        return self.exit_code not in EXPECTED_EXIT_CODES


class _ForwardedLog:
    """Copies the log of a run to this process's, line by line, and keeps the last error."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self._lines, self._last = process.stderr, ""
        self._thread = threading.Thread(target=self._forward, name="log of the run", daemon=True)
        self._thread.start()

    def _forward(self) -> None:
        with self._lines:
            for raw in self._lines:
                line = raw.decode(errors="replace")
                sys.stderr.write(line)
                sys.stderr.flush()
                self._last = logged_error(line) or self._last

    def last(self) -> str:
        """Return the last error; a process that outlives the run may hold its log, so do not wait for that."""
        self._thread.join(_LOG_WAIT_S)
        return self._last


class Runner:
    """Runs ``runtime fill`` in a process of its own, one at a time, so that a crash does not end the service.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of ``runtime fill`` after the days: the configuration and its overrides.
    log_format : LogFormat
        Format of the runs' logs.
    """

    def __init__(self, arguments: Sequence[str], log_format: LogFormat = LogFormat.AUTO) -> None:
        self._arguments = list(arguments)
        self._environment = {LOG_FORMAT_VARIABLE: log_format.value}
        self._process: subprocess.Popen[bytes] | None = None
        self._one_run, self._lock = threading.Lock(), threading.Lock()
        self._is_stopping = False
        self.running_since: dt.datetime | None = None
        """Start of the run in progress; None if there is none."""
        self.last: FillRun | None = None
        """The run that ended last; None before the first."""
        self.exit_codes: Counter[int] = Counter()
        """Number of runs that have ended, by exit code."""

    def run(self, days: Sequence[str] = ("--date", "today")) -> int | None:
        """Wait for the run in progress, then fill once.

        Parameters
        ----------
        days : sequence of str
            Options of ``runtime fill`` that choose the days.

        Returns
        -------
        int or None
            The exit code of the run, 1 if it could not be started; None if the service is stopping.
        """
        with self._one_run:
            started = now()
            try:
                process = self._start(days)
            except OSError as error:  # no descriptor or no memory is left, or Python was moved
                message = f"fill cannot be started ({error}); it is tried again at the next poll"
                logger.error(message)
                exit_code = SeamlessError.exit_code
            else:
                if process is None:
                    return None
                errors = _ForwardedLog(process)
                exit_code, message = process.wait(), errors.last()
                logger.info("fill ended with exit code %d", exit_code)
            self.last, self.running_since = FillRun(started, now(), exit_code, message), None
            self.exit_codes[exit_code] += 1
            return exit_code

    def _start(self, days: Sequence[str]) -> subprocess.Popen[bytes] | None:
        """Start a run, unless the service is stopping."""
        command = [sys.executable, "-m", "runtime", "fill", *days, *self._arguments]
        with self._lock:
            if self._is_stopping:
                return None
            self._process = subprocess.Popen(  # noqa: S603 - this software's own program
                command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | self._environment
            )
            self.running_since = now()
            return self._process

    def stop(self) -> None:
        """End a run in progress, and start no other."""
        with self._lock:
            self._is_stopping = True
            process = self._process
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
