"""The grid of all fields: cells, land, and whether longitude wraps."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from runtime.common import ease2
from runtime.common.regrid import to_grid
from runtime.errors import ConfigError

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
STEP = 0.25
"""Cell size of the usual, regular grid, degrees."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of latitudes and longitudes, row 0 northernmost, column 0 westernmost.

    A grid is regular, or, if its columns have the width of those of an EASE-Grid 2.0, a part of that: rows are then the
    higher the farther they are from the equator.
    """

    north: float
    """Northern edge of the first row, degrees north."""
    west: float
    """Western edge of the first column, degrees east."""
    land: Bools
    """Shape (rows, cols); True where soil moisture is wanted."""
    step: float = STEP
    """Width of a cell, degrees; on a regular grid also its height."""

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

    @classmethod
    def ease2(cls, cell_km: int) -> Grid:
        """Return the EASE-Grid 2.0 of the globe with the packaged land mask; see `Grid.with_land`.

        Parameters
        ----------
        cell_km : int
            Nominal cell size: 36, 25 or 9.

        Returns
        -------
        Grid
            The grid, of shape (406, 964), (584, 1388) or (1624, 3856).
        """
        shape = ease2.SHAPES[cell_km]
        north = float(ease2.ease2_edges(cell_km)[0][-1])
        return cls(north, -180.0, np.zeros(shape, bool), 360.0 / shape[1]).with_land()

    @classmethod
    def of_axes(cls, latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> Grid:
        """Return the grid with these cell centres, on which everything is sea; see `Grid.with_land`.

        Parameters
        ----------
        latitudes : float64 array, shape (rows,)
            Degrees north, northernmost first.
        longitudes : float64 array, shape (cols,)
            Degrees east, westernmost first.

        Returns
        -------
        Grid
            A part of an EASE-Grid 2.0 where the centres are its; otherwise regular.
        """
        land = np.zeros((latitudes.size, longitudes.size), bool)
        for cell_km, (_, cols) in ease2.SHAPES.items():
            lat_edges, lon_edges = ease2.ease2_edges(cell_km)
            row, col = np.searchsorted(lat_edges, latitudes[0]), np.searchsorted(lon_edges, longitudes[0]) - 1
            grid = cls(float(lat_edges[row % lat_edges.size]), float(lon_edges[col]), land, 360.0 / cols)
            centres = (grid.latitudes, latitudes), (grid.longitudes, longitudes)
            if all(its.size == wanted.size and np.abs(its - wanted).max() < 1e-6 for its, wanted in centres):
                return grid
        longest = max(latitudes, longitudes, key=len)
        step = float(abs(longest[-1] - longest[0]) / (longest.size - 1)) if longest.size > 1 else STEP
        return cls(float(latitudes[0]) + step / 2, float(longitudes[0]) - step / 2, land, step)

    def with_land(self) -> Grid:
        """Return this grid with the packaged land mask: land are cells of whose area at least half is land."""
        globe = Grid.globe()
        share = to_grid(globe.land.astype(np.float32), globe.lat_edges, globe.lon_edges, self)
        return replace(self, land=share >= 0.5 - 1e-5)  # cells that are exactly half land are land on every machine

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
            north=float(self.lat_edges[rows[0]]),
            west=float(self.lon_edges[cols[0]]),
            land=self.land[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy(),
            step=self.step,
        )

    def cell(self, latitude: float, longitude: float) -> tuple[int, int] | None:
        """Return the row and the column of the cell that contains a point; None outside the grid.

        Parameters
        ----------
        latitude : float
            Degrees north.
        longitude : float
            Degrees east, -180 to 360.

        Returns
        -------
        (int, int) or None
            Row and column; of two cells that share an edge, the northern and the western one.
        """
        slack = self.step * 1e-9
        south_first, west_first = self.lat_edges[::-1], self.lon_edges
        east = longitude - 360 if longitude > west_first[-1] + slack else longitude
        if not (south_first[0] - slack <= latitude <= south_first[-1] + slack):
            return None
        if not (west_first[0] - slack <= east <= west_first[-1] + slack):
            return None
        rows, cols = self.shape
        row = rows - int(np.searchsorted(south_first, latitude, "right"))
        col = int(np.searchsorted(west_first, east, "left")) - 1
        return min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)

    def picture_rows(self) -> NDArray[np.intp]:
        """Return, for each line of a picture whose lines are equally high, the row that it shows.

        Returns
        -------
        int array, shape (lines,)
            From north to south; all rows in order on a regular grid, otherwise with repeated ones.
        """
        edges = self.lat_edges
        count = math.ceil((edges[0] - edges[-1]) / -np.diff(edges).max() - 1e-6)
        middles = edges[0] + (edges[-1] - edges[0]) * (np.arange(count) + 0.5) / count
        return np.asarray(self.shape[0] - np.searchsorted(edges[::-1], middles))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        rows, cols = self.land.shape
        return rows, cols

    @property
    def wraps(self) -> bool:
        """Whether the grid goes all around the globe, so that the last column is next to the first."""
        return abs(self.shape[1] * self.step - 360.0) < 1e-6

    @property
    def cell_km(self) -> int | None:
        """Nominal cell size of an EASE-Grid 2.0; None for a regular grid."""
        return ease2.cell_km_of(self.step)

    @property
    def cell_size(self) -> float:
        """Size of a cell, m: its height on a regular grid, the side of a square of its area on an EASE-Grid 2.0."""
        return ease2.cell_size(self.cell_km) if self.cell_km else self.step * 111_195

    @cached_property
    def lat_edges(self) -> NDArray[np.float64]:
        """The edges of the rows, degrees north, north first; one more than rows."""
        rows = self.shape[0]
        if self.cell_km is None:
            return np.asarray(self.north - self.step * np.arange(rows + 1))
        return ease2.ease2_edges(self.cell_km)[0][::-1][self._first_row :][: rows + 1]

    @cached_property
    def lon_edges(self) -> NDArray[np.float64]:
        """The edges of the columns, degrees east, west first; one more than columns."""
        return np.asarray(self.west + self.step * np.arange(self.shape[1] + 1))

    @cached_property
    def latitudes(self) -> NDArray[np.float64]:
        """Cell centres, degrees north, north first; on an EASE-Grid 2.0 half of a row's area is north of its centre."""
        rows = self.shape[0]
        if self.cell_km is None:
            return np.asarray(self.north - self.step * (np.arange(rows) + 0.5), np.float64)
        return ease2.ease2_latitudes(self.cell_km)[::-1][self._first_row :][:rows]

    @property
    def _first_row(self) -> int:
        """The number of the first row on the globe's EASE-Grid 2.0."""
        assert self.cell_km
        return int(np.abs(ease2.ease2_edges(self.cell_km)[0][::-1] - self.north).argmin())

    @cached_property
    def longitudes(self) -> NDArray[np.float64]:
        """Cell centres, degrees east in -180..180, west first."""
        return np.asarray(self.west + self.step * (np.arange(self.shape[1]) + 0.5), np.float64)

    @cached_property
    def digest(self) -> str:
        """The sha256 of position, cell size and land mask: equal for equal grids."""
        head = f"{self.north:.6f} {self.west:.6f} {self.step:.6f} {self.shape}".encode()
        return hashlib.sha256(head + np.packbits(self.land).tobytes()).hexdigest()
