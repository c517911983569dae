"""Opening an archive for writing: one run, and one service, at a time."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from runtime.archive.catalog import Catalog
from runtime.archive.format import ArchiveFormat, note_format
from runtime.archive.paths import ArchivePaths
from runtime.archive.publish import recover
from runtime.common.atomic import write_guard
from runtime.common.clock import now_text
from runtime.config import Config
from runtime.errors import ArchiveBusy

logger = logging.getLogger(__name__)


@contextmanager
def open_for_writing(config: Config, *, change_format: bool = False) -> Iterator[Catalog]:
    """Hold the archive, finish or undo what a killed run had begun, and open the catalog.

    Parameters
    ----------
    config : Config
        The configuration.
    change_format : bool
        Also open an archive that has another grid or layout than the configured one.

    Yields
    ------
    Catalog
        The catalog, open for writing.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    ArchiveError
        The archive cannot be written.
    ConfigError
        The archive has another grid or layout than the configured one.
    """
    paths = ArchivePaths.of(config)
    with hold_archive(paths.lock) as killed, Catalog.open(paths.catalog) as catalog:
        if not change_format:
            note_format(paths.root, catalog, ArchiveFormat.of(config.make_grid(), config.archive.layout))
        for line in recover(paths, catalog, killed=killed):
            logger.info(line)
        yield catalog


@contextmanager
def hold_archive(path: Path, doing: str = "is writing to") -> Iterator[bool]:
    """Hold the archive; the kernel releases it when the holder dies.

    Parameters
    ----------
    path : Path
        The lock's file; see `ArchivePaths`.
    doing : str
        What a holder of this lock does with the archive, for the message.

    Yields
    ------
    bool
        Whether the last holder was killed.

    Raises
    ------
    ArchiveBusy
        Another process holds it; the message names the process.
    ArchiveError
        The archive's folder cannot be written.
    """
    holder = path.with_suffix(".holder")
    with write_guard(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            who = holder.read_text().strip() if holder.exists() else "another process"
            raise ArchiveBusy(
                f"{path.parent.parent}: {who} {doing} this archive; wait for it to end, or stop it"
            ) from None
        killed = holder.exists()
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()} (since {now_text()})\n")
        except OSError:
            lock.release()
            raise
    try:
        yield killed
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
