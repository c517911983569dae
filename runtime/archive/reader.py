"""Read an archive, also while a run writes to it: one day from its file, the days of one cell from the cube.

Days that the cube does not have, or not yet, are read from the daily files; see `runtime.archive.cube`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.archive.acdd import SHARED, band_of, time_coverage
from runtime.archive.catalog import Catalog
from runtime.archive.cube import SLAB, Cube, DayFile
from runtime.archive.derived import day_files
from runtime.archive.layout import layout_of
from runtime.archive.paths import ArchivePaths
from runtime.archive.place import sea_text
from runtime.archive.variables import SOIL_MOISTURE, VARIABLES
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.netcdf import LOCK, open_dataset
from runtime.errors import ArchiveError, InputsMissing, UsageError

T = TypeVar("T")

_ATTEMPTS = 3
"""How often a cube is read while a run writes to it; after that the daily files are read."""

_DATE = re.compile(r"\d{8}")


@dataclass(frozen=True)
class Series:
    """The published days of one cell."""

    latitude: float
    """Centre of the cell, degrees north."""
    longitude: float
    """Centre of the cell, degrees east."""
    dates: list[dt.date]
    values: dict[str, Floats]
    """Values by variable, one per day, in the variable's units, NaN where there is none."""


class Reader:
    """The days that an archive had when the reader was made.

    Parameters
    ----------
    archive : Path
        The archive's folder.

    Raises
    ------
    InputsMissing
        No day is published there.
    """

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.days = _published_days(archive)
        if not self.days:
            raise InputsMissing(f"{archive}: no day is published there; `runtime fill` makes them")

    @cached_property
    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The latitudes, northernmost first, and the longitudes of the cell centres, degrees."""
        newest = self.days[max(self.days)].path
        with LOCK:
            return _checked(newest, lambda: layout_of(newest).axes(newest))

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The archive's global attributes: those of its newest file that are not about that day only."""
        newest = self.days[max(self.days)].path
        with open_dataset(newest) as file:
            shared = {name: file.getncattr(name) for name in SHARED if name in file.ncattrs()}
        history = {"history": "taken from the archive's daily files, which say what each was made from"}
        return shared | history | time_coverage(min(self.days), max(self.days))

    @cached_property
    def names(self) -> frozenset[str]:
        """The variables that the archive has: those of the cube and of the newest day."""
        cube = Cube.open(self.archive)
        return frozenset(self.day(max(self.days))) | frozenset(cube.names if cube else ())

    @property
    def step(self) -> float:
        """Cell size, degrees."""
        longest = max(self.axes, key=len)
        return float(abs(longest[-1] - longest[0]) / (longest.size - 1)) if longest.size > 1 else 0.25

    @cached_property
    def land(self) -> Bools:
        """The packaged land mask on the archive's grid; True where soil moisture is wanted."""
        (lat, lon), half = self.axes, self.step / 2
        return Grid.globe().box(lon[0] - half, lat[-1] - half, lon[-1] + half, lat[0] + half).land

    def dates_between(self, first: dt.date | None, last: dt.date | None) -> list[dt.date]:
        """Return the published days from `first` to `last`, both included; None for the first or the newest one.

        Raises
        ------
        InputsMissing
            There is none.
        """
        dates = [date for date in self.days if (first or date) <= date <= (last or date)]
        if not dates:
            asked = f"from {first} to {last}" if first and last else f"from {first} on" if first else f"up to {last}"
            raise InputsMissing(f"{self.archive} has no day {asked}; it has {min(self.days)} to {max(self.days)}")
        return dates

    def cell(self, latitude: float, longitude: float) -> tuple[int, int]:
        """Return the row and the column of the cell that contains a point.

        Parameters
        ----------
        latitude : float
            Degrees north.
        longitude : float
            Degrees east, -180 to 360.

        Returns
        -------
        (int, int)
            Row and column.

        Raises
        ------
        UsageError
            The point is outside the archive's grid.
        """
        half = self.step / 2 * (1 + 1e-9)
        lat, lon = self.axes
        east = longitude - 360 if longitude > lon[-1] + half else longitude
        row, col = int(np.abs(lat - latitude).argmin()), int(np.abs(lon - east).argmin())
        if not (abs(lat[row] - latitude) <= half and abs(lon[col] - east) <= half):
            raise UsageError(
                f"{latitude:g} N {longitude:g} E is outside the archive, which has "
                f"{lat[-1]:g} to {lat[0]:g} N and {lon[0]:g} to {lon[-1]:g} E"
            )
        return row, col

    def day(self, date: dt.date, names: Collection[str] = tuple(VARIABLES)) -> dict[str, NDArray[Any]]:
        """Return packed variables of a day.

        Parameters
        ----------
        date : dt.date
            The day.
        names : collection of str
            Variables to read.

        Returns
        -------
        dict of str to array, shape (rows, cols)
            Packed values by variable; variables that the day does not have are left out.

        Raises
        ------
        InputsMissing
            The day is not published.
        ArchiveError
            Its file cannot be read.
        """
        source = self.days.get(date)
        if source is None:
            raise InputsMissing(f"{date} is not in {self.archive}; `runtime fill --date {date}` makes it")
        return _stored_fields(source.path, names)

    def fields(self, date: dt.date, names: Collection[str] = tuple(VARIABLES)) -> dict[str, Floats]:
        """Return variables of a day in their units, NaN where there is no value; otherwise as `day`."""
        return _unpacked(self.day(date, names))

    def band(self, date: dt.date) -> str:
        """Return the band that a published day was made from; see `band_of`."""
        with open_dataset(self.days[date].path) as file:
            return band_of(str(getattr(file, "source", "")))

    @property
    def cube_days(self) -> Mapping[dt.date, int]:
        """The published days for which the cube agrees with the file, with their numbers in the cube."""
        cube = Cube.open(self.archive)
        return {} if cube is None else self._agreeing_days(cube, cube.marks())

    def _agreeing_days(self, cube: Cube, marks: NDArray[np.uint64]) -> dict[dt.date, int]:
        """Return the published days whose mark is that of their file, with their numbers in the cube."""
        known = marks.tolist()
        numbers = {date: (date - cube.first).days for date in self.days}
        return {
            date: number
            for date, number in numbers.items()
            if 0 <= number < len(known) and known[number] == self.days[date].mark
        }

    def series(
        self,
        latitude: float,
        longitude: float,
        first: dt.date | None = None,
        last: dt.date | None = None,
        names: Collection[str] = tuple(VARIABLES),
    ) -> Series:
        """Return the time series of the cell that contains a point.

        Parameters
        ----------
        latitude : float
            Degrees north.
        longitude : float
            Degrees east, -180 to 360.
        first : dt.date, optional
            First day; without it, from the archive's first day.
        last : dt.date, optional
            Last day, included; without it, to the archive's newest day.
        names : collection of str
            Variables to read.

        Returns
        -------
        Series
            The published days, and their values by variable; variables that none of the days has are left out.

        Raises
        ------
        UsageError
            The point is outside the archive's grid, or in the sea.
        ArchiveError
            The cube or a file is damaged.
        """
        row, col = self.cell(latitude, longitude)
        dates = [date for date in self.days if (first or date) <= date <= (last or date)]
        values = {
            name: np.full(len(dates), variable.unpack(np.array(variable.empty, variable.dtype)))
            for name, variable in VARIABLES.items()
            if name in names
        }
        found = set()
        in_cube: dict[dt.date, int] = {}
        cube = Cube.open(self.archive)
        if cube is not None and dates:
            stored, in_cube = self._cell_of_cube(cube, row, col, dates, names)
            indices = np.array([index for index, date in enumerate(dates) if date in in_cube], int)
            numbers = np.array([in_cube[dates[index]] for index in indices], int)
            for name, packed in stored.items():
                values[name][indices] = VARIABLES[name].unpack(packed[numbers])
                found.add(name)
        for index, date in enumerate(dates):
            if date not in in_cube:
                for name, field in self.day(date, names).items():
                    values[name][index] = VARIABLES[name].unpack(field[row : row + 1, col])[0]
                    found.add(name)
        lat, lon = self.axes
        present = {name: series for name, series in values.items() if name in found}
        if np.isnan(present.get(SOIL_MOISTURE.name, [0.0])).all() and not self.land[row, col]:
            raise UsageError(sea_text(lat, lon, self.land, row, col))
        return Series(float(lat[row]), float(lon[col]), dates, present)

    def _cell_of_cube(
        self, cube: Cube, row: int, col: int, dates: list[dt.date], names: Collection[str]
    ) -> tuple[dict[str, NDArray[Any]], dict[dt.date, int]]:
        """Return the packed values of one cell by variable, and the indices in them of the days that can be trusted.

        A run may write to the cube at the same time. Before it replaces a file of the cube, it removes the mark of each
        day that changes. So the values that were read from one file of the cube belong together if none of the marks of
        its days has changed while reading.
        """
        begin = max(0, (dates[0] - cube.first).days)
        end = max(begin, (dates[-1] - cube.first).days + 1)
        wanted = [name for name in cube.names if name in names]
        for attempt in range(_ATTEMPTS):
            before = cube.marks()
            try:
                stored = {name: cube.read(name, slice(begin, end), row, col) for name in wanted}
            except ArchiveError:
                if attempt == _ATTEMPTS - 1 and np.array_equal(before, cube.marks()):
                    raise
                continue
            changed = np.flatnonzero(before != cube.marks()) // SLAB
            trusted = np.where(np.isin(np.arange(before.size) // SLAB, changed), np.uint64(0), before)
            agreeing = self._agreeing_days(cube, trusted)
            return stored, {date: agreeing[date] - begin for date in dates if date in agreeing}
        return {}, {}


def _published_days(archive: Path) -> dict[dt.date, DayFile]:
    """Return the published days, from the catalog; in a copy without a catalog, from the names of the files."""
    paths = ArchivePaths.below(archive)
    if paths.catalog.exists():
        with Catalog.open(paths.catalog, read_only=True) as catalog:
            return day_files(archive, catalog)
    files = {match[0]: path for path in paths.day_files() if (match := _DATE.search(path.stem))}
    return {
        dt.datetime.strptime(stamp, "%Y%m%d").date(): DayFile(archive, str(files[stamp].relative_to(archive)), "")
        for stamp in sorted(files)
    }


def fields_of(path: Path, names: Collection[str]) -> dict[str, Floats]:
    """Return variables of any published file in their units; see `Reader.fields`."""
    return _unpacked(_stored_fields(path, names))


def _stored_fields(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    with LOCK:
        return _checked(path, lambda: layout_of(path).read(path, names))


def _unpacked(stored: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    return {name: VARIABLES[name].unpack(values) for name, values in stored.items()}


def _checked(path: Path, read: Callable[[], T]) -> T:
    """Call a function that reads a file, and turn its failure into an `ArchiveError`."""
    try:
        return read()
    except (OSError, RuntimeError, LookupError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); `runtime fill` makes it again") from error
