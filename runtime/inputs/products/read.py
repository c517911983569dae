"""Read one file of any product into one field on the grid, by the product's declaration."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import Dataset
from runtime.common.quality import ProductMarks, QualityBit
from runtime.common.sensors import Product
from runtime.common.vocabulary import InputVariable
from runtime.errors import InputRefused
from runtime.inputs.products.cells import FileCells, are_as_large, find_cells, is_south_first, layer, put_on
from runtime.inputs.products.days import check_day
from runtime.inputs.products.granule import FETCH_AGAIN, Reading, open_granule, variable
from runtime.inputs.products.quality import product_marks, refusals
from runtime.inputs.products.units import holds_value, outside_range, packing, unit_factor

MAX_DAILY = 3000.0
"""Largest plausible precipitation, mm/day; the largest ever measured on one day is 1825 mm (La Reunion, 1966)."""


@dataclass(frozen=True)
class FileField:
    """What a file has, on its own cells."""

    variable: str
    """Name of the variable."""
    values: Floats
    """Shape (lat, lon); m3 m-3 or mm/day, NaN for none."""
    cells: FileCells
    factor: float
    """What values in the file's unit were multiplied by."""
    removed: dict[str, tuple[int, int]]
    """For each reason to leave values out: the number of cells it holds for, and of those that had a value before."""
    marks: ProductMarks | None = None
    """What the file says of its cells, in their order; None if it says nothing."""

    @property
    def coverage(self) -> float:
        """Share of the file's cells that have a value."""
        return float((~np.isnan(self.values)).mean())


def read_field(
    product: Product, path: Path, date: dt.date, grid: Grid, band: str | None = None, orbit: str | None = None
) -> Reading:
    """Read one day of a product.

    Parameters
    ----------
    product : Product
        The product.
    path : Path
        The file.
    date : dt.date
        The day it must contain.
    grid : Grid
        The grid. If the file's cells are as large, they are taken as they are; else they are averaged by area.
    band : str, optional
        Band, for products that have several; the first unless given.
    orbit : str, optional
        ``descending`` or ``ascending``, for files that have both; the first of the product's unless given.

    Returns
    -------
    Reading
        The field in m3 m-3 or mm/day, NaN for no value, and of soil moisture the share of the file's cells that have
        one. LPRM's values of 0.99 are saturated retrievals; they are kept as the product has them.

    Raises
    ------
    InputRefused
        The file is not NetCDF or HDF5, is cut short, has another grid, another day or another unit, does not have the
        variable, has implausible values, or none at all.
    """
    words = product.words(band, orbit)
    with open_granule(path) as file, np.errstate(all="ignore"):  # a damaged file may contain any numbers
        found = decode(file, product, path, words, date)
    is_rain = product.what is InputVariable.PRECIPITATION
    field = on_grid(found, product, path, grid)
    marks = _marks_on_grid(found, product, path, grid) if np.isfinite(field).any() else None
    return Reading(field, None if is_rain else found.coverage, marks)


def _marks_on_grid(found: FileField, product: Product, path: Path, grid: Grid) -> ProductMarks | None:
    """Return what a file says of the cells of a grid; a larger cell is marked if half of it is."""
    if found.marks is None:
        return None
    bits = np.zeros(grid.shape, np.uint8)
    for bit in QualityBit(found.marks.judged):
        share = ((found.marks.bits & bit) > 0).astype(np.float32)
        bits[put_on(share, found.cells, path, grid, is_partial=product.grid.partial) >= 0.5] |= np.uint8(bit)
    return ProductMarks(bits, found.marks.judged)


