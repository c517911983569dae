"""The catalog: which days are published, from what, when and why. SQLite, rebuilt from the files when lost."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from runtime.archive.database import Database, insert
from runtime.archive.record import DayRecord, Decision

_EVER = (dt.date.min, dt.date.max)


@dataclass(frozen=True)
class DayRow:
    """A published day as the catalog knows it."""

    record: DayRecord
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
    phases: dict[str, float]
    """Seconds by phase of the day."""
    inputs: dict[str, str]
    """sha256 of each file it was made from, by role."""


_REVISION = [field.name for field in fields(Revision)]


@dataclass(frozen=True)
class Intent:
    """A day about to be published: the row it will have and the file that waits beside its place."""

    row: DayRow
    revision: Revision
    supersedes: str | None = None
    """Where the file that it replaces is kept, relative to the archive's folder."""


@dataclass(frozen=True)
class GranuleRecord:
    """A version of a file that has been read: where it came from, and its field or why it was refused."""

    key: str
    product: str
    date: str
    run: str | None
    name: str
    location: str
    version: str
    arrived_at: str
    sha256: str
    fetched_bytes: int
    """0 for a file that is read in place."""
    file: str | None
    """Where the fetched file is kept; None once it was pruned, and for one that is read in place."""
    field: str | None
    """Digest of the field on the grid; None if refused."""
    coverage: float | None
    """Share of the file's cells that have a value."""
    refused: str | None


@dataclass(frozen=True)
class Problem:
    """Why a day is not as it should be."""

    date: dt.date
    kind: str
    """``refused``, ``result refused``, ``wait`` or ``outage``."""
    reason: str
    since: str


