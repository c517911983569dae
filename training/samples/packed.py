"""The files of a training archive: one array of packed integers for each variable, the land, and ``record.json``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.common.atomic import move_into_place, part_file
from runtime.common.events import Progress
from runtime.common.grid import Floats, Grid

META, LAND = "record.json", "land.npy"
GAP = -32767
"""The packed value of a cell without a value."""

DayFields = tuple[Floats | None, ...]
"""Soil moisture, rain and true soil moisture of a day, as many as the archive has; None for a day without one."""


@dataclass(frozen=True)
class PackedVariable:
    """A variable that is stored as int16 counts, shape (days, rows, cols), `GAP` where there is no value."""

    file: str
    """Name of its file in the archive's folder."""
    step: float
    """Value of one count."""

    def load(self, folder: Path) -> NDArray[np.int16]:
        """Map the counts into memory."""
        return np.asarray(np.load(folder / self.file, mmap_mode="r"))

    def load_if_any(self, folder: Path) -> NDArray[np.int16] | None:
        """Map the counts into memory; None if the archive does not have this variable."""
        return self.load(folder) if (folder / self.file).exists() else None

    def pack(self, field: Floats) -> NDArray[np.int16]:
        """Return a field as counts."""
        counts = np.rint(np.nan_to_num(field) / self.step).clip(max=32767)
        return np.where(np.isnan(field), GAP, counts).astype(np.int16)

    def unpack(self, array: NDArray[np.int16], first: int, days: int, patch: tuple[slice, slice]) -> Floats:
        """Return days of a patch as float32, NaN for `GAP` and for days outside the array."""
        start, stop = max(first, 0), min(first + days, len(array))
        packed = np.full((days, *array[0][patch].shape), GAP, np.int16)
        if start < stop:
            packed[start - first : stop - first] = array[(slice(start, stop), *patch)]
        return np.where(packed == GAP, np.float32(np.nan), packed * np.float32(self.step)).astype(np.float32)


SOIL_MOISTURE = PackedVariable("sm.npy", 1e-4)
"""m3 m-3."""
RAIN = PackedVariable("rain.npy", 0.02)
"""mm/day; the largest value is 655 mm/day."""
TRUTH = PackedVariable("truth.npy", 1e-4)
"""True soil moisture, m3 m-3."""


def write_days(
    out: Path,
    grid: Grid,
    days: Iterable[DayFields],
    variables: Sequence[PackedVariable],
    *,
    first: dt.date,
    count: int,
    source: str,
    progress: Progress | None,
) -> None:
    """Write the arrays day by day, and ``record.json`` last: without it a folder is no training archive.

    Parameters
    ----------
    out : Path
        Folder to write.
    grid : Grid
        Grid of the days.
    days : iterable of DayFields
        The fields of each day, in the order of `variables`; there may be more of them.
    variables : sequence of PackedVariable
        What to write.
    first : date
        First day.
    count : int
        Number of days.
    source : str
        What the days were made from, in words.
    progress : callable or None
        Called with the number of days packed and of all days.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in (META, RAIN.file, TRUTH.file):
        (out / name).unlink(missing_ok=True)
    arrays = [
        np.lib.format.open_memmap(out / variable.file, mode="w+", dtype=np.int16, shape=(count, *grid.shape))
        for variable in variables
    ]
    for number, fields in enumerate(days):
        for array, variable, field in zip(arrays, variables, fields, strict=False):
            array[number] = GAP if field is None else variable.pack(field)
        if progress:
            progress(number + 1, count)
    for array in arrays:
        array.flush()
    np.save(out / LAND, grid.land)
    meta = {"first": first.isoformat(), "north": grid.north, "west": grid.west, "step": grid.step, "source": source}
    with part_file(out / META) as part:
        part.write_text(json.dumps(meta, indent=1))
    move_into_place(out / META)
