"""What an archive says of itself: ACDD-1.3 attributes of its files and cube, and its STAC collection and items."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime import digest
from runtime.grid import Grid

if TYPE_CHECKING:
    from runtime.archive.record import PublishedDay, Record
    from runtime.config import Metadata

CITATIONS = {
    "10.5194/essd-13-1385-2021": "Zhang, Q., Yuan, Q., Li, J., Wang, Y., Sun, F., and Zhang, L.: Generating seamless "
    "global daily AMSR2 soil moisture (SGD-SM) long-term products for the years 2013-2019, Earth Syst. Sci. Data, 13, "
    "1385-1401, 2021",
    "10.5194/essd-14-4473-2022": "Zhang, Q., Yuan, Q., Jin, T., Song, M., and Sun, F.: SGD-SM 2.0: an improved "
    "seamless global daily soil moisture long-term dataset from 2002 to 2022, Earth Syst. Sci. Data, 14, 4473-4488, "
    "2022",
}
"""The papers the method comes from, by DOI."""

KEYWORDS = (
    "EARTH SCIENCE > LAND SURFACE > SOILS > SOIL MOISTURE/WATER CONTENT",
    "EARTH SCIENCE > ATMOSPHERE > PRECIPITATION",
    "gap filling",
    "AMSR2",
    "IMERG",
)
ABSTRACT = (
    "Daily surface soil moisture without gaps over land: passive-microwave retrievals as they were observed, and where "
    "there was none, values filled by a neural network from the days around, the cells around and precipitation. Every "
    "cell says which of them it is, how old its last observation is and, where it was filled, how uncertain it is."
)
_LICENCES = {"CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/"}
STAC = Path("stac")
"""The folder of the STAC collection, below the archive's; beside it a folder a year, with a catalogue and its items."""
COLLECTION = Path("collection.json")
"""In that folder."""
_VERSION = "1.1.0"
_FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"


def bounds(grid: Grid) -> tuple[float, float, float, float]:
    """Return a grid's outer edges: west, south, east, north in degrees."""
    rows, cols = grid.shape
    edges = (grid.west, grid.north - grid.step * rows, grid.west + grid.step * cols, grid.north)
    return edges[0], round(edges[1], 9), round(edges[2], 9), edges[3]


def attributes(metadata: Metadata, grid: Grid, first: dt.date, last: dt.date) -> dict[str, Any]:
    """Return the global attributes that files and cube share (ACDD-1.3), for the days of a range.

    There is no ``date_created``: what an archive holds does not depend on when it was made; `runtime changes` says it.
    """
    west, south, east, north = bounds(grid)
    corners = ((south, west), (north, west), (north, east), (south, east), (south, west))
    who = {
        "creator_name": metadata.creator_name,
        "creator_email": metadata.creator_email,
        "creator_url": metadata.creator_url,
        "publisher_name": metadata.creator_name,
        "publisher_email": metadata.creator_email,
        "publisher_url": metadata.creator_url,
        "institution": metadata.institution,
        "creator_institution": metadata.institution,
        "naming_authority": metadata.naming_authority,
        "acknowledgement": metadata.acknowledgement,
    }
    return {
        "Conventions": "CF-1.11, ACDD-1.3",
        "title": metadata.title,
        "summary": ABSTRACT,
        "keywords": ", ".join(KEYWORDS),
        "keywords_vocabulary": "GCMD Science Keywords",
        "id": metadata.id,
        "license": f"{metadata.licence} {_LICENCES.get(metadata.licence, '')}".strip(),
        "references": ", ".join(f"doi:{doi}" for doi in CITATIONS),
        "processing_level": "Level 4",
        "cdm_data_type": "Grid",
        "standard_name_vocabulary": "CF Standard Name Table v93",
        "geospatial_lat_min": grid.latitudes[-1],
        "geospatial_lat_max": grid.latitudes[0],
        "geospatial_lat_units": "degrees_north",
        "geospatial_lat_resolution": f"{grid.step} degrees",
        "geospatial_lon_min": grid.longitudes[0],
        "geospatial_lon_max": grid.longitudes[-1],
        "geospatial_lon_units": "degrees_east",
        "geospatial_lon_resolution": f"{grid.step} degrees",
        "geospatial_bounds": f"POLYGON (({', '.join(f'{lat} {lon}' for lat, lon in corners)}))",
        "geospatial_bounds_crs": "EPSG:4326",
        **coverage(first, last),
        **{name: value for name, value in who.items() if value},
    }


