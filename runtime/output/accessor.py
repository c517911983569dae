"""What a dataset from `runtime.open_archive` can do, as ``archive.seamless``: series, means, anomalies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xarray

from runtime.archive.variables import OBSERVED, QUALITY, SOIL_MOISTURE, UNCERTAINTY
from runtime.common.clock import WINDOW_DAYS
from runtime.errors import UsageError
from runtime.output.area import CORRELATION_KM, area_mean
from runtime.output.climatology import anomalies
from runtime.output.periods import Period, period_means
from runtime.output.polygon import read_polygon
from runtime.output.root_zone import root_zone
from runtime.output.stations import ListedStation, read_stations, station_series

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@xarray.register_dataset_accessor("seamless")  # type: ignore[no-untyped-call]
class SeamlessAccessor:
    """What users compute first; values are dask arrays.

    Parameters
    ----------
    archive : xarray.Dataset
        What `runtime.open_archive` returned, or some days or a box of it.

    Examples
    --------
    >>> archive = runtime.open_archive("archive")  # doctest: +SKIP
    >>> archive.seamless.stations("list.csv").soil_moisture.sel(station="Grenoble").to_series()  # doctest: +SKIP
    >>> archive.sel(time="2015").seamless.area_mean("basin.geojson").to_dataframe()  # doctest: +SKIP
    >>> archive.seamless.means("month").soil_moisture.sel(time="2015-04-01").plot()  # doctest: +SKIP
    >>> archive.seamless.area_mean("basin.geojson").seamless.anomalies().sel(time="2015-04")  # doctest: +SKIP
    """

    def __init__(self, archive: xarray.Dataset) -> None:
        self._archive = archive

    def recommended(self) -> xarray.Dataset:
        """Return the dataset with the recommended values only: those whose ``quality_flag`` is 0.

        Returns
        -------
        xarray.Dataset
            ``soil_moisture``, ``soil_moisture_observed`` and ``soil_moisture_uncertainty`` are NaN where a bit is set,
            and on days that were made before there was a ``quality_flag``.

        Raises
        ------
        UsageError
            No day of the archive has a ``quality_flag``.
        """
        if QUALITY.name not in self._archive:
            raise UsageError(
                f"the archive has no {QUALITY.name}: its layout is sgd-sm, or an earlier version of this software made "
                "it; `runtime fill --from FIRST --to LAST` makes its days again"
            )
        masked = [each.name for each in (SOIL_MOISTURE, OBSERVED, UNCERTAINTY) if each.name in self._archive]
        is_good = self._archive[QUALITY.name] == 0
        return self._archive.assign({name: self._archive[name].where(is_good) for name in masked})

    def stations(self, stations: str | os.PathLike[str] | Sequence[ListedStation]) -> xarray.Dataset:
        """Return the series of stations, listed in a CSV file or here; see `runtime.output.stations`."""
        listed = read_stations(Path(stations)) if isinstance(stations, str | os.PathLike) else stations
        return station_series(self._archive, listed)

    def area_mean(
        self,
        polygon: str | os.PathLike[str] | BaseGeometry,
        error_correlation_km: float = CORRELATION_KM,
        observed_error: float = 0.0,
    ) -> xarray.Dataset:
        """Return the mean over a polygon, a GeoJSON file or shapely's, on each day; see `runtime.output.area`."""
        whole = read_polygon(Path(polygon)) if isinstance(polygon, str | os.PathLike) else polygon
        return area_mean(self._archive, whole, error_correlation_km, observed_error)

    def means(self, every: Period) -> xarray.Dataset:
        """Return the mean of each month or dekad; see `runtime.output.periods`."""
        return period_means(self._archive, every)

    def anomalies(self, window_days: int = WINDOW_DAYS) -> xarray.Dataset:
        """Compare days with the same weeks of all years; choose days afterwards; see `runtime.output.climatology`."""
        return anomalies(self._archive, window_days)

    def root_zone(self, time_days: float = 20.0) -> xarray.Dataset:
        """Return the root-zone index of each day; choose days afterwards. See `runtime.output.root_zone`."""
        return root_zone(self._archive, time_days)
