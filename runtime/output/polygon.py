"""Polygons: read them from GeoJSON, and cut the cells of a grid with them.

Lines between the corners of a polygon are straight in longitude and latitude, as RFC 7946 has them. A cell is cut
exactly. Areas are those of a sphere on a regular grid, and of WGS 84 on an EASE-Grid 2.0.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.place import EARTH_KM
from runtime.common.ease2 import authalic
from runtime.common.grid import Grid
from runtime.errors import UsageError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_DEGREES = ("CRS84", "4326", "4979")
"""Endings of the names of coordinate systems in degrees that a GeoJSON file may have."""
_PIECES = 16
"""Pieces of a line as long as a cell is wide, when a part of a cell is measured."""

_MOST_NEAR = 200_000
"""Pairs of near lines, besides a few for each line, up to which polygons are repaired and united: two seconds of a core
and 300 MB."""
_NEAR_A_LINE = 4
"""Lines that may be near each line: polygons side by side share their borders."""
_AT_ONCE = 20_000
"""Corners times cells below which a polygon is cut without cutting it into blocks first."""

Doubles = NDArray[np.float64]


def read_polygon(path: Path) -> BaseGeometry:
    """Return the area that the polygons of a GeoJSON file cover together.

    Parameters
    ----------
    path : Path
        A file with polygons; see `parse_polygon`.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon
        Degrees east and north.

    Raises
    ------
    UsageError
        The file cannot be read, or see `parse_polygon`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_polygon(content, str(path), path)


def parse_polygon(content: bytes, source: str, file: Path | None = None) -> BaseGeometry:
    """Return the area that the polygons of a GeoJSON document cover together.

    Parameters
    ----------
    content : bytes
        The document: polygons, longitude before latitude, degrees; longitudes may be -180 to 180 or 0 to 360.
    source : str
        What it is, for messages.
    file : Path, optional
        The file that it is from, for messages.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon
        Degrees east and north. What a line that crosses itself goes around is inside, however often it does so.

    Raises
    ------
    UsageError
        It is not GeoJSON, has no polygon, has something else than polygons, or is not in degrees; or shapely is not
        installed.
    """
    shapely = _shapely()
    try:
        document = json.loads(content.decode("utf-8-sig"))
        if not isinstance(document, dict):
            raise TypeError(f"a JSON {type(document).__name__} has no geometry")
        named = ((document.get("crs") or {}).get("properties") or {}).get("name", _DEGREES[0])
        parts = list(_geometries(document))
        shapes = [shapely.geometry.shape(part) for part in parts]
        whole = _united([each for each in shapes if each.geom_type.endswith("Polygon")])
    except _TangleError as error:
        raise UsageError(f"{source}: {error}; is it an area?") from error
    except Exception as error:  # JSON of any shape may be there, and shapely has many ways to fail on it
        raise UsageError(f"{source}: is not GeoJSON with polygons ({type(error).__name__}: {error})") from error
    in_degrees = f"ogr2ogr -t_srs EPSG:4326 new.geojson {file.name if file else 'YOUR_FILE'}"
    if not str(named).endswith(_DEGREES):
        raise UsageError(f"{source}: is in {named}; GeoJSON has degrees: {in_degrees}")
    other = next((each.geom_type for each in shapes if not each.geom_type.endswith("Polygon")), None)
    if other:
        raise UsageError(f"{source}: has a {other}; wanted polygons only")
    if not whole.area > 0:  # NaN, too
        raise UsageError(f"{source}: has no polygon with an area")
    west, south, east, north = whole.bounds
    if west < -360 or east > 360 or south < -90 or north > 90:
        raise UsageError(
            f"{source}: goes from {west:g} to {east:g} east and {south:g} to {north:g} north, which are no degrees; "
            f"{in_degrees}"
        )
    return whole


def _geometries(document: Any) -> Iterator[dict[str, Any]]:
    """Yield the geometries in a GeoJSON object; features without one are left out."""
    if document is None:
        return
    for key in ("features", "geometries"):
        if key in document:
            for each in document[key]:
                yield from _geometries(each)
            return
    if document["type"] == "Feature":
        yield from _geometries(document["geometry"])
    else:
        yield document


class _TangleError(Exception):
    """Lines cross each other too often to be an area; the message says which."""


