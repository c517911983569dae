"""What the numbers of a file are: scale, offset, unit, range, and the numbers that stand for no value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools
from runtime.common.sensors import Product
from runtime.common.vocabulary import InputVariable
from runtime.errors import InputRefused
from runtime.inputs.products.quality import stored_as

_FACTORS = {
    InputVariable.SOIL_MOISTURE: dict.fromkeys(("percent", "%"), 0.01)
    | dict.fromkeys(("m3m-3", "m3m3", "cm3cm-3", "cm3cm3", "1"), 1.0),
    InputVariable.PRECIPITATION: dict.fromkeys(("mm", "mmday", "mmday-1", "mmd", "mmd-1", "kgm-2"), 1.0)
    | dict.fromkeys(("mmhr", "mmh", "mmh-1", "mmhr-1"), 24.0)
    | {"kgm-2s-1": 86_400.0},
}
"""What values in a unit are multiplied by to be in m3 m-3 or mm/day; a unit is written without blanks and signs."""

_PERCENT = 0.01


def unit_factor(source: Any, product: Product, path: Path) -> float:
    """Return what values are multiplied by to be in m3 m-3 or mm/day, by the unit that the file tells.

    Parameters
    ----------
    source : netCDF4.Variable
        The variable.
    product : Product
        The product, whose unit it is if the file tells none.
    path : Path
        The file, for messages.

    Raises
    ------
    InputRefused
        The file's unit is not known, or percent where the product has another: percent of saturation is no volume.
    """
    attributes = {name.lower(): name for name in source.ncattrs()}
    name = attributes.get("units", attributes.get("unit"))
    text = str(source.getncattr(name)).strip() if name else ""
    known = _FACTORS[product.what]
    declared = known[_plain(product.unit)]
    factor = known.get(_plain(text)) if text else declared
    if factor is None or (factor == _PERCENT and declared != _PERCENT):
        kind = f" ({source.long_name})" if "long_name" in attributes else ""
        hint = "percent of saturation is not a volume; " if factor == _PERCENT else ""
        raise InputRefused(
            f"{path}: {source.name}{kind} is in {text}, wanted {product.unit}; {hint}check the feed's product"
        )
    return factor


def _plain(unit: str) -> str:
    return re.sub(r"[\s*^_./()]", "", unit.lower())


def packing(source: Any, product: Product, path: Path) -> tuple[float, float]:
    """Return the scale and the offset of stored values.

    Raises
    ------
    InputRefused
        The file does not have the attribute that the product names.
    """

    def number(declared: float | str, usual: str, default: float) -> float:
        if isinstance(declared, float | int):
            return float(declared)
        if declared in source.ncattrs():
            return float(np.ravel(source.getncattr(declared))[0])
        if declared != usual:
            raise InputRefused(f"{path}: {source.name} has no attribute {declared}; check the feed's product")
        return default

    return number(product.scale, "scale_factor", 1.0), number(product.offset, "add_offset", 0.0)


def holds_value(source: Any, stored: NDArray[Any], product: Product) -> Bools:
    """Return where stored values are values: not the fill of the file or of the declaration, and a number."""
    fills = [*product.fill]
    for name in ("_FillValue", "missing_value"):
        if name in source.ncattrs():
            fills += np.ravel(source.getncattr(name)).tolist()
    present: Bools = ~np.isnan(stored)
    for fill in fills:
        present &= ~stored_as(source, stored, fill)
    return present


def outside_range(source: Any, stored: NDArray[Any], values: NDArray[Any], product: Product) -> tuple[str, Bools]:
    """Return where values are outside their valid range, and the name of the range.

    A range in the type of packed integers is one of stored values, a range of another type one of unpacked values: the
    convention of the NetCDF Users' Guide, which ESA CCI v02.2 follows.

    Parameters
    ----------
    source : netCDF4.Variable
        The variable.
    stored : array
        Values as stored.
    values : array
        Values in the file's unit.
    product : Product
        The product, which may declare a range.

    Returns
    -------
    str
        What the range is called.
    bool array
        True outside.
    """
    if product.valid:
        least, most = product.valid
        return f"outside {least:g} to {most:g}", (values < least) | (values > most)
    limits = {name: np.ravel(source.getncattr(name)) for name in source.ncattrs() if name.startswith("valid_")}
    low, high = limits.get("valid_range", (None, None))
    if "valid_min" in limits:
        low = limits["valid_min"][0]
    if "valid_max" in limits:
        high = limits["valid_max"][0]
    is_packed = all(limit is None or limit.dtype.kind in "iu" for limit in (low, high))
    inside = stored if stored.dtype.kind == "f" or is_packed else values
    outside = np.zeros_like(stored, bool)
    if low is not None:
        outside |= inside < low
    if high is not None:
        outside |= inside > high
    return "outside the file's valid range", outside
