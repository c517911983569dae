"""Time series: of the cell that a place lies in, and of the mean over an area."""

from __future__ import annotations

import datetime as dt
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from runtime.archive.acdd import time_coverage
from runtime.archive.climatology_files import LEAST_DAYS
from runtime.archive.dataset import dataset_of
from runtime.archive.reader import Series
from runtime.archive.variables import SOIL_MOISTURE, VARIABLES
from runtime.common.clock import calendar_days
from runtime.common.grid import Floats, Grid
from runtime.output.area import DAYS_AT_ONCE, area_mean
from runtime.output.climatology import usual_range
from runtime.output.polygon import parse_polygon
from runtime.output.series import dataset_table, series_table, write_dataset, write_series
from service.models import AreaSeries, PlaceSeries
from service.routes.parameters import FirstDay, LastDay
from service.services import RequestServices

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

router = APIRouter()

MOST_PAIRS = 8e8
"""Pairs of cells of the boxes around an area, for each `DAYS_AT_ONCE`: its mean then takes some 15 s of a core."""

_MOST_OUTLINE = 20_000
"""Length of an area's outline, in widths of a cell: a coast's cells take a second or two of a core to cut."""

_MEASURING = threading.Lock()
"""Held while a mean over an area is computed: one at a time has both cores and the memory that it needs."""
_WAITING = threading.BoundedSemaphore(4)
"""Requests that may wait for it or hold it. Each of them has one of the threads that answer everything else, too."""
_PATIENCE_S = 30
"""How long a request waits for others."""

EXAMPLE_AREA = {"type": "Polygon", "coordinates": [[[5, 44], [7, 44], [7, 46], [5, 46], [5, 44]]]}

_OTHER_FORMATS: dict[str, dict[str, Any]] = {"text/csv": {}, "application/netcdf": {}}

Format = Literal["json", "csv", "nc"]


@router.get(
    "/api/series",
    response_model=PlaceSeries,
    responses={200: {"content": _OTHER_FORMATS, "description": "JSON; CSV or NetCDF with ``format=csv`` or ``nc``."}},
)
def get_series(
    services: RequestServices,
    lat: Annotated[float, Query(ge=-90, le=90, examples=[45.2])],
    lon: Annotated[float, Query(ge=-180, le=360, examples=[5.7])],
    first: FirstDay = None,
    last: LastDay = None,
    format: Format = "json",
) -> PlaceSeries | Response:
    """The published days of the cell that a place lies in: every variable, as JSON, CSV or NetCDF."""
    _require_order(first, last)
    reader = services.readers.reader()
    series = reader.series(lat, lon, first, last)
    name = f"soil_moisture_{series.latitude:g}_{series.longitude:g}"
    if format == "csv":
        return _download(series_table(series).encode(), f"{name}.csv")
    if format == "nc":
        return _download(_written(lambda path: write_series(reader, series, path)), f"{name}.nc")
    record = reader.series(lat, lon, names=(SOIL_MOISTURE.name,)) if first or last else series
    low, high = _usual_ranges(record, series.dates)
    return PlaceSeries(
        latitude=series.latitude,
        longitude=series.longitude,
        dates=series.dates,
        values={name: _rounded_values(values, _digits(name)) for name, values in series.values.items()},
        usual_low=low,
        usual_high=high,
        not_from_cube=series.not_from_cube,
        left_out=dict(series.left_out),
    )


async def request_body(request: Request) -> bytes:
    """Return the body of a request, whatever type it says it has."""
    return await request.body()


