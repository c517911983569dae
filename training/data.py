"""The ``[[data]]`` section of a recipe: where days to train on come from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runtime.archive.paths import ArchivePaths
from runtime.archive.reader import Reader
from runtime.common import digest
from runtime.common.clock import DAY, days_between
from runtime.common.events import Progress
from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from training.samples import TrainingArchive
from training.samples.files import Within, soil_moisture_files
from training.samples.packed import META

PATHS = ("granules", "rain", "archive", "record")
"""Fields of `DataSection` that are folders."""
Days = tuple[dt.date, dt.date]
"""First and last day, both included."""


class RecipeSection(BaseModel):
    """Base of the sections of a recipe; a key that a section does not have is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class DataSection(RecipeSection):
    """``[[data]]``: days to train on: granules, a published archive, a training archive, or synthetic days."""

    granules: Path | None = None
    """Folder of soil-moisture files, and of IMERG files if `rain` is not set."""
    rain: Path | None = None
    """Folder of IMERG files."""
    product: str = "lprm-amsr2"
    """Soil-moisture product of the granules."""
    orbit: Literal["descending", "ascending"] = "descending"
    """Orbit of the granules."""
    band: str = "x"
    """Band of the granules."""
    archive: Path | None = None
    """Folder of an archive that `runtime` published; its observed cells and its rain are the days."""
    record: Path | None = None
    """Folder of a training archive that `python -m training record` wrote."""
    world: int | None = None
    """Seed of a synthetic world of the whole globe."""
    start: dt.date = dt.date(2020, 3, 1)
    """First day of the synthetic world."""
    days: int = Field(default=40, ge=1)
    """Number of days of the synthetic world."""
    retrieval_noise: float = Field(default=0.025, ge=0)
    """Standard deviation of the synthetic world's retrieval errors, m3 m-3."""
    shared_noise: float = Field(default=0.0, ge=0, le=1)
    """Share of their variance that neighbouring cells of the same day have in common."""
    targets: Days | None = None
    """Days to train on; no other day is a label, an input or a mask. Unset: all."""
    validate_days: Days | None = Field(default=None, alias="validate")
    """Days to validate on, read alone; they are not trained on unless `targets` includes them."""
    weight: float = Field(default=1.0, ge=0)
    """How often samples are drawn from this source, relative to the weights of the other sources; 0 leaves it out."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> DataSection:
        if sum(origin is not None for origin in (self.granules, self.archive, self.record, self.world)) != 1:
            raise ValueError("give one of granules, archive, record and world")
        if self.product not in PRODUCTS or self.band not in PRODUCTS[self.product].bands:
            known = ", ".join(f"{p.name} ({', '.join(p.bands)})" for p in PRODUCTS.values() if p.bands)
            raise ValueError(f"no product {self.product} with band {self.band}; there are {known}")
        return self

    def dates(self) -> list[dt.date]:
        """Return the days that there are: those with a soil-moisture file, or all of an archive, a record or a world.

        Returns
        -------
        list of date
            In order.

        Raises
        ------
        ValueError
            There are no files.
        InputsMissing
            No day is published in the archive.
        """
        if self.granules is not None:
            return sorted(soil_moisture_files(self.granules, self.product, self.orbit))
        if self.archive is not None:
            return sorted(Reader(self.archive).days)
        if self.record is None:
            return days_between(self.start, self.start + (self.days - 1) * DAY)
        record = TrainingArchive.open(self.record)
        return days_between(record.first, record.first + (len(record) - 1) * DAY)

    def folder(self, cache: Path, grid: Grid, within: Within = None) -> Path:
        """Return the folder of the training archive, whether it exists or not.

        Parameters
        ----------
        cache : Path
            Folder of the training archives made from granules and worlds.
        grid : Grid
            Grid of the training archive.
        within : (date, date), optional
            The days of granules or of an archive to read; all if not given.

        Returns
        -------
        Path
            `record` if that is set; else a folder below `cache` whose name depends on the source's settings, the grid
            and the names, sizes and times of the files.
        """
        if self.record is not None:
            return self.record
        made_from = {"granules", "rain", "product", "orbit", "band"}
        if self.world is not None:
            made_from = {"world", "start", "days", "retrieval_noise", "shared_noise"}
        elif self.archive is not None:
            made_from = {"archive"}
        files = [_list_files(folder.rglob("*"), folder) for folder in (self.granules, self.rain) if folder is not None]
        if self.archive is not None:
            files.append(_list_files(ArchivePaths.below(self.archive).day_files(), self.archive))
        origin = self.model_dump(mode="json", include=made_from)
        only = {"within": [day.isoformat() for day in within]} if within else {}
        return cache / digest.of_values(origin | only, grid.digest, files)[:16]

    def is_made(self, cache: Path, grid: Grid) -> bool:
        """Return whether the training archive exists; the arguments are those of `folder`."""
        return (self.folder(cache, grid) / META).exists()

    def open(self, cache: Path, grid: Grid, progress: Progress | None = None, within: Within = None) -> TrainingArchive:
        """Return the training archive; make it below `cache` if it does not exist.

        Parameters
        ----------
        cache : Path
            Folder of the training archives made from granules and worlds.
        grid : Grid
            Grid of the training archive; that of a published archive is its own.
        progress : callable, optional
            Called with the number of days packed and of all days.
        within : (date, date), optional
            The days of granules or of an archive to read; all if not given. A record and a world are opened whole.

        Returns
        -------
        TrainingArchive
            The opened training archive.

        Raises
        ------
        ValueError
            There are no files.
        """
        folder = self.folder(cache, grid, within)
        if (folder / META).exists() or self.record is not None:
            return TrainingArchive.open(folder)
        if self.archive is not None:
            return TrainingArchive.of_archive(folder, self.archive, within=within, progress=progress)
        if self.granules is not None:
            return TrainingArchive.of_granules(
                folder,
                self.granules,
                grid,
                rain=self.rain,
                product=self.product,
                orbit=self.orbit,
                band=self.band,
                within=within,
                progress=progress,
            )
        return TrainingArchive.of_world(
            folder,
            grid,
            seed=self.world or 0,
            first=self.start,
            days=self.days,
            retrieval_noise=self.retrieval_noise,
            shared_noise=self.shared_noise,
            progress=progress,
        )


def _list_files(found: Iterable[Path], folder: Path) -> list[tuple[str, int, int]]:
    """Return the name, size and time of change of every file among paths below a folder."""
    files = sorted(p for p in found if p.is_file())
    return [(str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
