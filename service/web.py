"""The web application: its routes, the page's files, and what all answers have in common."""

from __future__ import annotations

import json

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry

from runtime.archive.paths import ArchivePaths
from runtime.config import Config
from runtime.errors import InputsMissing, SeamlessError, UsageError
from service.metrics import ArchiveCollector
from service.middleware import SECURITY_HEADERS, BodyLimit, CommonHeaders, HeadAsGet, HostCheck, allowed_hosts
from service.models import Calendar
from service.reader_cache import MadeOnce, ReaderCache
from service.routes import days, files, maps, runs, series, status, tiles
from service.runner import Runner
from service.schedule import FillSchedule
from service.services import Services


def application(config: Config, runner: Runner, schedule: FillSchedule, collector: ArchiveCollector) -> FastAPI:
    """Return the web application.

    Parameters
    ----------
    config : Config
        The archive's configuration. Without ``service.token`` there is no route that asks for a run.
    runner : Runner
        What fills the archive.
    schedule : FillSchedule
        When it does.
    collector : ArchiveCollector
        What ``/metrics`` answers.

    Returns
    -------
    FastAPI
        The application; nothing is started.
    """
    metrics = CollectorRegistry(auto_describe=False)
    metrics.register(collector)
    app = FastAPI(title="seamless-sm", docs_url=None, redoc_url=None)
    calendar: MadeOnce[Calendar] = MadeOnce(ArchivePaths.of(config).catalog)
    app.state.services = Services(config, runner, schedule, metrics, ReaderCache(config), calendar)
    app.exception_handler(SeamlessError)(answer_error)
    app.exception_handler(RequestValidationError)(answer_invalid)
    app.exception_handler(Exception)(answer_failure)
    app.add_middleware(BodyLimit)  # the one that is added last sees a request first
    app.add_middleware(HeadAsGet)
    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=4)
    app.add_middleware(HostCheck, allowed=allowed_hosts(config.service))
    app.add_middleware(CommonHeaders)
    for module in (status, days, maps, tiles, series, files):
        app.include_router(module.router)
    if config.service.token:
        app.include_router(runs.router)
    app.mount("/static", StaticFiles(directory=files.STATIC), name="static")
    return app


def answer_error(_: Request, error: SeamlessError) -> JSONResponse:
    """Answer an error of the runtime with its message: 422 for a wrong request, 404 for no such day, otherwise 503."""
    code = 422 if isinstance(error, UsageError) else 404 if isinstance(error, InputsMissing) else 503
    return JSONResponse({"detail": str(error)}, status_code=code)


async def answer_invalid(_: Request, error: RequestValidationError) -> Response:
    """Answer 422 with what is wrong, and the text that was sent; other values may not be possible in JSON, as NaN."""
    problems = [
        {name: value for name, value in problem.items() if name in ("type", "loc", "msg")}
        | ({"input": problem["input"]} if isinstance(problem.get("input"), str) else {})
        for problem in error.errors()
    ]
    content = json.dumps({"detail": problems})  # ASCII: half a surrogate pair cannot be written in UTF-8
    return Response(content, 422, media_type="application/json")


async def answer_failure(_: Request, __: Exception) -> JSONResponse:
    """Answer 500 to what was not foreseen; the server logs it."""
    detail = "the service failed to answer; its log says why"
    return JSONResponse({"detail": detail}, 500, headers=SECURITY_HEADERS)
