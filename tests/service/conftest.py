"""An archive with days of every kind, and the service's web application over it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from runtime.common.clock import now
from runtime.common.grid import Grid
from runtime.common.netcdf import LOCK
from runtime.demo.files import write_lprm
from runtime.demo.world import WorldDay
from service.metrics import ArchiveCollector
from service.runner import FillRun, Runner
from service.schedule import FillSchedule
from service.serve import listening
from service.web import application
from tests.conftest import BOX, START, Site
from tests.support.hook import Hook, serve_hook
from tests.support.sensor_site import SensorSite

REFUSED, MISSING = 9, 11
"""The day of the fortnight whose file is damaged, and the day without a file."""


@pytest.fixture(scope="session")
def varied(tmp_path_factory: pytest.TempPathFactory, fortnight: Path) -> Site:
    """The fortnight, of which one day is refused and one missing; read only."""
    folder = tmp_path_factory.mktemp("varied")
    (folder / "seamless-sm.toml").write_text(
        f'[archive]\nstart = {START}\n[grid]\nbox = {list(BOX)}\n[model]\nengine = "cpu"\n'
        '[[feeds.soil_moisture]]\nband = "x"\n[feeds.precipitation]\nkind = "folder"\n'
        "[policy]\nmax_outage_days = 0\n[service]\nport = 0\npoll_minutes = 60\n"
    )
    site = Site(folder, fortnight, "seamless-amsr2-x")
    site.bring()
    site.lprm(REFUSED).write_bytes(b"not a granule")
    site.lprm(MISSING).unlink()
    site.fill()
    return site


class KnownRunner(Runner):
    """A runner whose last run, or whose run in progress, is given; it runs nothing."""

    def __init__(self, exit_code: int | None = None, running_minutes: float | None = None) -> None:
        super().__init__([])
        self.last = None if exit_code is None else FillRun(now(), now(), exit_code)
        if running_minutes is not None:
            self.running_since = now() - dt.timedelta(minutes=running_minutes)


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook that accepts everything, unless told otherwise."""
    with serve_hook() as hook:
        yield hook


@contextmanager
def web(site: Site | SensorSite, *overrides: str, runner: Runner | None = None) -> Iterator[FastAPI]:
    """Yield the application over a site; nothing is filled."""
    config, runner = site.config(*overrides), runner or Runner([])
    schedule = FillSchedule(config, runner)
    schedule.scheduler.start(paused=True)
    try:
        yield application(config, runner, schedule, ArchiveCollector(config, runner, lambda: site.today))
    finally:
        schedule.scheduler.shutdown()


def publish_anew(site: Site, day: WorldDay, grid: Grid, shift: float) -> None:
    """Replace a day's soil-moisture file by one with other values."""
    number = (day.date - START).days
    observed = np.where(day.observed > 0.1, day.observed + np.float32(shift), day.observed)
    site.lprm(number).unlink()
    with LOCK:  # the application may be reading in other threads
        write_lprm(site.folder / "incoming" / "lprm", replace(day, observed=observed), grid)


@contextmanager
def asking(site: Site) -> Iterator[httpx.Client]:
    with web(site) as app, listening(site.config(), app) as address, httpx.Client(base_url=address) as client:
        yield client


@pytest.fixture(scope="module")
def client(varied: Site) -> Iterator[httpx.Client]:
    with asking(varied) as client:
        yield client
