"""The cube, the climatology and the STAC documents of an archive: all are derived from its daily files."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.archive.acdd import archive_attributes
from runtime.archive.catalog import Catalog
from runtime.archive.climatology_files import climatology_faults, remove_climatology, update_climatology
from runtime.archive.cube import DayFile, cube_faults
from runtime.archive.cube_update import remove_cube, update_cube
from runtime.archive.format import ArchiveFormat, days_of_other_format
from runtime.archive.stac import (
    COLLECTION,
    STAC,
    encode_document,
    item_path,
    multihash,
    stac_collection,
    stac_item,
    stac_year_catalogue,
)
from runtime.common.atomic import move_into_place, part_file
from runtime.common.events import Track, untracked
from runtime.common.grid import Grid
from runtime.config import Config


def day_files(archive: Path, catalog: Catalog) -> dict[dt.date, DayFile]:
    """Return the daily files of the published days, in order."""
    return {date: DayFile(archive, path, sha256) for date, path, sha256 in catalog.files()}


def update_derived(
    config: Config,
    catalog: Catalog,
    grid: Grid,
    track: Track = untracked,
) -> int:
    """Bring cube, climatology and STAC documents up to date; return how many days were copied into the cube.

    The caller holds the archive. After a kill at any instruction, the next call completes the work.

    Raises
    ------
    ArchiveError
        Something cannot be written.
    """
    archive, published = config.archive.path, day_files(config.archive.path, catalog)
    for date in days_of_other_format(archive, catalog, ArchiveFormat.of(grid, config.archive.layout)):
        del published[date]
    copied = 0
    if not config.archive.cube:
        remove_cube(archive)
        remove_climatology(archive)
    elif published:
        attributes = archive_attributes(config.metadata, grid, min(published), max(published))
        copied = update_cube(archive, published, grid, attributes, track)
        update_climatology(archive, published, grid, track)
    if published:
        _update_catalogues(config, list(published), grid)
    return copied


def _update_catalogues(config: Config, dates: Sequence[dt.date], grid: Grid) -> None:
    """Bring the STAC catalogue of each year up to date, then the collection that links to them."""
    folder = config.archive.path / STAC
    years = {str(year): list(days) for year, days in itertools.groupby(dates, lambda date: date.year)}
    collection = stac_collection(years, config.metadata, grid, cube=config.archive.cube)
    before = _read_document(folder / COLLECTION)
    for link in collection["links"]:
        if link["rel"] == "child" and not (link in before.get("links", ()) and (folder / link["href"]).exists()):
            _write_document(folder / link["href"], stac_year_catalogue(years[link["title"]], config.metadata))
    if collection != before:
        _write_document(folder / COLLECTION, collection)


def rebuild_derived(config: Config, catalog: Catalog, grid: Grid, track: Track) -> int:
    """Make the cube, the climatology and all STAC documents again; return the number of days.

    Raises
    ------
    ArchiveError
        Something cannot be written.
    """
    archive = config.archive.path
    remove_cube(archive)
    remove_climatology(archive)
    shutil.rmtree(archive / STAC, ignore_errors=True)  # items of days that were taken back, too
    others = days_of_other_format(archive, catalog, ArchiveFormat.of(grid, config.archive.layout))
    for date, row in catalog.days().items():
        if date in others:  # its item describes it on its own grid
            continue
        item = stac_item(row.record, config.metadata, grid, row.path, row.sha256, row.size)
        _write_document(archive / item_path(date), item)
    update_derived(config, catalog, grid, track)
    return catalog.count()


def derived_faults(archive: Path, published: dict[dt.date, DayFile], grid: Grid, track: Track) -> list[str]:
    """Return where cube, climatology and STAC documents differ from the daily files, one line each."""
    found = cube_faults(archive, published, track) + climatology_faults(archive, published, grid, track)
    for date, day_file in published.items():
        path = archive / item_path(date)
        try:
            checksum = _read_document(path)["assets"]["data"]["file:checksum"]
        except (LookupError, TypeError):
            checksum = None
        if checksum != multihash(day_file.sha256):
            found.append(f"{path}: does not describe the day's file; `runtime check --rebuild-views` makes it again")
    return found


def _read_document(path: Path) -> dict[str, Any]:
    """Return a STAC document; an empty one if it is missing or cannot be read."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write_document(path: Path, document: dict[str, Any]) -> None:
    with part_file(path) as part:
        part.write_bytes(encode_document(document))
    move_into_place(path)
