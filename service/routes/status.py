"""The state of the service: health, readiness, metrics, and a summary."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from runtime.common.clock import today
from service.models import Health, Incident, Readiness, RunState, ServiceStatus
from service.services import RequestServices

router = APIRouter()


@router.get("/healthz")
def get_health(services: RequestServices) -> Health:
    """Whether the process lives and its scheduler runs."""
    if not services.schedule.scheduler.running:
        raise HTTPException(503, "the scheduler does not run")
    return Health(status="ok")


@router.get("/readyz")
def get_readiness(services: RequestServices) -> Readiness:
    """Whether the archive can be read, and the last run did what it could."""
    with services.open_catalog() as catalog:
        span = catalog.first_and_newest()
    last = services.runner.last
    if last and last.failed:
        raise HTTPException(503, f"the last run ended with exit code {last.exit_code}; its log says why")
    return Readiness(status="ready", newest=span and span[1])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}},
)
def get_metrics(services: RequestServices) -> Response:
    """The metrics of service and archive, for Prometheus."""
    return Response(generate_latest(services.metrics), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/status")
def get_status(services: RequestServices) -> ServiceStatus:
    """The state of the service and of the archive."""
    with services.open_catalog() as catalog:
        span, incidents, days = catalog.first_and_newest(), catalog.incidents(), catalog.count()
    last = services.runner.last
    return ServiceStatus(
        archive=str(services.config.archive.path),
        first=span and span[0],
        newest=span and span[1],
        days=days,
        lag_days=span and (today() - span[1]).days,
        running_since=services.runner.running_since,
        last_run=RunState.model_validate(last) if last else None,
        next_run=services.schedule.next_run(),
        incidents=[Incident(kind=k, message=message, since=since) for k, (message, since) in incidents.items()],
    )
