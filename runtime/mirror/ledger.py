"""What an archive has sent to its mirror, and how the last update ended: a small SQLite file beside the catalog."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple

from runtime.archive.paths import ArchivePaths
from runtime.common.atomic import write_guard
from runtime.common.urls import without_secrets
from runtime.config import Config
from runtime.errors import ArchiveError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS mirror (url TEXT NOT NULL, failure TEXT);
CREATE TABLE IF NOT EXISTS sent (
    name TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL,
    version TEXT NOT NULL);
"""

logger = logging.getLogger(__name__)


class Sent(NamedTuple):
    """An object as it was sent and verified."""

    size: int
    mtime_ns: int
    """Time of change of the archive's file."""
    sha256: str
    version: str
    """What the store called this version of the object; see `StoredObject`."""


class Ledger:
    """The objects that an archive has sent to one mirror. Use as a context manager; any thread may use it.

    It is a memory, and no proof: an update compares it with what the store lists. One that is lost, or of another
    mirror, is begun again.

    Parameters
    ----------
    path : Path
        The file.
    url : str
        Address of the mirror.
    read_only : bool
        Change nothing; a file that does not exist is an empty ledger.

    Raises
    ------
    ArchiveError
        The file cannot be written.
    """

    def __init__(self, path: Path, url: str, *, read_only: bool = False) -> None:
        self.path, self._lock, self._url = path, threading.Lock(), without_secrets(url)
        try:
            self._db = self._open(path if path.exists() or not read_only else None)
            if read_only and not self._is_of_this_mirror():
                self._db = self._open(None)
        except sqlite3.DatabaseError as error:
            logger.warning(f"{path}: cannot be read ({error}); every object of the mirror is compared again")
            if not read_only:
                with write_guard(path):
                    path.unlink(missing_ok=True)
            self._db = self._open(None if read_only else path)
        if not self._is_of_this_mirror():
            self._db.executescript("BEGIN; DELETE FROM mirror; DELETE FROM sent; COMMIT")
            self._db.execute("INSERT INTO mirror (url) VALUES (?)", (self._url,))
        self.sent = {name: Sent(*rest) for name, *rest in self._db.execute("SELECT * FROM sent")}
        """What was sent, by name of the object."""

    def _open(self, path: Path | None) -> sqlite3.Connection:
        """Open the file, or an empty ledger in memory."""
        with write_guard(self.path):
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(path or ":memory:", timeout=30, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous = OFF")  # what a power failure damages is begun again
        db.executescript(_SCHEMA)
        return db

    def _is_of_this_mirror(self) -> bool:
        return bool(self._db.execute("SELECT url FROM mirror").fetchall() == [(self._url,)])

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _write(self, query: str, *values: object) -> None:
        try:
            with self._lock:
                self._db.execute(query, values)
        except sqlite3.Error as error:
            raise ArchiveError(f"{self.path}: cannot be written ({error}); check free disk space") from error

    def put(self, name: str, sent: Sent) -> None:
        """Write down that an object was sent and verified."""
        self._write("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?)", name, *sent)
        self.sent[name] = sent

    def forget(self, name: str) -> None:
        """Write down that the mirror does not have an object any more."""
        self._write("DELETE FROM sent WHERE name = ?", name)
        self.sent.pop(name, None)

    def note_end(self, failure: str | None) -> None:
        """Write down why the last update failed; None if it did not."""
        self._write("UPDATE mirror SET failure = ?", failure)


def mirror_fault(config: Config) -> str | None:
    """Return why the mirror is not up to date; None if it is, or there is none."""
    path, url = ArchivePaths.of(config).mirror_ledger, config.archive.mirror
    if url is None or not path.exists():
        return None
    try:
        db = sqlite3.connect(path, timeout=30)
        try:
            rows = db.execute("SELECT failure FROM mirror WHERE url = ?", (without_secrets(url),)).fetchall()
        finally:
            db.close()
    except sqlite3.Error:  # the next update begins it again
        return None
    return rows[0][0] if rows else None