def on_grid(found: FileField, product: Product, path: Path, grid: Grid, *, is_partial: bool = False) -> Floats:
    """Return what a file has on the cells of a grid: taken as it is if the cells are as large, else averaged by area.

    Parameters
    ----------
    found : FileField
        What the file has.
    product : Product
        The product.
    path : Path
        The file, for messages.
    grid : Grid
        The grid.
    is_partial : bool
        Whether the file may cover less than the grid; always so if the product says it does.

    Returns
    -------
    float32 array, shape (rows, cols)
        The grid's shape; m3 m-3 or mm/day, NaN for none.

    Raises
    ------
    InputRefused
        The file is of another grid, or its values cannot be.
    """
    is_partial = is_partial or product.grid.partial
    field = put_on(found.values, found.cells, path, grid, is_partial=is_partial)
    # what lies outside a region may be wrong there, but what is averaged must all be right
    _check_plausible(field if are_as_large(found.cells, grid) else found.values, found, product, path)
    return field


def decode(
    file: Dataset, product: Product, path: Path, words: dict[str, str], date: dt.date | None = None
) -> FileField:
    """Return what an open file has, on its own cells.

    Parameters
    ----------
    file : netCDF4.Dataset
        The open file.
    product : Product
        The product.
    path : Path
        The file, for messages.
    words : dict of str to str
        What is filled into the names of variables; see `Product.words`.
    date : dt.date, optional
        The day it must contain; any unless given.

    Raises
    ------
    InputRefused
        As `read_field`, except for implausible values.
    """
    names = [name.format(**words) for name in product.variable]
    source = variable(file, path, *names, most=product.max_cells)
    stored = layer(source, product, path)
    cells = find_cells(file, source, stored, product, path)
    if date is not None:
        check_day(file, product, words, path, date)
    factor = unit_factor(source, product, path)
    scale, offset = packing(source, product, path)
    is_plain = scale == 1 and offset == 0 and stored.dtype.kind == "f"
    values = stored if is_plain else stored * scale + offset
    present = holds_value(source, stored, product) & np.isfinite(values)
    range_name, outside = outside_range(source, stored, values, product)
    reasons = [(range_name, outside & present)]
    words = {**words, "variable": source.name}
    reasons += refusals(file, product, words, stored.shape, path)
    marks = product_marks(file, product, words, stored.shape, path)
    removed: dict[str, tuple[int, int]] = {}
    had_any = bool(present.any())
    for reason, refused in reasons:
        removed[reason] = int(refused.sum()), int((refused & present).sum())
        present &= ~refused
    if not present.any():
        raise InputRefused(_nothing(path, source, product, removed, had_any, stored.size))
    field = np.where(present, values if factor == 1 else values * factor, np.nan).astype(np.float32)
    if cells.edges and not is_south_first(file, source, product, path):
        field = field[::-1]
        marks = marks and ProductMarks(marks.bits[::-1], marks.judged)
    return FileField(source.name, field, cells, factor, removed, marks)


def _nothing(
    path: Path, source: Any, product: Product, removed: dict[str, tuple[int, int]], had_any: bool, size: int
) -> str:
    """Return the message about a file without any value."""
    everywhere = [reason for reason, (cells, _) in removed.items() if cells == size]
    if product.what is InputVariable.PRECIPITATION:
        why = ", ".join(everywhere) or f"{source.name} is all fill"
        return f"{path}: no cell has an estimate ({why}, or the rain is no number); {FETCH_AGAIN}"
    if had_any:
        why = ", ".join(everywhere) or ", ".join(f"{reason} ({n})" for reason, (_, n) in removed.items() if n)
        return f"{path}: {source.name} has no value that passes the quality rules: {why}; {FETCH_AGAIN}, or reject it"
    return f"{path}: {source.name} is all fill or NaN, no cell was observed; {FETCH_AGAIN}, or reject it"


def _check_plausible(field: Floats, found: FileField, product: Product, path: Path) -> None:
    """Refuse values that cannot be."""
    most = MAX_DAILY if product.what is InputVariable.PRECIPITATION else 1.0
    low, high = float(np.fmin.reduce(field, axis=None)), float(np.fmax.reduce(field, axis=None))
    if low < 0.0 or high > most:
        shown = 1 / found.factor if product.unit == "percent" else 1.0
        raise InputRefused(
            f"{path}: {found.variable} reaches from {low * shown:g} to {high * shown:g} {product.unit}, wanted 0 to "
            f"{most * shown:g}; {FETCH_AGAIN}, or check whether the product has changed its units"
        )
