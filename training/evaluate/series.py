"""Time series: an archive made by the runtime from the very files, and what it holds at points and stations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.archive import cf
from runtime.common.grid import Floats, Grid
from runtime.config import load_config
from runtime.errors import SeamlessError
from runtime.pipeline.run import DateRange, RunEvents, fill_archive

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
    """Where the files are, and which they are."""

    granules: Path
    rain: Path
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
    folder: Path, bundle: Path, feed: InputFolders, first: dt.date, last: dt.date, grid: Grid, listener: RunEvents
) -> Published:
    """Run the main job over days into an archive in `folder` and read it back; days that stand are not done again.

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
            granules=feed.granules.absolute(),
            rain=feed.rain.absolute(),
            product=feed.product,
            orbit=feed.orbit,
            band=feed.band,
        )
    )
    settings = load_config(file, environment={})
    outcome = fill_archive(settings, DateRange(first, last), last + dt.timedelta(60), listener)
    if outcome.exit_code:
        raise SeamlessError(outcome.message)
    dates = [first + dt.timedelta(number) for number in range((last - first).days + 1)]
    observed, seamless = (
        np.stack([cf.values(settings.archive.path / cf.relative_path(date), name) for date in dates])
        for name in ("soil_moisture_observed", "soil_moisture")
    )
    return Published(grid, dates, observed, seamless)


def cell(grid: Grid, latitude: float, longitude: float) -> tuple[int, int]:
    """Return the row and column of the cell a point lies in."""
    return int((grid.north - latitude) / grid.step), int((longitude - grid.west) / grid.step)


def cells_to_follow(
    published: Published, places: Mapping[str, tuple[float, float]], within: int = 12
) -> dict[str, tuple[int, int]]:
    """Return, for each place on the grid, the land cell near it that was observed most often.

    Parameters
    ----------
    places : latitude and longitude by name; the middle of the grid stands in where none lies on it
    within : cells to look around
    """
    grid = published.grid
    rows, cols = grid.shape
    on_grid = {name: cell(grid, *point) for name, point in places.items()}
    on_grid = {name: (row, col) for name, (row, col) in on_grid.items() if 0 <= row < rows and 0 <= col < cols}
    found = {}
    for name, (row, col) in (on_grid or {"middle of the region": (rows // 2, cols // 2)}).items():
        top, left = max(row - within, 0), max(col - within, 0)
        near = np.s_[top : row + within, left : col + within]
        seen = np.isfinite(published.observed[(slice(None), *near)]).sum(0) * grid.land[near]
        down, right = np.unravel_index(int(seen.argmax()), seen.shape)
        found[name] = top + int(down), left + int(right)
    return found
