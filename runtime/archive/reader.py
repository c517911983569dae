"""Reading an archive, also while a run writes to it: a day from its file, a place's days from the cube.

What the cube does not hold, or not yet, comes from the daily files; see `runtime.archive.cube`.
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
from netCDF4 import Dataset
from numpy.typing import NDArray

from runtime.archive import layout_of
from runtime.archive.about import SHARED, coverage
from runtime.archive.catalog import Catalog
from runtime.archive.cube import Cube, Source
from runtime.archive.database import CATALOG
from runtime.archive.variables import VARIABLES
from runtime.archive.views import sources
from runtime.errors import ArchiveError, InputsMissing, UsageError
from runtime.grid import Floats
from runtime.netcdf import LOCK

T = TypeVar("T")

_DATE = re.compile(r"\d{8}")


@dataclass(frozen=True)
class Series:
    """The published days of one cell."""

    latitude: float
    """Of the cell's centre, degrees north."""
    longitude: float
    dates: list[dt.date]
    values: dict[str, Floats]
    """By variable, one value a day in its units, NaN where there is none."""


class Reader:
    """An archive's published days, as they stood when it was opened.

    Parameters
    ----------
    archive : the archive's folder

    Raises
    ------
    InputsMissing
        The archive has no day yet.
    """

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.days = _days(archive)
        if not self.days:
            raise InputsMissing(f"{archive}: no day is published there; `runtime fill` makes them")

    @cached_property
    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitudes, north first, and longitudes of the cells' centres, degrees."""
        newest = self.days[max(self.days)].path
        with LOCK:
            return _whole(newest, lambda: layout_of(newest).axes(newest))

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The archive's global attributes: those of its newest file that do not speak of that day alone."""
        newest = self.days[max(self.days)].path
        with LOCK, Dataset(newest) as file:
            told = {name: file.getncattr(name) for name in SHARED if name in file.ncattrs()}
        history = {"history": "taken from the archive's daily files, which say what each was made from"}
        return told | history | coverage(min(self.days), max(self.days))

    @property
    def step(self) -> float:
        """Cell size, degrees."""
        longest = max(self.axes, key=len)
        return float(abs(longest[-1] - longest[0]) / (longest.size - 1)) if longest.size > 1 else 0.25

    def cell(self, latitude: float, longitude: float) -> tuple[int, int]:
        """Return the row and column of the cell a point lies in.

        Raises
        ------
        UsageError
            It lies outside the archive's grid.
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
        """Return variables of a day as they are stored, (rows, cols); those it does not have are left out.

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
        with LOCK:
            return _whole(source.path, lambda: layout_of(source.path).read(source.path, names))

    def fields(self, date: dt.date, names: Collection[str] = tuple(VARIABLES)) -> dict[str, Floats]:
        """Return variables of a day in their units, NaN where there is no value; see `day`."""
        return {name: VARIABLES[name].unpack(stored) for name, stored in self.day(date, names).items()}

    @property
    def cube_days(self) -> Mapping[dt.date, int]:
        """The published days that the cube holds as their files are, with their numbers in it."""
        cube = Cube.open(self.archive)
        return {} if cube is None else self._agreeing(cube, cube.marks())

    def _agreeing(self, cube: Cube, marks: NDArray[np.uint64]) -> dict[dt.date, int]:
        known = marks.tolist()
        numbers = {date: (date - cube.first).days for date in self.days}
        return {d: n for d, n in numbers.items() if 0 <= n < len(known) and known[n] == self.days[d].mark}

    def series(
        self,
        latitude: float,
        longitude: float,
        first: dt.date | None = None,
        last: dt.date | None = None,
        names: Collection[str] = tuple(VARIABLES),
    ) -> Series:
        """Return the days of the cell a point lies in; without `first` or `last`, from the first or to the newest.

        Raises
        ------
        UsageError
            The point lies outside the archive's grid.
        ArchiveError
            Cube or files are damaged.
        """
        row, col = self.cell(latitude, longitude)
        dates = [date for date in self.days if (first or date) <= date <= (last or date)]
        values = {
            name: np.full(len(dates), kind.unpack(np.array(kind.empty, kind.dtype)))
            for name, kind in VARIABLES.items()
            if name in names
        }
        there = set()
        left = dict(enumerate(dates))
        cube = Cube.open(self.archive)
        if cube is not None and dates:
            before = cube.marks()
            stored = self._pixel(cube, row, col, dates, values)
            agreeing = self._agreeing(cube, np.where(before == cube.marks(), before, np.uint64(0)))
            held = np.array([index for index, date in enumerate(dates) if date in agreeing], int)
            numbers = np.array([agreeing[dates[index]] for index in held], int) - max(0, (dates[0] - cube.first).days)
            for name, pixel in stored.items():
                values[name][held] = VARIABLES[name].unpack(pixel[numbers])
                there.add(name)
            left = {index: date for index, date in left.items() if date not in agreeing}
        for index, date in left.items():
            for name, field in self.day(date, names).items():
                values[name][index] = VARIABLES[name].unpack(field[row : row + 1, col])[0]
                there.add(name)
        lat, lon = self.axes
        found = {name: series for name, series in values.items() if name in there}
        return Series(float(lat[row]), float(lon[col]), dates, found)

    @staticmethod
    def _pixel(cube: Cube, row: int, col: int, dates: list[dt.date], names: Collection[str]) -> dict[str, NDArray[Any]]:
        """Return one cell of the cube from the first of some days to the last, by variable."""
        begin, end = max(0, (dates[0] - cube.first).days), max(0, (dates[-1] - cube.first).days + 1)
        return {name: cube.read(name, slice(begin, end), row, col) for name in cube.names if name in names}


def _days(archive: Path) -> dict[dt.date, Source]:
    """Return the published days: from the catalog, or in a copy without one from the files' names."""
    if (archive / CATALOG).exists():
        with Catalog.open(archive / CATALOG, read_only=True) as catalog:
            return sources(archive, catalog)
    files = {m[0]: path for path in archive.glob("[0-9][0-9][0-9][0-9]/*.nc") if (m := _DATE.search(path.stem))}
    return {dt.datetime.strptime(stamp, "%Y%m%d").date(): Source(files[stamp], "") for stamp in sorted(files)}


def _whole(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except (OSError, RuntimeError, LookupError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); `runtime fill` makes it again") from error
