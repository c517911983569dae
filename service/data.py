"""The archive over HTTP: a day as a map, a place as a series, all days as a calendar, the published files."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
import threading
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse

from runtime.archive.acdd import CITATIONS
from runtime.archive.catalog import Catalog, DayRow, Problem
from runtime.archive.reader import Reader, fields_of
from runtime.archive.variables import VARIABLES
from runtime.config import Config
from runtime.errors import InputsMissing
from runtime.fill.result import Flag
from runtime.output import colours
from runtime.output.series import series_table

GAP, NOTHING = 254, 255
"""Bytes of a map: land without a value; no land, or nothing known. Below ``colours.STEPS`` they are the scale."""

_RAIN = "precipitation"
_CACHED_MAPS = 128
_TICK_NS = 50_000_000  # within a tick of its clock, a file can change twice and show one time of change
_PUBLIC = re.compile(r"(\d{4}/[\w.-]+\.nc|stac/(\d{4}/)?[\w.-]+\.json|cube\.zarr/[\w./-]+)", re.ASCII)
_NO_CACHE = {"Cache-Control": "no-cache"}

LAYERS = (*colours.SCALES, "flag")


class ReaderCache:
    """The archive's reader, opened again when the catalog has changed."""

    def __init__(self, config: Config) -> None:
        self._config, self._lock = config, threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._reader: Reader | None = None

    def reader(self) -> Reader:
        """Return a reader of the days as they stand.

        Raises
        ------
        InputsMissing
            No day is published.
        """
        try:
            stat = self._config.catalog_path.stat()
        except FileNotFoundError:
            raise InputsMissing(f"{self._config.archive.path}: no day is published there yet") from None
        is_settled = time.time_ns() - stat.st_mtime_ns > _TICK_NS
        seen = (stat.st_mtime_ns, stat.st_size) if is_settled else None
        with self._lock:
            if self._reader is None or seen is None or seen != self._seen:
                self._reader, self._seen = Reader(self._config.archive.path), seen
            return self._reader


def router(config: Config) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    shelf = ReaderCache(config)

    @routes.get("/api/archive")
    def archive() -> dict[str, Any]:
        """What the archive is: its grid, its layers and their colours; no grid while it has no day."""
        try:
            reader = shelf.reader()
        except InputsMissing:
            return _describe(config, None)
        return _describe(config, reader)

    @routes.get("/api/calendar")
    def calendar() -> dict[str, Any]:
        """Every day from the first to today: one letter each, and a reason for each day that is not simply current."""
        with Catalog.open(config.catalog_path, read_only=True) as catalog:
            rows, problems = catalog.days(), catalog.problems()
        return _calendar(rows, problems, dt.datetime.now(dt.UTC).date())

    @routes.get("/api/days/{date}/map/{layer}")
    def day_map(date: dt.date, layer: str, request: Request) -> Response:
        """A day's layer, one byte a cell, north first; see ``steps``, ``gap`` and ``nothing`` of ``/api/archive``."""
        if layer not in LAYERS:
            raise HTTPException(404, f"no layer {layer!r}; there are {', '.join(LAYERS)}")
        source = shelf.reader().days.get(date)
        if source is None:
            raise HTTPException(404, f"{date} is not in the archive")
        tag = f'"{source.sha256[:16]}-{layer}"'
        headers = {"ETag": tag, "Content-Encoding": "gzip", "Vary": "Accept-Encoding", **_NO_CACHE}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        content = _map(source.path, layer, source.sha256)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            del headers["Content-Encoding"]
            content = gzip.decompress(content)
        return Response(content, media_type="application/octet-stream", headers=headers)

    @routes.get("/api/days/{date}/file")
    def day_file(date: dt.date) -> Response:
        """The day's NetCDF file as it is published."""
        source = shelf.reader().days.get(date)
        if source is None:
            raise HTTPException(404, f"{date} is not in the archive")
        return _whole_file(source.path)

    @routes.get("/api/series")
    def series(
        lat: Annotated[float, Query(ge=-90, le=90)],
        lon: Annotated[float, Query(ge=-180, le=360)],
        first: Annotated[dt.date | None, Query(alias="from")] = None,
        last: Annotated[dt.date | None, Query(alias="to")] = None,
        format: Literal["json", "csv"] = "json",
    ) -> Response:
        """The days of a place: every variable, as JSON or as CSV."""
        if first and last and last < first:
            raise HTTPException(422, f"from {first} is after to {last}")
        found = shelf.reader().series(lat, lon, first, last)
        name = f"soil_moisture_{found.latitude:g}_{found.longitude:g}.csv"
        if format == "csv":
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return Response(series_table(found), media_type="text/csv", headers=headers)
        content = {
            "latitude": found.latitude,
            "longitude": found.longitude,
            "dates": [str(date) for date in found.dates],
            "values": {name: _rounded(name, values.tolist()) for name, values in found.values.items()},
        }
        return _Json(content)

    @routes.get("/archive/{path:path}")
    def published(path: str) -> Response:
        """A published file, a STAC document, or a part of the cube, by its place in the archive's folder."""
        folder = config.archive.path.resolve()
        file = folder / path
        if not (_PUBLIC.fullmatch(path) and file.resolve() == file and file.is_file()):  # no .., no link
            raise HTTPException(404, "there is no such file; /archive/stac/collection.json lists what there is")
        return FileResponse(file, headers=_NO_CACHE) if path.startswith("cube.zarr") else _whole_file(file)

    return routes


