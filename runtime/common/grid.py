"""The grid of all fields: cell centres, land, and whether longitude wraps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ConfigError

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
STEP = 0.25
"""Usual cell size, degrees."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular latitude-longitude grid, row 0 northernmost, column 0 westernmost."""

    north: float
    """Northern edge of the first row, degrees north."""
    west: float
    """Western edge of the first column, degrees east."""
    land: Bools
    """Shape (rows, cols); True where soil moisture is wanted."""
    step: float = STEP
    """Cell size, degrees."""

    @classmethod
    @cache
    def globe(cls) -> Grid:
        """Return the 0.25 degree globe (720, 1440) with the packaged land mask, which cannot be changed."""
        from runtime.common.netcdf import open_dataset

        with (
            resources.as_file(resources.files("runtime") / "data" / "land_mask.nc") as path,
            open_dataset(path) as file,
        ):
            land = np.asarray(file["land"][:]) == 1
        land.flags.writeable = False  # all callers have the same array
        return cls(north=90.0, west=-180.0, land=land)

    def box(self, west: float, south: float, east: float, north: float) -> Grid:
        """Return the part of this grid whose cell centres lie inside a box.

        Parameters
        ----------
        west : float
            Western edge, degrees east.
        south : float
            Southern edge, degrees north.
        east : float
            Eastern edge, degrees east.
        north : float
            Northern edge, degrees north.

        Returns
        -------
        Grid
            The rows and columns inside the box.

        Raises
        ------
        ConfigError
            The box contains no cell of the grid.
        """
        rows = np.flatnonzero((self.latitudes > south) & (self.latitudes < north))
        cols = np.flatnonzero((self.longitudes > west) & (self.longitudes < east))
        if not rows.size or not cols.size:
            raise ConfigError(
                f"grid.box [{west}, {south}, {east}, {north}] holds no cell of the grid; "
                "give [west, south, east, north] in degrees, west < east, within -180..180 and -90..90"
            )
        return Grid(
            north=self.north - self.step * float(rows[0]),
            west=self.west + self.step * float(cols[0]),
            land=self.land[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy(),
            step=self.step,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        rows, cols = self.land.shape
        return rows, cols

    @property
    def wraps(self) -> bool:
        """Whether the grid goes all around the globe, so that the last column is next to the first."""
        return abs(self.shape[1] * self.step - 360.0) < 1e-6

    @cached_property
    def latitudes(self) -> NDArray[np.float64]:
        """Cell centres, degrees north, north first."""
        return np.asarray(self.north - self.step * (np.arange(self.shape[0]) + 0.5), np.float64)

    @cached_property
    def longitudes(self) -> NDArray[np.float64]:
        """Cell centres, degrees east in -180..180, west first."""
        return np.asarray(self.west + self.step * (np.arange(self.shape[1]) + 0.5), np.float64)

    @cached_property
    def digest(self) -> str:
        """The sha256 of position, cell size and land mask: equal for equal grids."""
        head = f"{self.north:.6f} {self.west:.6f} {self.step:.6f} {self.shape}".encode()
        return hashlib.sha256(head + np.packbits(self.land).tobytes()).hexdigest()
