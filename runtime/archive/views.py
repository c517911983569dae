"""What an archive offers beside its daily files, brought up to date with them: the cube, and the STAC collection."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.archive import about, cube
from runtime.archive.catalog import Catalog
from runtime.archive.cube import Track
from runtime.config import Config
from runtime.durable import beside, place
from runtime.grid import Grid


def sources(archive: Path, catalog: Catalog) -> dict[dt.date, cube.Source]:
    """Return the daily files of the published days, in order."""
    return {date: cube.Source(archive, path, sha256) for date, path, sha256 in catalog.files()}


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
    if published:
        _catalogue(config, list(published), grid)
    return copied


def _catalogue(config: Config, dates: Sequence[dt.date], grid: Grid) -> None:
    """Bring the years' catalogues up to date, then the collection, which says what they hold."""
    folder = config.archive.path / about.STAC
    years = {str(year): list(days) for year, days in itertools.groupby(dates, lambda date: date.year)}
    collection = about.collection(years, config.metadata, grid, cube=config.archive.cube)
    before = _told(folder / about.COLLECTION)
    for link in collection["links"]:
        if link["rel"] == "child" and not (link in before.get("links", ()) and (folder / link["href"]).exists()):
            _write(folder / link["href"], about.year_catalogue(years[link["title"]], config.metadata))
    if collection != before:
        _write(folder / about.COLLECTION, collection)


def rebuild(config: Config, catalog: Catalog, grid: Grid, track: Track) -> int:
    """Make the cube and all STAC documents again; return how many days there are.

    Raises
    ------
    ArchiveError
        Something cannot be written.
    """
    archive = config.archive.path
    cube.remove(archive)
    (archive / about.STAC / about.COLLECTION).unlink(missing_ok=True)
    for date, row in catalog.days().items():
        item = about.item(row.record, config.metadata, grid, row.path, row.sha256, row.size)
        _write(archive / about.item_path(date), item)
    update(config, catalog, grid, track)
    return catalog.count()


def faults(archive: Path, published: dict[dt.date, cube.Source], track: Track) -> list[str]:
    """Return what of the views is not what the daily files are, one line each."""
    found = cube.faults(archive, published, track)
    for date, source in published.items():
        path = archive / about.item_path(date)
        try:
            told = _told(path)["assets"]["data"]["file:checksum"]
        except (LookupError, TypeError):
            told = None
        if told != about.checksum(source.sha256):
            found.append(f"{path}: does not describe the day's file; `runtime check --rebuild-views` makes it again")
    return found


def _told(path: Path) -> dict[str, Any]:
    """Return a STAC document; nothing if there is none that can be read."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _write(path: Path, document: dict[str, Any]) -> None:
    with beside(path) as part:
        part.write_bytes(about.encoded(document))
    place(path)
