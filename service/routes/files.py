"""The published files, and the page."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers

from service.routes.parameters import Day
from service.services import RequestServices

router = APIRouter()

STATIC = Path(__file__).parents[1] / "static"
"""Folder of the page's files."""

_PUBLIC_PATH = re.compile(
    r"((\d{4}|climatology)/[\w.-]+\.nc|stac/(\d{4}/)?[\w.-]+\.json|cube\.zarr/[\w./-]+)", re.ASCII
)
_STATIC_FILES = StaticFiles()


@router.get("/", include_in_schema=False)
def get_page(request: Request) -> Response:
    """The page."""
    return _file_unless_known(STATIC / "index.html", request)


@router.get("/api/days/{date}/file", response_class=Response)
def get_day_file(services: RequestServices, date: Day) -> Response:
    """The day's NetCDF file as it is published."""
    reader = services.readers.reader()
    source = reader.days.get(date)
    if source is None:
        raise HTTPException(404, reader.left_out.get(date, f"{date} is not in the archive"))
    return _whole_file(source.path)


@router.get("/archive/{path:path}", response_class=Response)
def get_published_file(services: RequestServices, path: str, request: Request) -> Response:
    """A published file, a STAC document, or a part of the cube, by its path in the archive's folder."""
    folder = services.config.archive.path.resolve()
    file = folder / path
    try:
        is_public = _PUBLIC_PATH.fullmatch(path) and file.resolve() == file and file.is_file()  # no .., no link
    except OSError:  # the name is too long
        is_public = False
    if not is_public:
        raise HTTPException(404, "there is no such file; /archive/stac/collection.json lists what there is")
    return _file_unless_known(file, request) if path.startswith("cube.zarr") else _whole_file(file)


def _file_unless_known(path: Path, request: Request) -> Response:
    """Return a file, or 304 if the client has it as it is."""
    try:
        return _STATIC_FILES.file_response(path, path.stat(), request.scope)
    except OSError:
        raise _gone(path) from None


def _whole_file(path: Path) -> Response:
    """Return a file's content, read at once: a run may replace the file at any moment."""
    try:
        content = path.read_bytes()
    except OSError:
        raise _gone(path) from None
    media_type = "application/netcdf" if path.suffix == ".nc" else "application/json"
    headers = {"Content-Disposition": f'attachment; filename="{path.name}"'} if path.suffix == ".nc" else {}
    return Response(content, media_type=media_type, headers=headers)


def _gone(path: Path) -> HTTPException:
    """Return the error that a file that was there cannot be read."""
    return HTTPException(404, f"{path.name} is not there any more")


def is_known(etag: str, request: Request) -> bool:
    """Whether the client has an answer with this ETag, which a proxy may have made a weak one."""
    return _STATIC_FILES.is_not_modified(Headers({"etag": etag}), request.headers)
