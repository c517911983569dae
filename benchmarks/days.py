"""Real days for the benchmarks: read the nine days of a window from a folder of LPRM AMSR2 files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np

from runtime.common.grid import Floats, Grid
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from runtime.inputs.products.lprm import read_soil_moisture
from training.evaluate.references import WINDOW


def read_window(folder: Path, date: dt.date, grid: Grid) -> Floats:
    """Read the days T-4 to T+4.

    Parameters
    ----------
    folder : Path
        Folder with LPRM AMSR2 files that have band x.
    date : dt.date
        Day T.
    grid : Grid
        The grid to read.

    Returns
    -------
    float32 array, shape (9, rows, cols)
        Soil moisture, m3 m-3, NaN for a gap.
    """
    files = FolderFeed(str(folder), GranuleFilter("lprm-amsr2", "descending")).granules()
    dates = [date + dt.timedelta(offset) for offset in WINDOW]
    return np.stack([read_soil_moisture(Path(files[day][0].location), day, grid, "x").field for day in dates])
