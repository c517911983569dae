"""The archive's description, a day's layer for the map, and the picture of the coverage."""

from __future__ import annotations

import functools
import gzip
import io
import threading
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Path as PathParameter

from runtime.archive.acdd import CITATIONS
from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.reader import Reader
from runtime.common import digest
from runtime.config import Config
from runtime.errors import InputsMissing
from runtime.fill.result import Flag
from runtime.output import colours
from runtime.output.coverage_figure import write_coverage
from service.maps import GAP, NOTHING, DayLayer, LayerName, encode_map, layers_of
from service.models import (
    ArchiveInfo,
    ByteColour,
    Citation,
    ColourScale,
    DaySpan,
    FlagColour,
    MapGrid,
    SeriesColours,
)
from service.routes.files import is_known
from service.routes.parameters import Day
from service.services import RequestServices

router = APIRouter()

LayerText = Annotated[str, PathParameter(examples=[LayerName.SOIL_MOISTURE], description="A layer of the archive.")]

_DRAWING = threading.Lock()
"""Held while a picture is drawn: Matplotlib is not made for several threads."""


@router.get("/api/archive")
def get_archive(services: RequestServices) -> ArchiveInfo:
    """The archive: its days, its grid, its layers and their colours; no grid while it has no day."""
    try:
        reader = services.readers.reader()
    except InputsMissing:
        return _describe_archive(services.config, None)
    return _describe_archive(services.config, reader)


@router.get(
    "/api/days/{date}/map/{layer}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "One byte per cell, north first."}},
)
def get_map(services: RequestServices, date: Day, layer: LayerText, request: Request) -> Response:
    """A day's layer, one byte per cell, north first; see ``steps``, ``gap`` and ``nothing`` of ``/api/archive``."""
    if layer not in list(LayerName):
        raise HTTPException(404, f"no layer {layer!r}; there are {', '.join(LayerName)}")
    reader = services.readers.reader()
    if date not in reader.days:
        raise HTTPException(404, reader.left_out.get(date, f"{date} is not in the archive"))
    shown = DayLayer.of(reader, date, LayerName(layer))
    tag = f'"{shown.tag}"'
    headers = {
        "ETag": tag,
        "Content-Encoding": "gzip",
        "Vary": "Accept-Encoding",
    }
    if is_known(tag, request):
        return Response(status_code=304, headers=headers)
    content = encode_map(shown)
    if content is None:
        raise HTTPException(404, f"{shown.file.name} has no {layer}")
    if "gzip" not in request.headers.get("accept-encoding", ""):
        del headers["Content-Encoding"]
        content = gzip.decompress(content)
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.get(
    "/api/coverage.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "PNG."}},
)
def get_coverage(services: RequestServices, request: Request) -> Response:
    """A picture of how much of the land was observed and filled on each day, with the means of the years."""
    with services.open_catalog() as catalog:
        last = catalog.last_revision()
        tag = f'"{digest.of_values(last and last.sha256, last and last.made_at, catalog.count())[:16]}"'
    if is_known(tag, request):
        return Response(status_code=304, headers={"ETag": tag})
    with _DRAWING:
        content = _draw_coverage(ArchivePaths.of(services.config).catalog, tag)
    return Response(content, media_type="image/png", headers={"ETag": tag})


@functools.lru_cache(maxsize=1)
def _draw_coverage(catalog_file: Path, tag: str) -> bytes:
    """Return the picture of the coverage; `tag` changes when the catalog does."""
    with Catalog.open(catalog_file, read_only=True) as catalog:
        days = {date: row.record.statistics for date, row in catalog.days().items()}
    picture = io.BytesIO()
    write_coverage({date: found for date, found in days.items() if found}, picture)
    return picture.getvalue()


def _describe_archive(config: Config, reader: Reader | None) -> ArchiveInfo:
    """Return the description of the archive; `reader` is None while no day is published."""
    return ArchiveInfo(
        title=config.metadata.title,
        licence=config.metadata.licence,
        citations=[Citation(doi=doi, text=text) for doi, text in CITATIONS.items()],
        days=_day_span(reader) if reader else None,
        grid=_map_grid(reader) if reader else None,
        layers=layers_of(reader) if reader else [],
        scales=[
            ColourScale(name=LayerName(name), title=s.title, low=s.low, high=s.high, unit=s.unit, colours=s.colours)
            for name, s in colours.SCALES.items()
        ],
        flags=_categories(LayerName.FLAG),
        filled_flags=[Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS],
        qualities=_categories(LayerName.QUALITY_FLAG),
        steps=colours.STEPS,
        gap=ByteColour(value=GAP, colour=colours.NO_VALUE),
        nothing=ByteColour(value=NOTHING, colour=colours.NO_LAND),
        series=SeriesColours(observed=colours.OBSERVED, filled=colours.FILLED, rain=colours.RAIN),
    )


def _categories(layer: LayerName) -> list[FlagColour]:
    """Return the values of a layer that has no scale."""
    known = colours.CATEGORIES[layer]
    return [FlagColour(value=value, meaning=meaning, colour=colour) for value, (meaning, colour) in known.items()]


def _day_span(reader: Reader) -> DaySpan:
    """Return the published days."""
    return DaySpan(first=min(reader.days), newest=max(reader.days), count=len(reader.days))


def _map_grid(reader: Reader) -> MapGrid:
    """Return the archive's grid."""
    grid = reader.grid
    rows, cols = grid.shape
    return MapGrid(
        rows=rows,
        cols=cols,
        step=grid.step,
        north=grid.lat_edges[0],
        south=grid.lat_edges[-1],
        west=grid.lon_edges[0],
        east=grid.lon_edges[-1],
        row_edges=grid.lat_edges.tolist(),
    )
