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
from numpy.typing import NDArray

from runtime.archive.acdd import SHARED, time_coverage
from runtime.archive.catalog import Catalog
from runtime.archive.cube import SLAB, Cube, DayFile
from runtime.archive.database import CATALOG
from runtime.archive.derived import day_files
from runtime.archive.layout import layout_of
from runtime.archive.variables import VARIABLES
from runtime.common.grid import Floats
from runtime.common.netcdf import LOCK, open_dataset
from runtime.errors import ArchiveError, InputsMissing, UsageError

T = TypeVar("T")

_ATTEMPTS = 3
"""At reading a cube that is written to meanwhile; then the daily files are read."""

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
        self.days = _published_days(archive)
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
        with open_dataset(newest) as file:
            told = {name: file.getncattr(name) for name in SHARED if name in file.ncattrs()}
        history = {"history": "taken from the archive's daily files, which say what each was made from"}
        return told | history | time_coverage(min(self.days), max(self.days))

    @cached_property
    def names(self) -> frozenset[str]:
        """The variables the archive has: those of the cube and of the newest day."""
        cube = Cube.open(self.archive)
        return frozenset(self.day(max(self.days))) | frozenset(cube.names if cube else ())

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
        return _stored_fields(source.path, names)

    def fields(self, date: dt.date, names: Collection[str] = tuple(VARIABLES)) -> dict[str, Floats]:
        """Return variables of a day in their units, NaN where there is no value; see `day`."""
        return _unpacked(self.day(date, names))

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
        held: dict[dt.date, int] = {}
        cube = Cube.open(self.archive)
        if cube is not None and dates:
            stored, held = self._pixel(cube, row, col, dates, names)
            kept = np.array([index for index, date in enumerate(dates) if date in held], int)
            numbers = np.array([held[dates[index]] for index in kept], int)
            for name, pixel in stored.items():
                values[name][kept] = VARIABLES[name].unpack(pixel[numbers])
                there.add(name)
        for index, date in enumerate(dates):
            if date not in held:
                for name, field in self.day(date, names).items():
                    values[name][index] = VARIABLES[name].unpack(field[row : row + 1, col])[0]
                    there.add(name)
        lat, lon = self.axes
        found = {name: series for name, series in values.items() if name in there}
        return Series(float(lat[row]), float(lon[col]), dates, found)

    def _pixel(
        self, cube: Cube, row: int, col: int, dates: list[dt.date], names: Collection[str]
    ) -> tuple[dict[str, NDArray[Any]], dict[dt.date, int]]:
        """Return one cell of the cube by variable, and where in it the days are that can be trusted.

        A run may write to the cube meanwhile. Before it replaces a file of the cube it takes away the mark of each day
        that changes; so what was read of a file is from one version of it if none of its marks has changed.
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
            agreeing = self._agreeing(cube, trusted)
            return stored, {date: agreeing[date] - begin for date in dates if date in agreeing}
        return {}, {}


def _published_days(archive: Path) -> dict[dt.date, DayFile]:
    """Return the published days: from the catalog, or in a copy without one from the files' names."""
    if (archive / CATALOG).exists():
        with Catalog.open(archive / CATALOG, read_only=True) as catalog:
            return day_files(archive, catalog)
    files = {m[0]: path for path in archive.glob("[0-9][0-9][0-9][0-9]/*.nc") if (m := _DATE.search(path.stem))}
    return {
        dt.datetime.strptime(stamp, "%Y%m%d").date(): DayFile(archive, str(files[stamp].relative_to(archive)), "")
        for stamp in sorted(files)
    }


def fields_of(path: Path, names: Collection[str]) -> dict[str, Floats]:
    """Return variables of a published file in their units; see `Reader.fields`."""
    return _unpacked(_stored_fields(path, names))


def _stored_fields(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    with LOCK:
        return _whole(path, lambda: layout_of(path).read(path, names))


def _unpacked(stored: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    return {name: VARIABLES[name].unpack(values) for name, values in stored.items()}


def _whole(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except (OSError, RuntimeError, LookupError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); `runtime fill` makes it again") from error
