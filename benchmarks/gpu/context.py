"""What a section of the measurement is given: device, folders, time, and what was measured before it."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.days import read_window
from benchmarks.gpu.rows import Row
from benchmarks.paper_size import days_folder
from runtime.common.grid import Floats, Grid

Device = Literal["cpu", "cuda"]
Box = tuple[float, float, float, float]
"""West, south, east and north edge, degrees."""

DATE = dt.date(2015, 4, 13)
"""The day that is filled."""
WINDOW = tuple(range(-12, 5))
"""Days that are read, relative to day T."""
TODAY = WINDOW.index(0)
"""Which of them is day T."""
SMALL: Box = (0.0, 40.0, 10.0, 50.0)
"""The region that takes the place of the globe in the small form, and on which a CPU compares the programs."""
BOX: Box = (0.0, 40.0, 20.0, 55.0)
"""The region on which a GPU compares the programs."""


@dataclass(frozen=True)
class Context:
    """What a section is given."""

    device: Device
    scratch: Path
    """A folder for files that later sections read."""
    ends: float
    """When the section has to have ended, by `time.monotonic`."""
    data: Path | None = None
    """Folder of LPRM AMSR2 files with band x; None for days of the synthetic world."""
    small: bool = False
    """Whether to measure a region instead of the globe, as the tests do."""
    earlier: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """Rows of the sections before, by the section's name."""

    @property
    def left(self) -> float:
        """Seconds that the section still has."""
        return self.ends - time.monotonic()

    @property
    def grid(self) -> Grid:
        """The grid of a whole day."""
        return Grid.globe().box(*SMALL) if self.small else Grid.globe()

    @property
    def box(self) -> Grid:
        """The part of the grid on which the programs are compared."""
        return self.grid if self.small else self.grid.box(*(BOX if self.device == "cuda" else SMALL))

    def days(self) -> Path:
        """Return the folder of the soil-moisture files; those of the synthetic world are written at the first call."""
        return self.data or days_folder(None, self.scratch, DATE + dt.timedelta(WINDOW[0]), len(WINDOW), self.grid)

    def frames(self, grid: Grid) -> Floats:
        """Return soil moisture of the window, shape (17, rows, cols), m3 m-3, NaN for a gap; files are read once.

        Parameters
        ----------
        grid : Grid
            `Context.grid` or `Context.box`.
        """
        whole, file = self.grid, self.scratch / "frames.npy"
        if not file.exists():
            part = self.scratch / "part.npy"
            np.save(part, read_window(self.days(), DATE, whole, WINDOW))
            part.rename(file)
        row, col = round((whole.north - grid.north) / grid.step), round((grid.west - whole.west) / grid.step)
        frames: Floats = np.load(file)[:, row : row + grid.shape[0], col : col + grid.shape[1]]
        return frames
