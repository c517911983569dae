"""Places as text, and the land cell next to a place in the sea."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools

EARTH_KM = 6371.0
"""Mean radius of the earth."""


def place_text(latitude: float, longitude: float) -> str:
    """Return a place as text, for example ``45.125° N, 2.125° E``."""
    ns, ew = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):g}° {ns}, {abs(longitude):g}° {ew}"


def sea_text(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64], land: Bools, row: int, col: int) -> str:
    """Return that a cell is in the sea, and where the nearest land cell is.

    Parameters
    ----------
    latitudes : float64 array, shape (rows,)
        Cell centres, degrees north.
    longitudes : float64 array, shape (cols,)
        Cell centres, degrees east.
    land : bool array, shape (rows, cols)
        True on land.
    row : int
        Row of the cell.
    col : int
        Column of the cell.
    """
    text = f"{place_text(latitudes[row], longitudes[col])} is in the sea"
    rows, cols = np.nonzero(land)
    if not rows.size:
        return f"{text}, as all of the archive is"
    lat, lon = np.radians(latitudes), np.radians(longitudes)
    # haversine formula
    share = np.sin((lat[rows] - lat[row]) / 2) ** 2
    share += np.cos(lat[rows]) * np.cos(lat[row]) * np.sin((lon[cols] - lon[col]) / 2) ** 2
    nearest = int(share.argmin())
    distance = 2 * EARTH_KM * float(np.arcsin(np.sqrt(share[nearest])))
    place = place_text(latitudes[rows[nearest]], longitudes[cols[nearest]])
    return f"{text}; the nearest land cell is {place}, {distance:.0f} km away"
