"""Write the cube: copy daily files into it, so that a run that is killed at any time does no harm.

See `runtime.archive.cube` for what the cube is and for the marks that say which days can be trusted.
"""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from runtime.archive.cf import EPOCH, stored_source_bits
from runtime.archive.cube import BYTES_KEPT, CELLS, MARKS, SLAB, Cube, DayFile, packed_fields, verified_fields
from runtime.archive.cube_store import (
    MARKS_IN_CHUNK,
    consolidate,
    create_cube,
    hidden_folder,
    open_writable,
    plain_attribute,
    sync_zarr_file,
)
from runtime.archive.paths import ArchivePaths
from runtime.archive.variables import SOURCE, VARIABLES, source_variable
from runtime.common.atomic import sync_to_disk, write_guard
from runtime.common.events import Track
from runtime.common.grid import Grid

_CODEC = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
_OR = "_or_"
"""Between the names of the sensors that one bit of `SOURCE` means on different days."""

logger = logging.getLogger(__name__)

_Fields = dict[str, NDArray[Any]]


def update_cube(
    archive: Path, sources: Mapping[dt.date, DayFile], grid: Grid, attributes: Mapping[str, Any], track: Track
) -> int:
    """Bring an archive's cube up to date with its daily files.

    The caller holds the archive's lock. A file that differs from its hash in the catalog is not copied.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    sources : mapping of dt.date to DayFile
        The published days.
    grid : Grid
        The archive's grid.
    attributes : mapping of str to Any
        The cube's global attributes.
    track : Track
        Shows progress over the parts of the cube that change.

    Returns
    -------
    int
        Number of days copied.

    Raises
    ------
    ArchiveError
        The cube cannot be written.
    """
    if not sources:
        return 0
    # Chunks without values are written too: readers take a chunk that is not there for one that was lost.
    with write_guard(ArchivePaths.below(archive).cube), zarr.config.set({"array.write_empty_chunks": True}):
        writer = CubeWriter.open(archive, min(sources), grid)
        first, marks, names = writer.cube.first, writer.cube.marks(), writer.cube.names
        wanted = {(date - first).days: source for date, source in sources.items()}
        length = max(marks.size, max(wanted) + 1)
        lost = writer.cube.lost_slabs(writer.cube.names, np.flatnonzero(marks), probe=True)
        known = {day: 0 if day // SLAB in lost else mark for day, mark in enumerate(marks.tolist())}
        stale = [day for day, source in wanted.items() if known.get(day) != source.mark]
        unpublished = [day for day, mark in known.items() if mark and day not in wanted]
        if length > marks.size or writer.is_inconsistent(attributes):
            writer.make_room(length, (), attributes)
        for slab in lost:
            writer.clear(slab)
        changed = sorted([*stale, *unpublished])
        slabs = [list(days) for _, days in itertools.groupby(changed, lambda day: day // SLAB)]
        copied = sum(writer.copy_or_renew(days, wanted) for days in track(slabs, "cube"))
    if np.any(marks) and writer.cube.names != names:  # earlier days that have the new variable, too
        copied += update_cube(archive, sources, grid, attributes, track)
    return copied


def remove_cube(archive: Path) -> None:
    """Delete an archive's cube."""
    folder = ArchivePaths.below(archive).cube
    old = hidden_folder(folder, "old")
    if folder.exists():
        folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


class CubeWriter:
    """An open cube that can be changed.

    Parameters
    ----------
    cube : Cube
        The cube, open for writing and without consolidated metadata.
    grid : Grid
        The archive's grid.
    """

    def __init__(self, cube: Cube, grid: Grid) -> None:
        self.cube, self.grid = cube, grid

    @classmethod
    def open(cls, archive: Path, first: dt.date, grid: Grid) -> CubeWriter:
        """Open an archive's cube for writing; create a new one unless there is a cube for this grid.

        Parameters
        ----------
        archive : Path
            The archive's folder.
        first : dt.date
            The first published day; a cube that begins later is replaced.
        grid : Grid
            The archive's grid.

        Returns
        -------
        CubeWriter
            The open cube.
        """
        folder = ArchivePaths.below(archive).cube
        new = hidden_folder(folder, "new")
        for leftover in (new, hidden_folder(folder, "old")):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            cube = open_writable(folder)
            fits = (
                cube.first <= first
                and cube.group.attrs["grid"] == grid.digest
                and cube.marks().ndim == 1
                and {*zarr.open_group(folder, mode="r").array_keys()} <= {*cube.group.array_keys()}  # none was lost
            )
        except Exception:
            fits = False
        if fits:
            return cls(cube, grid)
        create_cube(new, first, grid)
        remove_cube(archive)
        new.rename(folder)
        sync_to_disk(archive)
        return cls(open_writable(folder), grid)

    def is_inconsistent(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether the metadata for readers differ from the arrays, because a run was killed in between."""
        cube, seen = self.cube, zarr.open_group(self.cube.folder, mode="r")
        lengths = {name: array.shape[0] for name, array in seen.arrays() if name not in ("lat", "lon")}
        existing = {"time", MARKS, *cube.names}
        return (
            lengths.keys() != existing
            or {cube.array(name).shape[0] for name in existing} != set(lengths.values())
            or any(seen.attrs.get(key) != plain_attribute(value) for key, value in attributes.items())
        )

    def add_variables(self, names: Collection[str], wanted: Mapping[int, DayFile]) -> None:
        """Create variables, and take the marks of the days away whose files have one of them.

        A cube that an earlier version of this software made may lack a variable of its days.
        """
        marked = np.flatnonzero(self.cube.marks()).tolist()
        incomplete = [day for day in marked if day in wanted and _has(wanted[day], names)]
        self._set_marks(np.array(incomplete, np.int64), np.zeros(len(incomplete), np.uint64))
        self.make_room(0, [name for name in VARIABLES if name in names], {})

    def make_room(self, days: int, names: Iterable[str], attributes: Mapping[str, Any]) -> None:
        """Make the arrays long enough, and create missing ones; readers see all of it at once, or nothing.

        Parameters
        ----------
        days : int
            Number of days that the cube must have room for.
        names : iterable of str
            Variables that the cube must have.
        attributes : mapping of str to Any
            Global attributes to set.
        """
        cube = self.cube
        days = max(days, cube.array("time").shape[0])
        for name in names:
            if name not in cube.group:
                self._create_variable(name, days)
                for slab in np.unique(np.flatnonzero(cube.marks()) // SLAB).tolist():  # no marked day has it
                    cube.array(name)[slab * SLAB : (slab + 1) * SLAB] = VARIABLES[name].empty
                    self._sync_chunk(name, slab)
        for name in ("time", MARKS, *cube.names):
            array = cube.array(name)
            if array.shape[0] < days:
                array.resize((days, *array.shape[1:]))
            sync_zarr_file(cube.folder / name / "zarr.json")
        cube.array("time")[:] = np.arange(days, dtype=np.int32) + (cube.first - EPOCH).days
        self._sync_chunk("time")
        consolidate(cube.folder, attributes)

    def _create_variable(self, name: str, days: int) -> None:
        variable = VARIABLES[name]
        rows, cols = self.cube.array("lat").shape[0], self.cube.array("lon").shape[0]
        fill_value = {} if variable.fill is None else {"_FillValue": variable.fill}
        self.cube.group.create_array(
            name,
            shape=(days, rows, cols),
            chunks=self.cube.chunks,
            shards=(SLAB, -(-rows // CELLS) * CELLS, -(-cols // CELLS) * CELLS),
            dtype=variable.dtype,
            fill_value=variable.empty,
            compressors=_CODEC,
            dimension_names=("time", "lat", "lon"),
            attributes={key: plain_attribute(value) for key, value in (variable.attributes | fill_value).items()},
        )

    def clear(self, slab: int) -> None:
        """Take the marks of the days of a slab away, then its values."""
        size = self.cube.array(MARKS).shape[0]
        days = np.arange(slab * SLAB, min((slab + 1) * SLAB, size))
        self._set_marks(days, np.zeros(days.size, np.uint64))
        for name in self.cube.names:
            self.cube.chunk_file(name, slab).unlink(missing_ok=True)

    def copy_or_renew(self, days: Sequence[int], wanted: Mapping[int, DayFile]) -> int:
        """Copy the daily files of days of one slab; of all its days if what the slab has cannot be read.

        Parameters
        ----------
        days : sequence of int
            The days that changed.
        wanted : mapping of int to DayFile
            The published days by number.

        Returns
        -------
        int
            Number of days copied.
        """
        try:
            return self.copy({day: wanted.get(day) for day in days}, wanted)
        except (RuntimeError, ValueError) as error:  # Zarr reads a chunk before it changes a part of it
            slab = days[0] // SLAB
            logger.warning(f"{self.cube.folder}: a chunk cannot be read ({error}); its days are copied again")
            self.clear(slab)
            return self.copy({day: source for day, source in wanted.items() if day // SLAB == slab}, wanted)

    def copy(self, days: Mapping[int, DayFile | None], wanted: Mapping[int, DayFile]) -> int:
        """Copy daily files of one slab into the cube, and empty the days without a file.

        Parameters
        ----------
        days : mapping of int to DayFile or None
            The files by the numbers of their days; None for a day that is no longer published.
        wanted : mapping of int to DayFile
            The published days by number.

        Returns
        -------
        int
            Number of days copied. Files that cannot be used are left out.
        """
        sources: dict[int, DayFile | None] = {}
        kept: dict[int, _Fields] = {}
        names: set[str] = set()
        bits: dict[tuple[str, int], None] = {}
        room = BYTES_KEPT
        for day, source in days.items():
            fields = {} if source is None else verified_fields(source, self.grid)
            if source is None or fields:
                sources[day] = source
            names |= fields.keys()
            if source and SOURCE.name in fields:
                bits |= dict.fromkeys(stored_source_bits(source.path).items())
            room -= sum(field.nbytes for field in fields.values())
            if fields and room >= 0:
                kept[day] = fields
        if not sources:
            return 0
        if missing := names - set(self.cube.names):
            self.add_variables(missing, wanted)
        if bits:
            self._add_sensors(bits)
        numbers = np.array([*sources])
        self._set_marks(numbers, np.zeros(numbers.size, np.uint64))
        for name in self.cube.names:
            self._write_days(name, sources, kept)
        marks = [0 if source is None else source.mark for source in sources.values()]
        self._set_marks(numbers, np.array(marks, np.uint64))
        return sum(source is not None for source in sources.values())

    def _add_sensors(self, bits: Collection[tuple[str, int]]) -> None:
        """Add the sensors of some days to the meaning of the bits of `SOURCE`.

        A bit that means several sensors, because the order of the feeds was changed, is named after all of them.
        """
        seen = Cube(self.cube.folder, zarr.open_group(self.cube.folder, mode="r")).source_bits
        names: dict[int, dict[str, None]] = {}
        for name, bit in (*seen.items(), *bits):
            names.setdefault(bit, {}).update(dict.fromkeys(name.split(_OR)))
        known = {_OR.join(names[bit]): bit for bit in sorted(names)}
        if known == seen:
            return
        attributes = source_variable(known).attributes
        self.cube.array(SOURCE.name).attrs.update({key: plain_attribute(value) for key, value in attributes.items()})
        sync_zarr_file(self.cube.folder / SOURCE.name / "zarr.json")
        consolidate(self.cube.folder, {})

    def _write_days(self, name: str, sources: Mapping[int, DayFile | None], kept: Mapping[int, _Fields]) -> None:
        """Write one variable of some days of a slab, from memory or else from their files."""
        array, empty = self.cube.array(name), VARIABLES[name].empty
        numbers = [*sources]
        begin, end = numbers[0], numbers[-1] + 1
        block = (
            np.full((end - begin, *array.shape[1:]), empty, array.dtype)
            if len(numbers) == end - begin
            else np.asarray(array[begin:end])
        )
        for day, source in sources.items():
            fields = kept.get(day) or ({} if source is None else packed_fields(source, (name,)))
            block[day - begin] = fields.get(name, empty)
        array[begin:end] = block
        self._sync_chunk(name, begin // SLAB)

    def _set_marks(self, days: NDArray[np.int64], marks: NDArray[np.uint64]) -> None:
        self.cube.array(MARKS).set_coordinate_selection(days, marks)
        for chunk in np.unique(days // MARKS_IN_CHUNK):
            self._sync_chunk(MARKS, int(chunk))

    def _sync_chunk(self, name: str, chunk: int = 0) -> None:
        """Wait until a chunk, by its number along the time axis, is on the disk."""
        sync_zarr_file(self.cube.chunk_file(name, chunk))


def _has(source: DayFile, names: Collection[str]) -> bool:
    """Return whether a daily file has one of some variables; not if it cannot be read."""
    try:
        return bool(packed_fields(source, names))
    except (OSError, RuntimeError):
        return False
