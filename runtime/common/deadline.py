"""Time limits that hold whatever a library or a server does."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Deadline:
    """A moment at which something must have ended."""

    ends: float
    """Seconds of `time.monotonic`."""
    limit: str
    """The limit and the key that sets it, for messages."""

    @classmethod
    def after(cls, seconds: float, key: str) -> Deadline:
        """Return the deadline that is so many seconds from now; `key` is the key that sets the limit."""
        shown = f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} s"
        return cls(time.monotonic() + seconds, f"{shown} ({key})")

    def or_earlier(self, other: Deadline) -> Deadline:
        """Return the earlier one of two deadlines."""
        return min(self, other, key=lambda deadline: deadline.ends)

    @property
    def left_s(self) -> float:
        """Time that is left, seconds; 0 if it has passed."""
        return max(0.0, self.ends - time.monotonic())

    @property
    def has_passed(self) -> bool:
        """Whether no time is left."""
        return self.left_s == 0.0

    def check(self) -> None:
        """Raise a `TimeoutError` that names the limit if the deadline has passed."""
        if self.has_passed:
            raise self._error()

    def _error(self) -> TimeoutError:
        return TimeoutError(f"not there within {self.limit}")

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return the result of a function, or give up waiting for it.

        The function runs in a thread of its own, because no library has a time limit for all that a server can do: give
        its address, its headers or its content byte by byte. Nobody waits for a thread that was given up, and it does
        not hold up the end of the program.

        Raises
        ------
        TimeoutError
            The function has not ended in time.
        """
        self.check()
        future: Future[Result] = Future()

        def work() -> None:
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="bounded call", daemon=True).start()
        wait([future], min(self.left_s, threading.TIMEOUT_MAX))
        if not future.done():
            raise self._error()
        return future.result()


@dataclass(frozen=True)
class TimeLimits:
    """How long a run may take, and each file or listing that it asks a remote feed for."""

    run: Deadline
    """When the run must have ended; it began when this was made."""
    file_minutes: float

    @classmethod
    def start(cls, run_minutes: float = math.inf, file_minutes: float = 20.0) -> TimeLimits:
        """Begin to measure the time of a run."""
        return cls(Deadline.after(60 * run_minutes, "policy.max_run_minutes"), file_minutes)

    def for_file(self) -> Deadline:
        """Return the deadline of a file or a listing that is asked for now: that of the run, if it is earlier."""
        return Deadline.after(60 * self.file_minutes, "policy.max_file_minutes").or_earlier(self.run)
