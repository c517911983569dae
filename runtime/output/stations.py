"""The series of a list of stations."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.common.grid import Grid
from runtime.common.text import counted
from runtime.errors import UsageError

if TYPE_CHECKING:
    import xarray

HEADINGS = {
    "name": ("name", "station", "station_name", "site", "id", "station_id"),
    "lat": ("lat", "latitude", "y"),
    "lon": ("lon", "long", "lng", "longitude", "x"),
}
"""Headings of the columns of a list, in any case; the first that is there counts."""

_MOST_NAMED = 3
"""Faults or stations that a message names; it counts the others."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedStation:
    """A line of a list of stations."""

    name: str
    latitude: float
    """Degrees north."""
    longitude: float
    """Degrees east, -180 to 360."""


def read_stations(path: Path) -> list[ListedStation]:
    """Read a list of stations.

    Parameters
    ----------
    path : Path
        A CSV file with the columns name, lat and lon, or as `HEADINGS` has them; separated by commas, semicolons or
        tabs, with decimal points. Other columns are not read.

    Returns
    -------
    list of ListedStation
        The stations, in order.

    Raises
    ------
    UsageError
        The file cannot be read, a column is missing, there is no station, or lines are wrong; the message names them.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
        raise UsageError(f"{path}: cannot be read ({reason})") from error
    header = lines[0] if lines else ""
    rows = csv.DictReader(lines, delimiter=max(",;\t", key=header.count))
    known = {(heading or "").strip().lower(): heading for heading in rows.fieldnames or ()}
    columns = {key: next((known[each] for each in names if each in known), None) for key, names in HEADINGS.items()}
    missing = [key for key, heading in columns.items() if heading is None]
    if missing:
        wanted = ", ".join(f"{key} (or {', '.join(HEADINGS[key][1:])})" for key in missing)
        raise UsageError(f"{path}: line 1 has the headings {header!r}; missing: {wanted}")
    stations: dict[str, ListedStation] = {}
    faults = []
    for row in rows:
        try:
            station = _station({key: (row[str(heading)] or "").strip() for key, heading in columns.items()})
            if station.name in stations:
                raise ValueError(f"{station.name!r} is there twice")
            stations[station.name] = station
        except ValueError as error:
            faults.append(f"line {rows.line_num}: {error}")
    if faults:
        raise UsageError(f"{path}: {_first_few(faults, 'wrong line', '; ')}")
    if not stations:
        raise UsageError(f"{path}: has no station below its headings")
    return list(stations.values())


def _station(texts: Mapping[str, str]) -> ListedStation:
    """Return the station of a line.

    Raises
    ------
    ValueError
        The name is empty, or a coordinate is no number or out of range.
    """
    if not texts["name"]:
        raise ValueError("the name is empty")
    numbers = []
    for key, least, most in (("lat", -90, 90), ("lon", -180, 360)):
        try:
            number = float(texts[key])
        except ValueError:
            raise ValueError(f"{key} is {texts[key]!r}, wanted a number such as 45.2") from None
        if not least <= number <= most:
            raise ValueError(f"{key} is {texts[key]}, wanted {least} to {most}")
        numbers.append(number)
    return ListedStation(texts["name"], *numbers)


def _first_few(texts: Sequence[str], noun: str, separator: str) -> str:
    """Return the first few texts, and how many there are if these are not all."""
    shown = separator.join(texts[:_MOST_NAMED])
    return shown if len(texts) <= _MOST_NAMED else f"{shown}{separator}... ({counted(len(texts), noun)})"


def station_series(archive: xarray.Dataset, stations: Sequence[ListedStation]) -> xarray.Dataset:
    """Return the series of the cells that contain stations.

    Parameters
    ----------
    archive : xarray.Dataset
        What `runtime.open_archive` returns, or some days or a box of it.
    stations : sequence of ListedStation
        The stations; several may be in the same cell.

    Returns
    -------
    xarray.Dataset
        The variables of the archive along ``station`` and ``time``, as dask arrays, with the coordinates ``station``
        (the name), ``lat`` and ``lon`` (the centre of the cell). A station in the sea has no value on any day; the log
        names it.

    Raises
    ------
    UsageError
        Stations are outside the archive's grid.
    """
    import xarray

    grid = Grid.of_axes(archive.lat.values, archive.lon.values)
    cells = [grid.cell(station.latitude, station.longitude) for station in stations]
    outside = [station.name for station, cell in zip(stations, cells, strict=True) if cell is None]
    if outside:
        lat, lon = archive.lat.values, archive.lon.values
        raise UsageError(
            f"outside the archive, which has {lat[-1]:g} to {lat[0]:g} N and {lon[0]:g} to {lon[-1]:g} E: "
            f"{_first_few(outside, 'station', ', ')}"
        )
    rows, cols = (list(axis) for axis in zip(*(cell for cell in cells if cell), strict=True))
    land = grid.with_land().land[rows, cols]
    at_sea = [station.name for station, is_land in zip(stations, land, strict=True) if not is_land]
    if at_sea:
        logger.warning(
            f"in a cell of the sea, without values unless it was observed: {_first_few(at_sea, 'station', ', ')}"
        )
    names = xarray.DataArray([station.name for station in stations], dims="station")
    names.attrs = {"long_name": "station", "cf_role": "timeseries_id"}
    chosen = archive.isel(lat=xarray.DataArray(rows, dims="station"), lon=xarray.DataArray(cols, dims="station"))
    for axis in ("lat", "lon"):
        chosen[axis].attrs.pop("axis", None)
        chosen[axis].attrs["long_name"] = f"{chosen[axis].attrs['standard_name']} of the cell's centre"
    return chosen.assign_coords(station=names).transpose("station", "time")
