"""Which published days readers take from the cube, and which of them cannot be read from it.

Such days are read from the daily files, and named in the log.
"""

from __future__ import annotations

import datetime as dt
import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.cube import SLAB, Cube, DayFile
from runtime.archive.paths import ArchivePaths
from runtime.errors import ArchiveError

_ATTEMPTS = 3
"""How often a cube is read while a run writes to it; after that the daily files are read."""

logger = logging.getLogger(__name__)


class CubeDays:
    """The published days of an archive, as far as its cube has them.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    days : mapping of dt.date to DayFile
        The published days.
    """

    def __init__(self, archive: Path, days: Mapping[dt.date, DayFile]) -> None:
        self._archive, self._days = archive, days

    def numbers(self, cube: Cube) -> dict[dt.date, int]:
        """Return the published days for which the cube agrees with the file, with their numbers in the cube.

        Days that the cube should have but that cannot be read from it are left out, with a warning.
        """
        found = self._agreeing(cube, cube.marks())
        lost = cube.lost_slabs(cube.names, np.array([*found.values()], int), probe=True)
        self.warn([date for date, number in found.items() if number // SLAB in lost])
        return {date: number for date, number in found.items() if number // SLAB not in lost}

    def open(self) -> Cube | None:
        """Return the cube; None, with a warning, if it is damaged as a whole, and None if there is none."""
        try:
            cube = Cube.open(self._archive)
            if cube is not None:
                cube.marks()
            return cube
        except ArchiveError as error:
            logger.warning(f"all days are taken from the daily files: {error}")
            return None

    def warn(self, lost: Sequence[dt.date]) -> None:
        """Report days that cannot be read from the cube."""
        consecutive = itertools.groupby(enumerate(lost), lambda each: each[1].toordinal() - each[0])
        runs = [list(days) for _, days in consecutive]
        if runs:
            which = ", ".join(f"{days[0][1]} to {days[-1][1]}" for days in runs)
            logger.warning(
                f"{ArchivePaths.below(self._archive).cube}: {which} cannot be read and are taken from the daily files; "
                "the next `runtime fill`, or `runtime check --rebuild-views`, copies them again"
            )

    def _agreeing(self, cube: Cube, marks: NDArray[np.uint64]) -> dict[dt.date, int]:
        """Return the published days whose mark is that of their file, with their numbers in the cube."""
        known = marks.tolist()
        numbers = {date: (date - cube.first).days for date in self._days}
        return {
            date: number
            for date, number in numbers.items()
            if 0 <= number < len(known) and known[number] == self._days[date].mark
        }

    def cell(
        self, row: int, col: int, dates: list[dt.date], names: Collection[str]
    ) -> tuple[dict[str, NDArray[Any]], dict[dt.date, int], list[dt.date]]:
        """Return the packed values of one cell by variable, the indices in them of days, and the days that are lost.

        A run may write to the cube at the same time. Before it replaces a file of the cube, it removes the mark of each
        day that changes. So the values that were read from one file of the cube belong together if none of the marks of
        its days has changed while reading.
        """
        lost: list[dt.date] = []
        for _ in range(_ATTEMPTS):
            try:
                cube = Cube.open(self._archive)
                if cube is None or not dates:
                    return {}, {}, []
                before = cube.marks()
                agreeing = self._agreeing(cube, before)
                wanted = [date for date in dates if date in agreeing]
                if not wanted:
                    return {}, {}, []
                numbers = np.array([agreeing[date] for date in wanted], int)
                stored, lost_slabs = cube.cell([name for name in cube.names if name in names], numbers, row, col)
                after = cube.marks()
            except ArchiveError:
                lost = dates
                continue
            if before.size != after.size:
                continue
            changed = {*(np.flatnonzero(before != after) // SLAB).tolist()}
            lost = [date for date in wanted if agreeing[date] // SLAB in lost_slabs - changed]
            unusable = lost_slabs | changed
            usable = {date: index for index, date in enumerate(wanted) if agreeing[date] // SLAB not in unusable}
            return stored, usable, lost
        return {}, {}, lost
