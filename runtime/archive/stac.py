"""Describe an archive in STAC: a collection, a catalogue per year, and an item per day."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.archive.acdd import ABSTRACT, CITATIONS, KEYWORDS, LICENCES, grid_bounds
from runtime.common import digest
from runtime.common.grid import Grid

if TYPE_CHECKING:
    from runtime.archive.record import DayRecord
    from runtime.config import Metadata


STAC = Path("stac")
"""Folder of the STAC documents, relative to the archive's: the collection, and a folder per year with its items."""
COLLECTION = Path("collection.json")
"""File of the collection, relative to that folder."""
_VERSION = "1.1.0"
"""Version of STAC."""
_FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"


def item_path(date: dt.date) -> Path:
    """Return the file of a day's STAC item, relative to the archive's folder."""
    return STAC / f"{date:%Y}" / f"{date:%Y%m%d}.json"


def stac_item(record: DayRecord, metadata: Metadata, grid: Grid, path: str, sha256: str, size: int) -> dict[str, Any]:
    """Return the STAC item of a day.

    Parameters
    ----------
    record : DayRecord
        The day's record.
    metadata : Metadata
        The section ``[metadata]`` of the configuration.
    grid : Grid
        The archive's grid.
    path : str
        The day's file, relative to the archive's folder.
    sha256 : str
        The file's sha256.
    size : int
        The file's size, bytes.

    Returns
    -------
    dict of str to Any
        The item.
    """
    return {
        "type": "Feature",
        "stac_version": _VERSION,
        "stac_extensions": [_FILE_EXTENSION],
        "id": f"{metadata.id}_{record.date:%Y%m%d}",
        "collection": metadata.id,
        **_footprint(grid),
        "properties": {
            "datetime": None,
            "start_datetime": f"{record.date}T00:00:00Z",
            "end_datetime": f"{record.date}T23:59:59Z",
            "title": f"{metadata.title}, {record.date}",
            "license": metadata.licence,
            "seamless:tier": record.tier,
            "seamless:model": record.model,
            "seamless:fingerprint": record.fingerprint,
            **({f"seamless:{k}": v for k, v in vars(record.statistics).items()} if record.statistics else {}),
        },
        "links": [
            {"rel": "root", "href": "../collection.json", "type": "application/json"},
            {"rel": "parent", "href": "./catalog.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        ],
        "assets": {
            "data": {
                "href": f"../../{path}",
                "type": "application/netcdf",
                "roles": ["data"],
                "title": "The day's NetCDF file",
                "file:size": size,
                "file:checksum": multihash(sha256),
            }
        },
    }


def stac_year_catalogue(dates: Sequence[dt.date], metadata: Metadata) -> dict[str, Any]:
    """Return the STAC catalogue of one year, with a link to the item of each of its published days."""
    year = dates[0].year
    return {
        "type": "Catalog",
        "stac_version": _VERSION,
        "id": f"{metadata.id}_{year}",
        "title": f"{metadata.title}, {year}",
        "description": f"The days of {year}.",
        "links": [
            {"rel": "root", "href": "../collection.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            *({"rel": "item", "href": f"./{date:%Y%m%d}.json", "type": "application/geo+json"} for date in dates),
        ],
    }


def stac_collection(
    years: Mapping[str, Sequence[dt.date]], metadata: Metadata, grid: Grid, *, cube: bool
) -> dict[str, Any]:
    """Return the STAC collection of an archive, with a link to the catalogue of each year.

    Each link contains a digest of the days in its year's catalogue, so that only catalogues that change are written
    again.

    Parameters
    ----------
    years : mapping of str to sequence of dt.date
        The published days by year, in order; at least one.
    metadata : Metadata
        The section ``[metadata]`` of the configuration.
    grid : Grid
        The archive's grid.
    cube : bool
        Whether the archive has a cube.

    Returns
    -------
    dict of str to Any
        The collection.
    """
    west, south, east, north = grid_bounds(grid)
    by_year = list(years.values())
    span = [f"{by_year[0][0]}T00:00:00Z", f"{by_year[-1][-1]}T23:59:59Z"]
    providers = {"providers": [{"name": metadata.institution, "roles": ["producer"]}]} if metadata.institution else {}
    zarr = {
        "cube": {
            "href": "../cube.zarr",
            "type": "application/vnd.zarr; version=3",
            "roles": ["data"],
            "title": "The same days, chunked for time series",
        }
    }
    return {
        "type": "Collection",
        "stac_version": _VERSION,
        "stac_extensions": [],
        "id": metadata.id,
        "title": metadata.title,
        "description": ABSTRACT,
        "keywords": list(KEYWORDS),
        "license": metadata.licence,
        **providers,
        "extent": {"spatial": {"bbox": [[west, south, east, north]]}, "temporal": {"interval": [span]}},
        "summaries": {"gsd": [round(grid.cell_size)], "seamless:citations": list(CITATIONS.values())},
        **({"assets": zarr} if cube else {}),
        "links": [
            {"rel": "root", "href": "./collection.json", "type": "application/json"},
            *({"rel": "license", "href": href} for href in [LICENCES.get(metadata.licence)] if href),
            *(
                {"rel": "cite-as", "href": f"https://doi.org/{doi}", "title": citation}
                for doi, citation in CITATIONS.items()
            ),
            *(
                {
                    "rel": "child",
                    "href": f"./{year}/catalog.json",
                    "type": "application/json",
                    "title": year,
                    "seamless:digest": digest.of_values(
                        metadata.id, metadata.title, [date.toordinal() for date in dates]
                    ),
                }
                for year, dates in years.items()
            ),
        ],
    }


def multihash(sha256: str) -> str:
    """Return a sha256 as a multihash, the form that the STAC file extension wants."""
    return f"1220{sha256}"


def encode_document(document: dict[str, Any]) -> bytes:
    """Return the bytes of a STAC document."""
    return (json.dumps(document, indent=1, default=_json_value) + "\n").encode()


def _json_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be written as JSON")


def _footprint(grid: Grid) -> dict[str, Any]:
    west, south, east, north = grid_bounds(grid)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"bbox": [west, south, east, north], "geometry": {"type": "Polygon", "coordinates": [ring]}}
