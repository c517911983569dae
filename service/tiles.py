"""Tiles for other programs: a day's layer in bytes, and the place of a tile walk in; a PNG walks out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.common.grid import Grid
from runtime.output import colours
from service.maps import GAP, NOTHING, LayerName

SIZE = 256
"""Pixels of a tile's side."""

MAX_ZOOM = 8
"""At zoom 8 a cell of 0.25 degree has some 45 pixels of a side."""

_EQUATOR_M = 2 * np.pi * 6378137.0
_PIXEL_M = 0.00028
"""What OGC's scale denominators take as the size of a pixel."""

Doubles = NDArray[np.float64]


class MatrixSet(StrEnum):
    """The tile matrix sets, by their names in OGC's registry."""

    MERCATOR = "WebMercatorQuad"
    DEGREES = "WorldCRS84Quad"


@dataclass(frozen=True)
class MapTile:
    """The place of a tile."""

    matrix_set: MatrixSet
    zoom: int
    col: int
    row: int

    @property
    def exists(self) -> bool:
        """Whether the matrix set has it."""
        cols, rows = matrix_size(self.matrix_set, self.zoom)
        return 0 <= self.zoom <= MAX_ZOOM and 0 <= self.col < cols and 0 <= self.row < rows

    def places(self) -> tuple[Doubles, Doubles]:
        """Return the latitudes of its rows of pixels, north first, and the longitudes of its columns, degrees."""
        pixels = (np.arange(SIZE) + 0.5) / SIZE
        cols, rows = matrix_size(self.matrix_set, self.zoom)
        longitudes = (self.col + pixels) / cols * 360 - 180
        down = (self.row + pixels) / rows
        if self.matrix_set is MatrixSet.DEGREES:
            return 90 - 180 * down, longitudes
        return np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * down)))), longitudes


def matrix_size(matrix_set: MatrixSet, zoom: int) -> tuple[int, int]:
    """Return the columns and rows of tiles at a zoom."""
    rows = 2 ** max(zoom, 0)
    return (2 * rows if matrix_set is MatrixSet.DEGREES else rows), rows


def scale_denominator(matrix_set: MatrixSet, zoom: int) -> float:
    """Return the scale of a zoom at the equator, as OGC defines it."""
    return float(_EQUATOR_M / (SIZE * matrix_size(matrix_set, zoom)[0]) / _PIXEL_M)


def palette(layer: LayerName) -> dict[int, str]:
    """Return the colour of each byte of `service.maps.encode_map`, as ``#rrggbb``; others are transparent."""
    if known := colours.CATEGORIES.get(layer):
        return {GAP: colours.NO_VALUE} | {
            value: colour for value, (_, colour) in known.items() if colour != colours.NO_LAND
        }
    return {**dict(enumerate(colours.SCALES[layer].colours)), GAP: colours.NO_VALUE}


def draw_tile(cells: NDArray[np.uint8], grid: Grid, layer: LayerName, tile: MapTile) -> bytes:
    """Return a tile as PNG: each pixel has the colour of the cell that its centre is in.

    Parameters
    ----------
    cells : uint8 array, shape (rows, cols)
        What `service.maps.encode_map` returns, unpacked.
    grid : Grid
        The archive's grid.
    layer : LayerName
        The layer, for its colours.
    tile : MapTile
        The place; it must exist.

    Returns
    -------
    bytes
        A PNG of 256 x 256 pixels with a palette; what is not land, or outside the grid, is transparent.
    """
    latitudes, longitudes = tile.places()
    rows = np.searchsorted(-grid.lat_edges, -latitudes) - 1
    cols = np.floor((longitudes - grid.west) % 360 / grid.step).astype(int)
    here = ((rows >= 0) & (rows < len(cells)))[:, None] & (cols < cells.shape[1])
    found = cells[np.clip(rows, 0, len(cells) - 1)[:, None], np.minimum(cols, cells.shape[1] - 1)]
    colour = palette(layer)
    picture = Image.fromarray(np.where(here, found, NOTHING).astype(np.uint8), "P")
    picture.putpalette(b"".join(bytes.fromhex(colour.get(byte, colours.NO_LAND)[1:]) for byte in range(256)))
    out = io.BytesIO()
    picture.save(out, "PNG", transparency=bytes(255 if byte in colour else 0 for byte in range(256)))
    return out.getvalue()
