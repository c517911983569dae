"""Read the cube: the published days a second time, in one Zarr store whose chunks suit time series.

The daily files are the truth. For each day, the cube's array ``source_file`` has a mark that says from which file the
values were copied. Before values change, their marks are set to 0; after the new values are on the disk, the marks are
set again. So a reader knows for every day whether the cube agrees with the published file, and a killed run leaves at
worst some days without a mark. `runtime.archive.cube_update` writes the cube.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from runtime.archive.format import ArchiveFormat
from runtime.archive.layout import layout_of
from runtime.archive.paths import ArchivePaths
from runtime.archive.variables import SOURCE, VARIABLES, source_bits
from runtime.common import digest
from runtime.common.clock import DAY
from runtime.common.events import Track
from runtime.common.grid import Grid
from runtime.common.netcdf import LOCK
from runtime.common.vocabulary import LayoutName
from runtime.errors import ArchiveError

SLAB = 128
"""Days in a chunk, and in a file of the cube."""

CELLS = 40
"""Rows and columns in a chunk; a file of the cube contains the chunks of all cells."""

BYTES_KEPT = 1 << 28
"""Bytes of daily files that are kept in memory after their first reading; other files are read once per variable."""

MARKS = "source_file"
"""The array with the mark of each day."""


class DayFile(NamedTuple):
    """The published file of a day."""

    archive: Path
    """The archive's folder."""
    relative: str
    """The file's path relative to it."""
    sha256: str
    """The file's sha256 in the catalog; empty if there is no catalog."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.archive / self.relative

    @property
    def mark(self) -> int:
        """The mark of a day that was copied from this file; -1, which no day has, if there is no catalog."""
        return int(self.sha256[:16], 16) if self.sha256 else -1


class Cube:
    """An open cube. Its days are numbered from its first day.

    Parameters
    ----------
    folder : Path
        The cube's folder.
    group : zarr.Group
        The open Zarr group of that folder.
    """

    def __init__(self, folder: Path, group: zarr.Group) -> None:
        self.folder, self.group = folder, group
        self._arrays: dict[str, zarr.Array[Any]] = {}

    @classmethod
    def open(cls, archive: Path) -> Cube | None:
        """Open an archive's cube for reading.

        Parameters
        ----------
        archive : Path
            The archive's folder.

        Returns
        -------
        Cube or None
            None if the archive has no cube.

        Raises
        ------
        ArchiveError
            The cube is damaged.
        """
        folder = ArchivePaths.below(archive).cube
        if not folder.exists():
            return None
        try:
            cube = cls(folder, zarr.open_group(folder, mode="r"))
            assert cube.first
            return cube
        except Exception as error:  # Zarr's errors about a damaged store have no common class
            raise _damaged(folder, error) from error

    @cached_property
    def first(self) -> dt.date:
        """The day with number 0."""
        return dt.date.fromisoformat(str(self.group.attrs["first_day"]))

    @property
    def names(self) -> list[str]:
        """The variables that the cube has."""
        return [name for name in VARIABLES if name in self.group]

    @property
    def chunks(self) -> tuple[int, int, int]:
        """Days, rows and columns in a chunk: the smallest part that is read."""
        return SLAB, CELLS, CELLS

    @property
    def source_bits(self) -> dict[str, int]:
        """The bit of each sensor in `SOURCE`; empty if the cube does not have it."""
        return source_bits(self.array(SOURCE.name).attrs) if SOURCE.name in self.group else {}

    def marks(self) -> NDArray[np.uint64]:
        """Return the mark of each day; 0 for a day that is empty or not completely written."""
        return self._read(MARKS, slice(None))

    def read(self, name: str, days: slice, rows: Any = slice(None), cols: Any = slice(None)) -> NDArray[Any]:
        """Return packed values of a variable, shape (days, rows, cols)."""
        return self._read(name, days, rows, cols)

    def _read(self, name: str, *where: Any) -> NDArray[Any]:
        try:
            return np.asarray(self.array(name)[where])
        except Exception as error:
            raise _damaged(self.folder, error) from error

    def lost_slabs(self, names: Iterable[str], days: NDArray[np.int64], *, probe: bool = False) -> set[int]:
        """Return the slabs of some marked days for which a variable has no values, or none that can be read.

        Zarr takes a file that is not there for one that is empty everywhere. The writer writes a file for each variable
        and each slab that has a marked day, so a missing one was lost.

        Parameters
        ----------
        names : iterable of str
            The variables.
        days : int array
            Numbers of the days.
        probe : bool
            Also read one cell of each file: a file that was cut off has lost the index at its end.
        """
        slabs = np.unique(days // SLAB).tolist()
        return {slab for slab in slabs if not all(self._is_there(name, slab, probe) for name in names)}

    def _is_there(self, name: str, slab: int, probe: bool) -> bool:
        try:
            if not self.chunk_file(name, slab).stat().st_size:
                return False
            if probe:
                self._read(name, slab * SLAB, 0, 0)
        except (OSError, ArchiveError):
            return False
        return True

    def chunk_file(self, name: str, chunk: int = 0) -> Path:
        """Return the file of a variable with a chunk, by its number along the time axis."""
        return Path(self.folder, name, "c", str(chunk), *["0"] * (self.array(name).ndim - 1))

    def cell(
        self, names: Collection[str], days: NDArray[np.int64], row: int, col: int
    ) -> tuple[dict[str, NDArray[Any]], set[int]]:
        """Return packed values of one cell on some marked days, by variable, and the slabs that cannot be read.

        Parameters
        ----------
        names : collection of str
            The variables.
        days : int array, shape (days,)
            Numbers of the days, ascending; at least one.
        row : int
            Row of the cell.
        col : int
            Column of the cell.

        Returns
        -------
        values : dict of str to array, shape (days,)
            Values of days in slabs that cannot be read mean nothing.
        lost : set of int
            Numbers of these slabs.
        """
        lost = self.lost_slabs(names, days)
        begin, end = int(days[0]), int(days[-1]) + 1
        try:
            return {name: self.read(name, slice(begin, end), row, col)[days - begin] for name in names}, lost
        except ArchiveError:
            values = {name: np.full(days.size, VARIABLES[name].empty, VARIABLES[name].dtype) for name in names}
        for slab in {*np.unique(days // SLAB).tolist()} - lost:
            there = days // SLAB == slab
            try:
                for name in names:
                    stored = self.read(name, slice(slab * SLAB, (slab + 1) * SLAB), row, col)
                    values[name][there] = stored[days[there] - slab * SLAB]
            except ArchiveError:
                lost.add(slab)
        return values, lost

    def array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array of a variable, with packed values."""
        if name not in self._arrays:
            array = self.group[name]
            assert isinstance(array, zarr.Array)
            self._arrays[name] = array
        return self._arrays[name]


