"""What a dataset from `runtime.open_archive` can do, as ``archive.seamless``: series of stations, mean over an area."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xarray

from runtime.output.area import CORRELATION_KM, area_mean
from runtime.output.polygon import read_polygon
from runtime.output.stations import ListedStation, read_stations, station_series

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@xarray.register_dataset_accessor("seamless")  # type: ignore[no-untyped-call]
class SeamlessAccessor:
    """Series that users compute first; choose days beforehand with ``archive.sel(time=...)``.

    Parameters
    ----------
    archive : xarray.Dataset
        What `runtime.open_archive` returned, or some days or a box of it.

    Examples
    --------
    >>> archive = runtime.open_archive("archive")  # doctest: +SKIP
    >>> archive.seamless.stations("list.csv").soil_moisture.sel(station="Grenoble").to_series()  # doctest: +SKIP
    >>> archive.sel(time="2015").seamless.area_mean("basin.geojson").to_dataframe()  # doctest: +SKIP
    """

    def __init__(self, archive: xarray.Dataset) -> None:
        self._archive = archive

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
