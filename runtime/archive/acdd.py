"""The global attributes of the archive's files and of its cube (CF-1.11, ACDD-1.3)."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.common.grid import Grid

if TYPE_CHECKING:
    from runtime.archive.record import PublishedDay
    from runtime.config import Metadata

CITATIONS = {
    "10.5194/essd-13-1385-2021": "Zhang, Q., Yuan, Q., Li, J., Wang, Y., Sun, F., and Zhang, L.: Generating seamless "
    "global daily AMSR2 soil moisture (SGD-SM) long-term products for the years 2013-2019, Earth Syst. Sci. Data, 13, "
    "1385-1401, 2021",
    "10.5194/essd-14-4473-2022": "Zhang, Q., Yuan, Q., Jin, T., Song, M., and Sun, F.: SGD-SM 2.0: an improved "
    "seamless global daily soil moisture long-term dataset from 2002 to 2022, Earth Syst. Sci. Data, 14, 4473-4488, "
    "2022",
}
"""The papers that describe the method, by DOI."""

KEYWORDS = (
    "EARTH SCIENCE > LAND SURFACE > SOILS > SOIL MOISTURE/WATER CONTENT",
    "EARTH SCIENCE > ATMOSPHERE > PRECIPITATION",
    "gap filling",
    "AMSR2",
    "IMERG",
)
"""Keywords of the archive, from the GCMD list and free ones."""

ABSTRACT = (
    "Daily surface soil moisture: passive-microwave retrievals as they were observed, and the gaps that observations "
    "of nearby cells and days reach, filled by a neural network; other land stays empty. Every cell says which of them "
    "it is, how old its last observation is and, where it was filled, how uncertain it is."
)
"""What the archive contains, in a few sentences."""

LICENCES = {"CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/"}
"""Address of a licence's text, by the licence's short name."""

_BAND = re.compile(r"LPRM Level 3 (\w+)-band")
"""Finds the band in the attribute ``source``."""

SHARED = (
    *("Conventions", "title", "summary", "keywords", "keywords_vocabulary", "license", "references"),
    *("processing_level", "standard_name_vocabulary", "cdm_data_type"),
    *("institution", "creator_name", "creator_email", "creator_url", "naming_authority", "acknowledgement"),
)
"""Attributes of a daily file that are also true for the whole archive and for any part of it."""


def grid_bounds(grid: Grid) -> tuple[float, float, float, float]:
    """Return a grid's outer edges: west, south, east, north in degrees."""
    edges = grid.lon_edges[0], grid.lat_edges[-1], grid.lon_edges[-1], grid.lat_edges[0]
    west, south, east, north = (round(float(edge), 9) for edge in edges)
    return west, south, east, north


def _height(grid: Grid) -> str:
    """Return the height of rows as text; rows of an EASE-Grid 2.0 are not equally high."""
    if grid.cell_km is None:
        return f"{grid.step} degrees"
    heights = -np.diff(grid.lat_edges)
    return f"{heights.min():.6f} to {heights.max():.6f} degrees ({grid.cell_size:.2f} m in EPSG:6933)"


def archive_attributes(metadata: Metadata, grid: Grid, first: dt.date, last: dt.date) -> dict[str, Any]:
    """Return the global attributes that daily files and cube share (ACDD-1.3).

    There is no ``date_created``, because published bytes do not depend on when they were made; `runtime changes` lists
    when each day was made.

    Parameters
    ----------
    metadata : Metadata
        The section ``[metadata]`` of the configuration.
    grid : Grid
        The archive's grid.
    first : dt.date
        First day covered.
    last : dt.date
        Last day covered.

    Returns
    -------
    dict of str to Any
        Attribute values by name.
    """
    west, south, east, north = grid_bounds(grid)
    corners = ((south, west), (north, west), (north, east), (south, east), (south, west))
    people = {
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
        "license": f"{metadata.licence} {LICENCES.get(metadata.licence, '')}".strip(),
        "references": ", ".join(f"doi:{doi}" for doi in CITATIONS),
        "processing_level": "Level 4",
        "cdm_data_type": "Grid",
        "standard_name_vocabulary": "CF Standard Name Table v93",
        "geospatial_lat_min": grid.latitudes[-1],
        "geospatial_lat_max": grid.latitudes[0],
        "geospatial_lat_units": "degrees_north",
        "geospatial_lat_resolution": _height(grid),
        "geospatial_lon_min": grid.longitudes[0],
        "geospatial_lon_max": grid.longitudes[-1],
        "geospatial_lon_units": "degrees_east",
        "geospatial_lon_resolution": f"{round(grid.step, 9)} degrees",
        "geospatial_bounds": f"POLYGON (({', '.join(f'{lat} {lon}' for lat, lon in corners)}))",
        "geospatial_bounds_crs": "EPSG:4326",
        **time_coverage(first, last),
        **{name: value for name, value in people.items() if value},
    }


def time_coverage(first: dt.date, last: dt.date) -> dict[str, str]:
    """Return the attributes that give the covered days, from `first` to `last`."""
    return {
        "time_coverage_start": f"{first}T00:00:00Z",
        "time_coverage_end": f"{last}T23:59:59Z",
        "time_coverage_duration": f"P{(last - first).days + 1}D",
        "time_coverage_resolution": "P1D",
    }


def band_of(source: str) -> str:
    """Return the band that a daily file is made from, as its attribute ``source`` says; ``unknown`` if it does not."""
    match = _BAND.search(source)
    return match[1] if match else "unknown"


def day_attributes(day: PublishedDay) -> dict[str, Any]:
    """Return the global attributes of a daily file: those of the archive, the day's inputs, and its record."""
    filling = f"gaps filled by {day.record.model} ({day.kind} kind)"
    shared = archive_attributes(day.metadata, day.grid, day.record.date, day.record.date)
    return {
        **shared,
        "id": f"{day.metadata.id}_{day.record.date:%Y%m%d}",
        "source": f"{day.sensor} LPRM Level 3 {day.band}-band retrievals; {filling}",
        "history": f"{day.sensor} LPRM {day.band}-band {day.record.date}: put on the archive's grid; {filling}; "
        "the attribute inputs lists every field it was made from",
        "instrument": day.sensor,
        "product_version": day.record.model,
        "comment": "Observed cells are as the sensor gave them. The attributes carry the day's record (tier, model, "
        "inputs, fingerprint); when and why it was made stands in the archive's catalog.",
        **({"model_warning": day.model_warning} if day.model_warning else {}),
        **day.record.to_attributes(),
    }
