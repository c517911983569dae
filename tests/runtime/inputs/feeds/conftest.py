"""Servers that behave like NASA Earthdata and the Climate Data Store, and feeds that use them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.common.deadline import TimeLimits
from runtime.common.sensors import PRODUCTS
from runtime.config import Cds, Earthdata
from runtime.inputs.feeds.base import Granule, GranuleFilter
from runtime.inputs.feeds.cds import CdsFeed
from runtime.inputs.feeds.earthdata import EarthdataFeed
from tests.conftest import START, MakeSite, Site
from tests.support.cds import KEY, CdsServer, serve_cds
from tests.support.earthdata import TOKEN, Server, serve

CDS_DAYS = GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")
"""The days in the zips are LPRM files with LPRM names, which the made-up world writes."""


@pytest.fixture(autouse=True)
def _logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("EARTHDATA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def remote(make_site: MakeSite) -> Iterator[tuple[Site, Server]]:
    """A site whose feeds are a server that has all files."""
    site = make_site()
    with serve(site.folder / "incoming") as server:
        yield site, server


def sample(remote: tuple[Site, Server], day: int = 3) -> str:
    """Return the name of a day's soil-moisture file."""
    return remote[0].lprm(day).name


def earthdata_feed(server: Server, limits: TimeLimits | None = None, **changes: object) -> EarthdataFeed:
    usual = {"edl_host": "localhost:1", "wait_s": 0.01, "timeout_s": 2.0, "attempts": 3}
    hosts = [f"127.0.0.1:{server.server_address[1]}"]
    settings = Earthdata.model_validate({"cmr_url": f"{server.url}/search/", "token_hosts": hosts, **usual, **changes})
    return EarthdataFeed(settings, GranuleFilter(PRODUCTS["lprm-amsr2"], "descending"), limits=limits)


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[Server]:
    """A server without any file."""
    with serve(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def _cds_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CDSAPI_KEY", KEY)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "cdsapirc"))
    monkeypatch.delenv("CDSAPI_URL", raising=False)


@pytest.fixture
def cds(make_site: MakeSite) -> Iterator[tuple[Site, CdsServer]]:
    """A site, and a CDS that has its files."""
    site = make_site()
    with serve_cds(site.folder / "incoming" / "lprm") as server:
        yield site, server


def cds_feed(
    server: CdsServer, limits: TimeLimits | None = None, version: str | None = None, **changes: object
) -> CdsFeed:
    """Return a feed that asks a server often."""
    usual = {"wait_s": 0.01, "poll_s": 0.02, "timeout_s": 2.0, "attempts": 3, "request": {"type_of_sensor": "passive"}}
    return CdsFeed(Cds.model_validate({"url": f"{server.url}/api", **usual, **changes}), CDS_DAYS, version, limits)


def first_day(feed: CdsFeed) -> Granule:
    """Return the first day on offer."""
    return feed.granules(START, START)[START][0]