def coverage(first: dt.date, last: dt.date) -> dict[str, str]:
    """Return the attributes that say which days something covers."""
    return {
        "time_coverage_start": f"{first}T00:00:00Z",
        "time_coverage_end": f"{last}T23:59:59Z",
        "time_coverage_duration": f"P{(last - first).days + 1}D",
        "time_coverage_resolution": "P1D",
    }


SHARED = (
    *("Conventions", "title", "summary", "keywords", "keywords_vocabulary", "license", "references"),
    *("processing_level", "standard_name_vocabulary", "cdm_data_type"),
    *("institution", "creator_name", "creator_email", "creator_url", "naming_authority", "acknowledgement"),
)
"""Attributes of a day's file that hold for the whole archive, and for any part of it."""


def of_day(day: PublishedDay) -> dict[str, Any]:
    """Return the global attributes of a day's file: those of the archive, where the day came from, and its record."""
    made = f"gaps filled by {day.record.model} ({day.kind} kind)"
    common = attributes(day.metadata, day.grid, day.record.date, day.record.date)
    return {
        **common,
        "id": f"{day.metadata.id}_{day.record.date:%Y%m%d}",
        "source": f"{day.sensor} LPRM Level 3 {day.band}-band retrievals; {made}",
        "history": f"{day.sensor} LPRM {day.band}-band {day.record.date}: put on the archive's grid; {made}; "
        "the attribute inputs lists every field it was made from",
        "instrument": day.sensor,
        "product_version": day.record.model,
        "comment": "Observed cells are as the sensor gave them. The attributes carry the day's record (tier, model, "
        "inputs, fingerprint); when and why it was made stands in the archive's catalog.",
        **day.record.to_attributes(),
    }


def item_path(date: dt.date) -> Path:
    """Return a day's STAC item below the archive's folder."""
    return STAC / f"{date:%Y}" / f"{date:%Y%m%d}.json"


def item(record: Record, metadata: Metadata, grid: Grid, path: str, sha256: str, size: int) -> dict[str, Any]:
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
                "file:checksum": checksum(sha256),
            }
        },
    }


def year_catalogue(dates: Sequence[dt.date], metadata: Metadata) -> dict[str, Any]:
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


def collection(years: Mapping[str, Sequence[dt.date]], metadata: Metadata, grid: Grid, *, cube: bool) -> dict[str, Any]:
    """Return the STAC collection of an archive: what SGD-SM's catalogue entries say, and a link to each year.

    A link carries the digest of what its year's catalogue lists, so that only a year that changed is written again.

    Parameters
    ----------
    years : the published days by year, in order; at least one
    cube : whether the archive has one
    """
    west, south, east, north = bounds(grid)
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
            *({"rel": "license", "href": href} for href in [_LICENCES.get(metadata.licence)] if href),
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


def checksum(sha256: str) -> str:
    """Return a sha256 as the STAC file extension has it, a multihash."""
    return f"1220{sha256}"


def encoded(document: dict[str, Any]) -> bytes:
    """Return a STAC document as it is written."""
    return (json.dumps(document, indent=1, default=_plain) + "\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no JSON")


def _footprint(grid: Grid) -> dict[str, Any]:
    west, south, east, north = bounds(grid)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"bbox": [west, south, east, north], "geometry": {"type": "Polygon", "coordinates": [ring]}}
