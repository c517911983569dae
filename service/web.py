"""The web application: its routes, the page's files, and what all answers have in common."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry
from starlette.middleware.base import RequestResponseEndpoint

from runtime.config import Config
from runtime.errors import InputsMissing, SeamlessError, UsageError
from service.metrics import ArchiveCollector
from service.reader_cache import ReaderCache
from service.routes import days, files, maps, runs, series, status
from service.runner import Runner
from service.schedule import FillSchedule
from service.services import Services

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


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
    app.state.services = Services(config, runner, schedule, metrics, ReaderCache(config))
    app.exception_handler(SeamlessError)(answer_error)
    app.middleware("http")(add_headers)
    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=4)
    for module in (status, days, maps, series, files):
        app.include_router(module.router)
    if config.service.token:
        app.include_router(runs.router)
    app.mount("/static", StaticFiles(directory=files.STATIC), name="static")
    return app


def answer_error(_: Request, error: SeamlessError) -> JSONResponse:
    """Answer an error of the runtime with its message: 422 for a wrong request, 404 for no such day, otherwise 503."""
    code = 422 if isinstance(error, UsageError) else 404 if isinstance(error, InputsMissing) else 503
    return JSONResponse({"detail": str(error)}, status_code=code)


async def add_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Add the headers that every answer has."""
    response = await call_next(request)
    response.headers.update(_SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache")  # the page's files must all be of one version
    return response
