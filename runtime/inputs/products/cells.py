"""Where the cells of a file are, and how its values come to the cells of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.common.ease2 import ease2_edges
from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import Dataset
from runtime.common.regrid import cell_edges, has_cells_of, to_grid
from runtime.common.sensors import Product
from runtime.errors import InputRefused
from runtime.inputs.products.granule import FETCH_AGAIN, MAX_AXIS, find_variable, full_name, require_cover, variable

_AXES = {"lat": "lat", "latitude": "lat", "y": "lat", "lon": "lon", "longitude": "lon", "x": "lon"}
"""Names of dimensions in lower case, and which of the two axes they are."""

_COARSEST, _COARSEST_CELLS = 0.4, 2.5
"""Largest cell of a file, degrees, and in cells of the grid; a file of larger ones is of another product."""

_SLACK = 1e-3
"""Difference of two positions that is rounding, degrees."""

Edges = NDArray[np.float64]


@dataclass(frozen=True)
class FileCells:
    """Where the rows and columns of a file are: the centres as the file has them, or the edges, ascending."""

    centres: tuple[NDArray[Any], NDArray[Any]] | None = None
    """Latitudes and longitudes, degrees, in the order of the values."""
    edges: tuple[Edges, Edges] | None = None
    """Edges of rows and columns, ascending, degrees; the values' first row is then the southernmost."""


def layer(source: Any, product: Product, path: Path) -> NDArray[Any]:
    """Return the stored values of a variable, with latitude as the first axis.

    Parameters
    ----------
    source : netCDF4.Variable
        The variable.
    product : Product
        The product, whose declaration may name the dimensions.
    path : Path
        The file, for messages.

    Returns
    -------
    array, shape (lat, lon)
        In the file's order.

    Raises
    ------
    InputRefused
        It does not have one dimension of each, or another one that is longer than 1.
    """
    axes = _axes(source, product)
    rest = [size for size, axis in zip(source.shape, axes, strict=False) if axis is None]
    if len(axes) != source.ndim or sorted(axis for axis in axes if axis) != ["lat", "lon"] or set(rest) - {1}:
        raise InputRefused(
            f"{path}: {source.name} has dimensions {source.dimensions} of lengths {source.shape}, wanted longitude and "
            "latitude; check the feed's product"
        )
    values = np.asarray(source[tuple(slice(None) if axis else 0 for axis in axes)])
    return values if axes.index("lat") < axes.index("lon") else values.T


def _axes(source: Any, product: Product) -> list[str | None]:
    names = product.dimensions or source.dimensions
    return [_AXES.get(name.lower()) for name in names]


def find_cells(file: Dataset, source: Any, values: NDArray[Any], product: Product, path: Path) -> FileCells:
    """Return where the cells of a variable are, by its product's declaration.

    Parameters
    ----------
    file : netCDF4.Dataset
        The open file.
    source : netCDF4.Variable
        The variable.
    values : array, shape (lat, lon)
        Its values, from `layer`.
    product : Product
        The product.
    path : Path
        The file, for messages.

    Raises
    ------
    InputRefused
        The values have another shape than the product's grid, or the file's coordinates are of another grid.
    """
    grid = product.grid
    if grid.kind == "coordinates":
        centres = [_coordinate(file, source, axis, product, path) for axis in ("lat", "lon")]
        for axis, size in zip(centres, values.shape, strict=True):
            if axis.size != size:
                raise InputRefused(
                    f"{path}: {source.name} has {values.shape} cells, its axis {axis.size}; {FETCH_AGAIN}"
                )
        return FileCells(centres=(centres[0], centres[1]))
    if grid.step:
        rows, cols = round(180 / grid.step), round(360 / grid.step)
        _check_shape(values, (rows, cols), product, path)
        return FileCells(
            centres=(90 - grid.step * (np.arange(rows) + 0.5), -180 + grid.step * (np.arange(cols) + 0.5)),
        )
    lat, lon = ease2_edges(grid.cell_km or 0)
    _check_shape(values, (lat.size - 1, lon.size - 1), product, path)
    return FileCells(edges=(lat, lon))


