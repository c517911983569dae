"""One reader of the archive for all requests."""

from __future__ import annotations

import threading
import time

from runtime.archive.paths import ArchivePaths
from runtime.archive.reader import Reader
from runtime.config import Config
from runtime.errors import InputsMissing

_CLOCK_TICK_NS = 50_000_000
"""A file that changes twice within one tick of the file system's clock shows the same modification time."""


class ReaderCache:
    """Keeps the archive's reader, and opens it again when the catalog has changed."""

    def __init__(self, config: Config) -> None:
        self._archive, self._catalog = config.archive.path, ArchivePaths.of(config).catalog
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._reader: Reader | None = None

    def reader(self) -> Reader:
        """Return a reader of the days that are published now.

        Returns
        -------
        Reader
            The same object as long as the catalog does not change.

        Raises
        ------
        InputsMissing
            No day is published.
        """
        try:
            stat = self._catalog.stat()
        except FileNotFoundError:
            raise InputsMissing(f"{self._archive}: no day is published there yet") from None
        is_settled = time.time_ns() - stat.st_mtime_ns > _CLOCK_TICK_NS
        version = (stat.st_mtime_ns, stat.st_size) if is_settled else None
        with self._lock:
            if self._reader is None or version is None or version != self._version:
                self._reader, self._version = Reader(self._archive), version
            return self._reader
