"""EASE-Grid 2.0 global (EPSG:6933): the rows and columns of a cylindrical equal-area grid on WGS 84.

Columns are evenly spaced in longitude, and rows lie between circles of latitude: a field has an axis of latitudes and
one of longitudes as on a regular grid, only that rows are the higher the farther they are from the equator. Sources:
Brodzik et al. (2012, doi:10.3390/ijgi1010032), corrected in 2014 (doi:10.3390/ijgi3031154); Snyder (1987, USGS
Professional Paper 1395), equations 3-12 and 10-14 to 10-16.

The formulas are written out because they are short. pyproj would bring PROJ and its database into every installation,
and PROJ stops where another program's environment variables name another database. The tests compare with pyproj.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SHAPES = {36: (406, 964), 25: (584, 1388), 9: (1624, 3856)}
"""Rows and columns of the globe, by the nominal cell size in km."""

_RADIUS = 6378137.0
"""Equatorial radius of WGS 84, m."""
_FLATTENING = 1 / 298.257223563
_E2 = _FLATTENING * (2 - _FLATTENING)
"""Eccentricity of WGS 84, squared."""
_E = np.sqrt(_E2)
_TRUE_SCALE = np.radians(30.0)
"""Latitude at which cells are as wide as high."""
_K0 = np.cos(_TRUE_SCALE) / np.sqrt(1 - _E2 * np.sin(_TRUE_SCALE) ** 2)


def authalic(latitudes: NDArray[np.floating[Any]]) -> Doubles:
    """Return q(phi) of WGS 84, which grows with the area between the equator and a latitude.

    Parameters
    ----------
    latitudes : float array
        Degrees north.

    Returns
    -------
    float64 array
        Snyder's equation 3-12: 0 at the equator, about 1.9955 at the north pole.
    """
    return _q_of_sine(np.sin(np.radians(latitudes)))


def _q_of_sine(sine: Doubles) -> Doubles:
    return np.asarray((1 - _E2) * (sine / (1 - _E2 * sine**2) + np.arctanh(_E * sine) / _E))


def _latitudes(q: Doubles) -> Doubles:
    """Return the latitudes with these values of `authalic`, degrees north, to 1e-9.

    Rounded, so that no published byte depends on the last digit of a machine's sine.
    """
    sine = q / _q_of_sine(np.ones(()))
    for _ in range(4):  # Newton's method; the third step is exact
        sine = sine - (_q_of_sine(sine) - q) * (1 - _E2 * sine**2) ** 2 / (2 * (1 - _E2))
    return np.asarray(np.degrees(np.arcsin(sine)).round(9))


def cell_size(cell_km: int) -> float:
    """Return the exact cell size in m, for example 36032.22 for 36 km: the globe's width divided by the columns."""
    return float(2 * np.pi * _RADIUS * _K0 / SHAPES[cell_km][1])


def ease2_edges(cell_km: int) -> tuple[Doubles, Doubles]:
    """Return the edges of the rows and columns of the globe.

    Parameters
    ----------
    cell_km : int
        36, 25 or 9.

    Returns
    -------
    lat_edges : float64 array, shape (rows + 1,)
        Degrees north, ascending; the outermost are 7314540.83 m from the equator (7307375.92 m for 25 km).
    lon_edges : float64 array, shape (columns + 1,)
        Degrees east, ascending from -180 to 180.
    """
    return _rows_and_columns(cell_km)[:2]


def ease2_latitudes(cell_km: int) -> Doubles:
    """Return the latitudes of the rows of the globe: their middle in the projection, degrees north, ascending."""
    return _rows_and_columns(cell_km)[2]


@cache
def _rows_and_columns(cell_km: int) -> tuple[Doubles, Doubles, Doubles]:
    """Return the edges of the rows, the edges of the columns and the latitudes of the rows."""
    rows, cols = SHAPES[cell_km]
    halves = (np.arange(2 * rows + 1) / 2 - rows / 2) * cell_size(cell_km)  # m north of the equator
    latitudes = _latitudes(2 * _K0 * halves / _RADIUS)
    axes = latitudes[::2], np.linspace(-180.0, 180.0, cols + 1), latitudes[1::2]
    for axis in axes:
        axis.flags.writeable = False
    return axes


def project(latitude: float, longitude: float) -> tuple[float, float]:
    """Return the coordinates of a point in EPSG:6933: m east and m north."""
    north = float(authalic(np.array(latitude)) * _RADIUS / (2 * _K0))
    return float(np.radians(longitude) * _RADIUS * _K0), north


def cell_km_of(step: float) -> int | None:
    """Return the cell size of the EASE-Grid 2.0 whose columns have this width in degrees; None if there is none."""
    return next((km for km, (_, cols) in SHAPES.items() if abs(step * cols - 360.0) < 1e-6), None)
