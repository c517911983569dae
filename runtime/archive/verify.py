"""Is the archive whole? And making its catalog, cube, climatology and STAC documents again from the daily files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runtime.archive.catalog import Catalog
from runtime.archive.derived import day_files, derived_faults, rebuild_derived
from runtime.archive.format import REMAKE, ArchiveFormat, archive_format, days_of_other_format
from runtime.archive.lock import hold_archive, open_for_writing
from runtime.archive.paths import ArchivePaths
from runtime.archive.publish import recover, row_of_file
from runtime.archive.record import DayRecord
from runtime.archive.rows import DayRow
from runtime.common import digest
from runtime.common.events import Track
from runtime.common.vocabulary import TODAY
from runtime.config import Config
from runtime.errors import ArchiveError, StateChainBroken
from runtime.fill.state import read_snapshot
from runtime.merge.store import TransferStore


def archive_faults(config: Config, track: Track) -> list[str]:
    """Return what is wrong with the archive, one line each; every published file and snapshot is read."""
    paths = ArchivePaths.of(config)
    archive, found = paths.root, []
    with Catalog.open(paths.catalog, read_only=True) as catalog:
        rows = catalog.days()
        unfinished = {path for intent in catalog.intents() for path in (intent.row.path, intent.replaces)}
        published = {d: file for d, file in day_files(archive, catalog).items() if rows[d].path not in unfinished}
        others = {d: its for d, its in days_of_other_format(archive, catalog).items() if d in published}
        wanted = archive_format(archive, catalog)
    missing = {row.path: row for row in rows.values() if row.path not in unfinished}
    for path in track(paths.day_files(), "check"):
        name = str(path.relative_to(archive))
        if name in unfinished:
            continue
        row = missing.pop(name, None)
        if row is None:
            found.append(f"{path}: is not in the catalog; delete it, or `runtime check --rebuild-catalog`")
        elif digest.of_file(path) != row.sha256:
            found.append(f"{path}: is not what was published; `runtime fill --date {row.record.date}` makes it again")
        else:
            try:
                DayRecord.from_file(path)
            except ArchiveError as error:
                found.append(str(error))
    for path in track(paths.snapshots(), "check state"):
        try:
            read_snapshot(path)
        except StateChainBroken as error:
            found.append(str(error))
    found += TransferStore(paths.transfers).faults()
    found += [f"{archive / rows[d].path}: has {its}, the archive has {wanted}; {REMAKE}" for d, its in others.items()]
    found += derived_faults(archive, {d: f for d, f in published.items() if d not in others}, config.make_grid(), track)
    found += [
        f"{archive / row.path}: has no value, no observation reaches {date}; delete it, then `runtime check "
        "--rebuild-catalog --rebuild-views`"
        for date, row in rows.items()
        if _is_empty(row.record)
    ]
    for name, row in missing.items():
        found.append(f"{archive / name}: is missing; `runtime fill --date {row.record.date}` makes it again")
    return found


def _is_empty(record: DayRecord) -> bool:
    """Whether a day has no value: earlier versions published such days."""
    statistics = record.statistics
    return record.inputs[TODAY] is None and statistics is not None and not statistics.observed + statistics.filled


def rebuild_views(config: Config, track: Track) -> int:
    """Make cube, climatology and STAC documents again from the daily files; return the number of days.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    """
    with open_for_writing(config) as catalog:
        return rebuild_derived(config, catalog, config.make_grid(), track)


def rebuild_catalog(config: Config, track: Track) -> int:
    """Read every published file's record back into the catalog; return the number of files.

    A catalog that cannot be read is moved aside first. The revisions of a readable catalog are kept, and the grid and
    layout that it notes. Without that note the archive gets those of its files: the configured ones if a file has them,
    otherwise those of the newest file. Of two files of one day, as an interrupted change leaves them, the one that has
    the archive's grid and layout stays.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    ArchiveError
        A file carries no readable record.
    """
    paths = ArchivePaths.of(config)
    with hold_archive(paths.lock):
        try:
            with Catalog.open(paths.catalog, read_only=True) as catalog:
                catalog.intents()
                newest = {revision.date: revision.revision for revision in catalog.revisions()}
        except ArchiveError:
            paths.catalog.replace(paths.catalog.with_suffix(".damaged"))
            paths.catalog.with_name(paths.catalog.name + "-journal").unlink(missing_ok=True)
            newest = {}
        with Catalog.open(paths.catalog) as catalog:
            recover(paths, catalog)
            found = [row_of_file(paths.root, path, newest) for path in track(paths.day_files(), "rebuild")]
            formats = _formats_by_settings(paths.root, found)
            wanted = ArchiveFormat.of(config.make_grid(), config.archive.layout)
            is_configured = any(its.is_that_of(wanted) for its in formats.values())
            its = catalog.noted_format() or (wanted if is_configured else archive_format(paths.root, catalog))
            fitting = {settings for settings, made in formats.items() if its and made.is_that_of(its)}
            rows = {
                row.record.date: row for row in sorted(found, key=lambda row: row.record.settings_digest in fitting)
            }
            catalog.rebuild(list(rows.values()))
            if its:
                catalog.write_format(its)
            for row in found:
                if row is not rows[row.record.date]:
                    (paths.root / row.path).unlink()
    return len(rows)


def _formats_by_settings(archive: Path, rows: Sequence[DayRow]) -> dict[str, ArchiveFormat]:
    """Return the grid and layout of the daily files, by the digest of their settings, which covers both."""
    files = {row.record.settings_digest: archive / row.path for row in rows}
    return {settings: ArchiveFormat.of_file(path) for settings, path in files.items()}
