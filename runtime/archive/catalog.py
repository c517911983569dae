"""The catalog: which days are published, from what, when and why. SQLite, rebuilt from the files when lost."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from runtime.archive.database import Database, insert
from runtime.archive.format import ArchiveFormat
from runtime.archive.record import DayRecord, Decision
from runtime.archive.rows import DayRow, GranuleRecord, Intent, Problem, Revision, granule_column
from runtime.common.clock import DAY
from runtime.common.vocabulary import ImergRun, LayoutName, ProblemKind, Verdict

_ALL_DAYS = (dt.date.min, dt.date.max)


_REVISION_COLUMNS = [field.name for field in fields(Revision)]
_GRANULE_FIELDS = [field.name for field in fields(GranuleRecord)]


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

    # The archive's grid and layout

    def noted_format(self) -> ArchiveFormat | None:
        """Return the grid and layout of the archive; None if they were never noted. See `archive_format`."""
        for layout, north, west, step, rows, cols in self.db.rows(
            "SELECT layout, north, west, step, rows, cols FROM format"
        ):
            name = LayoutName(layout)
            return ArchiveFormat(layout=name, north=north, west=west, step=step, rows=rows, cols=cols)
        return None

    def write_format(self, archive_format: ArchiveFormat) -> None:
        """Write down the grid and layout of the archive."""
        with self.db.transaction() as db:
            db.execute("DELETE FROM format")
            insert(db, "format", vars(archive_format))

    def files_by_settings(self) -> dict[str, dict[dt.date, str]]:
        """Return the daily files of the published days, by digest of the settings they were made with, newest first."""
        found: dict[str, dict[dt.date, str]] = {}
        for date, path, settings in self.db.rows(
            "SELECT date, path, json_extract(record, '$.settings_digest') FROM day ORDER BY date DESC"
        ):
            found.setdefault(settings, {})[dt.date.fromisoformat(date)] = path
        return found

    # Published days

    def days(self, first: dt.date = _ALL_DAYS[0], last: dt.date = _ALL_DAYS[1]) -> dict[dt.date, DayRow]:
        """Return the published days from `first` to `last`, in order."""
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

    def first_and_newest(self) -> tuple[dt.date, dt.date] | None:
        """Return the first and the newest published day; None if there is none."""
        ((first, last),) = self.db.rows("SELECT (SELECT min(date) FROM day), (SELECT max(date) FROM day)")
        return (dt.date.fromisoformat(first), dt.date.fromisoformat(last)) if first else None

    def count(self) -> int:
        """Return how many days are published."""
        return int(self.db.rows("SELECT count(*) FROM day")[0][0])

    def missing(self, first: dt.date, last: dt.date) -> list[dt.date]:
        """Return the days from `first` to `last` that are not published."""
        bounds = (first.isoformat(), last.isoformat())
        length = (last - first).days + 1
        if length <= 0 or self.db.rows("SELECT count(*) FROM day WHERE date BETWEEN ? AND ?", bounds)[0][0] == length:
            return []
        published = {date for (date,) in self.db.rows("SELECT date FROM day WHERE date BETWEEN ? AND ?", bounds)}
        days = (first + number * DAY for number in range(length))
        return [day for day in days if day.isoformat() not in published]

    def state_fingerprints(self, dates: Iterable[dt.date]) -> dict[dt.date, str]:
        """Return the fingerprint of the state that each of these published days leaves."""
        names = [date.isoformat() for date in dates]
        rows = self.db.rows(
            "SELECT date, json_extract(record, '$.state_fingerprint') FROM day "  # noqa: S608 - the parts are constants
            f"WHERE date IN ({', '.join('?' * len(names))})",
            names,
        )
        return {dt.date.fromisoformat(date): fingerprint or "" for date, fingerprint in rows}

    def days_with_final_rain(self, first: dt.date, last: dt.date) -> set[dt.date]:
        """Return the days from `first` to `last` that are published with rain of IMERG Final."""
        rows = self.db.rows(
            "SELECT date FROM day WHERE date BETWEEN ? AND ? "
            "AND json_extract(json_extract(record, '$.inputs'), '$.precipitation.run') = ?",
            (first.isoformat(), last.isoformat(), str(ImergRun.FINAL)),
        )
        return {dt.date.fromisoformat(date) for (date,) in rows}

    def rebuild(self, rows: list[DayRow]) -> None:
        """Replace the published days, and the operator's decisions, by those in the files; revisions are kept."""
        with self.db.transaction() as db:
            db.execute("DELETE FROM day")
            db.execute("DELETE FROM journal")
            for row in rows:
                insert(db, "day", _day_columns(row))
                if row.record.decision:
                    insert(db, "decision", _decision_columns(row.record.date, row.record.decision, ""))

    # Revisions

    def revisions(self, since: str = "", date: dt.date | None = None) -> list[Revision]:
        """Return the revisions made at or after an ISO time, of one day or of all, oldest first."""
        only, values = (" AND date = ?", (since, date.isoformat())) if date else ("", (since,))
        columns = ", ".join(_REVISION_COLUMNS)
        rows = self.db.rows(f"SELECT {columns} FROM revision WHERE made_at >= ?{only} ORDER BY id", values)  # noqa: S608 - names of columns, from the code
        found = (dict(zip(_REVISION_COLUMNS, row, strict=True)) for row in rows)
        return [
            Revision.from_json({**row, "phases": json.loads(row["phases"]), "inputs": json.loads(row["inputs"])})
            for row in found
        ]

    def last_revision(self) -> Revision | None:
        """Return the newest revision; None if there is none."""
        rows = self.db.rows("SELECT made_at FROM revision ORDER BY id DESC LIMIT 1")
        return self.revisions(rows[0][0])[-1] if rows else None

    # The journal of publishing

    def begin(self, intent: Intent) -> None:
        """Write down what is about to be published."""
        entry = {
            "row": intent.row.to_json(),
            "revision": intent.revision.to_json(),
            "supersedes": intent.supersedes,
            "replaces": intent.replaces,
        }
        self.db.put("journal", {"date": intent.row.record.date.isoformat(), "entry": json.dumps(entry)})

    def intents(self) -> list[Intent]:
        """Return what was begun and neither committed nor undone."""
        entries = [json.loads(entry) for (entry,) in self.db.rows("SELECT entry FROM journal ORDER BY date")]
        return [
            Intent(
                DayRow.from_json(entry["row"]),
                Revision.from_json(entry["revision"]),
                entry.get("supersedes"),
                entry.get("replaces"),
            )
            for entry in entries
        ]

    def commit(self, intent: Intent, *, published: bool) -> None:
        """Make an intent's row current if its file was published, and delete the intent.

        The intent of a day whose file has another name than before is kept until `end`: the old file is still there.
        """
        date = intent.row.record.date.isoformat()
        with self.db.transaction() as db:
            if published:
                insert(db, "day", _day_columns(intent.row))
                revision = intent.revision.to_json()
                texts = {name: json.dumps(revision[name]) for name in ("phases", "inputs")}
                insert(db, "revision", revision | texts)
                db.execute("DELETE FROM problem WHERE date = ?", (date,))
            if not published or intent.replaces is None:
                db.execute("DELETE FROM journal WHERE date = ?", (date,))

    def end(self, intent: Intent) -> None:
        """Delete an intent that was committed, and whose old file was deleted."""
        with self.db.transaction() as db:
            db.execute("DELETE FROM journal WHERE date = ?", (intent.row.record.date.isoformat(),))

    # Input files

    def granules(self, product: str, first: dt.date, last: dt.date) -> list[GranuleRecord]:
        """Return every version of every file of a product that was read, by day, the newest last."""
        columns = ", ".join(granule_column(name) for name in _GRANULE_FIELDS)
        rows = self.db.rows(
            f"SELECT {columns} FROM arrival WHERE product = ? AND date BETWEEN ? AND ? "  # noqa: S608 - names of columns, from the code
            "ORDER BY date, arrived_at, rowid",
            (product, first.isoformat(), last.isoformat()),
        )
        found = (dict(zip(_GRANULE_FIELDS, row, strict=True)) for row in rows)
        return [GranuleRecord(**{**row, "run": ImergRun(row["run"]) if row["run"] else None}) for row in found]

    def first_granule(self, product: str) -> dt.date | None:
        """Return the first day of a product of which a file was read; None if there is none."""
        (first,) = self.db.rows("SELECT min(date) FROM arrival WHERE product = ?", (product,))[0]
        return dt.date.fromisoformat(first) if first else None

    def add_granule(self, granule: GranuleRecord) -> None:
        """Keep what reading a file gave; a read-only catalog does not."""
        if not self.db.read_only:
            self.db.put("arrival", granule.to_json())

    def kept_files(self) -> list[tuple[str, str]]:
        """Return every fetched file that is kept, relative to the inbox, and its day."""
        return [(f, day) for f, day in self.db.rows("SELECT file, date FROM arrival WHERE file IS NOT NULL")]

    def file_deleted(self, file: Path) -> None:
        """Write down that a fetched file, given relative to the inbox, is not kept any longer."""
        with self.db.transaction() as db:
            db.execute("UPDATE arrival SET file = NULL WHERE file = ?", (str(file),))

    def fetched(self) -> tuple[int, int]:
        """Return how many files were ever fetched, and their bytes."""
        count, size = self.db.rows("SELECT count(*), total(fetched_bytes) FROM arrival WHERE fetched_bytes > 0")[0]
        return count, int(size)

    def refused_count(self) -> int:
        """Return how many files were refused."""
        return int(self.db.rows("SELECT count(*) FROM arrival WHERE refused IS NOT NULL")[0][0])

    # The operator's decisions, and problems

    def decide(self, date: dt.date, decision: Decision, made_at: str) -> None:
        """Write down an operator's decision on a day."""
        self.db.put("decision", _decision_columns(date, decision, made_at))

    def decisions(self) -> dict[dt.date, Decision]:
        """Return the operator's decision on each day that has one."""
        rows = self.db.rows("SELECT date, verdict, because, subject FROM decision")
        return {dt.date.fromisoformat(date): Decision(Verdict(verdict), *rest) for date, verdict, *rest in rows}

    def problems(self) -> dict[dt.date, Problem]:
        """Return the days that have a problem, in order."""
        rows = self.db.rows("SELECT date, kind, reason, since FROM problem ORDER BY date")
        found = (Problem(dt.date.fromisoformat(date), ProblemKind(kind), *rest) for date, kind, *rest in rows)
        return {problem.date: problem for problem in found}

    def note_problems(
        self, found: Mapping[dt.date, tuple[ProblemKind, str]], solved: set[dt.date], made_at: str
    ) -> None:
        """Write down the kind and reason of each day's problem, and delete the problems of solved days."""
        known = self.problems()
        deleted = [date.isoformat() for date in solved & known.keys()]
        fresh = {d: what for d, what in found.items() if d not in known or (known[d].kind, known[d].reason) != what}
        if not deleted and not fresh:
            return
        with self.db.transaction() as db:
            db.executemany("DELETE FROM problem WHERE date = ?", [(date,) for date in deleted])
            for date, (kind, reason) in fresh.items():
                since = known[date].since if date in known and known[date].kind is kind else made_at
                insert(db, "problem", {"date": date.isoformat(), "kind": kind, "reason": reason, "since": since})

    # Incidents that the service has sent an alert about

    def incidents(self) -> dict[str, tuple[str, str]]:
        """Return the message and the beginning of each open incident, by kind."""
        return {kind: (message, since) for kind, message, since in self.db.rows("SELECT * FROM incident")}

    def open_incident(self, kind: str, message: str, since: str) -> None:
        """Write down that an alert was sent."""
        self.db.put("incident", {"kind": kind, "message": message, "since": since})

    def close_incident(self, kind: str) -> None:
        """Write down that an incident is over."""
        with self.db.transaction() as db:
            db.execute("DELETE FROM incident WHERE kind = ?", (kind,))


def _day_columns(row: DayRow) -> dict[str, Any]:
    date, record = row.record.date.isoformat(), json.dumps(row.record.to_attributes())
    return vars(row) | {"date": date, "record": record}


def _decision_columns(date: dt.date, decision: Decision, made_at: str) -> dict[str, Any]:
    return decision.to_json() | {"date": date.isoformat(), "made_at": made_at}
