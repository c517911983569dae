"""Publishing a day: intent, file, settlement. Killed at any instruction, `recover` finishes or forgets it."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from runtime import digest
from runtime.archive import Layout, about
from runtime.archive.catalog import Catalog, DayRow, Intent, Revision
from runtime.archive.record import PublishedDay, Record
from runtime.durable import PART, beside, place, writing
from runtime.errors import ArchiveBusy, ArchiveError
from runtime.netcdf import LOCK


@contextmanager
def lock(path: Path, doing: str = "is writing to") -> Iterator[bool]:
    """Hold the archive, for writing or to serve it; yield whether the last holder was killed.

    The kernel lets go of it when the holder dies.

    Parameters
    ----------
    path : the lock's file, two folders below the archive's
    doing : what a holder does with the archive

    Raises
    ------
    ArchiveBusy
        Another run holds it; the message names the process.
    ArchiveError
        The archive's folder cannot be written.
    """
    holder = path.with_suffix(".holder")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path, timeout=0)
        try:
            held.acquire()
        except Timeout:
            who = holder.read_text().strip() if holder.exists() else "another process"
            raise ArchiveBusy(
                f"{path.parent.parent}: {who} {doing} this archive; wait for it to end, or stop it"
            ) from None
        killed = holder.exists()
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()} (since {_now()})\n")
        except OSError:
            held.release()
            raise
    try:
        yield killed
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Written:
    """A day's file beside its place."""

    path: str
    """Where it belongs, relative to the archive."""
    sha256: str
    size: int
    mtime_ns: int
    seconds: float


def write(archive: Path, layout: Layout, day: PublishedDay) -> Written:
    """Write a day's file and its STAC item beside their places, for `publish`; may run beside everything else.

    Raises
    ------
    ArchiveError
        It cannot be written.
    """
    began = time.monotonic()
    relative = layout.relative_path(day.record.date)
    with beside(archive / relative) as part, LOCK:
        layout.write(part, day)
    stat, sha256 = part.stat(), digest.of_file(part)
    try:
        with beside(archive / about.item_path(day.record.date)) as item:
            told = about.item(day.record, day.metadata, day.grid, str(relative), sha256, stat.st_size)
            item.write_bytes(about.encoded(told))
    except ArchiveError:
        part.unlink()
        raise
    return Written(str(relative), sha256, stat.st_size, stat.st_mtime_ns, time.monotonic() - began)


def publish(
    archive: Path,
    catalog: Catalog,
    record: Record,
    written: Written,
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
        _now(),
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
        for name in (Path(written.path), about.item_path(record.date)):
            _part_of(archive / name).unlink(missing_ok=True)
        raise
    _put(archive, intent, archive / before.path if before else None)
    catalog.settle(intent, published=True)
    if before and before.path != row.path:  # the layout was changed
        (archive / before.path).unlink(missing_ok=True)
    return row


def _part_of(final: Path) -> Path:
    return final.with_name(final.name + PART)


def _put(archive: Path, intent: Intent, old: Path | None) -> None:
    """Move the new file and its item to their places; what it replaces is linked to where that is kept, if wanted."""
    if intent.supersedes and old and old.exists():
        kept = archive / intent.supersedes
        with writing(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.unlink(missing_ok=True)
            kept.hardlink_to(old)
    place(archive / intent.row.path)
    place(archive / about.item_path(intent.row.record.date))


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
            _put(archive, intent, archive / row.path if row else None)
        item = archive / about.item_path(intent.row.record.date)
        whole = final.exists() and digest.of_file(final) == intent.row.sha256
        if whole and _part_of(item).exists():
            place(item)
        catalog.settle(intent, published=whole)
        done.append(
            f"{intent.row.record.date}: a run was killed while publishing it; {'finished' if whole else 'undone'}"
        )
    parts = (archive.glob(f"{folder}[0-9][0-9][0-9][0-9]/*{PART}") for folder in ("", f"{about.STAC}/"))
    for part in itertools.chain(*parts) if killed else ():
        with writing(part):
            part.unlink()
    return done


def row_of_file(archive: Path, path: Path, revisions: dict[dt.date, int]) -> DayRow:
    """Return the catalog row of a file that is in place already.

    Raises
    ------
    ArchiveError
        The file carries no readable record.
    """
    record, stat = Record.from_file(path), path.stat()
    name, sha256 = str(path.relative_to(archive)), digest.of_file(path)
    return DayRow(record, name, sha256, stat.st_size, stat.st_mtime_ns, revisions.get(record.date, 1))
