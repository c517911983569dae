"""Is the archive whole? And making its catalog, cube and STAC documents again from the daily files."""

from __future__ import annotations

from runtime.archive.catalog import Catalog
from runtime.archive.derived import day_files, derived_faults, rebuild_derived
from runtime.archive.lock import hold_archive, open_for_writing
from runtime.archive.paths import ArchivePaths
from runtime.archive.publish import recover, row_of_file
from runtime.archive.record import DayRecord
from runtime.common import digest
from runtime.common.events import Track
from runtime.common.vocabulary import TODAY
from runtime.config import Config
from runtime.errors import ArchiveError, StateChainBroken
from runtime.fill.state import read_snapshot


def archive_faults(config: Config, track: Track) -> list[str]:
    """Return what is wrong with the archive, one line each; every published file and snapshot is read."""
    paths = ArchivePaths.of(config)
    archive, found = paths.root, []
    with Catalog.open(paths.catalog, read_only=True) as catalog:
        rows = catalog.days()
        unfinished = {intent.row.path for intent in catalog.intents()}
        published = {d: file for d, file in day_files(archive, catalog).items() if rows[d].path not in unfinished}
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
    found += derived_faults(archive, published, track)
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
    """Make cube and STAC documents again from the daily files; return the number of days.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    """
    with open_for_writing(config) as catalog:
        return rebuild_derived(config, catalog, config.make_grid(), track)


def rebuild_catalog(config: Config, track: Track) -> int:
    """Read every published file's record back into the catalog; return the number of files.

    A catalog that cannot be read is moved aside first. Revisions of a readable catalog are kept.

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
            rows = [row_of_file(paths.root, path, newest) for path in track(paths.day_files(), "rebuild")]
            catalog.rebuild(rows)
    return len(rows)
