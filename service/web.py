"""What the service answers over HTTP: its page, its state, metrics; a run is asked for here and done elsewhere."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.base import RequestResponseEndpoint

from runtime.archive.catalog import Catalog, DayRow, Problem, Revision
from runtime.config import Config
from runtime.errors import InputsMissing, SeamlessError, UsageError
from service import data
from service.alerts import EXPECTED
from service.metrics import ArchiveCollector
from service.runs import FillRun, FillSchedule, Runner

_STATIC = Path(__file__).parent / "static"
_SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_MOST_DAYS = 3660
_USUAL_DAYS = 60


class RunRequest(BaseModel):
    """Days to fill; without them, whatever is due."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first: dt.date | None = Field(default=None, alias="from")
    last: dt.date | None = Field(default=None, alias="to")

    def arguments(self) -> list[str]:
        """Return them as the command line has them."""
        if self.first is None:
            return ["--date", "today"]
        return ["--from", str(self.first), "--to", str(self.last or self.first)]


def application(config: Config, runner: Runner, schedule: FillSchedule, collector: ArchiveCollector) -> FastAPI:
    """Return the web application."""
    app = FastAPI(title="seamless-sm", docs_url=None, redoc_url=None)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)

    @app.exception_handler(SeamlessError)
    def _unreadable(_: Request, error: SeamlessError) -> JSONResponse:
        code = 422 if isinstance(error, UsageError) else 404 if isinstance(error, InputsMissing) else 503
        return JSONResponse({"detail": str(error)}, status_code=code)

    @app.middleware("http")
    async def _secure(request: Request, answer: RequestResponseEndpoint) -> Response:
        response = await answer(request)
        response.headers.update(_SECURITY)
        response.headers.setdefault("Cache-Control", "no-cache")  # the parts of the page belong together
        return response

    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=4)
    app.include_router(data.router(config))
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        """The page."""
        return FileResponse(_STATIC / "index.html")

    @app.get("/healthz")
    def health() -> dict[str, str]:
        """Whether the process lives and its scheduler runs."""
        if not schedule.scheduler.running:
            raise HTTPException(503, "the scheduler does not run")
        return {"status": "ok"}

    @app.get("/readyz")
    def ready() -> dict[str, Any]:
        """Whether the archive can be read, and the last run did what it could."""
        with _open(config) as catalog:
            span = catalog.span()
        if runner.last and runner.last.exit_code not in EXPECTED:
            raise HTTPException(503, f"the last run ended with exit code {runner.last.exit_code}; its log says why")
        return {"status": "ready", "newest": span and span[1]}

    @app.get("/metrics")
    def metrics() -> Response:
        """Everything Prometheus wants to know."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/api/status")
    def status() -> dict[str, Any]:
        """The state of the service and of the archive in one glance."""
        with _open(config) as catalog:
            span, incidents, days = catalog.span(), catalog.incidents(), catalog.count()
        today, current = dt.datetime.now(dt.UTC).date(), runner.current
        return {
            "archive": str(config.archive.path),
            "first": span and span[0],
            "newest": span and span[1],
            "days": days,
            "lag_days": span and (today - span[1]).days,
            "running_since": current and current.started,
            "last_run": _run_state(runner.last),
            "next_run": schedule.next_run(),
            "incidents": [{"kind": k, "message": m, "since": since} for k, (m, since) in incidents.items()],
        }

    @app.get("/api/days")
    def days(
        first: Annotated[dt.date | None, Query(alias="from")] = None,
        last: Annotated[dt.date | None, Query(alias="to")] = None,
    ) -> list[dict[str, Any]]:
        """The days of a range, the last sixty unless it is given; days that are missing say why."""
        end = last or dt.datetime.now(dt.UTC).date()
        begin = first or end - dt.timedelta(_USUAL_DAYS)
        if begin > end:
            raise HTTPException(422, f"from {begin} is after to {end}")
        if (end - begin).days > _MOST_DAYS:
            raise HTTPException(422, f"{(end - begin).days} days are more than {_MOST_DAYS}; ask for fewer at a time")
        with _open(config) as catalog:
            rows, problems = catalog.days(begin, end), catalog.problems()
        wanted = sorted(rows.keys() | {day for day in problems if begin <= day <= end})
        return [_day_state(day, rows.get(day), problems.get(day)) for day in wanted]

    @app.get("/api/days/{date}")
    def day(date: dt.date) -> dict[str, Any]:
        """One day: what it was made from, and every time it was made."""
        with _open(config) as catalog:
            row, problem = catalog.days(date, date).get(date), catalog.problems().get(date)
            revisions = catalog.revisions(date=date)
        if row is None and problem is None:
            raise HTTPException(404, f"{date} is not in the archive, and nothing is known of it")
        return _day_state(date, row, problem) | {
            "inputs": row and {role: item and vars(item) for role, item in row.record.inputs.items()},
            "model": row and row.record.model,
            "fingerprint": row and row.record.fingerprint,
            "decision": row and row.record.decision and vars(row.record.decision),
            "sha256": row and row.sha256,
            "revisions": [_revision(revision) for revision in revisions],
        }

    if config.service.token:
        token = config.service.token.get_secret_value().encode()

        def authorised(request: Request) -> None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not secrets.compare_digest(given.encode(), token):
                raise HTTPException(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})

        @app.post("/api/runs", status_code=202, dependencies=[Depends(authorised)])
        def run(wanted: RunRequest | None = None) -> dict[str, Any]:
            """Ask for a run; it begins when no other is in progress."""
            wanted = wanted or RunRequest()
            if wanted.last and (wanted.first is None or wanted.last < wanted.first):
                raise HTTPException(422, "to needs a from that is not after it")
            schedule.request(wanted.arguments())
            return {"queued": wanted.arguments()}

    return app


def _open(config: Config) -> Catalog:
    return Catalog.open(config.catalog_path, read_only=True)


def _run_state(run: FillRun | None) -> dict[str, Any] | None:
    return vars(run) if run else None


def _day_state(date: dt.date, row: DayRow | None, problem: Problem | None) -> dict[str, Any]:
    state = row.record.tier if row else problem.kind if problem else "missing"
    return {
        "date": date,
        "state": state,
        "tier": row and row.record.tier,
        "revision": row and row.revision,
        "path": row and row.path,
        "problem": problem and {"kind": problem.kind, "reason": problem.reason, "since": problem.since},
        "figures": row and row.record.figures and vars(row.record.figures),
    }


def _revision(revision: Revision) -> dict[str, Any]:
    return vars(revision)
