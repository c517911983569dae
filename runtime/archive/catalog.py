"""The catalog: which days are published, from what, when and why. SQLite, rebuilt from the files when lost."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from runtime.archive.record import Record
from runtime.errors import ArchiveError

SCHEMA_VERSION = 1

_SCHEMA = """
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
"""


@dataclass(frozen=True)
class DayRow:
    """A published day as the catalog knows it."""

    record: Record
    path: str
    """Relative to the archive's folder."""
    sha256: str
    size: int
    mtime_ns: int
    revision: int


@dataclass(frozen=True)
class Revision:
    """One time a day was made."""

    date: dt.date
    revision: int
    made_at: str
    reason: str
    tier: str
    engine: str
    seconds: float
    fingerprint_before: str | None
    fingerprint: str
    sha256: str


_REVISION = [field.name for field in fields(Revision) if field.name != "date"]


@dataclass(frozen=True)
class Intent:
    """A day about to be published: the row it will have and the file that waits beside its place."""

    row: DayRow
    revision: Revision


@dataclass(frozen=True)
class Decoded:
    """What reading a granule gave: its file's hash and its field's digest, or why it was refused."""

    sha256: str
    field: str | None
    refused: str | None


class Catalog:
    """The archive's catalog. Use as a context manager, or call `close`."""

    def __init__(self, connection: sqlite3.Connection, read_only: bool) -> None:
        self._db = connection
        self.read_only = read_only

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Catalog:
        """Open the catalog, making it (or bringing an older one up to date) unless `read_only`.

        A read-only catalog that does not exist yet is an empty one in memory.

        Raises
        ------
        ArchiveError
            It cannot be written, is not a catalog, or was made by a newer version.
        """
        try:
            if read_only and not path.exists():
                db = sqlite3.connect(":memory:", isolation_level=None)
            elif read_only:
                # Not mode=ro: after a kill inside a commit, SQLite must roll its own journal back before anyone reads.
                db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
                db.execute("PRAGMA query_only = ON")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                db = sqlite3.connect(path, timeout=30, isolation_level=None)
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            elif version != SCHEMA_VERSION:
                raise ArchiveError(
                    f"{path}: has schema version {version}, this version reads {SCHEMA_VERSION}; "
                    "update this software, or `runtime check --rebuild-catalog`"
                )
        except (sqlite3.Error, OSError) as error:
            raise ArchiveError(
                f"{path}: the catalog cannot be opened ({error}); check permissions and free disk space, "
                "or `runtime check --rebuild-catalog`"
            ) from error
        return cls(db, read_only)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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

    def _rows(self, query: str, values: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise ArchiveError(
                f"the catalog cannot be read ({error}); `runtime check --rebuild-catalog` reads it back from the files"
            ) from error

    def days(self) -> dict[dt.date, DayRow]:
        """Return every published day."""
        rows = self._rows("SELECT record, path, sha256, size, mtime_ns, revision FROM day ORDER BY date")
        days = (DayRow(Record.from_attributes(json.loads(record)), *rest) for record, *rest in rows)
        return {row.record.date: row for row in days}

    def revisions(self, since: str = "") -> list[Revision]:
        """Return the revisions made at or after an ISO time, oldest first."""
        rows = self._rows(f"SELECT date, {', '.join(_REVISION)} FROM revision WHERE made_at >= ? ORDER BY id", (since,))
        return [Revision(dt.date.fromisoformat(date), *rest) for date, *rest in rows]

    def intend(self, intent: Intent) -> None:
        """Write down what is about to be published."""
        row, revision = vars(intent.row) | {"record": intent.row.record.to_attributes()}, vars(intent.revision)
        entry = json.dumps({"row": row, "revision": revision | {"date": revision["date"].isoformat()}})
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO journal VALUES (?, ?)", (intent.row.record.date.isoformat(), entry))

    def intents(self) -> list[Intent]:
        """Return what was intended and never settled."""
        found = []
        for (entry,) in self._rows("SELECT entry FROM journal ORDER BY date"):
            values = json.loads(entry)
            row = values["row"] | {"record": Record.from_attributes(values["row"]["record"])}
            revision = values["revision"] | {"date": dt.date.fromisoformat(values["revision"]["date"])}
            found.append(Intent(DayRow(**row), Revision(**revision)))
        return found

    def settle(self, intent: Intent, *, published: bool) -> None:
        """Make an intent current, or forget it."""
        date = intent.row.record.date.isoformat()
        with self._transaction() as db:
            if published:
                self._insert(db, intent.row)
                r = intent.revision
                db.execute(
                    f"INSERT INTO revision (date, {', '.join(_REVISION)}) VALUES (?{', ?' * len(_REVISION)})",
                    (date, *[getattr(r, name) for name in _REVISION]),
                )
            db.execute("DELETE FROM journal WHERE date = ?", (date,))

    def _insert(self, db: sqlite3.Connection, row: DayRow) -> None:
        record = json.dumps(row.record.to_attributes())
        values = (row.record.date.isoformat(), record, row.path, row.sha256, row.size, row.mtime_ns, row.revision)
        db.execute("INSERT OR REPLACE INTO day VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def rebuild(self, rows: list[DayRow]) -> None:
        """Replace the published days by rows read from the files; revisions are kept."""
        with self._transaction() as db:
            db.execute("DELETE FROM day")
            db.execute("DELETE FROM journal")
            for row in rows:
                self._insert(db, row)

    def decoded(self, key: str) -> Decoded | None:
        """Return what reading a granule gave last time."""
        rows = self._rows("SELECT sha256, field, refused FROM decoded WHERE key = ?", (key,))
        return Decoded(*rows[0]) if rows else None

    def remember_decoded(self, key: str, decoded: Decoded) -> None:
        """Keep what reading a granule gave; a read-only catalog on disk forgets it."""
        if not self.read_only:
            with self._transaction() as db:
                db.execute(
                    "INSERT OR REPLACE INTO decoded VALUES (?, ?, ?, ?)",
                    (key, decoded.sha256, decoded.field, decoded.refused),
                )
