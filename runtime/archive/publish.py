"""Publishing a day: intent, file, settlement. Killed at any instruction, `recover` finishes or forgets it."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from runtime.archive.catalog import Catalog, DayRow, Intent, Revision
from runtime.archive.layout import Layout
from runtime.archive.record import DayRecord, PublishedDay
from runtime.archive.stac import STAC, encode_document, item_path, stac_item
from runtime.common import digest
from runtime.common.atomic import PART, move_into_place, part_file, write_guard
from runtime.common.clock import now_text
from runtime.common.netcdf import LOCK
from runtime.errors import ArchiveError


@dataclass(frozen=True)
class WrittenDay:
    """A day's file beside its place."""

    path: str
    """Where it belongs, relative to the archive."""
    sha256: str
    size: int
    mtime_ns: int
    seconds: float


def write_day(archive: Path, layout: Layout, day: PublishedDay) -> WrittenDay:
    """Write a day's file and its STAC item beside their places, for `publish`; may run beside everything else.

    Raises
    ------
    ArchiveError
        It cannot be written.
    """
    began = time.monotonic()
    relative = layout.relative_path(day.record.date)
    with part_file(archive / relative) as part, LOCK:
        layout.write(part, day)
    stat, sha256 = part.stat(), digest.of_file(part)
    try:
        with part_file(archive / item_path(day.record.date)) as item:
            told = stac_item(day.record, day.metadata, day.grid, str(relative), sha256, stat.st_size)
            item.write_bytes(encode_document(told))
    except ArchiveError:
        part.unlink()
        raise
    return WrittenDay(str(relative), sha256, stat.st_size, stat.st_mtime_ns, time.monotonic() - began)


def publish_day(
    archive: Path,
    catalog: Catalog,
    record: DayRecord,
    written: WrittenDay,
    *,
    before: DayRow | None,
    reason: str,
    engine: str,
    phases: dict[str, float],
    inputs: dict[str, str],
    keep_superseded: bool = False,
) -> DayRow:
    """Put a day that was written into the archive, whole or not at all.

    Parameters
    ----------
    before : DayRow, optional
        The day's current row, if it is published already.
    reason, engine, phases, inputs
        For the catalog's revision: why it was made, who computed, how long each phase took (s), and the sha256 of each
        file it was made from.
    keep_superseded
        Keep the file that is replaced, below ``.superseded``.

    Raises
    ------
    ArchiveError
        The archive cannot be written; it is as it was before.
    """
    revision_number = before.revision + 1 if before else 1
    row = DayRow(record, written.path, written.sha256, written.size, written.mtime_ns, revision_number)
    phases = {name: round(took, 3) for name, took in {**phases, "publish": written.seconds}.items()}
    revision = Revision(
        record.date,
        row.revision,
        now_text(),
        reason,
        record.tier,
        engine,
        round(sum(phases.values()), 3),
        before.record.fingerprint if before else None,
        record.fingerprint,
        row.sha256,
        phases,
        inputs,
    )
    old = Path(before.path) if before else None
    intent = Intent(
        row,
        revision,
        str(Path(".superseded", old.parent, f"{old.stem}.r{before.revision}{old.suffix}"))
        if keep_superseded and before and old
        else None,
    )
    try:
        catalog.intend(intent)
    except ArchiveError:
        for name in (Path(written.path), item_path(record.date)):
            _part_of(archive / name).unlink(missing_ok=True)
        raise
    _move_files(archive, intent, archive / before.path if before else None)
    catalog.settle(intent, published=True)
    if before and before.path != row.path:  # the layout was changed
        (archive / before.path).unlink(missing_ok=True)
    return row


def _part_of(final: Path) -> Path:
    return final.with_name(final.name + PART)


def _move_files(archive: Path, intent: Intent, old: Path | None) -> None:
    """Move the new file and its item to their places; what it replaces is linked to where that is kept, if wanted."""
    if intent.supersedes and old and old.exists():
        kept = archive / intent.supersedes
        with write_guard(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.unlink(missing_ok=True)
            kept.hardlink_to(old)
    move_into_place(archive / intent.row.path)
    move_into_place(archive / item_path(intent.row.record.date))


def recover(archive: Path, catalog: Catalog, *, killed: bool = True) -> list[str]:
    """Finish what a killed run had begun; return what was done, one line each.

    Parameters
    ----------
    killed : the last holder of the archive was; if not, no unfinished file is looked for among those of years
    """
    done = []
    for intent in catalog.intents():
        final = archive / intent.row.path
        part = _part_of(final)
        if part.exists() and digest.of_file(part) == intent.row.sha256:
            row = catalog.days(intent.row.record.date, intent.row.record.date).get(intent.row.record.date)
            _move_files(archive, intent, archive / row.path if row else None)
        item = archive / item_path(intent.row.record.date)
        whole = final.exists() and digest.of_file(final) == intent.row.sha256
        if whole and _part_of(item).exists():
            move_into_place(item)
        catalog.settle(intent, published=whole)
        done.append(
            f"{intent.row.record.date}: a run was killed while publishing it; {'finished' if whole else 'undone'}"
        )
    parts = (archive.glob(f"{folder}[0-9][0-9][0-9][0-9]/*{PART}") for folder in ("", f"{STAC}/"))
    for part in itertools.chain(*parts) if killed else ():
        with write_guard(part):
            part.unlink()
    return done


def row_of_file(archive: Path, path: Path, revisions: dict[dt.date, int]) -> DayRow:
    """Return the catalog row of a file that is in place already.

    Raises
    ------
    ArchiveError
        The file carries no readable record.
    """
    record, stat = DayRecord.from_file(path), path.stat()
    name, sha256 = str(path.relative_to(archive)), digest.of_file(path)
    return DayRow(record, name, sha256, stat.st_size, stat.st_mtime_ns, revisions.get(record.date, 1))
