"""The rows of the catalog: published days, revisions, input files, problems."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.archive.record import DayRecord
from runtime.common.vocabulary import ImergRun, InputRole, ProblemKind, Tier


@dataclass(frozen=True)
class DayRow:
    """A published day as the catalog has it."""

    record: DayRecord
    path: str
    """The daily file, relative to the archive's folder."""
    sha256: str
    size: int
    mtime_ns: int
    revision: int

    def to_json(self) -> dict[str, Any]:
        """Return the row as the catalog writes it."""
        return vars(self) | {"record": self.record.to_attributes()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DayRow:
        """Read a row as `to_json` writes it."""
        return cls(**{**values, "record": DayRecord.from_attributes(values["record"])})


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One time a day was made."""

    date: dt.date
    revision: int
    made_at: str
    """UTC, ISO 8601."""
    reason: str
    tier: Tier
    engine: str
    seconds: float
    fingerprint_before: str | None
    fingerprint: str
    sha256: str
    """Of the daily file."""
    phases: Mapping[str, float]
    """Seconds by phase of the day."""
    inputs: Mapping[InputRole, str]
    """sha256 of each file it was made from."""

    def to_json(self) -> dict[str, Any]:
        """Return the revision as the catalog writes it."""
        inputs = {str(role): sha256 for role, sha256 in self.inputs.items()}
        return vars(self) | {"date": self.date.isoformat(), "inputs": inputs}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Revision:
        """Read a revision as `to_json` writes it; one of an older catalog has neither phases nor inputs."""
        inputs = {InputRole.parse(role): sha256 for role, sha256 in values.get("inputs", {}).items()}
        typed = {"date": dt.date.fromisoformat(values["date"]), "tier": Tier(values["tier"]), "inputs": inputs}
        return cls(**{"phases": {}, **values, **typed})


@dataclass(frozen=True)
class Intent:
    """A day about to be published: the row it will have, while its file waits next to its place."""

    row: DayRow
    revision: Revision
    supersedes: str | None = None
    """Where the file it replaces is kept, relative to the archive's folder; None if it is not kept."""
    replaces: str | None = None
    """The file it replaces, relative to the archive's folder, if that has another name; else None."""


@dataclass(frozen=True, kw_only=True)
class GranuleRecord:
    """A version of an input file that was read: where it came from, and its field or why it was refused."""

    key: str
    """Identifies the version of the file, and how it is read."""
    product: str
    date: str
    """The file's day, ISO 8601."""
    run: ImergRun | None
    name: str
    location: str
    """Path or URL at the feed."""
    version: str
    arrived_at: str
    """When it was read, UTC, ISO 8601."""
    sha256: str
    fetched_bytes: int
    """0 for a file that is read where it lies."""
    file: str | None
    """Path of the fetched file in the inbox; None once it was deleted, and for one that is read where it lies."""
    field_digest: str | None
    """Digest of the field on the grid; None if refused."""
    coverage: float | None
    """Share of the file's cells that have a value."""
    refused: str | None
    """Why it was refused; None if it was not."""

    def to_json(self) -> dict[str, Any]:
        """Return the record by column of the catalog."""
        return {granule_column(name): value for name, value in vars(self).items()}


def granule_column(field: str) -> str:
    """Return the column of the catalog that holds a field of `GranuleRecord`."""
    return "field" if field == "field_digest" else field


@dataclass(frozen=True)
class Problem:
    """Why a day is not published as it should be."""

    date: dt.date
    kind: ProblemKind
    reason: str
    since: str
    """UTC, ISO 8601."""
