"""The training archive: years of days on one grid as memory-mapped arrays, from which patches are read.

It is made from folders of granules, from the observed cells of a published archive, or from a seed of the synthetic
world. It is a folder with ``record.json``, ``sm.npy``, ``land.npy``, ``rain.npy`` if there is rain, and ``truth.npy``
if the truth is known. Twenty years of the globe take 15 GB for each variable; only the patches that are needed are
read.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.archive.dataset import open_archive
from runtime.common.clock import days_between
from runtime.common.events import Progress
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.demo.world import World
from runtime.fill.result import Flag
from runtime.inputs.products.read import read_field
from training.samples.files import Within, rain_files, soil_moisture_files
from training.samples.packed import GAP, LAND, META, RAIN, SOIL_MOISTURE, TRUTH, DayFields, write_days


@dataclass(frozen=True)
class TrainingArchive:
    """Consecutive days on one grid; the arrays are memory-mapped and packed to integers."""

    folder: Path
    grid: Grid
    first: dt.date
    """First day."""
    source: str
    """What the days were made from, in words."""

    @cached_property
    def _sm(self) -> NDArray[np.int16]:
        return SOIL_MOISTURE.load(self.folder)

    @cached_property
    def _rain(self) -> NDArray[np.int16] | None:
        return RAIN.load_if_any(self.folder)

    @cached_property
    def _truth(self) -> NDArray[np.int16] | None:
        return TRUTH.load_if_any(self.folder)

    def __len__(self) -> int:
        return len(self._sm)

    @property
    def has_rain(self) -> bool:
        """Whether there is rain for any day."""
        return self._rain is not None

    def index(self, date: dt.date) -> int:
        """Return the position of a day; negative or past the end for a day outside the archive."""
        return (date - self.first).days

    def soil_moisture(self, first: int, days: int, row: int = 0, col: int = 0, size: int | None = None) -> Floats:
        """Return soil moisture of consecutive days on a square patch.

        Parameters
        ----------
        first : int
            Position of the first day. Days outside the archive are gaps.
        days : int
            Number of days.
        row, col : int
            Upper left cell of the patch.
        size : int, optional
            Cells along each axis of the patch; the whole grid if not given.

        Returns
        -------
        float32 array, shape (days, size, size)
            Soil moisture, m3 m-3, NaN for a gap.
        """
        return SOIL_MOISTURE.unpack(self._sm, first, days, _patch(row, col, size))

    def rain(self, first: int, days: int, row: int = 0, col: int = 0, size: int | None = None) -> Floats:
        """Return precipitation of consecutive days on a square patch.

        Parameters
        ----------
        first : int
            Position of the first day. Days outside the archive have no estimate.
        days : int
            Number of days.
        row, col : int
            Upper left cell of the patch.
        size : int, optional
            Cells along each axis of the patch; the whole grid if not given.

        Returns
        -------
        float32 array, shape (days, size, size)
            Precipitation, mm/day, NaN for no estimate.
        """
        if self._rain is None:
            return np.full_like(self.soil_moisture(first, days, row, col, size), np.nan)
        return RAIN.unpack(self._rain, first, days, _patch(row, col, size))

    def truth(self, day: int, row: int = 0, col: int = 0, size: int | None = None) -> Floats | None:
        """Return the true soil moisture of a day on a square patch.

        Parameters
        ----------
        day : int
            Position of the day.
        row, col : int
            Upper left cell of the patch.
        size : int, optional
            Cells along each axis of the patch; the whole grid if not given.

        Returns
        -------
        float32 array, shape (size, size), or None
            True soil moisture, m3 m-3, NaN off land; None if the archive does not know it, as of real days.
        """
        if self._truth is None:
            return None
        return np.asarray(TRUTH.unpack(self._truth, day, 1, _patch(row, col, size))[0])

    def observed(self, day: int, row: int = 0, col: int = 0, size: int | None = None) -> Bools:
        """Return which cells of a square patch are observed on a day.

        Parameters
        ----------
        day : int
            Position of the day.
        row, col : int
            Upper left cell of the patch.
        size : int, optional
            Cells along each axis of the patch; the whole grid if not given.

        Returns
        -------
        bool array, shape (size, size)
            True for an observation.
        """
        return np.asarray(self._sm[day][_patch(row, col, size)] != GAP)

    @classmethod
    def open(cls, folder: Path) -> TrainingArchive:
        """Open a training archive.

        Parameters
        ----------
        folder : Path
            Folder that `of_granules` or `of_world` wrote.

        Returns
        -------
        TrainingArchive
            The opened archive.

        Raises
        ------
        ValueError
            The folder holds no training archive.
        """
        try:
            meta = json.loads((folder / META).read_text())
            land = np.load(folder / LAND)
            grid = Grid(meta["north"], meta["west"], land, meta["step"])
            return cls(folder, grid, dt.date.fromisoformat(meta["first"]), meta["source"])
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{folder} holds no training archive ({error}); `python -m training record` makes one from granules"
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
        within: Within = None,
        progress: Progress | None = None,
    ) -> TrainingArchive:
        """Make a training archive from the soil-moisture and rain files below folders.

        Parameters
        ----------
        out : Path
            Folder to write.
        granules : Path
            Folder of the soil-moisture files, searched with its subfolders.
        grid : Grid
            Grid of the archive.
        rain : Path, optional
            Folder of the IMERG files; `granules` if not given.
        product, orbit, band : str
            Which soil-moisture files and which variable of them to read.
        within : (date, date), optional
            First and last day to read; all days if not given.
        progress : callable, optional
            Called with the number of days packed and of all days.

        Returns
        -------
        TrainingArchive
            The opened archive, from the first day with a soil-moisture file to the last one.

        Raises
        ------
        ValueError
            There is no soil-moisture file.
        InputRefused
            A file is damaged.
        """
        soil_files = soil_moisture_files(granules, product, orbit, within)
        precipitation_files = rain_files(rain or granules, within)
        first, last = min(soil_files), max(soil_files)
        dates = days_between(first, last)

        def read_days() -> Iterator[DayFields]:
            for date in dates:
                soil, precipitation = None, None
                if date in soil_files:
                    path = Path(soil_files[date][0].location)
                    soil = read_field(PRODUCTS[product], path, date, grid, band, orbit).field
                if date in precipitation_files:
                    path = Path(precipitation_files[date][0].location)
                    precipitation = read_field(PRODUCTS["imerg"], path, date, grid).field
                yield soil, precipitation

        source = f"{product} {orbit} band {band}, {len(soil_files)} days {first}..{last} of {granules.name}"
        variables = [SOIL_MOISTURE, RAIN] if precipitation_files else [SOIL_MOISTURE]
        write_days(out, grid, read_days(), variables, first=first, count=len(dates), source=source, progress=progress)
        return cls.open(out)

    @classmethod
    def of_archive(
        cls,
        out: Path,
        archive: Path,
        *,
        within: Within = None,
        progress: Progress | None = None,
    ) -> TrainingArchive:
        """Make a training archive from the observed cells of an archive that `runtime` published, and its rain.

        Parameters
        ----------
        out : Path
            Folder to write.
        archive : Path
            Folder of the published archive.
        within : (date, date), optional
            First and last day to read; all days if not given.
        progress : callable, optional
            Called with the number of days packed and of all days.

        Returns
        -------
        TrainingArchive
            The opened archive, from the first published day to the last one.

        Raises
        ------
        InputsMissing
            No day is published there.
        ValueError
            The archive's files do not say which cells were observed, or no day of `within` is published.
        """
        days = open_archive(archive)
        if within:
            days = days.sel(time=slice(*(np.datetime64(date) for date in within)))
            if not days.time.size:
                raise ValueError(f"{archive} has no day from {within[0]} to {within[1]}")
        if "flag" not in days:
            raise ValueError(f"{archive}: its files have no flags, so that observed and filled cells look the same")
        published = {date: number for number, date in enumerate(days.time.values.astype("datetime64[D]").tolist())}
        first, last = min(published), max(published)
        dates = days_between(first, last)
        rain = days.get("precipitation")
        variables = [SOIL_MOISTURE] if rain is None else [SOIL_MOISTURE, RAIN]

        def read_days() -> Iterator[DayFields]:
            for date in dates:
                if date not in published:
                    yield None, None
                    continue
                day = days.isel(time=published[date])
                observed = np.isin(day.flag.values, (Flag.OBSERVED, Flag.OBSERVED_OFF_LAND_MASK))
                soil = np.where(observed, day.soil_moisture.values, np.float32(np.nan))
                yield soil, None if rain is None else rain[published[date]].values

        sea = np.isin(days.flag[-1].values, (Flag.NOT_LAND, Flag.OBSERVED_OFF_LAND_MASK))
        grid = replace(Grid.of_axes(days.lat.values, days.lon.values), land=~sea)
        source = f"observed cells of {len(published)} days {first}..{last} of the archive {archive.name}"
        write_days(out, grid, read_days(), variables, first=first, count=len(dates), source=source, progress=progress)
        return cls.open(out)

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
        shared_noise: float = 0.0,
        progress: Progress | None = None,
    ) -> TrainingArchive:
        """Make a training archive from days of the synthetic world, with rain and the truth.

        Parameters
        ----------
        out : Path
            Folder to write.
        grid : Grid
            Grid of the world and of the archive.
        seed : int
            Seed of the world.
        first : date
            First day.
        days : int
            Number of days.
        retrieval_noise : float
            Standard deviation of the retrieval errors, m3 m-3.
        shared_noise : float
            Share of their variance that neighbouring cells of the same day have in common.
        progress : callable, optional
            Called with the number of days packed and of all days.

        Returns
        -------
        TrainingArchive
            The opened archive.
        """
        world = World(grid, seed, retrieval_noise, shared_noise)
        fields = ((day.observed, day.rain, day.truth) for day in world.days(first, days))
        source = f"synthetic world {seed}, {days} days from {first}, retrieval noise {retrieval_noise}"
        if shared_noise:
            source += f", {shared_noise:.0%} of it shared with neighbours"
        variables = [SOIL_MOISTURE, RAIN, TRUTH]
        write_days(out, grid, fields, variables, first=first, count=days, source=source, progress=progress)
        return cls.open(out)


def _patch(row: int, col: int, size: int | None) -> tuple[slice, slice]:
    """Return the rows and columns of a square patch, the whole grid without `size`."""
    return (slice(None), slice(None)) if size is None else (slice(row, row + size), slice(col, col + size))
