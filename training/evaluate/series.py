"""Time series: an archive that the runtime publishes from the evaluated files, and places to follow in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Floats
from runtime.config import load_config
from runtime.errors import SeamlessError
from runtime.pipeline.run import fill_archive
from training.evaluate.cells import CellSeries
from training.samples import TrainingArchive

PUBLISHED_PLACES = {
    "sgdsm1": {
        "Kenya": (0.375, 36.875),
        "Ukraine": (49.375, 35.125),
        "North China, coast": (38.125, 117.375),
        "Colorado": (39.875, -106.125),
        "Mato Grosso": (-15.125, -52.625),
        "New South Wales": (-30.125, 150.375),
    },
    "sgdsm2": {
        "Bahia": (-10.125, -42.625),
        "North China Plain": (38.375, 117.125),
        "Khabarovsk": (48.875, 140.375),
    },
}
"""Latitude and longitude of the places that SGD-SM 1.0 and 2.0 show, by paper and name."""
PLACES = PUBLISHED_PLACES["sgdsm1"] | PUBLISHED_PLACES["sgdsm2"]
"""All of them, whose time series are drawn."""
_WITHIN = 12
"""Where none of the places is on the grid: largest distance of a cell from the middle along each axis, cells."""
_CONFIG = """\
[archive]
path = "{archive}"
start = {first}

[model]
bundle = "{bundle}"

[[feeds.soil_moisture]]
path = "{granules}"
product = "{product}"
orbit = "{orbit}"
band = "{band}"
from = {first}

[feeds.precipitation]
kind = "folder"
path = "{rain}"
runs = ["final", "late", "early"]
"""


@dataclass(frozen=True)
class InputFolders:
    """Folders of the input files, and which soil-moisture files of them to use."""

    granules: Path
    """Folder of the LPRM files."""
    rain: Path
    """Folder of the IMERG files."""
    product: str
    orbit: str
    band: str


@dataclass(frozen=True, kw_only=True)
class SeriesFindings:
    """Time series of some places."""

    places: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Latitude and longitude of the cells, by name."""
    dates: list[dt.date] = field(default_factory=list)
    """All days."""
    published: dict[str, CellSeries] = field(default_factory=dict)
    """The published days of these cells, by bundle."""
    rain: Floats | None = None
    """(days, cells), mm/day, NaN for no estimate; None without rain."""


def parse_places(text: str) -> dict[str, tuple[float, float]]:
    """Return the places that a text names.

    Parameters
    ----------
    text : str
        A key of `PUBLISHED_PLACES`, or ``NORTH,EAST`` of each place in degrees, separated by spaces.

    Returns
    -------
    dict
        Latitude and longitude by name.

    Raises
    ------
    ValueError
        The text is neither, or names no place.
    """
    if text in PUBLISHED_PLACES:
        return PUBLISHED_PLACES[text]
    try:
        found = {point: (float(point.split(",")[0]), float(point.split(",")[1])) for point in text.split()}
    except (ValueError, IndexError):
        found = {}
    if not found or not all(abs(north) <= 90 and -180 <= east <= 360 for north, east in found.values()):
        known = ", ".join(PUBLISHED_PLACES)
        raise ValueError(f"{text!r} names no places; give {known}, or 'NORTH,EAST NORTH,EAST' in degrees")
    return found


def publish_series(folder: Path, bundle: Path, inputs: InputFolders, *, first: dt.date, last: dt.date) -> Path:
    """Fill days with the runtime into an archive.

    Parameters
    ----------
    folder : Path
        Folder to work in. Days that an earlier call published there are not filled again.
    bundle : Path
        Folder of the bundle.
    inputs : InputFolders
        The input files.
    first, last : date
        First and last day, both included.

    Returns
    -------
    Path
        Folder of the archive.

    Raises
    ------
    SeamlessError
        A day could not be filled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "seamless-sm.toml"
    file.write_text(
        _CONFIG.format(
            archive="archive",
            first=first,
            bundle=bundle.absolute(),
            granules=inputs.granules.absolute(),
            rain=inputs.rain.absolute(),
            product=inputs.product,
            orbit=inputs.orbit,
            band=inputs.band,
        )
    )
    config = load_config(file, environment={})
    outcome = fill_archive(config, DateRange(first, last), last + dt.timedelta(60), RunEvents())
    if outcome.exit_code:
        raise SeamlessError(outcome.message)
    return config.archive.path


def cells_to_follow(
    archive: TrainingArchive, first: int, days: int, places: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[int, int]]:
    """Return the cell of each place on the grid; without any, the land cell near the middle observed most often.

    Parameters
    ----------
    archive : TrainingArchive
        The days.
    first : int
        Position of the first day.
    days : int
        Number of days.
    places : mapping
        Latitude and longitude by name.

    Returns
    -------
    dict
        Row and column by name.
    """
    grid = archive.grid
    found = {name: cell for name, point in places.items() if (cell := grid.cell(*point))}
    if found:
        return found
    top, left = (max(length // 2 - _WITHIN, 0) for length in grid.shape)
    near = archive.soil_moisture(first, days, top, left, 2 * _WITHIN)
    seen = np.isfinite(near).sum(0)
    seen *= grid.land[top : top + seen.shape[0], left : left + seen.shape[1]]
    down, right = np.unravel_index(int(seen.argmax()), seen.shape)
    return {"middle of the region": (top + int(down), left + int(right))}
