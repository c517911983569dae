"""The climatology beside the cube: daily files of all years walk in, one mean for each day of the calendar walks out.

``climatology/0412.nc`` has the mean soil moisture of all 12 April of the archive, and the number of years in it. Like
the cube, these files are derived from the daily files, and are brought up to date after each run. ``index.json`` says
from which daily files each of them was made; it is written after them, so that a killed run leaves at worst files that
are made again. A record of less than `LEAST_DAYS` days has no climatology: there is nothing usual yet.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.archive.cf import EPOCH, write_axes, write_field
from runtime.archive.cube import DayFile, verified_fields
from runtime.archive.format import ArchiveFormat
from runtime.archive.paths import ArchivePaths
from runtime.archive.variables import SOIL_MOISTURE, STEP, Variable
from runtime.common import digest
from runtime.common.atomic import move_into_place, part_file, write_guard
from runtime.common.clock import MIN_DAYS, WINDOW_DAYS, YEAR_DAYS, calendar_days
from runtime.common.events import Track
from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import open_dataset
from runtime.common.vocabulary import LayoutName
from runtime.errors import ArchiveError

LEAST_DAYS = 365
"""Days from the first to the newest day of a record that has a climatology."""

_MEAN = replace(
    SOIL_MOISTURE,
    name="soil_moisture_climatology",
    attributes=SOIL_MOISTURE.attributes
    | {
        "long_name": "mean soil moisture of this day in all years, observed or filled",
        "cell_methods": "time: mean within years time: mean over years",
    },
)
_YEARS = Variable(
    "climatology_years", np.dtype(np.int16), None, {"long_name": "number of years with a value", "units": "1"}
)

_FORMAT = 1
"""Counted up when the files change, so that they are made again."""
_INDEX = "index.json"
_AT_A_TIME = 16
"""Files that a killed run makes again at most."""

_Days = Sequence[tuple[dt.date, DayFile]]


def update_climatology(archive: Path, sources: Mapping[dt.date, DayFile], grid: Grid, track: Track) -> int:
    """Bring an archive's climatology up to date with its daily files.

    The caller holds the archive's lock. A daily file that differs from its hash in the catalog is not used.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    sources : mapping of dt.date to DayFile
        The published days.
    grid : Grid
        The archive's grid.
    track : Track
        Shows progress over the days of the calendar that change.

    Returns
    -------
    int
        Number of files written.

    Raises
    ------
    ArchiveError
        A file cannot be written.
    """
    folder = ArchivePaths.below(archive).climatology
    if not sources or (max(sources) - min(sources)).days < LEAST_DAYS:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    wanted = _by_calendar_day(sources)
    known = _read_index(folder, grid)
    stale = [name for name, days in wanted.items() if known.get(name) != _mark(days) or not (folder / name).exists()]
    with write_guard(folder):
        if not known.keys() <= wanted.keys():  # first, so that no reader looks for a file that is gone
            known = {name: mark for name, mark in known.items() if name in wanted}
            _write_index(folder, known, grid)
        for old in {path.name for path in folder.glob("*.nc")} - wanted.keys():
            (folder / old).unlink()
        parts = [stale[at : at + _AT_A_TIME] for at in range(0, len(stale), _AT_A_TIME)]
        for names in track(parts, "climatology"):
            known |= {name: _mark(_write(folder / name, wanted[name], grid)) for name in names}
            _write_index(folder, known, grid)
    return len(stale)


def remove_climatology(archive: Path) -> None:
    """Delete an archive's climatology."""
    shutil.rmtree(ArchivePaths.below(archive).climatology, ignore_errors=True)


def climatology_faults(archive: Path, sources: Mapping[dt.date, DayFile], grid: Grid, track: Track) -> list[str]:
    """Compare the climatology with the daily files it was made from.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    sources : mapping of dt.date to DayFile
        The published days.
    grid : Grid
        The archive's grid.
    track : Track
        Shows progress over the days of the calendar.

    Returns
    -------
    list of str
        One line for each file that is damaged or has other values. Files that are due to be made again are no fault.
    """
    folder, found = ArchivePaths.below(archive).climatology, []
    known = _read_index(folder, grid)
    for name, days in track(list(_by_calendar_day(sources).items()), "check climatology"):
        if known.get(name) != _mark(days):
            continue
        try:
            (stored, years), (mean, right_years, _) = _read_means(folder / name), _mean_of(days, grid)
            is_right = np.array_equal(stored, _MEAN.pack(mean)) and np.array_equal(years, right_years)
        except ArchiveError:
            is_right = False
        if not is_right:
            found.append(
                f"{folder / name}: is not the mean of its daily files; `runtime check --rebuild-views` makes it again"
            )
    return found


