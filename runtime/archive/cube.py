"""The cube: the published days a second time, as one Zarr store chunked for time series, beside the daily files.

The daily files are the truth. For each day the cube says which file its values were copied from (``source_file``); the
mark is taken away before the values change and set when they are on the disk. So whoever reads knows for every day
whether the cube agrees with the file in place, and a killed run leaves nothing worse than days without a mark.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import shutil
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from runtime.archive.cf import EPOCH
from runtime.archive.layout import layout_of
from runtime.archive.variables import VARIABLES
from runtime.common import digest
from runtime.common.atomic import move_into_place, part_file, sync_to_disk, write_guard
from runtime.common.events import Track
from runtime.common.grid import Grid
from runtime.common.netcdf import LOCK
from runtime.errors import ArchiveError

CUBE = "cube.zarr"
"""The cube's folder, below the archive's."""

SLAB = 128
"""Days in a chunk, and in a file of the cube."""

_CELLS = 40
"""Rows and columns in a chunk; a file holds the chunks of all of them."""

_MARKS = "source_file"
_MARKS_IN_CHUNK = 8192
_KEPT = 1 << 28
"""Bytes of daily files that are kept from their first reading; the others are read again, a variable at a time."""

_DAY = dt.timedelta(days=1)
_CODEC = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")

_Fields = dict[str, NDArray[Any]]


class DayFile(NamedTuple):
    """The daily file of a day, as the catalog knows it."""

    archive: Path
    relative: str
    sha256: str
    """Empty where no catalog says it."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.archive / self.relative

    @property
    def mark(self) -> int:
        """What the cube says of a day that was copied from this file."""
        return int(self.sha256[:16], 16) if self.sha256 else -1


