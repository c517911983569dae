"""Check that a file is of the day in its name."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from typing import Any

import cftime
import h5py
import numpy as np

from runtime.common.netcdf import Dataset
from runtime.common.sensors import Product, TimeRule
from runtime.errors import InputRefused
from runtime.inputs.products.granule import FETCH_AGAIN, find_variable, full_name, variable

_OF_THE_DAY = "minutes of the day"

_ROUNDING = dt.timedelta(minutes=1)
"""How far before midnight a time may be that means the day after: ESA CCI v02.2 writes 16070.9999999995 days."""


def file_day(file: Dataset, product: Product, words: dict[str, str], path: Path) -> tuple[dt.date | None, str]:
    """Return the day that a file tells, and how.

    Parameters
    ----------
    file : netCDF4.Dataset
        The open file.
    product : Product
        The product, with the variables that tell the day.
    words : dict of str to str
        What is filled into the names of variables.
    path : Path
        The file, for messages.

    Returns
    -------
    dt.date or None
        The day; None if the file does not tell it.
    str
        ``holds`` if it says so, ``was scanned on`` if it is the median of the times of its cells.

    Raises
    ------
    InputRefused
        A time that the file must have is not there, or is no time.
    """
    for rule in product.time:
        names = [name.format(**words) for name in rule.variable]
        found = find_variable(file, names)
        if found is not None or not rule.optional:
            return _day_of(rule, file, names, product, path)
    return None, ""


def check_day(file: Dataset, product: Product, words: dict[str, str], path: Path, date: dt.date) -> None:
    """Refuse a file that tells another day than the one in its name; see `file_day`.

    Raises
    ------
    InputRefused
        It is of another day.
    """
    day, how = file_day(file, product, words, path)
    if day is not None and day != date:
        raise InputRefused(
            f"{path}: {how} {day}, not {'on ' if how != 'holds' else ''}{date} as its name says; {FETCH_AGAIN}"
        )


def _day_of(
    rule: TimeRule, file: Dataset, names: list[str], product: Product, path: Path
) -> tuple[dt.date | None, str]:
    if rule.text:
        return _median_day_of_texts(file, names, product, path), "was scanned on"
    found = variable(file, path, *names, most=product.max_cells)
    times = np.ravel(found[:])
    units = rule.unit or str(getattr(found, "units", ""))
    is_coordinate = times.size == 1
    if not is_coordinate:
        times = times[np.isfinite(times) & (times > 0)]
    if not times.size:
        return None, ""
    middle = float(np.median(times))
    if units == _OF_THE_DAY:
        if middle > 24 * 60:
            raise InputRefused(
                f"{path}: {found.name} is {middle:g}, wanted minutes of a day, at most 1440; {FETCH_AGAIN}"
            )
        return None, ""
    day = cftime.num2date(middle, units, only_use_cftime_datetimes=True) + _ROUNDING
    return dt.date(day.year, day.month, day.day), "holds" if is_coordinate else "was scanned on"


def _median_day_of_texts(file: Dataset, names: list[str], product: Product, path: Path) -> dt.date | None:
    """Return the median day of times that are texts, None if none of them is one; some may be broken: ``***``."""
    found = find_variable(file, names)
    with h5py.File(path) as raw:
        data: Any = raw[full_name(found)] if found is not None else None
        if data is None or data.dtype.kind != "S" or data.size > product.max_cells or data.dtype.itemsize > 64:
            raise InputRefused(f"{path}: {names[0]} does not hold times as text; {FETCH_AGAIN}")
        texts, counts = np.unique(np.ravel(data[:]).astype("S10"), return_counts=True)
    days: dict[dt.date, int] = {}
    for text, count in zip(texts, counts, strict=True):
        with contextlib.suppress(ValueError):
            days[dt.date.fromisoformat(text.decode("ascii", "replace"))] = int(count)
    until = np.cumsum(list(days.values()))  # texts in order are days in order
    return list(days)[int(np.searchsorted(until, until[-1] / 2))] if days else None
