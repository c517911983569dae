"""Open an input file and read its axes; an error says in one line what is wrong and what to do."""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from runtime.common import digest
from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import Dataset, open_dataset
from runtime.common.quality import ProductMarks
from runtime.common.regrid import covers
from runtime.errors import InputRefused, SeamlessError

_MAGIC = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")
"""First bytes of NetCDF-4 and NetCDF-3 files."""

FETCH_AGAIN = "delete it and fetch it again"
"""What to do about a damaged file; part of messages."""

MAX_AXIS = 20_000
"""Most cells of a latitude or longitude axis; the globe at 0.02 degree has 18,000."""

_MIN_CHUNK = 1 << 20
"""Cells that a chunk of a variable may have, however small the variable is."""

_FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}
"""What may be done with a chunk before it is stored."""

_CHECKSUM = 4
"""Bytes that Fletcher32 adds to a chunk."""

_BLOCK = 1 << 20
"""Bytes that are decompressed at a time to find out how large a chunk is."""


class Reading(NamedTuple):
    """The content of one input file."""

    field: Floats
    """The values on the grid, NaN where there is none."""
    coverage: float | None
    """Share of all cells of the file that have a value; None for products where the share is not meaningful."""
    marks: ProductMarks | None = None
    """What the file says of its cells; None if it says nothing, and without any value on the grid."""

    @property
    def digest(self) -> str:
        """Digest of the field, and of the marks if there are any."""
        field = digest.of_field(self.field)
        if self.marks is None:
            return field
        return digest.of_values(field, digest.of_bytes(self.marks.bits.tobytes()), int(self.marks.judged))


def is_netcdf(head: bytes) -> bool:
    """Return whether a file that begins with these bytes may be NetCDF."""
    return head.startswith(_MAGIC)


def unreadable(path: Path, error: OSError) -> InputRefused:
    """Return the refusal of a file that the system does not open or read."""
    return InputRefused(f"{path}: cannot be read ({error.strerror}); check the file and its permissions")


@contextlib.contextmanager
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
        raise unreadable(path, error) from error
    if not is_netcdf(head):
        page = head.lstrip()[:1] in (b"<", b"{")
        kind = "a web page or an error message" if page else "not a NetCDF file"
        cure = f"{FETCH_AGAIN}, with a valid Earthdata log-in" if page else FETCH_AGAIN
        raise InputRefused(f"{path}: is {kind}, not a granule; {cure}")
    try:
        with open_dataset(path) as dataset:
            dataset.set_auto_maskandscale(False)
            yield dataset
    except (SeamlessError, MemoryError):  # memory is not the file's fault
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputRefused(f"{path}: is damaged or cut short ({reason}); {FETCH_AGAIN}") from error


def find_variable(dataset: Dataset, names: Iterable[str]) -> Any:
    """Return the first of the named variables that the file has, None if it has none of them.

    Parameters
    ----------
    dataset : netCDF4.Dataset
        The open file.
    names : iterable of str
        Names to try, in this order; in a group, ``group/variable``.
    """
    for name in names:
        *groups, leaf = name.strip("/").split("/")
        here: Any = dataset
        for group in groups:
            here = here.groups.get(group) if here is not None else None
        if here is not None and leaf in here.variables:
            return here.variables[leaf]
    return None


def full_name(found: Any) -> str:
    """Return the name of a NetCDF variable with its groups: ``group/variable``."""
    return f"{found.group().path}/{found.name}".lstrip("/")


