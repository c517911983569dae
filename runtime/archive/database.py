"""The catalog's SQLite file: its schema, migrations, and errors that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from runtime.errors import ArchiveError

_MIGRATIONS = (
    """
CREATE TABLE day (
    date TEXT PRIMARY KEY, record TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, revision INTEGER NOT NULL);
CREATE TABLE revision (
    id INTEGER PRIMARY KEY AUTOINCREMENT, date TEXT NOT NULL, revision INTEGER NOT NULL, made_at TEXT NOT NULL,
    reason TEXT NOT NULL, tier TEXT NOT NULL, engine TEXT NOT NULL, seconds REAL NOT NULL,
    fingerprint_before TEXT, fingerprint TEXT NOT NULL, sha256 TEXT NOT NULL);
CREATE INDEX revision_by_time ON revision (made_at);
CREATE TABLE journal (date TEXT PRIMARY KEY, entry TEXT NOT NULL);
CREATE TABLE decoded (key TEXT PRIMARY KEY, sha256 TEXT, field TEXT, refused TEXT);
""",
    """
DROP TABLE decoded;
ALTER TABLE revision ADD COLUMN phases TEXT NOT NULL DEFAULT '{}';
ALTER TABLE revision ADD COLUMN inputs TEXT NOT NULL DEFAULT '{}';
CREATE INDEX revision_by_date ON revision (date);
CREATE TABLE arrival (
    key TEXT PRIMARY KEY, product TEXT NOT NULL, date TEXT NOT NULL, run TEXT, name TEXT NOT NULL,
    location TEXT NOT NULL, version TEXT NOT NULL, arrived_at TEXT NOT NULL, sha256 TEXT NOT NULL,
    fetched_bytes INTEGER NOT NULL, file TEXT, field TEXT, coverage REAL, refused TEXT);
CREATE INDEX arrival_by_day ON arrival (product, date);
CREATE INDEX arrival_kept ON arrival (date) WHERE file IS NOT NULL;
CREATE TABLE decision (
    date TEXT PRIMARY KEY, verdict TEXT NOT NULL, because TEXT NOT NULL, subject TEXT NOT NULL, made_at TEXT NOT NULL);
CREATE TABLE problem (date TEXT PRIMARY KEY, kind TEXT NOT NULL, reason TEXT NOT NULL, since TEXT NOT NULL);
CREATE TABLE incident (kind TEXT PRIMARY KEY, message TEXT NOT NULL, since TEXT NOT NULL);
""",
    # Fetched files relative to the inbox (PRODUCT/YYYY/12 DIGITS/NAME): a copy of an archive leaves the first alone.
    """
UPDATE arrival SET file = substr(file, -(length(product) + length(name) + 19)) WHERE file IS NOT NULL;
""",
    """
CREATE TABLE format (
    layout TEXT NOT NULL, north REAL NOT NULL, west REAL NOT NULL, step REAL NOT NULL,
    rows INTEGER NOT NULL, cols INTEGER NOT NULL);
""",
)
"""Each brings a catalog from the schema version of its position to the next; a semicolon only ends a statement."""

SCHEMA_VERSION = len(_MIGRATIONS)


class Database:
    """One connection to a catalog. Use as a context manager, or call `close`."""

    def __init__(self, connection: sqlite3.Connection, read_only: bool) -> None:
        self._db = connection
        self.read_only = read_only

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Database:
        """Open the catalog, making it (or bringing an older one up to date) unless `read_only`.

        A read-only catalog that does not exist yet is an empty one in memory.

        Raises
        ------
        ArchiveError
            It cannot be written, is not a catalog, or was made by another version.
        """
        try:
            if read_only and not path.exists():
                db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            elif read_only:
                # Not mode=ro: after a kill inside a commit, SQLite must roll its own journal back before anyone reads.
                db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                db = sqlite3.connect(path, timeout=30, isolation_level=None)
            found = cls(db, read_only)
            if (version := found.version()) > SCHEMA_VERSION:
                raise ArchiveError(
                    f"{path}: has schema version {version}, this version reads {SCHEMA_VERSION}; "
                    "update this software, or `runtime check --rebuild-catalog`"
                )
            if version < SCHEMA_VERSION:
                found._migrate()
            if read_only:
                db.execute("PRAGMA query_only = ON")
        except (sqlite3.Error, OSError) as error:
            raise ArchiveError(
                f"{path}: the catalog cannot be opened ({error}); check permissions and free disk space, "
                "or `runtime check --rebuild-catalog`"
            ) from error
        return found

    def version(self) -> int:
        """Return the schema's version; 0 of an empty file."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> None:
        """Bring the schema up to date; if two processes try at once, the second finds it done."""
        with self.transaction() as db:
            for migration in _MIGRATIONS[self.version() :]:
                for statement in migration.split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def copy_to(self, path: Path) -> None:
        """Write a copy of the catalog, as it is now, to a new file; if nothing changes, its bytes are the same.

        Raises
        ------
        ArchiveError
            It cannot be read or written.
        """
        try:
            with closing(sqlite3.connect(path)) as copy:
                self._db.backup(copy)
        except sqlite3.Error as error:
            raise ArchiveError(f"{path}: the catalog cannot be copied ({error}); check free disk space") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write something, whole or not at all.

        Raises
        ------
        ArchiveError
            It cannot be written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise ArchiveError(
                f"the catalog cannot be written ({error}); check permissions and free disk space"
            ) from error

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds.

        Raises
        ------
        ArchiveError
            The catalog cannot be read.
        """
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise ArchiveError(
                f"the catalog cannot be read ({error}); `runtime check --rebuild-catalog` reads it back from the files"
            ) from error

    def put(self, table: str, row: dict[str, Any]) -> None:
        """Insert a row, or replace the one with the same key."""
        with self.transaction() as db:
            insert(db, table, row)


def insert(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    """Insert a row inside a transaction, or replace the one with the same key."""
    columns = ", ".join(row)
    places = ", ".join("?" * len(row))
    query = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - names from the code
    db.execute(query, tuple(row.values()))
