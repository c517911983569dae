"""A process that is killed at any line of the code, without a process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import Any

from runtime.common.netcdf import LOCK


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the tested code catches it."""


def is_done_before(line: int, files: Collection[str], call: Callable[..., Any], *arguments: Any) -> bool:
    """Call until the n-th line of some files is about to run; return whether the call ended before that line."""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if Path(frame.f_code.co_filename).name not in files:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(*arguments)
    except Killed:
        return False
    finally:
        sys.settrace(before)
        while LOCK._is_owned():  # type: ignore[attr-defined]  # raised on a with's own line, it leaves the lock held
            LOCK.release()
    return True
