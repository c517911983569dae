"""Days that are computed and not yet published: each in a folder of its own, named by the day's fingerprint."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runtime.archive.layout import Layout
from runtime.archive.publish import WrittenDay, adopt_written, write_day
from runtime.archive.record import DayRecord, PublishedDay
from runtime.common import digest
from runtime.common.atomic import PART, sync_to_disk, write_guard

_NOTE = "day.json"
_TILES = "tiles"


@dataclass(frozen=True)
class StagedDay:
    """A computed day in its staging folder."""

    written: WrittenDay
    cut: int
    """See `runtime.fill.result.Filled.cut`."""
    engine: str
    """The engine that computed it."""
    phases: Mapping[str, float]
    """Seconds that each phase took."""
    unsound: str | None
    """Why the result makes no sense; None if it does."""


_JSON = TypeAdapter(StagedDay)


@dataclass(frozen=True)
class Staging:
    """The staging folder of an archive, on its file system. Any worker may write the same day: the first one counts."""

    folder: Path

    def add(
        self, day: PublishedDay, layout: Layout, cut: int, engine: str, phases: Mapping[str, float], unsound: str | None
    ) -> None:
        """Write a computed day, whole or not at all.

        Raises
        ------
        ArchiveError
            It cannot be written.
        """
        final = self._path(day.record.fingerprint)
        scratch = final.with_name(f"{final.name}.{uuid.uuid4().hex}")
        try:
            staged = StagedDay(write_day(scratch, layout, day), cut, engine, phases, unsound)
            with write_guard(final):
                (scratch / _NOTE).write_bytes(_JSON.dump_json(staged))
                sync_to_disk(scratch / _NOTE)
                sync_to_disk(scratch)
                try:
                    scratch.rename(final)
                except OSError:
                    if not final.exists():  # another worker was faster
                        raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def has(self, fingerprint: str) -> bool:
        """Whether a day is there."""
        return (self._path(fingerprint) / _NOTE).exists()

    def read(self, fingerprint: str) -> tuple[StagedDay, DayRecord] | None:
        """Return a day as it was computed, and what its file says; None if it is not there, or damaged."""
        folder = self._path(fingerprint)
        try:
            staged = _JSON.validate_json((folder / _NOTE).read_bytes())
            file = self.file(fingerprint, staged)
            if digest.of_file(file) != staged.written.sha256:
                return None
        except (OSError, ValidationError):
            return None
        return staged, DayRecord.from_file(file)

    def file(self, fingerprint: str, staged: StagedDay) -> Path:
        """Return the file of a day."""
        return self._path(fingerprint) / (staged.written.path + PART)

    def move(self, fingerprint: str, archive: Path) -> None:
        """Move a day's files next to their places in the archive, as `write_day` leaves them there."""
        adopt_written(self._path(fingerprint), archive)
        self.drop(fingerprint)

    def drop(self, fingerprint: str) -> None:
        """Delete a day."""
        shutil.rmtree(self._path(fingerprint), ignore_errors=True)

    def tiles(self, state: str, number: int, shares: int) -> Path:
        """Return the file of a share of a day's tiles; `state` is the fingerprint of the state that the day leaves."""
        return self.folder / _TILES / f"{state[:32]}-{number}-of-{shares}.safetensors"

    def drop_tiles(self, state: str) -> None:
        """Delete the tiles of a day that is joined."""
        for file in (self.folder / _TILES).glob(f"{state[:32]}-*"):
            file.unlink(missing_ok=True)

    def _path(self, fingerprint: str) -> Path:
        return self.folder / fingerprint[:32]
