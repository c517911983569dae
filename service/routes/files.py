"""The published files, and the page."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import FileResponse

from service.services import RequestServices

router = APIRouter()

STATIC = Path(__file__).parents[1] / "static"
"""Folder of the page's files."""

_PUBLIC_PATH = re.compile(r"(\d{4}/[\w.-]+\.nc|stac/(\d{4}/)?[\w.-]+\.json|cube\.zarr/[\w./-]+)", re.ASCII)
_NO_CACHE = {"Cache-Control": "no-cache"}


@router.get("/", include_in_schema=False)
def get_page() -> FileResponse:
    """The page."""
    return FileResponse(STATIC / "index.html")


@router.get("/api/days/{date}/file", response_class=Response)
def get_day_file(services: RequestServices, date: dt.date) -> Response:
    """The day's NetCDF file as it is published."""
    reader = services.readers.reader()
    source = reader.days.get(date)
    if source is None:
        raise HTTPException(404, reader.left_out.get(date, f"{date} is not in the archive"))
    return _whole_file(source.path)


@router.get("/archive/{path:path}", response_class=Response)
def get_published_file(services: RequestServices, path: str) -> Response:
    """A published file, a STAC document, or a part of the cube, by its path in the archive's folder."""
    folder = services.config.archive.path.resolve()
    file = folder / path
    if not (_PUBLIC_PATH.fullmatch(path) and file.resolve() == file and file.is_file()):  # no .., no link
        raise HTTPException(404, "there is no such file; /archive/stac/collection.json lists what there is")
    return FileResponse(file, headers=_NO_CACHE) if path.startswith("cube.zarr") else _whole_file(file)


def _whole_file(path: Path) -> Response:
    """Return a file's content, read at once: a run may replace the file at any moment."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise HTTPException(404, f"{path.name} is not there any more") from None
    media_type = "application/netcdf" if path.suffix == ".nc" else "application/json"
    headers = {"Content-Disposition": f'attachment; filename="{path.name}"'} if path.suffix == ".nc" else {}
    return Response(content, media_type=media_type, headers=headers | _NO_CACHE)
