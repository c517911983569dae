"""What `runtime doctor` says about each feed: whether it answers, and whether it takes the log-in."""

import json
import os
import re
import socket
from pathlib import Path

import pytest

from runtime.config import Config
from runtime.doctor import Finding, examine
from tests.conftest import MakeSite, Runtime, Site
from tests.support.cds import KEY, serve_cds
from tests.support.earthdata import TOKEN, serve


@pytest.fixture(autouse=True)
def _logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("EARTHDATA_", "CDSAPI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    monkeypatch.setenv("CDSAPI_KEY", KEY)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "cdsapirc"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr("runtime.doctor.today", lambda: Site.date(13))


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


def _soil_moisture(config: Config, *, offline: bool = False) -> Finding:
    (found,) = (finding for finding in examine(config, offline=offline) if finding.what == "feed lprm-amsr2")
    return found


def test_a_feed_that_the_bundle_is_not_made_for_is_a_fault(site: Site) -> None:
    config = site.config("feeds.soil_moisture.0.band=c1")
    (found,) = (finding for finding in examine(config, offline=True) if finding.what == "bundle seamless-amsr2-x")
    assert (found.good, found.exit_code) == (False, 2)
    assert "accepts lprm-amsr2, band x, not lprm-amsr2 in band c1; set feeds.soil_moisture or" in found.detail


@pytest.mark.parametrize(
    ("token", "good", "detail"),
    [
        (
            TOKEN,
            True,
            "Earthdata, LPRM_AMSR2_D_SOILM3: 14 days of the last 31, 2020-04-01 to 2020-04-14; log-in accepted",
        ),
        ("another-secret", False, "14 days of the last 31, .* does not accept the log-in .401., .*make a new one at"),
        (None, False, "14 days of the last 31, .* no Earthdata log-in: set EARTHDATA_TOKEN"),
    ],
)
def test_the_log_in_at_earthdata_is_tried(
    token: str | None, good: bool, detail: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("EARTHDATA_TOKEN", token)
    else:
        monkeypatch.delenv("EARTHDATA_TOKEN")
    with serve(site.folder / "incoming") as server:
        found = _soil_moisture(site.config(*server.settings()))
    _check(found, good, detail, token)


@pytest.mark.parametrize(
    ("key", "good", "detail"),
    [
        (KEY, True, "CDS, satellite-soil-moisture: 14 days, 2020-04-01 to 2020-04-14; key accepted"),
        ("another-secret", False, "14 days, .* does not accept the key .401.; copy the one at"),
        (None, False, "14 days, .*; no CDS key: set CDSAPI_KEY, or write it into ~/.cdsapirc"),
    ],
)
def test_the_key_of_the_cds_is_tried(
    key: str | None, good: bool, detail: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDSAPI_KEY", key or "")
    with serve_cds(site.folder / "incoming" / "lprm") as server:
        found = _soil_moisture(site.config(*server.settings()))
    _check(found, good, detail, key)


def _check(found: Finding, good: bool, detail: str, secret: str | None) -> None:
    assert (found.good, found.exit_code) == (good, 0 if good else 2)
    assert re.search(detail, found.detail), found.detail
    assert "\n" not in found.detail
    assert (secret or "no secret") not in found.detail


def test_a_feed_that_does_not_answer_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.doctor._PATIENCE_S", 1.0)
    with serve_cds(site.folder / "incoming" / "lprm") as server:
        server.faults["constraints"] = ["drip"] * 9
        found = _soil_moisture(site.config(*server.settings()))
    assert (found.good, found.exit_code) == (False, 3)
    assert "cannot be asked what satellite-soil-moisture has" in found.detail
    assert "not there within 1 s (runtime doctor)" in found.detail


def test_no_server_is_asked_offline(site: Site, runtime: Runtime) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"sftp://me:SECRET@127.0.0.1:{closed.getsockname()[1]}/lprm"
        sets = ("--set", f"feeds.soil_moisture.0.path={url}")
        result = runtime("doctor", "--config", site.file, *sets, "--offline", "--json")
    details = {finding["what"]: finding["detail"] for finding in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert "not asked, nor its log-in tried (--offline)" in details["feed lprm-amsr2"]
    assert details["feed imerg"].endswith("14 days, 2020-04-01 to 2020-04-14"), "a folder of this machine is listed"
    assert "SECRET" not in result.output