def variable(dataset: Dataset, path: Path, *names: str, most: int, dimensions: int | None = None) -> Any:
    """Return the first of the named variables that the file has, after a look at what reading it would take.

    A damaged or malicious header may declare any shape, and chunks of any size: a file of a few KiB can ask for more
    memory than there is.

    Parameters
    ----------
    dataset : netCDF4.Dataset
        The open file.
    path : Path
        Its path, for messages.
    *names : str
        Names to try, in this order; in a group, ``group/variable``.
    most : int
        Most cells that it may have.
    dimensions : int, optional
        Number of dimensions that it must have; any unless given.

    Returns
    -------
    netCDF4.Variable
        The variable.

    Raises
    ------
    InputRefused
        The file has none of them, or the variable is not of numbers, has another number of dimensions, or is larger
        than in any file of the product.
    """
    found = find_variable(dataset, names)
    if found is None:
        present = ", ".join(sorted(all_names(dataset))[:12]) or "nothing"
        raise InputRefused(
            f"{path}: has no variable {' or '.join(names)} (it has {present}); check the feed's product and band"
        )
    if not isinstance(found.dtype, np.dtype) or found.dtype.kind not in "iuf":
        raise InputRefused(f"{path}: {found.name} does not hold numbers; {FETCH_AGAIN}")
    if dimensions is not None and found.ndim != dimensions:
        raise InputRefused(
            f"{path}: {found.name} has dimensions {found.dimensions}, wanted {dimensions}; {FETCH_AGAIN}"
        )
    shape = found.chunking()
    chunk = 1 if shape is None or shape == "contiguous" else math.prod(shape)
    if found.size > most or chunk > max(most, _MIN_CHUNK):
        raise InputRefused(
            f"{path}: {found.name} claims {found.size} cells in chunks of {chunk}, a file of this product has at most "
            f"{most}; check the feed's product, or {FETCH_AGAIN}"
        )
    if chunk > 1:
        _check_compression(path, full_name(found))
    return found


def all_names(dataset: Dataset) -> Iterator[str]:
    """Yield the name of every variable of a file, with its groups."""
    for found in dataset.variables.values():
        yield full_name(found)
    for group in dataset.groups.values():
        yield from all_names(group)


def _check_compression(path: Path, name: str) -> None:
    """Refuse a variable whose compressed chunks are larger than they say: 2 MB of deflate can hold 2 GB of zeros.

    HDF5 decompresses a chunk to its end before it looks at its size, so that is found out here, block by block.
    """
    with h5py.File(path) as file:
        data = file[name]
        settings = data.id.get_create_plist()
        filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
        if set(filters) - _FILTERS or filters.count(h5py.h5z.FILTER_DEFLATE) > 1:
            raise InputRefused(f"{path}: {name} is compressed in a way that this software does not read; {FETCH_AGAIN}")
        if h5py.h5z.FILTER_DEFLATE not in filters:
            return
        offsets = list[tuple[int, ...]]()
        data.id.chunk_iter(lambda chunk: offsets.append(chunk.chunk_offset))
        most = math.prod(data.chunks) * data.dtype.itemsize + _CHECKSUM
        for offset in offsets:
            _, compressed = data.id.read_direct_chunk(offset)
            if _inflates_beyond(compressed, most):
                raise InputRefused(f"{path}: {name} holds more than it declares, the file is damaged; {FETCH_AGAIN}")


def _inflates_beyond(compressed: bytes, most: int) -> bool:
    """Return whether zlib data hold more than `most` bytes; damaged data are left to the reader."""
    inflater, size = zlib.decompressobj(), 0
    with contextlib.suppress(zlib.error):
        while compressed and size <= most:
            size += len(inflater.decompress(compressed, _BLOCK))
            compressed = inflater.unconsumed_tail
    return size > most


def require_cover(lat_edges: NDArray[np.float64], lon_edges: NDArray[np.float64], path: Path, grid: Grid) -> None:
    """Refuse a file that does not cover the land of a grid.

    Parameters
    ----------
    lat_edges : float64 array, shape (lat + 1,)
        Edges of the file's rows, degrees north; see `to_grid`.
    lon_edges : float64 array, shape (lon + 1,)
        Edges of its columns, degrees east.
    path : Path
        The file, for the message.
    grid : Grid
        The grid.

    Raises
    ------
    InputRefused
        At least half of the area of a land cell is outside the file.
    """
    if covers(lat_edges, lon_edges, grid):
        return
    axes = ("latitude", lat_edges, grid.latitudes), ("longitude", lon_edges, grid.longitudes)
    found = [
        f"its {name} has {edges.size - 1} cells from {min(middles):g} to {max(middles):g}, wanted {wanted.size} "
        f"from {wanted.min():g} to {wanted.max():g}"
        for name, edges, wanted in axes
        for middles in [(edges[:2].mean(), edges[-2:].mean())]
    ]
    raise InputRefused(
        f"{path}: wrong grid: {', '.join(found)}, or others that cover them; check the feed's product, or set grid.box "
        "to the region the files cover"
    )
