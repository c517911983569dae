"""Find out which product a file is of, what it holds, and how a product that is not declared yet could be."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime.common.netcdf import Dataset
from runtime.common.sensors import ORBITS, Product
from runtime.errors import InputRefused
from runtime.inputs.products.days import file_day
from runtime.inputs.products.granule import all_names, find_variable, open_granule
from runtime.inputs.products.read import FileField, decode

_LIKELY = ("soil_moisture", "soil moisture", "precipitation", "sm", "rain", "geophysical")
"""What the name of a variable that is worth reading may contain, the most telling first."""


@dataclass(frozen=True)
class Fit:
    """One way to read a file."""

    product: Product
    orbit: str | None
    """For files with both orbits."""
    band: str | None
    by_name: bool
    """Whether the file's name is one of the product."""
    day: dt.date | None = None
    """The day in the name, or else the one that the content tells."""
    field: FileField | None = None
    """What is read; None if it is refused."""
    refused: str | None = None
    """Why it is refused."""

    @property
    def label(self) -> str:
        """The product with its orbit and band."""
        return ", ".join(part for part in (self.product.name, self.orbit, self.band and f"band {self.band}") if part)


def fits(path: Path, products: Mapping[str, Product]) -> list[Fit]:
    """Return every way in which declared products read a file; those that its name fits come first.

    Parameters
    ----------
    path : Path
        The file.
    products : mapping of str to Product
        The products to try.

    Returns
    -------
    list of Fit
        A product whose name does not fit is listed only if it can read the file.

    Raises
    ------
    InputRefused
        The file is not NetCDF or HDF5, or is damaged.
    """
    found = list[Fit]()
    with open_granule(path) as file, np.errstate(all="ignore"):
        for product in products.values():
            found += [fit for fit in _fits_of(file, path, product) if fit.by_name or fit.field]
    return sorted(found, key=lambda fit: (not fit.by_name, fit.field is None))


def _fits_of(file: Dataset, path: Path, product: Product) -> Iterator[Fit]:
    match = product.pattern.match(path.name)
    for orbit in product.orbit_words or [None]:
        for band in product.bands or [None]:
            words = product.words(band, orbit)
            names = [name.format(**words) for name in product.variable]
            if match is None and find_variable(file, names) is None:
                continue
            try:
                day = _day_in_name(match) if match else file_day(file, product, words, path)[0]
                field = decode(file, product, path, words, day)
                yield Fit(product, orbit or _orbit_in_name(match), band, match is not None, day, field)
            except InputRefused as refusal:
                yield Fit(product, orbit, band, match is not None, refused=str(refusal))


def _day_in_name(match: re.Match[str]) -> dt.date | None:
    with contextlib.suppress(ValueError):
        return dt.datetime.strptime(match["date"], "%Y%m%d").date()
    return None


def _orbit_in_name(match: re.Match[str] | None) -> str | None:
    letter = match.groupdict().get("orbit") if match else None
    return next((orbit for orbit, letters in ORBITS.items() if letter in letters), None)


@dataclass(frozen=True)
class VariableInFile:
    """A variable of a file, as its header describes it."""

    name: str
    shape: tuple[int, ...]
    kind: str
    """Type of the stored values."""
    dimensions: tuple[str, ...]
    unit: str


def variables_of(path: Path) -> list[VariableInFile]:
    """Return the variables of a file, from its header.

    Raises
    ------
    InputRefused
        The file is not NetCDF or HDF5, or is damaged.
    """
    with open_granule(path) as file:
        return [_described(find_variable(file, [name]), name) for name in all_names(file)]


def _described(found: Any, name: str) -> VariableInFile:
    unit = next((str(found.getncattr(key)) for key in found.ncattrs() if key.lower() in ("units", "unit")), "")
    return VariableInFile(name, found.shape, str(found.dtype), found.dimensions, unit)


def draft_declaration(path: Path) -> str:
    """Return a declaration to start from, for a file that no product fits, as TOML.

    Raises
    ------
    InputRefused
        The file is not NetCDF or HDF5, is damaged, or has no field.
    """
    fields = [each for each in variables_of(path) if sum(size > 2 for size in each.shape) == 2]
    if not fields:
        raise InputRefused(f"{path}: has no variable with two dimensions, so no field on a map")
    chosen = min(fields, key=_unlikeliness)
    name, stamps = re.subn(r"\d{8}", lambda _: r"(?P<date>\d{8})", re.escape(path.name).replace(r"\-", "-"), count=1)
    is_rain = bool(re.search("precip|rain", chosen.name.lower())) or chosen.unit.startswith("mm")
    percent = "percent" if chosen.unit in ("percent", "%") else "m3 m-3"
    return "\n".join(
        [
            "[products.mine]",
            f'what = "{"precipitation" if is_rain else "soil_moisture"}"',
            'sensor = "..."',
            f"pattern = '^{name}$'" + ("" if stamps else r"  # wanted: (?P<date>\d{8}), the day"),
            f'variable = "{chosen.name}"',
            f'unit = "{"mm/day" if is_rain else percent}"',
            *_draft_grid(chosen),
        ]
    )


def _draft_grid(chosen: VariableInFile) -> list[str]:
    """Return the keys that say where the cells are, for a declaration to start from."""
    if all(re.match("lat|lon|time|x$|y$", name.lower()) for name in chosen.dimensions):
        return ["# grid = { partial = true }  # if the cells do not cover the globe"]
    wide = iter(("lat", "lon"))
    names = [next(wide) if size > 1 else f"one_{number}" for number, size in enumerate(chosen.shape)]
    rows = next(size for size in chosen.shape if size > 1)
    return [
        f"dimensions = {json.dumps(names)}  # in the file: {', '.join(chosen.dimensions)}",
        f'grid = {{ kind = "regular", step = {180 / rows:g} }}  # or kind = "ease2", cell_km = 9, 25 or 36',
    ]


def _unlikeliness(each: VariableInFile) -> tuple[int, int]:
    name = each.name.lower()
    return next((rank for rank, word in enumerate(_LIKELY) if word in name), len(_LIKELY)), len(name)