class Cube:
    """An open cube. Days are numbered from its first."""

    def __init__(self, folder: Path, group: zarr.Group) -> None:
        self.folder, self.group = folder, group
        self._arrays: dict[str, zarr.Array[Any]] = {}

    @classmethod
    def open(cls, archive: Path) -> Cube | None:
        """Open an archive's cube for reading; None if it has none.

        Raises
        ------
        ArchiveError
            It is damaged.
        """
        folder = archive / CUBE
        if not folder.exists():
            return None
        try:
            return cls(folder, zarr.open_group(folder, mode="r"))
        except Exception as error:  # Zarr has no common base of what a damaged store raises
            raise _damaged(folder, error) from error

    @cached_property
    def first(self) -> dt.date:
        """The day numbered 0."""
        return dt.date.fromisoformat(str(self.group.attrs["first_day"]))

    @property
    def names(self) -> list[str]:
        """The variables it has."""
        return [name for name in VARIABLES if name in self.group]

    def marks(self) -> NDArray[np.uint64]:
        """Return, for each day, what it was copied from; 0 where it holds nothing, or something unfinished."""
        return self._read(_MARKS, slice(None))

    def read(self, name: str, days: slice, rows: Any = slice(None), cols: Any = slice(None)) -> NDArray[Any]:
        """Return a variable's packed values, (days, rows, cols)."""
        return self._read(name, days, rows, cols)

    def _read(self, name: str, *where: Any) -> NDArray[Any]:
        try:
            return np.asarray(self.array(name)[where])
        except Exception as error:
            raise _damaged(self.folder, error) from error

    @property
    def chunks(self) -> tuple[int, int, int]:
        """Days, rows and columns that are read together."""
        return SLAB, _CELLS, _CELLS

    def array(self, name: str) -> zarr.Array[Any]:
        """Return an array as Zarr has it, packed."""
        if name not in self._arrays:
            array = self.group[name]
            assert isinstance(array, zarr.Array)
            self._arrays[name] = array
        return self._arrays[name]

    # Writing

    @classmethod
    def _writable(cls, archive: Path, first: dt.date, grid: Grid) -> Cube:
        """Open an archive's cube, made anew if it has none that fits."""
        folder, fresh = archive / CUBE, archive / f".{CUBE}.new"
        for name in (fresh, archive / f".{CUBE}.old"):
            shutil.rmtree(name, ignore_errors=True)
        try:
            cube = cls(folder, zarr.open_group(folder, mode="r+", use_consolidated=False))
            fits = cube.first <= first and cube.group.attrs["grid"] == grid.digest and cube.marks().ndim == 1
        except Exception:
            fits = False
        if fits:
            return cube
        cls._create(fresh, first, grid)
        remove_cube(archive)
        fresh.rename(folder)
        sync_to_disk(archive)
        return cls(folder, zarr.open_group(folder, mode="r+", use_consolidated=False))

    @staticmethod
    def _create(folder: Path, first: dt.date, grid: Grid) -> None:
        group = zarr.create_group(folder, attributes={"first_day": str(first), "grid": grid.digest})
        for name, long_name, units, axis, values in (
            ("lat", "latitude", "degrees_north", "Y", grid.latitudes),
            ("lon", "longitude", "degrees_east", "X", grid.longitudes),
        ):
            about: dict[str, Any] = {"standard_name": long_name, "long_name": long_name, "units": units, "axis": axis}
            group.create_array(name, data=values, dimension_names=(name,), attributes=about)
        time: dict[str, Any] = {"standard_name": "time", "long_name": "start of the UTC day", "axis": "T"}
        mark = "first eight bytes of the SHA-256 of the daily file the day was copied from; 0: none"
        for name, dtype, about in (
            ("time", "i4", {**time, "units": f"days since {EPOCH}", "calendar": "standard"}),
            (_MARKS, "u8", dict[str, Any](long_name=mark)),
        ):
            group.create_array(
                name,
                shape=(0,),
                chunks=(_MARKS_IN_CHUNK,),
                dtype=dtype,
                fill_value=0,
                dimension_names=("time",),
                attributes=about,
            )
        _consolidate(folder, {})

    def _shape(self, days: int, names: Iterable[str], attributes: Mapping[str, Any]) -> None:
        """Make room for so many days of these variables; readers see it at once, or not at all."""
        rows, cols = self.array("lat").shape[0], self.array("lon").shape[0]
        days = max(days, self.array("time").shape[0])
        for name in names:
            if name not in self.group:
                kind = VARIABLES[name]
                whole = (SLAB, -(-rows // _CELLS) * _CELLS, -(-cols // _CELLS) * _CELLS)
                known = {} if kind.fill is None else {"_FillValue": kind.fill}
                self.group.create_array(
                    name,
                    shape=(days, rows, cols),
                    chunks=self.chunks,
                    shards=whole,
                    dtype=kind.dtype,
                    fill_value=kind.empty,
                    compressors=_CODEC,
                    dimension_names=("time", "lat", "lon"),
                    attributes={key: _plain_attribute(value) for key, value in (kind.attributes | known).items()},
                )
        for name in ("time", _MARKS, *self.names):
            array = self.array(name)
            if array.shape[0] < days:
                array.resize((days, *array.shape[1:]))
            _settle(self.folder / name / "zarr.json")
        self.array("time")[:] = np.arange(days, dtype=np.int32) + (self.first - EPOCH).days
        self._flush("time")
        _consolidate(self.folder, attributes)

    def _flush(self, name: str, chunk: int = 0) -> None:
        _settle(Path(self.folder, name, "c", str(chunk), *["0"] * (self.array(name).ndim - 1)))

    def _mark(self, days: NDArray[np.int64], marks: NDArray[np.uint64]) -> None:
        self.array(_MARKS).set_coordinate_selection(days, marks)
        for chunk in np.unique(days // _MARKS_IN_CHUNK):
            self._flush(_MARKS, int(chunk))

    def _is_behind(self, attributes: Mapping[str, Any]) -> bool:
        """Whether what readers are told is not how the arrays are: a run was killed in between."""
        told = zarr.open_group(self.folder, mode="r")
        lengths = {name: array.shape[0] for name, array in told.arrays() if name not in ("lat", "lon")}
        there = {"time", _MARKS, *self.names}
        return (
            lengths.keys() != there
            or {self.array(name).shape[0] for name in there} != set(lengths.values())
            or any(told.attrs.get(key) != _plain_attribute(value) for key, value in attributes.items())
        )

    def _copy(self, days: Mapping[int, DayFile | None], grid: Grid) -> int:
        """Copy daily files of one slab into it and empty the days without one; return how many were copied."""
        kept: dict[int, _Fields] = {}
        names: set[str] = set()
        room, sources = _KEPT, dict(days)
        for day, source in days.items():
            if source is not None and (fields := _published_fields(source, grid)):
                names |= fields.keys()
                room -= sum(field.nbytes for field in fields.values())
                if room >= 0:
                    kept[day] = fields
            elif source is not None:
                del sources[day]
        if not sources:
            return 0
        if lacking := names - set(self.names):
            self._shape(0, [name for name in VARIABLES if name in lacking], {})
        where = np.array([*sources])
        self._mark(where, np.zeros(where.size, np.uint64))
        begin, end = int(where[0]), int(where[-1]) + 1
        for name in self.names:
            array, empty = self.array(name), VARIABLES[name].empty
            block = (
                np.full((end - begin, *array.shape[1:]), empty, array.dtype)
                if where.size == end - begin
                else np.asarray(array[begin:end])
            )
            for day, source in sources.items():
                block[day - begin] = kept[day].get(name, empty) if day in kept else _field(source, name)
            array[begin:end] = block
            self._flush(name, begin // SLAB)
        marks = [0 if source is None else source.mark for source in sources.values()]
        self._mark(where, np.array(marks, np.uint64))
        return sum(source is not None for source in sources.values())


def update_cube(
    archive: Path, sources: Mapping[dt.date, DayFile], grid: Grid, attributes: Mapping[str, Any], track: Track
) -> int:
    """Bring an archive's cube up to date with its daily files; return how many days were copied.

    The caller holds the archive. A file that is not what the catalog says is left for the plan to re-do.

    Parameters
    ----------
    sources : the published days
    attributes : the cube's global attributes
    track : shows progress over the slabs that change

    Raises
    ------
    ArchiveError
        The cube cannot be written.
    """
    if not sources:
        return 0
    with write_guard(archive / CUBE):
        cube = Cube._writable(archive, min(sources), grid)
        first, marks = cube.first, cube.marks().tolist()
        wanted = {(date - first).days: source for date, source in sources.items()}
        length = max(len(marks), max(wanted) + 1)
        known = dict(enumerate(marks))
        stale = [day for day, source in wanted.items() if known.get(day) != source.mark]
        gone = [day for day, mark in known.items() if mark and day not in wanted]
        if length > len(marks) or cube._is_behind(attributes):
            cube._shape(length, (), attributes)
        slabs = [list(days) for _, days in itertools.groupby(sorted([*stale, *gone]), lambda day: day // SLAB)]
        return sum(cube._copy({day: wanted.get(day) for day in days}, grid) for days in track(slabs, "cube"))


def remove_cube(archive: Path) -> None:
    """Delete an archive's cube."""
    folder, old = archive / CUBE, archive / f".{CUBE}.old"
    if folder.exists():
        folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def cube_faults(archive: Path, sources: Mapping[dt.date, DayFile], track: Track) -> list[str]:
    """Return in which days the cube is not what the daily files are, one line each; unfinished days are no fault."""
    cure = "`runtime check --rebuild-views` makes it again"
    try:
        cube = Cube.open(archive)
        if cube is None:
            return []
        marks = cube.marks()
        numbers = {(date - cube.first).days: source for date, source in sources.items()}
        same = [day for day, source in numbers.items() if 0 <= day < marks.size and int(marks[day]) == source.mark]
        slabs = [list(days) for _, days in itertools.groupby(sorted(same), lambda day: day // SLAB)]
        wrong: set[int] = set()
        for days in track(slabs, "check cube"):
            for name in cube.names:
                block = cube.read(name, slice(days[0], days[-1] + 1))
                there = [day for day in days if numbers[day].path.exists()]
                wrong |= {day for day in there if np.any(block[day - days[0]] != _field(numbers[day], name))}
    except ArchiveError as error:
        return [str(error)]
    dates = [cube.first + day * _DAY for day in sorted(wrong)]
    return [f"{archive / CUBE}: {date} is not what its daily file holds; {cure}" for date in dates]


def _consolidate(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Tell readers how the arrays are now, and these attributes, all at once: one file holds everybody's metadata.

    Zarr's own `consolidate_metadata` would take a moment in which the attributes are new and the lengths are not there.
    """
    root = json.loads((folder / "zarr.json").read_text())
    arrays = {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/zarr.json"))}
    root["attributes"] |= {key: _plain_attribute(value) for key, value in attributes.items()}
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": arrays}
    with part_file(folder / "zarr.json") as part:
        part.write_text(json.dumps(root, indent=1))
    move_into_place(folder / "zarr.json")


def _settle(file: Path) -> None:
    """Bring a file that Zarr wrote, and its folder's list of names, to the disk; tidy up after one that was killed."""
    for left in file.parent.glob("*.partial"):
        left.unlink()
    for path in (file, file.parent):
        if path.exists():  # a chunk without any value has no file
            sync_to_disk(path)


def _published_fields(source: DayFile, grid: Grid) -> _Fields:
    """Return the variables of a daily file; none if it is not the file that was published, or on another grid."""
    try:
        if digest.of_file(source.path) != source.sha256:
            return {}
        with LOCK:
            fields = layout_of(source.path).read(source.path)
    except FileNotFoundError:
        return {}
    return fields if all(field.shape == grid.shape for field in fields.values()) else {}


def _field(source: DayFile | None, name: str) -> NDArray[Any] | int:
    """Return a variable of a daily file, or what stands for a day or a variable that is not there."""
    if source is None:
        return VARIABLES[name].empty
    with LOCK:
        return layout_of(source.path).read(source.path, (name,)).get(name, VARIABLES[name].empty)


def _plain_attribute(value: Any) -> Any:
    """Return an attribute as JSON has it."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _damaged(folder: Path, error: Exception) -> ArchiveError:
    return ArchiveError(f"{folder}: cannot be read ({error}); `runtime check --rebuild-views` makes it again")
