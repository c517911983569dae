"""Publishing a day: write it next to its place, note the intent, move it, commit.

Killed at any instruction, `recover` finishes or undoes what was begun.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.archive.catalog import Catalog
from runtime.archive.layout import Layout
from runtime.archive.paths import ArchivePaths, superseded_path
from runtime.archive.record import DayRecord, PublishedDay
from runtime.archive.rows import DayRow, Intent, Revision
from runtime.archive.stac import encode_document, item_path, stac_item
from runtime.common import digest
from runtime.common.atomic import PART, move_into_place, part_file, write_guard
from runtime.common.clock import now_text
from runtime.common.vocabulary import InputRole
from runtime.errors import ArchiveError


@dataclass(frozen=True)
class WrittenDay:
    """A daily file that is written, but not yet in its place."""

    path: str
    """Its place, relative to the archive's folder."""
    sha256: str
    size: int
    mtime_ns: int
    seconds: float
    """How long writing took."""


def write_day(archive: Path, layout: Layout, day: PublishedDay) -> WrittenDay:
    """Write a daily file and its STAC item next to their places; may run in another thread than `publish_day`.

    Raises
    ------
    ArchiveError
        It cannot be written.
    """
    began = time.monotonic()
    relative = layout.relative_path(day.record.date)
    with part_file(archive / relative) as part:
        layout.write(part, day)
    stat, sha256 = part.stat(), digest.of_file(part)
    try:
        with part_file(archive / item_path(day.record.date)) as item:
            document = stac_item(day.record, day.metadata, day.grid, str(relative), sha256, stat.st_size)
            item.write_bytes(encode_document(document))
    except ArchiveError:
        part.unlink()
        raise
    return WrittenDay(str(relative), sha256, stat.st_size, stat.st_mtime_ns, time.monotonic() - began)