@router.post(
    "/api/area",
    response_model=AreaSeries,
    responses={200: {"content": _OTHER_FORMATS, "description": "JSON; CSV or NetCDF with ``format=csv`` or ``nc``."}},
    openapi_extra={"requestBody": {"required": True, "content": {"application/geo+json": {"example": EXAMPLE_AREA}}}},
)
def post_area(
    services: RequestServices,
    body: Annotated[bytes, Depends(request_body)],
    first: FirstDay = None,
    last: LastDay = None,
    format: Format = "json",
) -> AreaSeries | Response:
    """The mean over the polygons of a GeoJSON document on each published day, with its uncertainty."""
    _require_order(first, last)
    reader = services.readers.reader()
    dates = reader.dates_between(first, last)
    with _turn():
        polygon = parse_polygon(body, "the area")
        _require_little(polygon, reader.grid, len(dates))
        days = dataset_of(reader).sel(time=slice(str(dates[0]), str(dates[-1])))
        found = area_mean(days, polygon).assign_attrs(time_coverage(dates[0], dates[-1])).compute()
    if format == "csv":
        return _download(dataset_table(found).encode(), "soil_moisture_area.csv")
    if format == "nc":
        return _download(_written(lambda path: write_dataset(found, path)), "soil_moisture_area.nc")
    return AreaSeries(
        latitude=round(float(found.lat), 3),
        longitude=round(float(found.lon), 3),
        km2=round(float(found.area)),
        dates=dates,
        values={str(name): _rounded_values(values.values, _digits(str(name))) for name, values in found.items()},
        left_out=dict(reader.left_out),
    )


def _usual_ranges(record: Series, dates: list[dt.date]) -> list[list[float | None]]:
    """Return what is usual on some days of a place: two lists, which are empty if the record has less than a year."""
    if (record.dates[-1] - record.dates[0]).days < LEAST_DAYS:
        return [[], []]
    calendar = calendar_days(np.array(record.dates, "datetime64[D]"))
    asked = set(dates)
    chosen = [date in asked for date in record.dates]
    ranges = usual_range(record.values[SOIL_MOISTURE.name], calendar)[:, chosen]
    return [_rounded_values(values, _digits(SOIL_MOISTURE.name)) for values in ranges]


def _require_order(first: dt.date | None, last: dt.date | None) -> None:
    """Refuse a range that ends before it begins."""
    if first and last and last < first:
        raise HTTPException(422, f"from {first} is after to {last}")


def _require_little(polygon: BaseGeometry, grid: Grid, days: int) -> None:
    """Refuse an area whose mean takes longer than a reader of a page waits."""
    boxes = [part.bounds for part in getattr(polygon, "geoms", [polygon])]
    cells = sum((east - west) * (north - south) for west, south, east, north in boxes) / grid.step**2
    outline = polygon.length / grid.step
    if outline > _MOST_OUTLINE:
        raise HTTPException(
            422,
            f"the area's outline is as long as some {outline:.0f} cells, too long here; use `runtime series --polygon`",
        )
    turns = int(MOST_PAIRS / cells**2)
    if days > turns * DAYS_AT_ONCE:
        fewer = f"at most {turns * DAYS_AT_ONCE} days with from and to" if turns else ""
        ways = ", ".join(filter(None, ("choose a smaller one", fewer, "or use `runtime series --polygon`")))
        raise HTTPException(422, f"the area has some {cells:.0f} cells, too many for {days} days here; {ways}")


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until no other mean over an area is computed."""
    busy = HTTPException(503, "the service computes the means of other areas; try again in a minute")
    if not _WAITING.acquire(blocking=False):
        raise busy
    try:
        if not _MEASURING.acquire(timeout=_PATIENCE_S):
            raise busy
        try:
            yield
        finally:
            _MEASURING.release()
    finally:
        _WAITING.release()


def _written(write: Callable[[Path], None]) -> bytes:
    """Return what a function writes into a NetCDF file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "series.nc")
        write(path)
        return path.read_bytes()


def _download(content: bytes, name: str) -> Response:
    """Return a file for the browser to save."""
    kind = "text/csv" if name.endswith(".csv") else "application/netcdf"
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _digits(name: str) -> int:
    """Return how many decimals of a variable mean something."""
    known = VARIABLES.get(name)
    return 2 if known and known.attributes.get("units") != "m3 m-3" else 4


def _rounded_values(values: Floats, digits: int) -> list[float | None]:
    """Return values with some decimals; None for NaN."""
    return [None if value != value else round(value, digits) for value in values.tolist()]
