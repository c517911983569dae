"""Read files in a process of its own: a damaged file can crash the HDF5 library, or let it compute without an end.

It takes the arguments of `read_field`, and returns its result or the reason why the file is refused.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import functools
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from runtime.common.grid import Grid
from runtime.common.sensors import Product
from runtime.errors import FeedUnreachable, InputRefused, SeamlessError
from runtime.inputs.products.granule import FETCH_AGAIN, Reading
from runtime.inputs.products.read import read_field

_LIMIT_S = 60
"""Seconds of computing that one file may take: many times what a good one needs."""
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
"""What ends a process whose file has led a library astray."""
_MORE_MEMORY = "run again, and give this machine more memory if it happens again"


class ReaderProcess:
    """A process that reads files one after the other, for any number of threads.

    It starts when the first file is read, and again after a file that ended it. It ends with the process that uses it.

    Parameters
    ----------
    limit_s : int
        Seconds of computing that one file may take.
    """

    def __init__(self, limit_s: int = _LIMIT_S) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._grid: Grid | None = None
        atexit.register(self.close)

    @property
    def pid(self) -> int | None:
        """Number of the process that reads; None while there is none."""
        return self._process.pid if self._process else None

    def read(
        self, product: Product, path: Path, date: dt.date, grid: Grid, band: str | None = None, orbit: str | None = None
    ) -> Reading:
        """Read one day of a product; parameters and result are those of `read_field`.

        Raises
        ------
        InputRefused
            As `read_field`, and if reading the file crashes or does not end.
        FeedUnreachable
            The reading process was ended from outside, or has not enough memory; the file may be sound.
        """
        with self._lock:
            process = self._running()
            assert process.stdin
            assert process.stdout
            try:
                pickle.dump((product, path, date, None if grid is self._grid else grid, band, orbit), process.stdin)
                process.stdin.flush()
                self._grid = grid
                answer = pickle.load(process.stdout)  # noqa: S301 - written by this program
            except (EOFError, OSError, pickle.UnpicklingError) as error:
                raise _why_it_ended(path, self._end(process), self._limit_s) from error
            except BaseException:  # Ctrl-C, say: the answer that is still to come is nobody's
                process.kill()
                self._end(process)
                raise
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Reading)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process and self._owner == os.getpid():
            self._process.kill()
            self._end(self._process)

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process; a new one if there is none, if it has ended, or if it belongs to a parent process."""
        if self._process and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        if self._process and self._owner == os.getpid():
            self._end(self._process)
        # signals to the whole group are meant for the process that uses this one; when it ends, this one does
        deaf = (
            "import signal, sys; [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)]"
        )
        call = f"from {__name__} import answer_requests; answer_requests({self._limit_s})"
        code = f"{deaf}; sys.path[:] = {sys.path!r}; {call}"
        command = [sys.executable, "-P", "-c", code]  # -P: no module comes from the current folder
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - this program
        assert process.stdout
        if process.stdout.read(1) != b"\n":
            raise SeamlessError(
                f"{sys.executable}: the process that reads input files does not start, it ended with "
                f"{self._end(process)}; what it printed says why"
            )
        self._process, self._owner, self._grid = process, os.getpid(), None
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process = None
        return process.wait()


def _why_it_ended(path: Path, code: int, limit_s: int) -> SeamlessError:
    if -code == signal.SIGXCPU:
        return InputRefused(f"{path}: is damaged, reading it does not end within {limit_s} s; {FETCH_AGAIN}")
    if -code in _CRASHES:
        return InputRefused(f"{path}: is damaged, reading it crashes the HDF5 library; {FETCH_AGAIN}")
    if code >= 0:
        return SeamlessError(f"{path}: was not read, the process that reads files ended with {code}")
    return FeedUnreachable(
        f"{path}: was not read, the process that reads files was ended by {signal.Signals(-code).name}; {_MORE_MEMORY}"
    )


@functools.cache
def reader_process() -> ReaderProcess:
    """Return the reader that everything in this process shares."""
    return ReaderProcess()


def answer_requests(limit_s: int) -> None:
    """Answer requests on standard input until it is closed; what libraries print goes nowhere.

    Parameters
    ----------
    limit_s : int
        Seconds of computing that one file may take; after that the system ends this process.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _answer(b"\n", answers)
    grid: Any = None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            product, path, date, new_grid, band, orbit = pickle.load(requests)  # noqa: S301 - written by this program
            grid = grid if new_grid is None else new_grid
            spent, hard = resource.getrusage(resource.RUSAGE_SELF), resource.getrlimit(resource.RLIMIT_CPU)[1]
            most = int(spent.ru_utime + spent.ru_stime) + limit_s
            resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
            try:
                answer = pickle.dumps(read_field(product, path, date, grid, band, orbit))
            except SeamlessError as error:
                answer = pickle.dumps(error)
            except MemoryError as error:
                answer = pickle.dumps(
                    FeedUnreachable(f"{path}: was not read, there is not enough memory ({error}); {_MORE_MEMORY}")
                )
            except Exception:  # not foreseen: it is raised again where the file was asked for
                answer = pickle.dumps(RuntimeError(f"{path}: {traceback.format_exc()}"))
            _answer(answer, answers)


def _answer(content: bytes, answers: BinaryIO) -> None:
    answers.write(content)
    answers.flush()
