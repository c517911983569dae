"""Is the archive whole? And if the catalog is lost: read it back from the files."""

from __future__ import annotations

from pathlib import Path

from runtime.archive.catalog import Catalog
from runtime.archive.derived import day_files, derived_faults, rebuild_derived
from runtime.archive.lock import hold_archive
from runtime.archive.publish import recover, row_of_file
from runtime.archive.record import DayRecord
from runtime.common import digest
from runtime.common.events import Track
from runtime.config import Config
from runtime.errors import ArchiveError, StateChainBroken
from runtime.fill.state import read_snapshot


def _published_files(archive: Path) -> list[Path]:
    return sorted(archive.glob("[0-9][0-9][0-9][0-9]/*.nc"))


def archive_faults(config: Config, track: Track) -> list[str]:
    """Return what is wrong with the archive, one line each: every published file and snapshot is read."""
    archive = config.archive.path
    found = []
    with Catalog.open(config.catalog_path, read_only=True) as catalog:
        rows = catalog.days()
        interrupted = {intent.row.path for intent in catalog.intents()}
        published = {d: s for d, s in day_files(archive, catalog).items() if rows[d].path not in interrupted}
    by_path = {row.path: row for row in rows.values()}
    files = _published_files(archive)
    for path in track(files, "check"):
        name = str(path.relative_to(archive))
        if name in interrupted:
            continue
        row = by_path.pop(name, None)
        if row is None:
            found.append(f"{path}: is not in the catalog; delete it, or `runtime check --rebuild-catalog`")
        elif digest.of_file(path) != row.sha256:
            found.append(f"{path}: is not what was published; `runtime fill --date {row.record.date}` makes it again")
        else:
            try:
                DayRecord.from_file(path)
            except ArchiveError as error:
                found.append(str(error))
    for path in track(sorted(config.state_path.glob("[0-9][0-9][0-9][0-9]/*.safetensors")), "check memory"):
        try:
            read_snapshot(path)
        except StateChainBroken as error:
            found.append(str(error))
    found += derived_faults(archive, published, track)
    for name, row in by_path.items():
        if name not in interrupted:
            found.append(f"{archive / name}: is missing; `runtime fill --date {row.record.date}` makes it again")
    return found


def rebuild_views(config: Config, track: Track) -> int:
    """Make cube and STAC documents again from the daily files; return how many days there are.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    """
    with hold_archive(config.catalog_path.with_name("lock")), Catalog.open(config.catalog_path) as catalog:
        recover(config.archive.path, catalog)
        return rebuild_derived(config, catalog, config.make_grid(), track)


def rebuild_catalog(config: Config, track: Track) -> int:
    """Read every published file's record back into the catalog; return how many there were.

    A catalog that cannot be read is moved aside first. Revisions of a readable catalog are kept.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    ArchiveError
        A file carries no readable record.
    """
    archive = config.archive.path
    with hold_archive(config.catalog_path.with_name("lock")):
        try:
            with Catalog.open(config.catalog_path, read_only=True) as catalog:
                catalog.intents()
                last = {revision.date: revision.revision for revision in catalog.revisions()}
        except ArchiveError:
            config.catalog_path.replace(config.catalog_path.with_suffix(".damaged"))
            config.catalog_path.with_name(config.catalog_path.name + "-journal").unlink(missing_ok=True)
            last = {}
        with Catalog.open(config.catalog_path) as catalog:
            recover(archive, catalog)
            rows = [row_of_file(archive, path, last) for path in track(_published_files(archive), "rebuild")]
            catalog.rebuild(rows)
    return len(rows)
