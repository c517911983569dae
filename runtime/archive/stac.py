"""What an archive says of itself: ACDD-1.3 attributes of its files and cube, and its STAC collection and items."""

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
"""The folder of the STAC collection, below the archive's; beside it a folder a year, with a catalogue and its items."""
COLLECTION = Path("collection.json")
"""In that folder."""
_VERSION = "1.1.0"
_FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"


def item_path(date: dt.date) -> Path:
    """Return a day's STAC item below the archive's folder."""
    return STAC / f"{date:%Y}" / f"{date:%Y%m%d}.json"


def stac_item(record: DayRecord, metadata: Metadata, grid: Grid, path: str, sha256: str, size: int) -> dict[str, Any]:
    """Return the STAC item of a day whose file has this path below the archive's folder, this digest and this size."""
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
            **({f"seamless:{k}": v for k, v in vars(record.figures).items()} if record.figures else {}),
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
    """Return the STAC catalogue of published days of one year: a link to each."""
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
    """Return the STAC collection of an archive: what SGD-SM's catalogue entries say, and a link to each year.

    A link carries the digest of what its year's catalogue lists, so that only a year that changed is written again.

    Parameters
    ----------
    years : the published days by year, in order; at least one
    cube : whether the archive has one
    """
    west, south, east, north = grid_bounds(grid)
    runs = list(years.values())
    span = [f"{runs[0][0]}T00:00:00Z", f"{runs[-1][-1]}T23:59:59Z"]
    where = {"providers": [{"name": metadata.institution, "roles": ["producer"]}]} if metadata.institution else {}
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
        **where,
        "extent": {"spatial": {"bbox": [[west, south, east, north]]}, "temporal": {"interval": [span]}},
        "summaries": {"gsd": [round(grid.step * 111_195)], "seamless:citations": list(CITATIONS.values())},
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
    """Return a sha256 as the STAC file extension has it, a multihash."""
    return f"1220{sha256}"


def encode_document(document: dict[str, Any]) -> bytes:
    """Return a STAC document as it is written."""
    return (json.dumps(document, indent=1, default=_json_value) + "\n").encode()


def _json_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no JSON")


def _footprint(grid: Grid) -> dict[str, Any]:
    west, south, east, north = grid_bounds(grid)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"bbox": [west, south, east, north], "geometry": {"type": "Polygon", "coordinates": [ring]}}
