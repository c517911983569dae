"""The grid and the layout of an archive: written in its catalog, and stated by each of its daily files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.archive.layout import LAYOUTS, layout_of
from runtime.archive.paths import ArchivePaths
from runtime.common.grid import Grid
from runtime.common.netcdf import LOCK
from runtime.common.vocabulary import LayoutName
from runtime.errors import ArchiveError, ConfigError

if TYPE_CHECKING:
    from runtime.archive.catalog import Catalog

REMAKE = "`runtime reprocess --all` makes it again"
"""What to do about a day with another grid or layout than its archive."""


@dataclass(frozen=True, kw_only=True)
class ArchiveFormat:
    """The grid and the layout that all daily files of an archive have."""

    layout: LayoutName
    north: float
    """Northern edge of the first row, degrees north."""
    west: float
    """Western edge of the first column, degrees east."""
    step: float
    """Width of a cell, degrees; see `Grid.step`."""
    rows: int
    cols: int

    @classmethod
    def of(cls, grid: Grid, layout: LayoutName) -> ArchiveFormat:
        """Return the format of days on this grid in this layout."""
        rows, cols = grid.shape
        return cls(layout=layout, north=grid.north, west=grid.west, step=grid.step, rows=rows, cols=cols)

    @classmethod
    def of_file(cls, path: Path) -> ArchiveFormat:
        """Read the format of a daily file.

        Raises
        ------
        ArchiveError
            The file cannot be read.
        """
        layout = layout_of(path)
        try:
            with LOCK:
                latitudes, longitudes = layout.axes(path)
            name = next(name for name, known in LAYOUTS.items() if known is layout)
            return cls.of_axes(latitudes, longitudes, name)
        except (OSError, RuntimeError, LookupError) as error:
            raise ArchiveError(f"{path}: cannot be read ({error}); `runtime fill` makes it again") from error

    @classmethod
    def of_axes(
        cls, latitudes: NDArray[np.float64], longitudes: NDArray[np.float64], layout: LayoutName
    ) -> ArchiveFormat:
        """Return the format with these cell centres: latitudes, northernmost first, and longitudes, degrees."""
        return cls.of(Grid.of_axes(latitudes, longitudes), layout)

    def has_grid_of(self, other: ArchiveFormat) -> bool:
        """Whether both have the same cells. Edges may differ a little: one layout stores cell centres as float32."""
        far = max(self.rows, self.cols)
        return (self.rows, self.cols) == (other.rows, other.cols) and all(
            abs(mine - its) < self.step / 100
            for mine, its in (
                (self.north, other.north),
                (self.west, other.west),
                (self.step * far, other.step * far),
            )
        )

    def is_that_of(self, other: ArchiveFormat) -> bool:
        """Whether grid and layout are the same."""
        return self.layout is other.layout and self.has_grid_of(other)

    def __str__(self) -> str:
        grid = Grid(self.north, self.west, np.zeros((self.rows, self.cols), bool), self.step)
        south, east = grid.lat_edges[-1], grid.lon_edges[-1]
        edges = f"{south:.6g} to {self.north:.6g} N and {self.west:.6g} to {east:.6g} E"
        size = f"{grid.cell_km} km (EASE-Grid 2.0)" if grid.cell_km else f"{self.step:.4g} degrees"
        return f"{self.rows} x {self.cols} cells of {size}, {edges}, in the layout {self.layout}"


def archive_format(archive: Path, catalog: Catalog) -> ArchiveFormat | None:
    """Return the grid and layout of an archive: the noted ones, or those of its newest daily file.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    catalog : Catalog
        Its catalog. One of an older version, and one that was lost, has no note.

    Returns
    -------
    ArchiveFormat or None
        None for an archive without days, which may get any grid and layout.
    """
    noted = catalog.noted_format()
    if noted and catalog.count():
        return noted
    published = [archive / path for _, path, _ in catalog.files()] or ArchivePaths.below(archive).day_files()
    return (noted or _first_readable(reversed(published))) if published else None


def _first_readable(files: Iterable[Path]) -> ArchiveFormat | None:
    """Return the format of the first file that can be read; None if there is none."""
    return next((its for path in files if (its := format_if_readable(path))), None)


def format_if_readable(path: Path) -> ArchiveFormat | None:
    """Return the format of a daily file; None if it cannot be read."""
    try:
        return ArchiveFormat.of_file(path)
    except ArchiveError:
        return None


def days_of_other_format(
    archive: Path, catalog: Catalog, wanted: ArchiveFormat | None = None
) -> dict[dt.date, ArchiveFormat]:
    """Return the published days whose file has another grid or layout, with what they have.

    One file is read for each digest of settings in the catalog: that digest covers grid and layout.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    catalog : Catalog
        Its catalog.
    wanted : ArchiveFormat, optional
        Another grid or layout than this one; without it, than those of the archive.

    Returns
    -------
    dict of date to ArchiveFormat
        In order.
    """
    wanted, found = wanted or archive_format(archive, catalog), dict[dt.date, ArchiveFormat]()
    for files in catalog.files_by_settings().values():
        its = _first_readable(archive / path for path in files.values())
        if its and wanted and not its.is_that_of(wanted):
            found |= dict.fromkeys(files, its)
    return dict(sorted(found.items()))


def note_format(archive: Path, catalog: Catalog, wanted: ArchiveFormat) -> None:
    """Write down the grid and layout of an archive without days, or of one of an older version.

    Raises
    ------
    ConfigError
        The archive has days, and another grid or layout.
    """
    require_format(archive, catalog, wanted)
    noted = catalog.noted_format()
    if noted is None or not noted.is_that_of(wanted):
        catalog.write_format(wanted)


def require_format(archive: Path, catalog: Catalog, wanted: ArchiveFormat) -> None:
    """Refuse to give an archive another grid or layout.

    Raises
    ------
    ConfigError
        The archive has days, and another grid or layout.
    """
    found = archive_format(archive, catalog)
    if found and not found.is_that_of(wanted):
        raise ConfigError(
            f"{archive}: its days have {found}, and the configuration ([grid], archive.layout) gives {wanted}; set "
            "archive.path to a new archive, or make every day again with `runtime reprocess --all`"
        )
