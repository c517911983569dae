"""Run the command line in a process of its own that has everything loaded: what starts in 2 s starts in 40 ms.

A command line walks in; a process that can be killed and an exit code, an output and a peak of memory walk out.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import time_machine

from benchmarks.memory import peak_memory_of_process
from runtime.common.start import INTERRUPTED

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        *("benchmarks.faults", "tests.support.earthdata", "runtime.archive.verify", "runtime.cli.fill"),
        *("runtime.cli.progress", "runtime.pipeline.run", "runtime.engines.ort", "runtime.archive.cube_update"),
        "runtime.inputs.feeds.earthdata",
    ]
)


@dataclass
class Ended:
    """How a command ended."""

    code: int
    """Its exit code; negative if a signal ended it."""
    output: str
    seconds: float
    memory: int
    """Peak memory, bytes; 0 if a signal ended it."""
    lines: int
    """Lines of the runtime that it ran while it held the archive; 0 unless they were counted, or if it was killed."""
    interrupted: bool
    """Whether it was sent a signal."""


@dataclass(frozen=True)
class Command:
    """A command line of the runtime."""

    arguments: Sequence[str]
    output: Path
    """The file that its standard output and error go to."""
    environment: Mapping[str, str]
    """Variables that are set beside those of this process."""
    today: dt.date | None = None
    """Day, at 18 h UTC, that its clock says; None for the true one."""
    kill_at_line: int | None = None
    """Count lines, and kill the process with SIGKILL at this one; 0 for never. None does not count: that is faster."""

    def run(
        self,
        limit_s: float,
        signal_after_s: float | None = None,
        how: signal.Signals = signal.SIGKILL,
        count_from: Path | None = None,
    ) -> Ended:
        """Run the command.

        Parameters
        ----------
        limit_s : float
            Seconds after which it is killed in any case.
        signal_after_s : float, optional
            Seconds after which it is sent a signal.
        how : signal.Signals
            The signal.
        count_from : Path, optional
            A file; the seconds are counted from when it exists.
        """
        answer, question = multiprocessing.Pipe(duplex=False)
        process = _FORKS.Process(target=_run, args=(self, question))
        process.start()
        question.close()
        while count_from and not count_from.exists() and process.is_alive():
            time.sleep(0.001)
        began = time.monotonic()
        process.join(limit_s if signal_after_s is None else signal_after_s)
        interrupted = process.is_alive()
        if interrupted:
            os.kill(process.pid or 0, how)
            process.join(limit_s)
        if process.is_alive():
            process.kill()
            process.join()
        try:
            memory, lines = answer.recv()
        except EOFError:
            memory, lines = 0, 0
        text = self.output.read_text() if self.output.exists() else ""
        return Ended(process.exitcode or 0, text, time.monotonic() - began, memory, lines, interrupted)


def _run(command: Command, question: multiprocessing.connection.Connection) -> None:
    """Run the command line as a user would, in this process, which ends with it."""
    from runtime.__main__ import main

    with command.output.open("w") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
    os.environ |= command.environment
    sys.argv = ["runtime", *command.arguments]
    code, lines = 0, _Lines(command.kill_at_line)
    try:
        if command.today is None:
            main()
        else:
            with time_machine.travel(dt.datetime.combine(command.today, dt.time(18), dt.UTC)):
                main()
    except SystemExit as end:
        code = int(end.code or 0)
    except KeyboardInterrupt:  # before or after the command line, in the lines above
        code = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.settrace(None)
    question.send((peak_memory_of_process(), lines.counted))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Lines:
    """Counts lines of the runtime's own code while it holds the archive, and kills the process at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        from runtime import cli

        self.counted, self._holds, self._kill_at = 0, False, kill_at
        self._package = str(Path(cli.__file__).parents[1])
        if kill_at is not None:
            threading.settrace(self._trace)
            sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(self._package):
            return None
        if event == "line":
            self._holds = self._holds or frame.f_code.co_name == "recover"
            self.counted += self._holds
            if self.counted == self._kill_at and self._holds:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._trace