class _Json(Response):
    """JSON without spaces: a series of twenty years is long."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _rounded(name: str, values: Iterable[float]) -> list[float | None]:
    digits = 4 if VARIABLES[name].attributes.get("units") == "m3 m-3" else 2
    return [None if value != value else round(value, digits) for value in values]


def _describe(config: Config, reader: Reader | None) -> dict[str, Any]:
    grid = None
    if reader:
        (lat, lon), half = reader.axes, reader.step / 2
        grid = {
            "rows": lat.size,
            "cols": lon.size,
            "step": reader.step,
            **{"north": lat[0] + half, "south": lat[-1] - half, "west": lon[0] - half, "east": lon[-1] + half},
        }
    scales = [
        {"name": name, "title": s.title, "low": s.low, "high": s.high, "unit": s.unit, "colours": s.colours}
        for name, s in colours.SCALES.items()
    ]
    flags = [
        {"value": int(flag), "meaning": flag.name.lower().replace("_", " "), "colour": colour}
        for flag, colour in colours.FLAGS.items()
    ]
    there = reader.names if reader else frozenset()
    return {
        "title": config.metadata.title,
        "licence": config.metadata.licence,
        "citations": [{"doi": doi, "text": text} for doi, text in CITATIONS.items()],
        "days": reader and {"first": str(min(reader.days)), "newest": str(max(reader.days)), "count": len(reader.days)},
        "grid": grid,
        "layers": [name for name in LAYERS if name in there],
        "scales": scales,
        "flags": flags,
        "steps": colours.STEPS,
        "gap": {"value": GAP, "colour": colours.NO_VALUE},
        "nothing": {"value": NOTHING, "colour": colours.NO_LAND},
        "series": {"observed": colours.OBSERVED, "filled": colours.FILLED, "rain": colours.RAIN},
    }


@lru_cache(_CACHED_MAPS)
def _map(path: Path, layer: str, sha256: str) -> bytes:
    """Return a layer of a published file with this digest, one byte a cell, compressed."""
    fields = fields_of(path, {layer, "flag"})
    if layer not in fields:
        raise HTTPException(404, f"{path.name} has no {layer}")
    if layer == "flag":
        return gzip.compress(fields["flag"].astype(np.uint8).tobytes(), 6)
    scale, values, top = colours.SCALES[layer], fields[layer], colours.STEPS - 1
    steps = np.rint((np.nan_to_num(values) - scale.low) / (scale.high - scale.low) * top).clip(0, top)
    land = fields["flag"] != Flag.NOT_LAND if "flag" in fields else np.zeros(values.shape, bool)
    shown = np.where(np.isnan(values), np.where(land, GAP, NOTHING), steps).astype(np.uint8)
    return gzip.compress(shown.tobytes(), 6)


def _calendar(rows: dict[dt.date, DayRow], problems: dict[dt.date, Problem], today: dt.date) -> dict[str, Any]:
    known = [*rows, *problems]
    if not known:
        return {"first": None, "states": "", "reasons": {}}
    first = min(known)
    letters, reasons = [], {}
    for number in range((max(today, *known) - first).days + 1):
        date = first + dt.timedelta(number)
        row, problem = rows.get(date), problems.get(date)
        letter, reason = state_of(row, problem)
        letters.append(letter)
        if reason:
            reasons[str(date)] = reason
    return {"first": str(first), "states": "".join(letters), "reasons": reasons}


def state_of(row: DayRow | None, problem: Problem | None) -> tuple[str, str]:
    """Return a day's letter in the calendar, and the reason if it is not simply current.

    ``c`` current (consolidated), ``p`` provisional, ``r`` refused, ``k`` refused but as it was before still published,
    ``m`` missing.
    """
    if problem and problem.kind in ("refused", "result refused"):
        kept = "; the day as it was before is still published" if row else ""
        return "k" if row else "r", f"since {problem.since[:10]}: {problem.reason}{kept}"
    if row is None:
        return "m", f"{problem.kind}: {problem.reason}" if problem else "not filled: nothing was planned for it yet"
    lacking = [role for role, item in row.record.inputs.items() if item is None]
    soil, rain = ([r for r in lacking if r.startswith(_RAIN) == is_rain] for is_rain in (False, True))
    parts = [f"{what} of {_offsets(roles)}" for what, roles in (("soil moisture", soil), ("rain", rain)) if roles]
    said = f"made without {' and '.join(parts)}" if parts else ""
    if row.record.tier == "provisional":
        return "p", said or "provisional: its rain or a day of its window may still change"
    return "c", said


def _offsets(roles: list[str]) -> str:
    """Return the days that roles stand for, runs of them joined: ``T-4, T-2, T+1 to T+4``."""
    days = sorted(int(role.removeprefix(_RAIN).strip().removeprefix("T") or 0) for role in roles)
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    ends = [[f"T{day:+d}" if day else "the day itself" for day in (run[0], run[-1])] for run in runs]
    return ", ".join(first if first == last else f"{first} to {last}" for first, last in ends)


def _whole_file(path: Path) -> Response:
    """Return a file that may be replaced at any moment: it is read at once."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise HTTPException(404, f"{path.name} is not there any more") from None
    kind = "application/netcdf" if path.suffix == ".nc" else "application/json"
    headers = {"Content-Disposition": f'attachment; filename="{path.name}"'} if path.suffix == ".nc" else {}
    return Response(content, media_type=kind, headers=headers | _NO_CACHE)
