"""A day's layers for QGIS, OpenLayers, Leaflet and others: tiles by address (XYZ), a map server (WMTS), a project."""

from __future__ import annotations

import datetime as dt
import gzip

import numpy as np
from fastapi import APIRouter, HTTPException, Request, Response

from runtime.archive.reader import Reader
from service.maps import DayLayer, LayerName, encode_map, layers_of
from service.qgis import project_document, style_document
from service.routes.files import is_known
from service.services import RequestServices, Services
from service.tiles import MAX_ZOOM, MapTile, MatrixSet, draw_tile
from service.wmts import NEWEST, Offered, capabilities_document

router = APIRouter()


@router.get(
    "/tiles/{layer}/{date}/{matrix_set}/{zoom}/{col}/{row}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "256 x 256 pixels."}},
)
def get_tile(
    services: RequestServices,
    layer: LayerName,
    date: str,
    matrix_set: MatrixSet,
    zoom: int,
    col: int,
    row: int,
    request: Request,
) -> Response:
    """A tile of a layer, on a date or on the newest day; zoom, column and row are those of XYZ tiles."""
    reader = services.readers.reader()
    tile = MapTile(matrix_set, zoom, col, row)
    if not tile.exists:
        raise HTTPException(404, f"{matrix_set} has no tile {zoom}/{col}/{row}; zooms are 0 to {MAX_ZOOM}")
    day = _day(reader, date)
    shown = DayLayer.of(reader, day, layer)
    tag = f'"{shown.tag}-{matrix_set}-{zoom}-{col}-{row}"'
    if is_known(tag, request):
        return Response(status_code=304, headers={"ETag": tag})
    content = encode_map(shown)
    if content is None:
        raise HTTPException(404, f"{day} has no {layer}")
    cells = np.frombuffer(gzip.decompress(content), np.uint8).reshape(reader.grid.shape)
    return Response(draw_tile(cells, reader.grid, layer, tile), media_type="image/png", headers={"ETag": tag})


@router.get(
    "/wmts/1.0.0/WMTSCapabilities.xml",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}, "description": "OGC WMTS 1.0.0."}},
)
def get_capabilities(services: RequestServices, request: Request) -> Response:
    """What the map server offers: give this address to QGIS as a WMTS connection."""
    return Response(capabilities_document(_offered(services, request)), media_type="application/xml")


@router.get(
    "/qgis/seamless-sm.qgs",
    response_class=Response,
    responses={200: {"content": {"application/x-qgis-project": {}}, "description": "A QGIS project."}},
)
def get_qgis_project(services: RequestServices, request: Request, date: str = NEWEST) -> Response:
    """A QGIS project with all layers, on a date or on the newest day."""
    day = date if date == NEWEST else str(_day(services.readers.reader(), date))
    headers = {"Content-Disposition": 'attachment; filename="seamless-sm.qgs"'}
    content = project_document(_offered(services, request), day)
    return Response(content, media_type="application/x-qgis-project", headers=headers)


@router.get(
    "/qgis/{layer}.qml",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}, "description": "A style of QGIS."}},
)
def get_qgis_style(layer: LayerName) -> Response:
    """The colours of a variable, for a daily file that is opened in QGIS."""
    headers = {"Content-Disposition": f'attachment; filename="{layer}.qml"'}
    return Response(style_document(layer), media_type="application/xml", headers=headers)


def _offered(services: Services, request: Request) -> Offered:
    """Return what the map server offers."""
    reader, metadata = services.readers.reader(), services.config.metadata
    edges = reader.grid.lon_edges, reader.grid.lat_edges
    return Offered(
        metadata.title,
        metadata.licence,
        str(request.base_url).rstrip("/"),
        sorted(reader.days),
        layers_of(reader),
        (edges[0][0], edges[1][-1], edges[0][-1], edges[1][0]),
    )


def _day(reader: Reader, text: str) -> dt.date:
    """Return the published day of an address."""
    if text == NEWEST:
        return max(reader.days)
    try:
        day = dt.date.fromisoformat(text[:10])  # a WMTS client may add a time
    except ValueError:
        raise HTTPException(422, f"{text[:40]!r}: wanted a date such as 2015-04-12, or {NEWEST}") from None
    if day not in reader.days:
        raise HTTPException(404, reader.left_out.get(day, f"{day} is not in the archive"))
    return day
