"""The mean over a polygon, weighted by the area of each cell inside it, and the uncertainty of this mean.

Filled values near to each other are wrong in the same direction, so the error of their mean shrinks much less than by
the square root of their number. With the weights w and the uncertainties s of the cells, and the distance d between two
of them,

    variance of the mean = sum over cells i, j of w_i s_i w_j s_j exp(-d_ij / L)

The correlation length L was measured by hiding and filling observations (``benchmarks/error_correlation.py``). Cells
without an uncertainty, which are the observed ones in an archive of one sensor, count with none: what is given is then
the uncertainty against the mean that the sensor would have measured if it had seen all of these cells. It is 0 on a day
on which it did. To include the error of the retrieval, give it as `observed_error`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from runtime.archive.place import EARTH_KM
from runtime.archive.variables import OBSERVED, PRECIPITATION, SOIL_MOISTURE, UNCERTAINTY
from runtime.common.grid import Floats, Grid
from runtime.errors import UsageError
from runtime.output.polygon import Doubles, cell_areas

if TYPE_CHECKING:
    import xarray
    from shapely.geometry.base import BaseGeometry

CORRELATION_KM = 200.0
"""Distance at which the errors of two filled values have the correlation 1/e; see `benchmarks/error_correlation.py`."""

_BLOCK = 256
"""Cells whose correlation with all others is in memory at a time."""
DAYS_AT_ONCE = 128
"""Days whose uncertainty is computed together. What a pair of cells costs hardly depends on how many days share it."""

logger = logging.getLogger(__name__)


def mean_error(
    contributions: Floats, latitudes: Doubles, longitudes: Doubles, correlation_km: float = CORRELATION_KM
) -> Doubles:
    """Return the uncertainty of weighted means of values whose errors are correlated.

    Parameters
    ----------
    contributions : float array, shape (..., cells)
        Weight times uncertainty of each cell; the weights of a mean add up to 1.
    latitudes : float64 array, shape (cells,)
        Degrees north.
    longitudes : float64 array, shape (cells,)
        Degrees east.
    correlation_km : float
        Distance at which errors have the correlation 1/e, km; 0 for independent errors.

    Returns
    -------
    float64 array, shape (...,)
        Uncertainty of the means, in the unit of the contributions.
    """
    lat, lon = np.radians(latitudes), np.radians(longitudes)
    directions = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    variance = np.zeros(contributions.shape[:-1])
    for start in range(0, len(lat), _BLOCK):
        block = slice(start, start + _BLOCK)
        distance = EARTH_KM * np.arccos(np.clip(directions[block] @ directions.T, -1, 1))
        distance[np.arange(len(distance)), start + np.arange(len(distance))] = 0  # rounding makes it some metres
        correlation = np.exp(-distance / correlation_km) if correlation_km else (distance == 0).astype(float)
        variance += ((contributions @ correlation.T) * contributions[..., block]).sum(-1)
    return np.asarray(np.sqrt(variance))


def area_mean(
    archive: xarray.Dataset,
    polygon: BaseGeometry,
    correlation_km: float = CORRELATION_KM,
    observed_error: float = 0.0,
) -> xarray.Dataset:
    """Return the daily mean over a polygon.

    Parameters
    ----------
    archive : xarray.Dataset
        What `runtime.open_archive` returns, or some days or a box of it.
    polygon : shapely.Polygon or shapely.MultiPolygon
        Degrees east and north; see `read_polygon`.
    correlation_km : float
        Correlation length of the errors, km; see the module's description.
    observed_error : float
        Uncertainty of a value without one of its own, m3 m-3.

    Returns
    -------
    xarray.Dataset
        Along ``time``: ``soil_moisture``, the mean over the cells with a value (m3 m-3), NaN on a day without any;
        ``soil_moisture_uncertainty`` of this mean (m3 m-3) if the archive has one; ``observed_share`` and
        ``filled_share``, the shares of the polygon's land that were observed and filled (0 to 1; the rest has no
        value); and ``precipitation`` (mm day-1) if the archive has rain. Values are dask arrays. Coordinates are
        ``lat`` and ``lon`` of the centroid (degrees) and ``area``, the polygon's land in the archive (km2).

    Raises
    ------
    UsageError
        The polygon has no land cell of the archive; or shapely is not installed.
    """
    import xarray

    grid = Grid.of_axes(archive.lat.values, archive.lon.values)
    km2 = cell_areas(polygon, grid)
    land = grid.with_land().land & (km2 > 0)
    if not land.any():
        west, south, east, north = polygon.bounds
        where = "in the sea" if km2.any() else "outside the archive"
        raise UsageError(f"the polygon, {south:g} to {north:g} N and {west:g} to {east:g} E, is {where}")
    _warn_of_outside(polygon, grid, float(km2.sum()))
    rows, cols = np.flatnonzero(km2.any(1)), np.flatnonzero(km2.any(0))
    box = np.ix_(rows, cols)  # the two sides of an area that is cut at the antimeridian are far apart
    part = archive.isel(lat=rows, lon=cols)
    area = xarray.DataArray(km2[box], {"lat": part.lat, "lon": part.lon}, ("lat", "lon"))
    has_value, observed = part[SOIL_MOISTURE.name].notnull(), part[OBSERVED.name].notnull()
    land_area = _total(has_value | xarray.DataArray(land[box], area.coords, area.dims), area)
    found = {SOIL_MOISTURE.name: _mean(part[SOIL_MOISTURE.name], area)}
    if UNCERTAINTY.name in part:
        total = _total(has_value, area)
        errors = part[UNCERTAINTY.name].fillna(observed_error).where(has_value, 0)
        contributions = errors * area / total.where(total > 0, 1)
        found[UNCERTAINTY.name] = _error_of_mean(contributions, correlation_km).where(total > 0)
    found["observed_share"] = _total(observed, area) / land_area
    found["filled_share"] = _total(has_value & ~observed, area) / land_area
    if PRECIPITATION.name in part:
        found[PRECIPITATION.name] = _mean(part[PRECIPITATION.name], area)
    described = _with_attributes(xarray.Dataset(found), polygon, correlation_km, observed_error)
    what = {"long_name": "land area of the archive inside the polygon", "units": "km2"}
    return described.assign_coords(area=((), float(km2[land].sum()), what)).assign_attrs(archive.attrs)


def _mean(values: xarray.DataArray, area: xarray.DataArray) -> xarray.DataArray:
    """Return the mean over the cells with a value, weighted by their area; NaN where there is none."""
    mean: xarray.DataArray = values.weighted(area).mean(("lat", "lon"))
    return mean


def _error_of_mean(contributions: xarray.DataArray, correlation_km: float) -> xarray.DataArray:
    """Return `mean_error` of fields."""
    import xarray

    lat, lon = (axis.ravel() for axis in np.meshgrid(contributions.lat, contributions.lon, indexing="ij"))

    def error(fields: Floats) -> Doubles:
        flat = fields.reshape(len(fields), -1)
        inside = np.flatnonzero((flat > 0).any(0))
        return mean_error(flat[:, inside], lat[inside], lon[inside], correlation_km)

    result: xarray.DataArray = xarray.apply_ufunc(
        error,
        contributions.transpose("time", "lat", "lon").chunk(time=DAYS_AT_ONCE, lat=-1, lon=-1),
        input_core_dims=[["lat", "lon"]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return result


def _total(cells: xarray.DataArray, area: xarray.DataArray) -> xarray.DataArray:
    """Return the area of the cells that are True on each day, km2."""
    total: xarray.DataArray = cells.weighted(area).sum(("lat", "lon"))
    return total


def _warn_of_outside(polygon: BaseGeometry, grid: Grid, inside: float) -> None:
    """Log how much of a polygon is outside the grid, from 1 % on: grids of several kinds differ in areas below that."""
    share = 1 - inside / cell_areas(polygon, Grid.globe()).sum()
    if share >= 0.01:
        logger.warning(f"{share:.0%} of the polygon is outside the archive and is not in the mean")


def _with_attributes(
    found: xarray.Dataset, polygon: BaseGeometry, correlation_km: float, observed_error: float
) -> xarray.Dataset:
    """Return the series with CF attributes, and with the polygon's centroid as coordinates."""
    method = {"cell_methods": "area: mean", "units": "m3 m-3"}
    text = {
        SOIL_MOISTURE.name: {
            "standard_name": SOIL_MOISTURE.attributes["standard_name"],
            "long_name": "surface soil moisture, mean over the area",
            **method,
        },
        UNCERTAINTY.name: {
            "standard_name": UNCERTAINTY.attributes["standard_name"],
            "long_name": "uncertainty of the mean over the area",
            "units": "m3 m-3",
            "comment": f"errors of two cells have the correlation exp(-distance / {correlation_km:g} km); cells "
            f"without an uncertainty of their own, such as observed ones, count with {observed_error:g} m3 m-3",
        },
        "observed_share": {"long_name": "share of the area's land that was observed", "units": "1"},
        "filled_share": {"long_name": "share of the area's land that was filled", "units": "1"},
        PRECIPITATION.name: {
            "standard_name": PRECIPITATION.attributes["standard_name"],
            "long_name": "IMERG precipitation of the UTC day, mean over the area",
            "units": "mm day-1",
            "cell_methods": "area: mean time: mean",
        },
    }
    for name in found.data_vars:
        found[name].attrs = text[str(name)]
    for name, standard, units, value in (
        ("lat", "latitude", "degrees_north", polygon.centroid.y),
        ("lon", "longitude", "degrees_east", polygon.centroid.x),
    ):
        attributes = {"standard_name": standard, "units": units, "long_name": f"{standard} of the area's centroid"}
        found = found.assign_coords({name: ((), value, attributes)})
    return found
