"""What users compute first: a record of days walks in, its root-zone index, period means and anomalies walk out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.archive.cf import EPOCH
from runtime.archive.variables import VARIABLES
from runtime.common.clock import WINDOW_DAYS
from runtime.output.climatology import anomalies
from runtime.output.periods import Period, period_means
from runtime.output.root_zone import root_zone

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Derived:
    """What to derive from a record, in this order."""

    root_zone_days: float | None = None
    """Characteristic time of the root-zone index, days; None for no such index."""
    every: Period | None = None
    """Means of which periods; None for days."""
    anomalies: bool = False
    """Compare each day, or each period, with the same time of the year in all years."""
    window_days: int = WINDOW_DAYS
    """Days of the calendar to compare with."""

    def __bool__(self) -> bool:
        return self.root_zone_days is not None or self.every is not None or self.anomalies

    def of(self, record: xarray.Dataset, first: dt.date, last: dt.date) -> xarray.Dataset:
        """Derive it from a whole record, and choose some of its days.

        Parameters
        ----------
        record : xarray.Dataset
            All days of an archive, of a box of it, or of series made from it.
        first, last : dt.date
            The days to return; of periods, those that have one of these days.

        Returns
        -------
        xarray.Dataset
            The record's days with the variables of `runtime.output.root_zone` and `runtime.output.climatology`, or what
            `runtime.output.periods` returns with these. Values are dask arrays.

        Raises
        ------
        ValueError
            See `root_zone` and `anomalies`.
        """
        if self.root_zone_days is not None:
            record = record.assign(root_zone(record, self.root_zone_days).data_vars)
        if self.every:
            record = period_means(record, self.every)
        if self.anomalies:
            record = record.assign(anomalies(record, self.window_days).data_vars)
        begin, end = np.datetime64(first), np.datetime64(last)
        if self.every:
            bounds = record.time_bnds.values
            return record.isel(time=np.flatnonzero((bounds[:, 0] <= end) & (bounds[:, 1] > begin)))
        return record.sel(time=slice(begin, end))


def encodings(found: xarray.Dataset) -> dict[str, dict[str, Any]]:
    """Return how to store days as in the archive, and what is derived from them, or a mean, with all digits."""
    names = [str(name) for name in found.data_vars]
    is_mean = "time_bnds" in found or set(found.dims) == {"time"}
    packed = {} if is_mean else {name: VARIABLES[name].encoding for name in names if name in VARIABLES}
    time = {"dtype": "i4", "units": f"days since {EPOCH}", "calendar": "standard"}
    times = {name: time for name in ("time", "time_bnds") if name in found}
    return {name: packed.get(name, {}) for name in names} | times
