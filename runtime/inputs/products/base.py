"""Choose the function that reads the files of a product."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.inputs.products.granule import Reading


def product_reader(product: str, band: str | None) -> Callable[[Path, dt.date, Grid], Reading]:
    """Return the function that reads one file of a product into one field on the grid.

    Parameters
    ----------
    product : str
        A key of `PRODUCTS`.
    band : str, optional
        Band of a soil-moisture product; the product's first one unless given.

    Returns
    -------
    callable
        Takes a file, its day and the grid; see `read_soil_moisture` and `read_precipitation`.
    """
    from runtime.inputs.products.granule import Reading
    from runtime.inputs.products.imerg import read_precipitation
    from runtime.inputs.products.lprm import read_soil_moisture

    def rain(path: Path, date: dt.date, grid: Grid) -> Reading:
        return Reading(read_precipitation(path, date, grid), None)

    def soil_moisture(path: Path, date: dt.date, grid: Grid) -> Reading:
        return read_soil_moisture(path, date, grid, band or PRODUCTS[product].bands[0])

    return rain if product == "imerg" else soil_moisture
