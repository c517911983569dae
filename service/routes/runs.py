"""Requests for a run; the application has this route only if a token is configured."""

from __future__ import annotations

import secrets

from fastapi import APIRouter, Depends, HTTPException, Request

from service.models import QueuedRun, RunRequest
from service.services import RequestServices


async def require_token(services: RequestServices, request: Request) -> None:
    """Refuse a request without the configured bearer token."""
    token = services.config.service.token
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if (
        token is None
        or scheme.lower() != "bearer"
        or not secrets.compare_digest(given.encode(), token.get_secret_value().encode())
    ):
        raise HTTPException(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})


router = APIRouter(dependencies=[Depends(require_token)])


@router.post("/api/runs", status_code=202)
def post_run(services: RequestServices, request: RunRequest | None = None) -> QueuedRun:
    """Ask for a run; it starts when no other is in progress."""
    request = request or RunRequest()
    if request.last and (request.first is None or request.last < request.first):
        raise HTTPException(422, "to needs a from that is not after it")
    days = _day_arguments(request)
    services.schedule.request(days)
    return QueuedRun(queued=days)


def _day_arguments(request: RunRequest) -> list[str]:
    """Return the options of ``runtime fill`` that choose the requested days."""
    if request.first is None:
        return ["--date", "today"]
    return ["--from", str(request.first), "--to", str(request.last or request.first)]
