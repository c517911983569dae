"""Real days for the benchmarks: a folder of LPRM AMSR2 files in, the nine days of a window out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np

from runtime.common.grid import Floats, Grid
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from runtime.inputs.products.lprm import read
from training.evaluate.hidden import WINDOW


def read_window(folder: Path, date: dt.date, grid: Grid) -> Floats:
    """Return days T-4 to T+4, (9, rows, cols) in m3 m-3, NaN for a gap."""
    files = FolderFeed(str(folder), GranuleFilter("lprm-amsr2", "descending")).granules()
    dates = [date + dt.timedelta(offset) for offset in WINDOW]
    return np.stack([read(Path(files[day][0].location), day, grid, "x") for day in dates])
