"""Opening a file somebody else made: what is wrong with it is said in one line, with the cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats
from runtime.common.netcdf import Dataset, open_dataset
from runtime.errors import InputRefused, SeamlessError

_MAGIC = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")
FETCH_AGAIN = "delete it and fetch it again"

_MAX_CELLS = 50_000_000
"""A day of the globe at 0.1 degree has 6.5 million; a damaged header may claim any number."""


class Reading(NamedTuple):
    """What a file holds."""

    field: Floats
    """On the grid, NaN where there is no value."""
    coverage: float | None
    """Share of the file's cells, wherever they are, that have a value; None where that says nothing."""


def is_netcdf(head: bytes) -> bool:
    """Whether a file that begins with these bytes may be NetCDF."""
    return head.startswith(_MAGIC)


@contextmanager
def open_granule(path: Path) -> Iterator[Dataset]:
    """Open a NetCDF file for reading.

    Raises
    ------
    InputRefused
        The file is missing, is not NetCDF (a log-in page, say), is cut short, or fails while it is read, in whatever
        way: a damaged header can make any call on it fail.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    if not is_netcdf(head):
        page = head.lstrip()[:1] in (b"<", b"{")
        kind = "a web page or an error message" if page else "not a NetCDF file"
        cure = f"{FETCH_AGAIN}, with a valid Earthdata log-in" if page else FETCH_AGAIN
        raise InputRefused(f"{path}: is {kind}, not a granule; {cure}")
    try:
        with open_dataset(path) as dataset:
            dataset.set_auto_maskandscale(False)
            yield dataset
    except SeamlessError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputRefused(f"{path}: is damaged or cut short ({said}); {FETCH_AGAIN}") from error


def variable(dataset: Dataset, path: Path, *names: str) -> Any:
    """Return the first of the named variables.

    Raises
    ------
    InputRefused
        None of them is in the file, or it is larger than any such product.
    """
    for name in names:
        if name in dataset.variables:
            found = dataset.variables[name]
            if found.size > _MAX_CELLS:
                raise InputRefused(f"{path}: {name} claims {found.size} cells, the file is damaged; {FETCH_AGAIN}")
            return found
    have = ", ".join(sorted(dataset.variables)[:12]) or "nothing"
    raise InputRefused(
        f"{path}: has no variable {' or '.join(names)} (it has {have}); check the feed's product and band"
    )


def positions(
    have: NDArray[np.floating[Any]], want: NDArray[np.float64], path: Path, axis: str, period: float = 0.0
) -> NDArray[np.intp]:
    """Return, for each wanted cell centre, its index on the file's axis, whichever way that runs.

    Parameters
    ----------
    have, want : degrees
    period : 360 for longitudes, so that 0..360 and -180..180 meet

    Raises
    ------
    InputRefused
        The file's axis lacks a wanted centre.
    """
    with np.errstate(invalid="ignore"):  # a damaged axis holds anything
        have = np.asarray(have, np.float64)
    if not np.isfinite(have).all():
        raise InputRefused(f"{path}: its {axis} is not a number everywhere, the file is damaged; {FETCH_AGAIN}")
    if period:
        have = (have + period / 2) % period - period / 2
    order = np.argsort(have)
    nearest = np.searchsorted(have[order], want - 0.01).clip(max=max(0, have.size - 1))
    found = np.asarray(order[nearest] if have.size else [])
    if not found.size or np.abs(have[found] - want).max() > 0.01:
        span = f"{have.size} cells from {have.min():g} to {have.max():g}" if have.size else "no cells"
        raise InputRefused(
            f"{path}: wrong grid: its {axis} has {span}, wanted {want.size} from {want.min():g} to {want.max():g}; "
            "check the feed's product, or set grid.box to the region the files cover"
        )
    return found
