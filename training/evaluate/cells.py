"""The values of some cells of an archive of published days, and when the satellite measured them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.archive.catalog import Catalog
from runtime.archive.layout import LAYOUTS, layout_of
from runtime.archive.paths import ArchivePaths
from runtime.archive.reader import Reader
from runtime.archive.record import DayRecord
from runtime.archive.variables import OBSERVED, SOIL_MOISTURE
from runtime.common.grid import Floats
from runtime.common.sensors import ORBITS, PRODUCTS
from runtime.common.vocabulary import TODAY, LayoutName
from runtime.errors import ArchiveError

OVERPASS = {
    ("AMSR2", "descending"): 1.5,
    ("AMSR2", "ascending"): 13.5,
    ("AMSR-E", "descending"): 1.5,
    ("AMSR-E", "ascending"): 13.5,
    ("WindSat", "descending"): 6.0,
    ("WindSat", "ascending"): 18.0,
}
"""Local solar time of the equator crossing, hours (LPRM product documents)."""
SEVERAL = "several"
"""The sensor of a day that was merged of several sensors, or whose file is of no shipped product."""

_SGD_SM = "sgd-sm"
"""The product of the published files of SGD-SM."""


@dataclass(frozen=True)
class Overpass:
    """By which sensor a day was measured, and when."""

    sensor: str
    hour: float
    """Local solar time, hours; NaN for a product without a single time, which stands for the whole day."""

    @classmethod
    def of(cls, sensor: str, orbit: str) -> Overpass:
        """Return the overpass of a sensor on an orbit."""
        return cls(sensor, OVERPASS.get((sensor, orbit), float("nan")))


@dataclass(frozen=True)
class CellSeries:
    """Days of some cells, in order."""

    dates: list[dt.date]
    observed: Floats
    """(days, cells), m3 m-3, NaN for a gap."""
    seamless: Floats
    """(days, cells), m3 m-3, observed or filled."""

    def only(self, cells: slice) -> CellSeries:
        """Return some of the cells."""
        return CellSeries(self.dates, self.observed[:, cells], self.seamless[:, cells])


def read_cells(reader: Reader, cells: Sequence[tuple[int, int]], dates: list[dt.date]) -> CellSeries:
    """Read the published values of some cells; of the archive's cube only the parts with these cells are read.

    Parameters
    ----------
    reader : Reader
        The archive.
    cells : sequence of (int, int)
        Row and column of each cell.
    dates : list of date
        Published days.

    Returns
    -------
    CellSeries
        The days.

    Raises
    ------
    ArchiveError
        The cube or a file is damaged.
    """
    values, _ = reader.cells(cells, dates, (SOIL_MOISTURE.name, OBSERVED.name))
    nothing = np.full((len(dates), len(cells)), np.nan, np.float32)
    return CellSeries(dates, values.get(OBSERVED.name, nothing), values.get(SOIL_MOISTURE.name, nothing))


def overpasses_of(reader: Reader, dates: list[dt.date]) -> dict[dt.date, Overpass]:
    """Return the overpass of each day: of its soil-moisture file or, where it has none, of the day before.

    The files of SGD-SM do not name theirs. They were made from the descending orbits of AMSR-E, WindSat and AMSR2, one
    after the other (section 2.1 of SGD-SM 2.0).

    Parameters
    ----------
    reader : Reader
        The archive.
    dates : list of date
        Published days, in order.

    Returns
    -------
    dict
        The overpass by day, in order.

    Raises
    ------
    ArchiveError
        The catalog or a file is damaged.
    """
    catalog = ArchivePaths.below(reader.archive).catalog
    if catalog.exists():
        with Catalog.open(catalog, read_only=True) as rows:
            found = {date: _overpass_of_record(row.record) for date, row in rows.days(dates[0], dates[-1]).items()}
    else:
        found = {date: _overpass_of_file(reader.days[date].path, date) for date in dates}
    latest = next((overpass for overpass in found.values() if overpass), Overpass(SEVERAL, float("nan")))
    days = {}
    for date in dates:
        latest = found[date] or latest
        days[date] = latest
    return days


def _overpass_of_file(path: Path, date: dt.date) -> Overpass | None:
    """Return the overpass of a day's file; that of a file of SGD-SM, which has no record, is told by the day."""
    try:
        return _overpass_of_record(DayRecord.from_file(path))
    except ArchiveError:
        if layout_of(path) is LAYOUTS[LayoutName.SGD_SM]:
            return _overpass_of_sgd_sm(date)
        raise


def _overpass_of_record(record: DayRecord) -> Overpass | None:
    """Return the overpass of a day's own observation, None if it has none."""
    item = record.inputs.get(TODAY)
    if item is None:
        return None
    for product in PRODUCTS.values():
        if not item.parts and (match := product.pattern.fullmatch(item.name)):
            if product.name == _SGD_SM:
                return _overpass_of_sgd_sm(record.date)
            letters = match.groupdict().get("orbit")
            orbit = next((orbit for orbit, known in ORBITS.items() if letters in known), "")
            return Overpass.of(product.sensor, orbit)
    return Overpass(SEVERAL, float("nan"))


def _overpass_of_sgd_sm(date: dt.date) -> Overpass | None:
    """Return the overpass of the sensor that SGD-SM took on a day, None outside of its years."""
    sensors = (PRODUCTS[name] for name in ("lprm-amsre", "lprm-windsat", "lprm-amsr2"))
    of_day = [each.sensor for each in sensors if (each.start or date) <= date <= (each.end or date)]
    return Overpass.of(of_day[0], "descending") if of_day else None
