"""The only way to open a NetCDF file here: the libraries below it cannot be used by two threads at once."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from netCDF4 import Dataset

__all__ = ["LOCK", "Dataset", "open_dataset"]

LOCK = threading.RLock()
"""Held while a NetCDF file is open; only libraries that open files themselves (xarray) need it by name."""


@contextmanager
def open_dataset(path: Path, mode: Literal["r", "w", "a"] = "r", **options: Any) -> Iterator[Dataset]:
    """Open a NetCDF file, alone among all threads of this process.

    Parameters
    ----------
    path : Path
        The file.
    mode : {"r", "w", "a"}
        ``r`` to read, ``w`` to write a new file, ``a`` to change one.
    **options : Any
        As `netCDF4.Dataset` takes them.

    Yields
    ------
    netCDF4.Dataset
        The open file.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise OSError(errno.EILSEQ, "NetCDF wants a path in UTF-8", str(path)) from error
    with LOCK, Dataset(path, mode, **options) as dataset:
        yield dataset
