"""What is made of the archive once for all requests, and again when its catalog has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from runtime.archive.paths import ArchivePaths
from runtime.archive.reader import Reader
from runtime.config import Config
from runtime.errors import InputsMissing

_CLOCK_TICK_NS = 50_000_000
"""A file that changes twice within one tick of the file system's clock shows the same modification time."""

Made = TypeVar("Made")


class MadeOnce(Generic[Made]):
    """Keeps what was made last, and makes it again when the catalog or what is asked for has changed."""

    def __init__(self, catalog: Path) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._kept: tuple[Hashable, Made] | None = None

    def get(self, make: Callable[[], Made], asked: Hashable = None) -> Made:
        """Return what is made of the archive as it is now.

        Parameters
        ----------
        make : callable
            Makes it; called by one thread at a time.
        asked : hashable
            What is asked for besides the archive.

        Returns
        -------
        Made
            The same object as long as neither the catalog nor `asked` changes.

        Raises
        ------
        FileNotFoundError
            There is no catalog.
        """
        stat = self._catalog.stat()
        is_settled = time.time_ns() - stat.st_mtime_ns > _CLOCK_TICK_NS
        version = (stat.st_mtime_ns, stat.st_size, asked)
        with self._lock:
            if self._kept is None or not is_settled or version != self._kept[0]:
                self._kept = version if is_settled else None, make()
            return self._kept[1]


class ReaderCache:
    """Keeps the archive's reader, and opens it again when the catalog has changed."""

    def __init__(self, config: Config) -> None:
        self._archive = config.archive.path
        self._made: MadeOnce[Reader] = MadeOnce(ArchivePaths.of(config).catalog)

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
            return self._made.get(lambda: Reader(self._archive))
        except FileNotFoundError:
            raise InputsMissing(f"{self._archive}: no day is published there yet") from None
