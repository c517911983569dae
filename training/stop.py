"""Stopping a training run with SIGTERM: after the step in progress, with its state saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM
"""Exit code of a program that SIGTERM ended."""


class TrainingStopped(Exception):
    """SIGTERM stopped the run; its state is saved, and the same command resumes it."""


class StopRequest:
    """Notices SIGTERM while it is used as a context manager, in the main thread; `wanted` says whether it came."""

    def __init__(self) -> None:
        self.wanted = False

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._notice)
        return self

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        self.wanted = True

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)