def cube_faults(archive: Path, sources: Mapping[dt.date, DayFile], track: Track) -> list[str]:
    """Compare the cube with the daily files.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    sources : mapping of dt.date to DayFile
        The published days.
    track : Track
        Shows progress over the parts of the cube.

    Returns
    -------
    list of str
        One line for each day that differs from its file, or one line if the cube cannot be read. Days that are not
        completely written are no fault.
    """
    try:
        cube = Cube.open(archive)
        if cube is None:
            return []
        for name in cube.names:
            if not (cube.folder / name / "zarr.json").exists():
                raise _damaged(cube.folder / name / "zarr.json", FileNotFoundError("it is missing"))
        different = _different_days(cube, sources, track)
    except ArchiveError as error:
        return [str(error)]
    dates = [cube.first + day * DAY for day in different]
    cure = "`runtime check --rebuild-views` makes it again"
    return [f"{cube.folder}: {date} is not what its daily file holds; {cure}" for date in dates]


def _different_days(cube: Cube, sources: Mapping[dt.date, DayFile], track: Track) -> list[int]:
    """Return the numbers of the days whose mark is that of their file but whose values differ from it."""
    marks = cube.marks()
    numbers = {(date - cube.first).days: source for date, source in sources.items()}
    marked = [day for day, source in numbers.items() if 0 <= day < marks.size and int(marks[day]) == source.mark]
    slabs = [list(days) for _, days in itertools.groupby(sorted(marked), lambda day: day // SLAB)]
    cells = cube.array("lat").size * cube.array("lon").size
    most_kept = BYTES_KEPT // (cells * sum(variable.dtype.itemsize for variable in VARIABLES.values()))
    different: set[int] = set()
    for days in track(slabs, "check cube"):
        existing = [day for day in days if numbers[day].path.exists()]
        kept = {day: packed_fields(numbers[day]) for day in existing[:most_kept]}
        for name in cube.names:
            block = cube.read(name, slice(days[0], days[-1] + 1))
            for day in existing:
                fields = kept[day] if day in kept else packed_fields(numbers[day], (name,))
                if np.any(block[day - days[0]] != fields.get(name, VARIABLES[name].empty)):
                    different.add(day)
    return sorted(different)


def verified_fields(source: DayFile, grid: Grid, names: Collection[str] = tuple(VARIABLES)) -> dict[str, NDArray[Any]]:
    """Return packed variables of a daily file; none if its hash or its grid is wrong."""
    try:
        if digest.of_file(source.path) != source.sha256:
            return {}
        if not ArchiveFormat.of_file(source.path).has_grid_of(ArchiveFormat.of(grid, LayoutName.CF)):
            return {}
        return packed_fields(source, names)
    except FileNotFoundError:
        return {}


def packed_fields(source: DayFile, names: Collection[str] = tuple(VARIABLES)) -> dict[str, NDArray[Any]]:
    """Return variables of a daily file, packed; it may lack some."""
    with LOCK:
        return layout_of(source.path).read(source.path, names)


def _damaged(folder: Path, error: Exception) -> ArchiveError:
    return ArchiveError(f"{folder}: cannot be read ({error}); `runtime check --rebuild-views` makes it again")
