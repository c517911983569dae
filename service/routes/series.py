"""The time series of a place."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Response

from runtime.archive.variables import VARIABLES
from runtime.common.grid import Floats
from runtime.output.series import series_table
from service.models import PlaceSeries
from service.services import RequestServices

router = APIRouter()


@router.get(
    "/api/series",
    response_model=PlaceSeries,
    responses={200: {"content": {"text/csv": {}}, "description": "JSON, or CSV with ``format=csv``."}},
)
def get_series(
    services: RequestServices,
    lat: Annotated[float, Query(ge=-90, le=90)],
    lon: Annotated[float, Query(ge=-180, le=360)],
    first: Annotated[dt.date | None, Query(alias="from")] = None,
    last: Annotated[dt.date | None, Query(alias="to")] = None,
    format: Literal["json", "csv"] = "json",
) -> PlaceSeries | Response:
    """The published days of the cell that a place lies in: every variable, as JSON or as CSV."""
    if first and last and last < first:
        raise HTTPException(422, f"from {first} is after to {last}")
    series = services.readers.reader().series(lat, lon, first, last)
    if format == "csv":
        name = f"soil_moisture_{series.latitude:g}_{series.longitude:g}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(series_table(series), media_type="text/csv", headers=headers)
    return PlaceSeries(
        latitude=series.latitude,
        longitude=series.longitude,
        dates=series.dates,
        values={name: _rounded_values(name, values) for name, values in series.values.items()},
        not_from_cube=series.not_from_cube,
        left_out=dict(series.left_out),
    )


def _rounded_values(name: str, values: Floats) -> list[float | None]:
    """Return the values of a variable with the digits that mean something; None for NaN."""
    digits = 4 if VARIABLES[name].attributes.get("units") == "m3 m-3" else 2
    return [None if value != value else round(value, digits) for value in values.tolist()]
