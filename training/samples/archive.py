"""A record: years of days on one grid, as memory-mapped arrays that patches are read from where they lie.

In: folders of granules, or a seed of the synthetic world. Out: a folder with ``record.json``, ``sm.npy``, ``land.npy``
and, where there is rain, ``rain.npy``. Twenty years of the globe are 15 GB each; nothing is ever read whole.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.common.atomic import move_into_place, part_file
from runtime.common.events import Progress
from runtime.common.grid import Bools, Floats, Grid
from runtime.demo.world import World
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from runtime.inputs.products.base import product_reader
from runtime.inputs.products.imerg import read_precipitation

META, _SM, _RAIN, _LAND = "record.json", "sm.npy", "rain.npy", "land.npy"
_GAP = -32767
_SM_STEP = 1e-4
_RAIN_STEP = 0.02
"""mm/day; 655 mm is the most a record holds."""


@dataclass(frozen=True)
class TrainingArchive:
    """Consecutive days on one grid; the arrays are memory-mapped and packed."""

    folder: Path
    grid: Grid
    first: dt.date
    source: str
    """What it was made from."""

    @cached_property
    def _sm(self) -> NDArray[np.int16]:
        return np.asarray(np.load(self.folder / _SM, mmap_mode="r"))

    @cached_property
    def _rain(self) -> NDArray[np.int16] | None:
        path = self.folder / _RAIN
        return np.asarray(np.load(path, mmap_mode="r")) if path.exists() else None

    def __len__(self) -> int:
        return len(self._sm)

    @property
    def has_rain(self) -> bool:
        """Whether there is rain for any day."""
        return self._rain is not None

    def index(self, date: dt.date) -> int:
        """Return a day's position; negative or past the end where the record does not have it."""
        return (date - self.first).days

    def soil_moisture(self, first: int, days: int, row: int = 0, col: int = 0, size: int | None = None) -> Floats:
        """Return days of a square patch, (days, size, size), m3 m-3 with NaN for a gap; the whole grid without `size`.

        Days before the record's first and after its last are gaps.
        """
        return _unpack(self._sm, _SM_STEP, first, days, row, col, size)

    def rain(self, first: int, days: int, row: int = 0, col: int = 0, size: int | None = None) -> Floats:
        """Return days of a square patch of rain, (days, size, size), mm/day with NaN for no estimate."""
        if self._rain is None:
            return np.full_like(self.soil_moisture(first, days, row, col, size), np.nan)
        return _unpack(self._rain, _RAIN_STEP, first, days, row, col, size)

    def observed(self, day: int, row: int = 0, col: int = 0, size: int | None = None) -> Bools:
        """Return which cells of a day's patch are observed."""
        return np.asarray(self._sm[day][_square(row, col, size)] != _GAP)

    @classmethod
    def open(cls, folder: Path) -> TrainingArchive:
        """Open a record.

        Raises
        ------
        ValueError
            The folder holds none.
        """
        try:
            meta = json.loads((folder / META).read_text())
            land = np.load(folder / _LAND)
            grid = Grid(meta["north"], meta["west"], land, meta["step"])
            return cls(folder, grid, dt.date.fromisoformat(meta["first"]), meta["source"])
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{folder} holds no record ({error}); `python -m training record` makes one from granules"
            ) from error

    @classmethod
    def of_granules(
        cls,
        out: Path,
        granules: Path,
        grid: Grid,
        *,
        rain: Path | None = None,
        product: str = "lprm-amsr2",
        orbit: str = "descending",
        band: str = "x",
        progress: Progress | None = None,
    ) -> TrainingArchive:
        """Make a record of every soil-moisture file below a folder, and of the rain files below another.

        Raises
        ------
        ValueError
            There is no soil-moisture file.
        InputRefused
            A file is damaged.
        """
        soil = FolderFeed(str(granules), GranuleFilter(product, orbit)).granules()
        if not soil:
            raise ValueError(f"{granules} holds no {product} file of the {orbit} orbit; check the folder and product")
        fallen = FolderFeed(str(rain or granules), GranuleFilter("imerg")).granules()
        for runs in fallen.values():
            runs.sort(key=lambda granule: ("final", "late", "early").index(granule.run or ""))
        first, last = min(soil), max(soil)
        read = product_reader(product, band)

        def days() -> Iterator[tuple[Floats | None, Floats | None]]:
            for number in range((last - first).days + 1):
                date = first + dt.timedelta(number)
                yield (
                    read(Path(soil[date][0].location), date, grid).field if date in soil else None,
                    read_precipitation(Path(fallen[date][0].location), date, grid) if date in fallen else None,
                )

        source = f"{product} {orbit} band {band}, {len(soil)} days {first}..{last} of {granules.name}"
        return cls._write(out, grid, first, source, (last - first).days + 1, days(), bool(fallen), progress)

    @classmethod
    def of_world(
        cls,
        out: Path,
        grid: Grid,
        *,
        seed: int,
        first: dt.date,
        days: int,
        retrieval_noise: float = 0.025,
        progress: Progress | None = None,
    ) -> TrainingArchive:
        """Make a record of days of the synthetic world, with rain."""
        world = World(grid, seed, retrieval_noise)
        fields = ((day.observed, day.rain) for day in world.days(first, days))
        source = f"synthetic world {seed}, {days} days from {first}, retrieval noise {retrieval_noise}"
        return cls._write(out, grid, first, source, days, fields, True, progress)

    @classmethod
    def _write(
        cls,
        out: Path,
        grid: Grid,
        first: dt.date,
        source: str,
        count: int,
        days: Iterator[tuple[Floats | None, Floats | None]],
        has_rain: bool,
        progress: Progress | None,
    ) -> TrainingArchive:
        """Write the arrays day by day; `record.json` comes last, so that a killed run leaves no record."""
        out.mkdir(parents=True, exist_ok=True)
        (out / META).unlink(missing_ok=True)
        (out / _RAIN).unlink(missing_ok=True)
        names = [(_SM, _SM_STEP), *([(_RAIN, _RAIN_STEP)] if has_rain else [])]
        arrays = [
            np.lib.format.open_memmap(out / name, mode="w+", dtype=np.int16, shape=(count, *grid.shape))
            for name, _ in names
        ]
        for number, fields in enumerate(days):
            for array, (_, step), field in zip(arrays, names, fields, strict=False):
                array[number] = _GAP if field is None else _pack(field, step)
            if progress:
                progress(number + 1, count)
        for array in arrays:
            array.flush()
        np.save(out / _LAND, grid.land)
        meta = {"first": first.isoformat(), "north": grid.north, "west": grid.west, "step": grid.step, "source": source}
        with part_file(out / META) as part:
            part.write_text(json.dumps(meta, indent=1))
        move_into_place(out / META)
        return cls.open(out)


def _square(row: int, col: int, size: int | None) -> tuple[slice, slice]:
    return (slice(None), slice(None)) if size is None else (slice(row, row + size), slice(col, col + size))


def _pack(field: Floats, step: float) -> NDArray[np.int16]:
    return np.where(np.isnan(field), _GAP, np.rint(np.nan_to_num(field) / step).clip(max=32767)).astype(np.int16)


def _unpack(
    array: NDArray[np.int16], step: float, first: int, days: int, row: int, col: int, size: int | None
) -> Floats:
    square = _square(row, col, size)
    start, stop = max(first, 0), min(first + days, len(array))
    packed = np.full((days, *array[0][square].shape), _GAP, np.int16)
    if start < stop:
        packed[start - first : stop - first] = array[(slice(start, stop), *square)]
    return np.where(packed == _GAP, np.float32(np.nan), packed * np.float32(step)).astype(np.float32)
