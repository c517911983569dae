"""Read an archive, also while a run writes to it: one day from its file, the days of one cell from the cube.

Days that the cube does not have, not yet, or no longer, are read from the daily files; see `runtime.archive.cube`. Days
on another grid than the archive's, which an interrupted `runtime reprocess --all` leaves, are left out.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.archive.acdd import SHARED, band_of, time_coverage
from runtime.archive.cf import stored_source_bits
from runtime.archive.cube import DayFile
from runtime.archive.cube_days import CubeDays
from runtime.archive.format import ArchiveFormat
from runtime.archive.layout import layout_of
from runtime.archive.place import sea_text
from runtime.archive.published import other_grid, published_files
from runtime.archive.variables import SOIL_MOISTURE, SOURCE, VARIABLES
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.netcdf import LOCK, open_dataset
from runtime.common.text import counted
from runtime.common.vocabulary import LayoutName
from runtime.errors import ArchiveError, InputsMissing, UsageError

logger = logging.getLogger(__name__)

T = TypeVar("T")


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
    not_from_cube: list[dt.date] = field(default_factory=list)
    """Days that the cube should have but that could not be read from it; their values are from the daily files."""
    left_out: Mapping[dt.date, str] = field(default_factory=dict)
    """Published days that are left out because they are on another grid, with the reason."""
    source_bits: Mapping[str, int] = field(default_factory=dict)
    """The bit of each sensor in ``soil_moisture_source``; empty in archives of one sensor."""


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
        self.days, self.left_out, self._format = published_files(archive)
        if self.left_out:
            dates, why = list(self.left_out), next(iter(self.left_out.values()))
            logger.warning(f"{counted(len(dates), 'day')} from {dates[0]} to {dates[-1]} are left out: {why}")
            if not self.days:
                raise ArchiveError(f"no day of the archive can be read: {why}")
        self.cube = CubeDays(archive, self.days)
        if not self.days:
            raise InputsMissing(f"{archive}: no day is published there; `runtime fill` makes them")

    @cached_property
    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The latitudes, northernmost first, and the longitudes of the cell centres, degrees."""
        newest = self.days[max(self.days)].path
        with LOCK:
            axes = _checked(newest, lambda: layout_of(newest).axes(newest))
        self._require_grid(newest, ArchiveFormat.of_axes(*axes, LayoutName.CF))
        return axes

    def _require_grid(self, path: Path, its: ArchiveFormat) -> None:
        """Refuse a file on another grid: a run may have replaced it since the reader was made."""
        if self._format and not its.has_grid_of(self._format):
            raise ArchiveError(other_grid(path, its, self._format))

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The archive's global attributes: those of its newest file that are not about that day only."""
        newest = self.days[max(self.days)].path
        with open_dataset(newest) as file:
            shared = {name: file.getncattr(name) for name in SHARED if name in file.ncattrs()}
        history = {"history": "taken from the archive's daily files, which say what each was made from"}
        return shared | history | time_coverage(min(self.days), max(self.days))

    @cached_property
    def source_bits(self) -> dict[str, int]:
        """The bit of each sensor in `SOURCE`, as the cube and the newest day have it; empty if they do not."""
        cube, newest = self.cube.open(), self.days[max(self.days)].path
        return (cube.source_bits if cube else {}) | _checked(newest, lambda: stored_source_bits(newest))

    @cached_property
    def names(self) -> frozenset[str]:
        """The variables that the archive has: those of the cube and of the newest day."""
        cube = self.cube.open()
        return frozenset(self.day(max(self.days))) | frozenset(cube.names if cube else ())

    @cached_property
    def grid(self) -> Grid:
        """The archive's cells; see `land` for which of them are land."""
        return Grid.of_axes(*self.axes)

    @cached_property
    def land(self) -> Bools:
        """The packaged land mask on the archive's grid; True where soil moisture is wanted."""
        return self.grid.with_land().land

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
        cell = self.grid.cell(latitude, longitude)
        if cell is None:
            lat, lon = self.axes
            raise UsageError(
                f"{latitude:g} N {longitude:g} E is outside the archive, which has "
                f"{lat[-1]:g} to {lat[0]:g} N and {lon[0]:g} to {lon[-1]:g} E"
            )
        return cell

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
            Its file cannot be read, or is on another grid.
        """
        return _stored_fields(self.file(date).path, names)

    def file(self, date: dt.date) -> DayFile:
        """Return the file of a day.

        Raises
        ------
        InputsMissing
            The day is not published.
        ArchiveError
            The file cannot be read, or is on another grid.
        """
        if date in self.left_out:
            raise ArchiveError(self.left_out[date])
        source = self.days.get(date)
        if source is None:
            raise InputsMissing(f"{date} is not in {self.archive}; `runtime fill --date {date}` makes it")
        self._require_grid(source.path, ArchiveFormat.of_file(source.path))
        return source

    def fields(self, date: dt.date, names: Collection[str] = tuple(VARIABLES)) -> dict[str, Floats]:
        """Return variables of a day in their units, NaN where there is no value; otherwise as `day`."""
        return _unpacked(self.day(date, names))

    def band(self, date: dt.date) -> str:
        """Return the band that a published day was made from; see `band_of`."""
        with open_dataset(self.file(date).path) as file:
            return band_of(str(getattr(file, "source", "")))

    def cells(
        self, cells: Sequence[tuple[int, int]], dates: list[dt.date], names: Collection[str]
    ) -> tuple[dict[str, Floats], list[dt.date]]:
        """Return variables of some cells on some days; of the cube only the parts with these cells are read.

        Parameters
        ----------
        cells : sequence of (int, int)
            Row and column of each cell.
        dates : list of dt.date
            Published days.
        names : collection of str
            Variables to read.

        Returns
        -------
        values : dict of str to float32 array, shape (days, cells)
            Values by variable in the variable's units, NaN where there is none; variables that none of the days has are
            left out.
        lost : list of dt.date
            Days that the cube should have but that could not be read from it; their values are from the daily files.

        Raises
        ------
        ArchiveError
            The cube or a file is damaged.
        """
        values = {
            name: np.full((len(dates), len(cells)), variable.unpack(np.array(variable.empty, variable.dtype)))
            for name, variable in VARIABLES.items()
            if name in names
        }
        found, every_lost = set[str](), set[dt.date]()
        absent = np.ones((len(dates), len(cells)), bool)
        for number, (row, col) in enumerate(cells):
            stored, in_cube, lost = self.cube.cell(row, col, dates, names)
            every_lost |= {*lost}
            indices = np.array([index for index, date in enumerate(dates) if date in in_cube], int)
            absent[indices, number] = False
            for name, packed in stored.items():
                values[name][indices, number] = VARIABLES[name].unpack(packed[[in_cube[dates[i]] for i in indices]])
                found.add(name)
        self.cube.warn(sorted(every_lost))
        rows, cols = np.array(cells, int).reshape(-1, 2).T
        for index in np.flatnonzero(absent.any(1)):
            for name, stored_field in self.day(dates[index], names).items():
                where = np.flatnonzero(absent[index])
                values[name][index, where] = VARIABLES[name].unpack(stored_field[rows[where], cols[where]])
                found.add(name)
        return {name: series for name, series in values.items() if name in found}, sorted(every_lost)

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
        of_cell, lost = self.cells([(row, col)], dates, names)
        present = {name: values[:, 0] for name, values in of_cell.items()}
        lat, lon = self.axes
        if np.isnan(present.get(SOIL_MOISTURE.name, [0.0])).all() and not self.land[row, col]:
            raise UsageError(sea_text(lat, lon, self.land, row, col))
        left_out = {date: why for date, why in self.left_out.items() if (first or date) <= date <= (last or date)}
        bits = self.source_bits if SOURCE.name in present else {}
        return Series(float(lat[row]), float(lon[col]), dates, present, lost, left_out, bits)


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