def is_south_first(file: Dataset, source: Any, product: Product, path: Path) -> bool:
    """Return whether the first row of a file on EASE-Grid 2.0 is the southernmost; north comes first unless it says so.

    Raises
    ------
    InputRefused
        The file has latitudes of rows, and they are of another grid.
    """
    name = _coordinate_name(source, "lat", product)
    found = find_variable(file, [name])
    if found is None or found.ndim != 1:
        return False
    stored = np.asarray(variable(file, path, name, most=MAX_AXIS)[:], np.float64)
    edges = ease2_edges(product.grid.cell_km or 0)[0]
    computed = (edges[1:] + edges[:-1]) / 2
    is_given = np.isfinite(stored) & (np.abs(stored) <= 90)
    if stored.size != computed.size or not is_given.any():
        return False
    differences = [float(np.abs((stored - each)[is_given]).max()) for each in (computed, computed[::-1])]
    if min(differences) > np.diff(edges).min():
        raise InputRefused(f"{path}: wrong grid: its latitudes are not those of {product.grid}; {FETCH_AGAIN}")
    return differences[0] < differences[1]


def _coordinate_name(source: Any, axis: str, product: Product) -> str:
    """Return the name of the variable with the coordinates of an axis, with its groups."""
    declared = product.grid.lat if axis == "lat" else product.grid.lon
    own = source.dimensions[_axes(source, product).index(axis)]
    group = full_name(source).rpartition("/")[0]
    return declared or (f"{group}/{own}" if group else own)


def _coordinate(file: Dataset, source: Any, axis: str, product: Product, path: Path) -> NDArray[Any]:
    name = _coordinate_name(source, axis, product)
    names = dict.fromkeys((name, name.rpartition("/")[2]))
    found = variable(file, path, *names, dimensions=1, most=MAX_AXIS)
    return np.asarray(found[:])


def _check_shape(values: NDArray[Any], wanted: tuple[int, int], product: Product, path: Path) -> None:
    if values.shape != wanted:
        raise InputRefused(
            f"{path}: wrong grid: has {values.shape[0]} x {values.shape[1]} cells, {product.grid} has "
            f"{wanted[0]} x {wanted[1]}; check the feed's product"
        )


def are_as_large(cells: FileCells, grid: Grid) -> bool:
    """Return whether cells are as large as those of a grid, so that values are taken and not averaged."""
    if cells.centres is None:
        return False
    with np.errstate(invalid="ignore"):  # a damaged axis may contain any values
        steps = [np.abs(np.diff(axis.astype(np.float64))) for axis in cells.centres]
    # what is no axis at all is left to `put_on`, which says so
    return all(not step.size or not abs(np.median(step) - grid.step) > _SLACK for step in steps)


def put_on(values: Floats, cells: FileCells, path: Path, grid: Grid, *, is_partial: bool) -> Floats:
    """Return a file's values on the cells of a grid: taken where the grid's cells are cells of the file, else averaged.

    Parameters
    ----------
    values : float32 array, shape (lat, lon)
        The file's values, NaN for none.
    cells : FileCells
        Where they are.
    path : Path
        The file, for messages.
    grid : Grid
        The grid.
    is_partial : bool
        Whether the file may cover less than the grid's land.

    Returns
    -------
    float32 array, shape (rows, cols)
        The grid's shape; an average is NaN where less than half of a cell has a value.

    Raises
    ------
    InputRefused
        The file's cells are not evenly spaced, are much larger than the grid's, or do not cover its land.
    """
    if cells.edges:
        return to_grid(values, *cells.edges, grid)
    assert cells.centres
    with np.errstate(invalid="ignore"):  # a damaged axis may contain any values
        longitudes = np.asarray(cells.centres[1], np.float64)
        if longitudes.max(initial=0.0) > 180:
            longitudes = (longitudes + 180.0) % 360.0 - 180.0
    west_first = np.argsort(longitudes)
    lat = cell_edges(cells.centres[0], path, "latitude").clip(-90, 90)
    lon = cell_edges(longitudes[west_first], path, "longitude")
    if not is_partial:
        require_cover(lat, lon, path, grid)
    if not is_partial and are_as_large(cells, grid) and not has_cells_of(lat, lon, grid):
        raise InputRefused(
            f"{path}: wrong grid: its cells are as large as the grid's and lie elsewhere, one from {lat[0]:g} N and "
            f"{lon[0]:g} E; check the feed's product"
        )
    if abs(lat[1] - lat[0]) > max(_COARSEST, _COARSEST_CELLS * grid.step):
        raise InputRefused(f"{path}: wrong grid: cells of {abs(lat[1] - lat[0]):g} degrees; check the feed's product")
    if (np.diff(west_first) != 1).any():
        values = values[:, west_first]
    return to_grid(values, lat, lon, grid)