@dataclass(frozen=True)
class Usual:
    """What is usual around a day of the calendar: the files of the climatology near it."""

    files: tuple[Path, ...]
    """Those that are at most half a window away."""
    version: str
    """Changes with what the files hold."""

    @classmethod
    def around(cls, archive: Path, date: dt.date, grid: Grid, window_days: int = WINDOW_DAYS) -> Usual | None:
        """Return what is usual at the time of the year of a date; None if the archive has no climatology on its grid.

        Parameters
        ----------
        archive : Path
            The archive's folder.
        date : dt.date
            The date; that of 29 February counts as its own day of the calendar.
        grid : Grid
            The archive's grid.
        window_days : int
            Days of the calendar, the date in their middle; odd.
        """
        folder = ArchivePaths.below(archive).climatology
        known = _read_index(folder, grid)
        day = calendar_days(np.array([date], "datetime64[D]"))[0]
        leap_year = dt.date(2000, 1, 1)
        near = [
            _file_name(leap_year + dt.timedelta(int(day + away) % YEAR_DAYS))
            for away in range(-(window_days // 2), window_days // 2 + 1)
        ]
        marks = {name: known[name] for name in near if name in known}
        return cls(tuple(folder / name for name in marks), digest.of_values(marks)) if marks else None

    def mean(self, min_days: int = MIN_DAYS) -> Floats:
        """Return the mean soil moisture of the window in all years.

        Parameters
        ----------
        min_days : int
            Days with a value that a mean needs.

        Returns
        -------
        float32 array, shape (rows, cols)
            Soil moisture, m3 m-3; NaN where fewer days have a value.

        Raises
        ------
        ArchiveError
            A file cannot be read.
        """
        total: NDArray[np.int64] = np.zeros((), np.int64)
        count: NDArray[np.int64] = np.zeros((), np.int64)
        for file in self.files:
            packed, years = _read_means(file)
            total = total + np.where(packed == _MEAN.empty, 0, packed).astype(np.int64) * years
            count = count + years
        enough = count >= max(min_days, 1)
        return np.where(enough, total * STEP / np.maximum(count, 1), np.nan).astype(np.float32)


def _file_name(date: dt.date) -> str:
    return f"{date:%m%d}.nc"


def _by_calendar_day(sources: Mapping[dt.date, DayFile]) -> dict[str, list[tuple[dt.date, DayFile]]]:
    """Return the daily files of each file of the climatology, in order of time."""
    found: dict[str, list[tuple[dt.date, DayFile]]] = {}
    for date in sorted(sources):
        found.setdefault(_file_name(date), []).append((date, sources[date]))
    return found


def _mark(days: _Days) -> str:
    """Return what a file of the climatology is made from, as a digest."""
    return digest.of_values([(str(date), source.sha256) for date, source in days])


def _mean_of(days: _Days, grid: Grid) -> tuple[Floats, NDArray[np.int16], _Days]:
    """Return the mean of some days, float32, m3 m-3, NaN without a value, the number of values of each cell, and the
    days whose files are there and are those of the catalog."""
    total, count = np.zeros(grid.shape, np.int64), np.zeros(grid.shape, np.int16)
    used = []
    for date, source in days:
        packed = verified_fields(source, grid, (SOIL_MOISTURE.name,)).get(SOIL_MOISTURE.name)
        if packed is not None:
            has_value = packed != SOIL_MOISTURE.fill
            total += np.where(has_value, packed, 0)
            count += has_value
            used.append((date, source))
    mean = np.where(count > 0, total * STEP / np.maximum(count, 1), np.nan)
    return mean.astype(np.float32), count, used


def _write(path: Path, days: _Days, grid: Grid) -> _Days:
    """Write one file of the climatology (CF-1.11, climatological time), and return the days that are in it."""
    mean, years, used = _mean_of(days, grid)
    first, last = days[0][0], days[-1][0]
    with part_file(path) as part, open_dataset(part, "w") as file:
        file.setncatts(
            {
                "Conventions": "CF-1.11",
                "title": f"Mean soil moisture of all {first:%d %B} from {first.year} to {last.year}",
                "source": "the archive's daily files: observed and filled values",
                "history": "made from the archive's daily files, which say what each was made from",
            }
        )
        file.createDimension("time", 1)
        file.createDimension("nv", 2)
        time = file.createVariable("time", "i4", ("time",))
        units = {
            "units": f"days since {EPOCH}",
            "calendar": "standard",
            "units_metadata": "leap_seconds: none",
        }
        time.setncatts({"standard_name": "time", "axis": "T", "climatology": "climatology_bounds", **units})
        time[:] = [(last - EPOCH).days]
        bounds = [(first - EPOCH).days, (last - EPOCH).days + 1]
        file.createVariable("climatology_bounds", "i4", ("time", "nv"))[:] = [bounds]
        write_axes(file, grid)
        write_field(file, _MEAN, mean)
        write_field(file, _YEARS, years)
    move_into_place(path)
    return used


def _read_means(path: Path) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the packed mean and the number of years of a file."""
    try:
        with open_dataset(path) as file:
            file.set_auto_maskandscale(False)
            return np.asarray(file[_MEAN.name][0]), np.asarray(file[_YEARS.name][0])
    except (OSError, RuntimeError, IndexError) as error:
        cure = "`runtime check --rebuild-views` makes it again"
        raise ArchiveError(f"{path}: cannot be read ({error}); {cure}") from error


def _read_index(folder: Path, grid: Grid) -> dict[str, str]:
    """Return the digest of what each file was made from; empty without a readable index of this grid."""
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        is_ours = index["format"] == _FORMAT and ArchiveFormat(**index["grid"]).has_grid_of(_format_of(grid))
        return dict(index["files"]) if is_ours else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_index(folder: Path, files: Mapping[str, str], grid: Grid) -> None:
    index = {"format": _FORMAT, "grid": asdict(_format_of(grid)), "files": dict(sorted(files.items()))}
    with part_file(folder / _INDEX) as part:
        part.write_text(json.dumps(index, indent=0))
    move_into_place(folder / _INDEX)


def _format_of(grid: Grid) -> ArchiveFormat:
    return ArchiveFormat.of(grid, LayoutName.CF)
