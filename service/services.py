"""What the routes of the web application work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.config import Config
from service.models import Calendar
from service.reader_cache import MadeOnce, ReaderCache
from service.runner import Runner
from service.schedule import FillSchedule


@dataclass(frozen=True)
class Services:
    """The parts of the running service; one set for each application."""

    config: Config
    runner: Runner
    schedule: FillSchedule
    metrics: CollectorRegistry
    readers: ReaderCache
    calendar: MadeOnce[Calendar]

    def open_catalog(self) -> Catalog:
        """Open the archive's catalog for reading; use it as a context manager.

        Opened inside each route, not as a dependency: SQLite wants a connection used by the thread that opened it, and
        FastAPI may run a route and its dependencies in different threads.
        """
        return Catalog.open(ArchivePaths.of(self.config).catalog, read_only=True)


async def request_services(request: Request) -> Services:
    """Return the services of the application that a request is for."""
    services: Services = request.app.state.services
    return services


RequestServices = Annotated[Services, Depends(request_services)]
"""Type of a route's parameter that gets the application's services."""
