"""Open an input file and read its axes; an error says in one line what is wrong and what to do."""

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
"""First bytes of NetCDF-4 and NetCDF-3 files."""

FETCH_AGAIN = "delete it and fetch it again"
"""What to do about a damaged file; part of messages."""

_MAX_CELLS = 50_000_000
"""Largest size of a variable; a day of the globe at 0.1 degree has 6.5 million cells. A damaged header may say more."""


class Reading(NamedTuple):
    """The content of one input file."""

    field: Floats
    """The values on the grid, NaN where there is none."""
    coverage: float | None
    """Share of all cells of the file that have a value; None for products where the share is not meaningful."""


def is_netcdf(head: bytes) -> bool:
    """Return whether a file that begins with these bytes may be NetCDF."""
    return head.startswith(_MAGIC)


@contextmanager
def open_granule(path: Path) -> Iterator[Dataset]:
    """Open a NetCDF file for reading, with packed values as they are stored.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    netCDF4.Dataset
        The open file.

    Raises
    ------
    InputRefused
        The file is missing, is not NetCDF (for example a log-in page), is cut short, or any call on it fails inside the
        block: a damaged header can make any call fail.
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
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputRefused(f"{path}: is damaged or cut short ({reason}); {FETCH_AGAIN}") from error


def variable(dataset: Dataset, path: Path, *names: str) -> Any:
    """Return the first of the named variables that the file has.

    Parameters
    ----------
    dataset : netCDF4.Dataset
        The open file.
    path : Path
        Its path, for messages.
    *names : str
        Names to try, in this order.

    Returns
    -------
    netCDF4.Variable
        The variable.

    Raises
    ------
    InputRefused
        The file has none of them, or the variable is larger than any known product.
    """
    for name in names:
        if name in dataset.variables:
            found = dataset.variables[name]
            if found.size > _MAX_CELLS:
                raise InputRefused(f"{path}: {name} claims {found.size} cells, the file is damaged; {FETCH_AGAIN}")
            return found
    present = ", ".join(sorted(dataset.variables)[:12]) or "nothing"
    raise InputRefused(
        f"{path}: has no variable {' or '.join(names)} (it has {present}); check the feed's product and band"
    )


def positions(
    centres: NDArray[np.floating[Any]], wanted: NDArray[np.float64], path: Path, axis: str, period: float = 0.0
) -> NDArray[np.intp]:
    """Return, for each wanted cell centre, its index on the file's axis, which may run in any direction.

    Parameters
    ----------
    centres : float array, shape (cells,)
        Cell centres of the file, degrees.
    wanted : float64 array, shape (n,)
        Cell centres to find, degrees.
    path : Path
        The file, for messages.
    axis : str
        Name of the axis, for messages.
    period : float
        Give 360 for longitudes, so that 350 and -10 are the same.

    Returns
    -------
    int array, shape (n,)
        The indices.

    Raises
    ------
    InputRefused
        The file's axis does not have a wanted centre.
    """
    with np.errstate(invalid="ignore"):  # a damaged axis may contain any values
        centres = np.asarray(centres, np.float64)
    if not np.isfinite(centres).all():
        raise InputRefused(f"{path}: its {axis} is not a number everywhere, the file is damaged; {FETCH_AGAIN}")
    if period:
        centres = (centres + period / 2) % period - period / 2
    order = np.argsort(centres)
    nearest = np.searchsorted(centres[order], wanted - 0.01).clip(max=max(0, centres.size - 1))
    found = np.asarray(order[nearest] if centres.size else [])
    if not found.size or np.abs(centres[found] - wanted).max() > 0.01:
        span = f"{centres.size} cells from {centres.min():g} to {centres.max():g}" if centres.size else "no cells"
        raise InputRefused(
            f"{path}: wrong grid: its {axis} has {span}, wanted {wanted.size} from {wanted.min():g} to "
            f"{wanted.max():g}; check the feed's product, or set grid.box to the region the files cover"
        )
    return found
