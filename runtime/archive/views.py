"""What an archive offers beside its daily files, brought up to date with them: the cube, and the STAC collection."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

from runtime.archive import about, cube
from runtime.archive.catalog import Catalog
from runtime.archive.cube import Track
from runtime.config import Config
from runtime.durable import beside, place
from runtime.grid import Grid


def sources(archive: Path, catalog: Catalog) -> dict[dt.date, cube.Source]:
    """Return the daily files of the published days, in order."""
    return {date: cube.Source(archive / path, sha256) for date, path, sha256 in catalog.files()}


def update(
    config: Config,
    catalog: Catalog,
    grid: Grid,
    track: Track = lambda items, _: items,
) -> int:
    """Bring cube and collection up to date; return how many days were copied into the cube.

    The caller holds the archive. Killed at any instruction, the next call ends what this one had begun.

    Raises
    ------
    ArchiveError
        Something cannot be written.
    """
    archive, published = config.archive.path, sources(config.archive.path, catalog)
    copied = 0
    if not config.archive.cube:
        cube.remove(archive)
    elif published:
        attributes = about.attributes(config.metadata, grid, min(published), max(published))
        copied = cube.update(archive, published, grid, attributes, track)
    collection = about.collection(list(published), config.metadata, grid, cube=config.archive.cube)
    path, content = archive / about.STAC / "collection.json", about.encoded(collection)
    if published and (not path.exists() or path.read_bytes() != content):
        _write(path, content)
    return copied


def rebuild(config: Config, catalog: Catalog, grid: Grid, track: Track) -> int:
    """Make the cube and all STAC documents again; return how many days there are.

    Raises
    ------
    ArchiveError
        Something cannot be written.
    """
    archive = config.archive.path
    cube.remove(archive)
    for date, row in catalog.days().items():
        item = about.item(row.record, config.metadata, grid, row.path, row.sha256, row.size)
        _write(archive / about.item_path(date), about.encoded(item))
    update(config, catalog, grid, track)
    return catalog.count()


def faults(archive: Path, published: dict[dt.date, cube.Source], track: Track) -> list[str]:
    """Return what of the views is not what the daily files are, one line each."""
    found = cube.faults(archive, published, track)
    for date, source in published.items():
        path = archive / about.item_path(date)
        try:
            told = json.loads(path.read_bytes())["assets"]["data"]["file:checksum"]
        except (OSError, ValueError, LookupError, TypeError):
            told = None
        if told != about.checksum(source.sha256):
            found.append(f"{path}: does not describe the day's file; `runtime check --rebuild-views` makes it again")
    return found


def _write(path: Path, content: bytes) -> None:
    with beside(path) as part:
        part.write_bytes(content)
    place(path)
