"""Real days for the benchmarks: read the days of a window from a folder of LPRM AMSR2 files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from runtime.inputs.products.read import read_field


def read_window(folder: Path, date: dt.date, grid: Grid, window: Sequence[int]) -> Floats:
    """Read the days of a window.

    Parameters
    ----------
    folder : Path
        Folder with LPRM AMSR2 files that have band x.
    date : dt.date
        Day T.
    grid : Grid
        The grid to read.
    window : sequence of int
        The days to read, relative to day T.

    Returns
    -------
    float32 array, shape (days, rows, cols)
        Soil moisture, m3 m-3, NaN for a gap and for a day without a file.
    """
    files = FolderFeed(str(folder), GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")).granules()
    frames = np.full((len(window), *grid.shape), np.nan, np.float32)
    for frame, offset in zip(frames, window, strict=True):
        day = date + dt.timedelta(offset)
        if day in files:
            frame[:] = read_field(PRODUCTS["lprm-amsr2"], Path(files[day][0].location), day, grid, "x").field
    return frames