def _united(shapes: Sequence[BaseGeometry]) -> BaseGeometry:
    """Return what polygons cover together: each two of them are united, then each two of those, and so on."""
    shapely = _shapely()
    most = _MOST_NEAR + _NEAR_A_LINE * int(shapely.get_num_coordinates(shapes).sum())
    near, parts = 0, [shapely.Polygon()]
    for polygon in itertools.chain.from_iterable(
        [each] if each.is_valid else shapely.get_parts(each) for each in shapes
    ):
        if polygon.is_valid:
            parts.append(polygon)
            continue
        lines = _straight_lines(polygon)
        near += _near_pairs(lines, lines, 2 * (most - near) + 3 * len(lines)) // 2 - len(lines)
        parts.append(shapely.make_valid(polygon, method="structure", keep_collapsed=False))
    left = np.array(parts)
    while len(left) > 1:
        first, second, rest = left[: len(left) // 2 * 2 : 2], left[1::2], left[len(left) // 2 * 2 :]
        for pair in np.flatnonzero(shapely.intersects(shapely.envelope(first), shapely.envelope(second))):
            near += _near_pairs(_straight_lines(first[pair]), _straight_lines(second[pair]), most - near)
        left = np.concatenate([shapely.union(first, second), rest])
    return left[0]


def _straight_lines(shape: BaseGeometry) -> NDArray[np.object_]:
    """Return the straight lines around the polygons of a shape."""
    shapely = _shapely()
    corners, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shape)), return_index=True)
    lines: NDArray[np.object_] = shapely.linestrings(
        np.stack([corners[:-1], corners[1:]], axis=1)[ring[:-1] == ring[1:]]
    )
    return lines


def _near_pairs(lines: NDArray[np.object_], others: NDArray[np.object_], most: int) -> int:
    """Return how often the box around a line touches that around one of some others.

    Raises
    ------
    _TangleError
        More often than `most`.
    """
    tree, pairs = _shapely().STRtree(others), 0
    for first in range(0, len(lines), 64):
        pairs += tree.query(lines[first : first + 64]).shape[1]
        if pairs > most:
            raise _TangleError("the lines of its polygons cross each other again and again")
    return pairs


def _shapely() -> Any:
    try:
        import shapely
    except ImportError as error:
        raise UsageError(f"polygons need shapely: pip install 'seamless-sm[polygon]' ({error})") from error
    return shapely


def cell_areas(polygon: BaseGeometry, grid: Grid) -> Doubles:
    """Return the area of each cell that is inside a polygon.

    Parameters
    ----------
    polygon : shapely.Polygon or shapely.MultiPolygon
        Degrees east, -360 to 360, and north.
    grid : Grid
        The grid.

    Returns
    -------
    float64 array, shape (rows, cols)
        Square kilometres; 0 for a cell outside the polygon.
    """
    shapely = _shapely()
    areas = np.zeros(grid.shape)
    for turn in (-360.0, 0.0, 360.0):
        turned = shapely.transform(polygon, lambda points, turn=turn: points + np.array([turn, 0.0]))
        west, south, east, north = turned.bounds
        rows = np.flatnonzero((grid.lat_edges[1:] < north) & (grid.lat_edges[:-1] > south))
        cols = np.flatnonzero((grid.lon_edges[:-1] < east) & (grid.lon_edges[1:] > west))
        if not rows.size or not cols.size:
            continue
        cells = shapely.box(
            grid.lon_edges[cols],
            grid.lat_edges[rows + 1][:, None],
            grid.lon_edges[cols + 1],
            grid.lat_edges[rows][:, None],
        )
        flat = shapely.transform(_inside(turned, cells, grid.step), lambda points: _equal_area(points, grid))
        areas[np.ix_(rows, cols)] += shapely.area(flat)
    return areas


def _inside(polygon: BaseGeometry, cells: NDArray[np.object_], step: float) -> NDArray[np.object_]:
    """Return the parts of cells that are inside a polygon, in short pieces: lines that are straight in degrees are
    curved on the cylinder.

    A polygon of many corners is halved with its cells again and again, so that no cell is cut with all of them.
    """
    shapely = _shapely()
    if cells.size == 1 or cells.size * int(shapely.get_num_coordinates(polygon)) < _AT_ONCE:
        shapely.prepare(polygon)
        cut = ~shapely.contains_properly(polygon, cells)  # cells that lie inside as a whole need no cutting
        parts = cells.copy()
        parts[cut] = shapely.segmentize(shapely.intersection(cells[cut], polygon), step / _PIECES)
        return parts
    axis = int(np.argmax(cells.shape))
    halves = np.array_split(cells, 2, axis)
    pieces = [shapely.intersection(polygon, shapely.box(*shapely.total_bounds(half))) for half in halves]
    return np.concatenate([_inside(piece, half, step) for piece, half in zip(pieces, halves, strict=True)], axis)


def _equal_area(points: Doubles, grid: Grid) -> Doubles:
    """Return points, degrees east and north, on a cylinder on which areas are right, in km; shape (points, 2)."""
    longitudes, latitudes = points.T
    height = authalic(latitudes) / authalic(np.array(90.0)) if grid.cell_km else np.sin(np.radians(latitudes))
    return EARTH_KM * np.stack([np.radians(longitudes), height], axis=1)