class Catalog:
    """The archive's catalog. Use as a context manager, or call `close`."""

    def __init__(self, database: Database) -> None:
        self.db = database

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Catalog:
        """Open the catalog; see `Database.open`."""
        return cls(Database.open(path, read_only=read_only))

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    # Days

    def days(self, first: dt.date = _EVER[0], last: dt.date = _EVER[1]) -> dict[dt.date, DayRow]:
        """Return the published days of a range, in order."""
        rows = self.db.rows(
            "SELECT record, path, sha256, size, mtime_ns, revision FROM day WHERE date BETWEEN ? AND ? ORDER BY date",
            (first.isoformat(), last.isoformat()),
        )
        days = (DayRow(DayRecord.from_attributes(json.loads(record)), *rest) for record, *rest in rows)
        return {row.record.date: row for row in days}

    def files(self) -> list[tuple[dt.date, str, str]]:
        """Return each published day's file, relative to the archive's folder, and its sha256, in order."""
        rows = self.db.rows("SELECT date, path, sha256 FROM day ORDER BY date")
        return [(dt.date.fromisoformat(date), path, sha256) for date, path, sha256 in rows]

    def span(self) -> tuple[dt.date, dt.date] | None:
        """Return the first and the newest published day."""
        ((first, last),) = self.db.rows("SELECT (SELECT min(date) FROM day), (SELECT max(date) FROM day)")
        return (dt.date.fromisoformat(first), dt.date.fromisoformat(last)) if first else None

    def count(self) -> int:
        """Return how many days are published."""
        return int(self.db.rows("SELECT count(*) FROM day")[0][0])

    def missing(self, first: dt.date, last: dt.date) -> list[dt.date]:
        """Return the days of a range that are not published."""
        bounds = (first.isoformat(), last.isoformat())
        length = (last - first).days + 1
        if length <= 0 or self.db.rows("SELECT count(*) FROM day WHERE date BETWEEN ? AND ?", bounds)[0][0] == length:
            return []
        there = {date for (date,) in self.db.rows("SELECT date FROM day WHERE date BETWEEN ? AND ?", bounds)}
        days = (first + dt.timedelta(number) for number in range(length))
        return [day for day in days if day.isoformat() not in there]

    def state_fingerprints(self, dates: Iterable[dt.date]) -> dict[dt.date, str]:
        """Return the fingerprint of the state each published day leaves."""
        names = [date.isoformat() for date in dates]
        rows = self.db.rows(
            "SELECT date, json_extract(record, '$.state_fingerprint') FROM day "
            f"WHERE date IN ({', '.join('?' * len(names))})",
            names,
        )
        return {dt.date.fromisoformat(date): fingerprint or "" for date, fingerprint in rows}

    def rebuild(self, rows: list[DayRow]) -> None:
        """Replace the published days, and the operator's decisions, by what the files say; revisions are kept."""
        with self.db.transaction() as db:
            db.execute("DELETE FROM day")
            db.execute("DELETE FROM journal")
            for row in rows:
                insert(db, "day", _day_values(row))
                if row.record.decision:
                    decided = vars(row.record.decision) | {"date": row.record.date.isoformat(), "made_at": ""}
                    insert(db, "decision", decided)

    # Revisions

    def revisions(self, since: str = "", date: dt.date | None = None) -> list[Revision]:
        """Return the revisions made at or after an ISO time, of one day or of all, oldest first."""
        only, values = (" AND date = ?", (since, date.isoformat())) if date else ("", (since,))
        rows = self.db.rows(f"SELECT {', '.join(_REVISION)} FROM revision WHERE made_at >= ?{only} ORDER BY id", values)
        return [
            Revision(dt.date.fromisoformat(row[0]), *row[1:-2], *(json.loads(column) for column in row[-2:]))
            for row in rows
        ]

    def last_revision(self) -> Revision | None:
        """Return the newest revision."""
        rows = self.db.rows("SELECT made_at FROM revision ORDER BY id DESC LIMIT 1")
        return self.revisions(rows[0][0])[-1] if rows else None

    # The journal of publishing

    def intend(self, intent: Intent) -> None:
        """Write down what is about to be published."""
        row = vars(intent.row) | {"record": intent.row.record.to_attributes()}
        revision = vars(intent.revision) | {"date": intent.revision.date.isoformat()}
        entry = json.dumps({"row": row, "revision": revision, "supersedes": intent.supersedes})
        self.db.put("journal", {"date": intent.row.record.date.isoformat(), "entry": entry})

    def intents(self) -> list[Intent]:
        """Return what was intended and never settled."""
        found = []
        for (entry,) in self.db.rows("SELECT entry FROM journal ORDER BY date"):
            values = json.loads(entry)
            row = values["row"] | {"record": DayRecord.from_attributes(values["row"]["record"])}
            revision = (
                {"phases": {}, "inputs": {}}
                | values["revision"]
                | {"date": dt.date.fromisoformat(values["revision"]["date"])}
            )
            found.append(Intent(DayRow(**row), Revision(**revision), values.get("supersedes")))
        return found

    def settle(self, intent: Intent, *, published: bool) -> None:
        """Make an intent current, or forget it."""
        date = intent.row.record.date.isoformat()
        with self.db.transaction() as db:
            if published:
                insert(db, "day", _day_values(intent.row))
                revision = vars(intent.revision) | {
                    "date": date,
                    "phases": json.dumps(intent.revision.phases),
                    "inputs": json.dumps(intent.revision.inputs),
                }
                insert(db, "revision", revision)
                db.execute("DELETE FROM problem WHERE date = ?", (date,))
            db.execute("DELETE FROM journal WHERE date = ?", (date,))

    # What has arrived

    def arrived(self, product: str, first: dt.date, last: dt.date) -> list[GranuleRecord]:
        """Return every version of every file of a product that was read, by day, the newest last."""
        names = ", ".join(field.name for field in fields(GranuleRecord))
        return [
            GranuleRecord(*row)
            for row in self.db.rows(
                f"SELECT {names} FROM arrival WHERE product = ? AND date BETWEEN ? AND ? "
                "ORDER BY date, arrived_at, rowid",
                (product, first.isoformat(), last.isoformat()),
            )
        ]

    def remember(self, arrived: GranuleRecord) -> None:
        """Keep what reading a file gave; a read-only catalog forgets it."""
        if not self.db.read_only:
            self.db.put("arrival", vars(arrived))

    def kept(self) -> list[tuple[str, str]]:
        """Return every fetched file that is kept, and its day."""
        return [(f, day) for f, day in self.db.rows("SELECT file, date FROM arrival WHERE file IS NOT NULL")]

    def pruned(self, file: Path) -> None:
        """Write down that a fetched file is not kept any longer."""
        with self.db.transaction() as db:
            db.execute("UPDATE arrival SET file = NULL WHERE file = ?", (str(file),))

    def fetched(self) -> tuple[int, int]:
        """Return how many files were ever fetched, and their bytes."""
        count, size = self.db.rows("SELECT count(*), total(fetched_bytes) FROM arrival WHERE fetched_bytes > 0")[0]
        return count, int(size)

    def refused_count(self) -> int:
        """Return how many files were refused."""
        return int(self.db.rows("SELECT count(*) FROM arrival WHERE refused IS NOT NULL")[0][0])

    # What the operator decided, and what is wrong

    def decide(self, date: dt.date, decision: Decision, made_at: str) -> None:
        """Write down an operator's word on a day."""
        self.db.put("decision", vars(decision) | {"date": date.isoformat(), "made_at": made_at})

    def decisions(self) -> dict[dt.date, Decision]:
        """Return the operator's word on each day that has one."""
        rows = self.db.rows("SELECT date, verdict, because, subject FROM decision")
        return {dt.date.fromisoformat(date): Decision(*rest) for date, *rest in rows}

    def problems(self) -> dict[dt.date, Problem]:
        """Return what is wrong with which day."""
        rows = self.db.rows("SELECT date, kind, reason, since FROM problem ORDER BY date")
        return {dt.date.fromisoformat(date): Problem(dt.date.fromisoformat(date), *rest) for date, *rest in rows}

    def note_problems(self, found: dict[dt.date, tuple[str, str]], fine: set[dt.date], now: str) -> None:
        """Write down the kind and reason of what is wrong with each day, and forget what was wrong with fine days."""
        known = self.problems()
        gone = [date.isoformat() for date in fine & known.keys()]
        fresh = {d: what for d, what in found.items() if d not in known or (known[d].kind, known[d].reason) != what}
        if not gone and not fresh:
            return
        with self.db.transaction() as db:
            db.executemany("DELETE FROM problem WHERE date = ?", [(date,) for date in gone])
            for date, (kind, reason) in fresh.items():
                since = known[date].since if date in known and known[date].kind == kind else now
                insert(db, "problem", {"date": date.isoformat(), "kind": kind, "reason": reason, "since": since})

    # Incidents the service has told somebody about

    def incidents(self) -> dict[str, tuple[str, str]]:
        """Return the message and the beginning of each open incident, by kind."""
        return {kind: (message, since) for kind, message, since in self.db.rows("SELECT * FROM incident")}

    def open_incident(self, kind: str, message: str, now: str) -> None:
        """Write down that somebody was told."""
        self.db.put("incident", {"kind": kind, "message": message, "since": now})

    def close_incident(self, kind: str) -> None:
        """Write down that it is over."""
        with self.db.transaction() as db:
            db.execute("DELETE FROM incident WHERE kind = ?", (kind,))


def _day_values(row: DayRow) -> dict[str, Any]:
    date, record = row.record.date.isoformat(), json.dumps(row.record.to_attributes())
    return vars(row) | {"date": date, "record": record}
