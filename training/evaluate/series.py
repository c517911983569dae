"""Time series: an archive that the runtime publishes from the evaluated files, and its values at points."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.archive import cf
from runtime.common.clock import DateRange, days_between
from runtime.common.events import RunEvents
from runtime.common.grid import Floats, Grid
from runtime.config import load_config
from runtime.errors import SeamlessError
from runtime.pipeline.run import fill_archive

PLACES = {
    "North America": (40.0, -100.0),
    "South America": (-10.0, -60.0),
    "Europe": (48.0, 20.0),
    "Africa": (10.0, 20.0),
    "Asia": (45.0, 85.0),
    "Australia": (-25.0, 134.0),
}
"""Latitude and longitude of a place on each of six continents, to draw time series of."""
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


@dataclass(frozen=True)
class Published:
    """Days of an archive, in order."""

    grid: Grid
    dates: list[dt.date]
    observed: Floats
    """(days, rows, cols), m3 m-3, NaN for a gap."""
    seamless: Floats
    """(days, rows, cols), m3 m-3, observed or filled."""


def publish_series(
    folder: Path, bundle: Path, inputs: InputFolders, *, first: dt.date, last: dt.date, grid: Grid
) -> Published:
    """Fill days with the runtime into an archive, and read them back.

    Parameters
    ----------
    folder : Path
        Folder of the archive. Days that an earlier call published there are not filled again.
    bundle : Path
        Folder of the bundle.
    inputs : InputFolders
        The input files.
    first, last : date
        First and last day, both included.
    grid : Grid
        Grid of the archive.

    Returns
    -------
    Published
        The published days.

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
    dates = days_between(first, last)
    observed, seamless = (
        np.stack([cf.values(config.archive.path / cf.CfLayout().relative_path(date), name) for date in dates])
        for name in ("soil_moisture_observed", "soil_moisture")
    )
    return Published(grid, dates, observed, seamless)


def cells_to_follow(
    published: Published, places: Mapping[str, tuple[float, float]], within: int = 12
) -> dict[str, tuple[int, int]]:
    """Return, for each place on the grid, the land cell near it that was observed most often.

    Parameters
    ----------
    published : Published
        The days of an archive.
    places : mapping
        Latitude and longitude by name. If none of them is on the grid, the middle of the grid is used.
    within : int
        Largest distance from the place along each axis, in cells.

    Returns
    -------
    dict
        Row and column by name.
    """
    grid = published.grid
    rows, cols = grid.shape
    on_grid = {name: cell for name, point in places.items() if (cell := grid.cell(*point))}
    found = {}
    for name, (row, col) in (on_grid or {"middle of the region": (rows // 2, cols // 2)}).items():
        top, left = max(row - within, 0), max(col - within, 0)
        near = np.s_[top : row + within, left : col + within]
        seen = np.isfinite(published.observed[(slice(None), *near)]).sum(0) * grid.land[near]
        down, right = np.unravel_index(int(seen.argmax()), seen.shape)
        found[name] = top + int(down), left + int(right)
    return found
