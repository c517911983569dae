"""The archive's lock: one writer, or one service, at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from runtime.common.atomic import write_guard
from runtime.common.clock import now_text
from runtime.errors import ArchiveBusy


@contextmanager
def hold_archive(path: Path, doing: str = "is writing to") -> Iterator[bool]:
    """Hold the archive, for writing or to serve it; yield whether the last holder was killed.

    The kernel lets go of it when the holder dies.

    Parameters
    ----------
    path : the lock's file, two folders below the archive's
    doing : what a holder does with the archive

    Raises
    ------
    ArchiveBusy
        Another run holds it; the message names the process.
    ArchiveError
        The archive's folder cannot be written.
    """
    holder = path.with_suffix(".holder")
    with write_guard(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path, timeout=0)
        try:
            held.acquire()
        except Timeout:
            who = holder.read_text().strip() if holder.exists() else "another process"
            raise ArchiveBusy(
                f"{path.parent.parent}: {who} {doing} this archive; wait for it to end, or stop it"
            ) from None
        killed = holder.exists()
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()} (since {now_text()})\n")
        except OSError:
            held.release()
            raise
    try:
        yield killed
    finally:
        holder.unlink(missing_ok=True)
        held.release()
