"""The state of the service: health, readiness, metrics, and a summary."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from runtime.common.clock import now, today
from service.faults import failed_run_fault, lag_fault, stuck_run_fault
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
    """Whether the archive can be read and is current, the last run did what it could, and no run is stuck."""
    config, runner = services.config, services.runner
    with services.open_catalog() as catalog:
        span = catalog.first_and_newest()
    newest = span and span[1]
    faults = (
        failed_run_fault(runner),
        stuck_run_fault(config, runner, now()),
        lag_fault(config, runner, newest, today()),
    )
    if wrong := [fault for fault in faults if fault]:
        raise HTTPException(503, "; ".join(wrong))
    return Readiness(status="ready", newest=newest)


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
