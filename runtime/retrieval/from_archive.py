"""What an archive says about the place and the day of an example."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from pathlib import Path

from runtime.archive.reader import Reader
from runtime.archive.variables import FLAG, SOIL_MOISTURE, UNCERTAINTY
from runtime.fill.result import Flag
from runtime.retrieval.sample import Place

_TIME_ERROR = dt.timedelta(seconds=66)
"""How far a time may be from the true one, because it is stored as float32."""


@dataclass(frozen=True)
class ArchiveValue:
    """The cell and day of an archive that an example lies in."""

    value: float = math.nan
    """Soil moisture, m3 m-3, observed or filled; NaN where the archive has none."""
    flag: Flag | None = None
    """Where the value comes from; None where the archive does not have the place or the day."""
    sigma: float = math.nan
    """Uncertainty of a filled value, m3 m-3; NaN elsewhere."""


class ArchiveValues:
    """Finds the values of an archive at places and days.

    Parameters
    ----------
    archive : Path
        Folder of the archive.

    Raises
    ------
    InputsMissing
        No day is published there.
    """

    def __init__(self, archive: Path) -> None:
        self._reader = Reader(archive)

    def at(self, place: Place) -> ArchiveValue:
        """Return the archive's value of the cell that contains a place, on the UTC day of its time.

        Times are up to 66 s too early or too late, and labels are read at full hours: one shortly before midnight is
        of the next day.

        Raises
        ------
        ArchiveError
            The archive is damaged.
        """
        date = (place.time + _TIME_ERROR).date() if place.time else None
        if date not in self._reader.days or not (abs(place.latitude) <= 90 and abs(place.longitude) <= 360):
            return ArchiveValue()
        cell = self._reader.grid.cell(place.latitude, place.longitude)
        if cell is None:
            return ArchiveValue()
        found, _ = self._reader.cells([cell], [date], (SOIL_MOISTURE.name, FLAG.name, UNCERTAINTY.name))
        value, flag, sigma = (
            float(found[each.name][0, 0]) if each.name in found else math.nan
            for each in (SOIL_MOISTURE, FLAG, UNCERTAINTY)
        )
        return ArchiveValue(value, None if math.isnan(flag) else Flag(int(flag)), sigma)