def adopt_written(source: Path, archive: Path) -> None:
    """Move what `write_day` wrote below another folder of the same file system next to its places in the archive.

    Raises
    ------
    ArchiveError
        It cannot be moved.
    """
    for part in sorted(source.rglob(f"*{PART}")):
        place = archive / part.relative_to(source)
        with write_guard(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            part.replace(place)


@dataclass(frozen=True, kw_only=True)
class Making:
    """How and why a day was made; written to the catalog, and to no file."""

    reason: str
    engine: str
    phases: Mapping[str, float]
    """Seconds by phase of the day."""
    inputs: Mapping[InputRole, str]
    """sha256 of each file it was made from."""


def publish_day(
    archive: Path,
    catalog: Catalog,
    record: DayRecord,
    written: WrittenDay,
    making: Making,
    *,
    before: DayRow | None,
    keep_superseded: bool = False,
) -> DayRow:
    """Put a written day into the archive, whole or not at all.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    catalog : Catalog
        Its catalog, open for writing.
    record : DayRecord
        What the day was made from.
    written : WrittenDay
        Its file, as `write_day` left it.
    making : Making
        How and why it was made.
    before : DayRow or None
        The day's current row; None if it is not published yet.
    keep_superseded : bool
        Keep the file that is replaced, below ``.superseded``.

    Returns
    -------
    DayRow
        The day's new row.

    Raises
    ------
    ArchiveError
        The archive cannot be written; it is as it was before.
    """
    row = DayRow(
        record, written.path, written.sha256, written.size, written.mtime_ns, before.revision + 1 if before else 1
    )
    phases = {name: round(took, 3) for name, took in {**making.phases, "publish": written.seconds}.items()}
    revision = Revision(
        date=record.date,
        revision=row.revision,
        made_at=now_text(),
        reason=making.reason,
        tier=record.tier,
        engine=making.engine,
        seconds=round(sum(phases.values()), 3),
        fingerprint_before=before.record.fingerprint if before else None,
        fingerprint=record.fingerprint,
        sha256=row.sha256,
        phases=phases,
        inputs=making.inputs,
    )
    kept_as = superseded_path(Path(before.path), before.revision) if keep_superseded and before else None
    replaces = before.path if before and before.path != row.path else None  # the layout was changed
    intent = Intent(row, revision, None if kept_as is None else str(kept_as), replaces)
    try:
        catalog.begin(intent)
    except ArchiveError:
        for name in (Path(written.path), item_path(record.date)):
            _part_of(archive / name).unlink(missing_ok=True)
        raise
    _move_files(archive, intent, archive / before.path if before else None)
    catalog.commit(intent, published=True)
    _delete_replaced(archive, catalog, intent)
    return row


def _delete_replaced(archive: Path, catalog: Catalog, intent: Intent) -> None:
    """Delete the file of another name that a committed intent replaces, and then the intent."""
    if intent.replaces is not None:
        old = archive / intent.replaces
        with write_guard(old):
            old.unlink(missing_ok=True)
        catalog.end(intent)


def _part_of(final: Path) -> Path:
    return final.with_name(final.name + PART)


def _move_files(archive: Path, intent: Intent, old: Path | None) -> None:
    """Move the new file and its STAC item to their places; keep the file they replace if the intent says so."""
    if intent.supersedes and old and old.exists():
        kept = archive / intent.supersedes
        with write_guard(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.unlink(missing_ok=True)
            kept.hardlink_to(old)
    move_into_place(archive / intent.row.path)
    move_into_place(archive / item_path(intent.row.record.date))


def recover(paths: ArchivePaths, catalog: Catalog, *, killed: bool = True) -> list[str]:
    """Finish or undo what a killed run had begun; return what was done, one line each.

    Parameters
    ----------
    paths : ArchivePaths
        The archive.
    catalog : Catalog
        Its catalog, open for writing.
    killed : bool
        Whether the last run was killed; if not, half-written files are not searched for in the folders of all years.
    """
    done = []
    for intent in catalog.intents():
        date, final = intent.row.record.date, paths.root / intent.row.path
        part, row = _part_of(final), catalog.days(date, date).get(date)
        if row == intent.row:  # it was committed
            _delete_replaced(paths.root, catalog, intent)
            done.append(f"{date}: a run was killed after publishing it; its file of another layout is deleted")
            continue
        if part.exists() and digest.of_file(part) == intent.row.sha256:
            _move_files(paths.root, intent, paths.root / row.path if row else None)
        item = paths.root / item_path(date)
        whole = final.exists() and digest.of_file(final) == intent.row.sha256
        if whole and _part_of(item).exists():
            move_into_place(item)
        catalog.commit(intent, published=whole)
        if whole:
            _delete_replaced(paths.root, catalog, intent)
        done.append(f"{date}: a run was killed while publishing it; {'finished' if whole else 'undone'}")
    for part in paths.unfinished() if killed else ():
        with write_guard(part):
            part.unlink()
    return done


def row_of_file(archive: Path, path: Path, revisions: Mapping[dt.date, int]) -> DayRow:
    """Return the catalog row of a file that is in its place already.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    path : Path
        The published file.
    revisions : dict
        The newest revision of each day, where it is known.

    Raises
    ------
    ArchiveError
        The file carries no readable record.
    """
    record, stat = DayRecord.from_file(path), path.stat()
    name, sha256 = str(path.relative_to(archive)), digest.of_file(path)
    return DayRow(record, name, sha256, stat.st_size, stat.st_mtime_ns, revisions.get(record.date, 1))


def published_file_fault(archive: Path, row: DayRow) -> str | None:
    """Return what is wrong with a published file; None if it is as it was published."""
    path = archive / row.path
    try:
        stat = path.stat()
    except FileNotFoundError:
        return "published file missing"
    if (stat.st_size, stat.st_mtime_ns) != (row.size, row.mtime_ns) and digest.of_file(path) != row.sha256:
        return "published file altered"
    return None
