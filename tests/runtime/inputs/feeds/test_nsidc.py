"""Collections of NSIDC through the Earthdata feed: SMAP files end with .h5, and their records have many links."""

import datetime as dt
import re
from pathlib import Path

import h5py
import pytest

from runtime.common.sensors import PRODUCTS
from runtime.config import Earthdata
from runtime.errors import FeedUnreachable, LoginRefused
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.earthdata import EarthdataFeed
from tests.support.earthdata import Server, serve

DAY = dt.date(2024, 1, 15)
NAMES = [
    "SMAP_L3_SM_P_20240115_R19240_001.h5",
    "SMAP_L3_SM_P_20240115_R19240_002.h5",
    "SMAP_L3_SM_P_E_20240115_R19240_001.h5",
]
LINKS = [
    {"URL": "s3://nsidc-cumulus-prod-protected/SMAP/{name}", "Type": "GET DATA VIA DIRECT ACCESS"},
    {"URL": "s3://nsidc-cumulus-prod-protected/SMAP/{name}", "Type": "GET DATA"},
    {"URL": "https://opendap.earthdata.nasa.gov/{name}", "Type": "GET DATA", "Subtype": "OPENDAP DATA"},
    {"URL": "https://data.nsidc.earthdatacloud.nasa.gov/{name}.dmrpp", "Type": "GET DATA"},
    {"URL": "https://data.nsidc.earthdatacloud.nasa.gov/{name}.iso.xml", "Type": "EXTENDED METADATA"},
    {"URL": "https://elsewhere.example.org/{name}", "Type": "GET DATA"},
]


@pytest.fixture
def smap(tmp_path: Path) -> Path:
    for name in NAMES:
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["name"] = name
    return tmp_path


def _feed(server: Server, product: str = "smap-l3") -> EarthdataFeed:
    host = f"127.0.0.1:{server.server_address[1]}"
    settings = Earthdata(cmr_url=f"{server.url}/search/", edl_host=host, token_hosts=(host,), attempts=2, wait_s=0.01)
    return EarthdataFeed(settings, GranuleFilter(PRODUCTS[product]))


def test_the_file_is_downloaded_and_not_one_of_its_other_links(smap: Path, tmp_path: Path) -> None:
    with serve(smap) as server:
        server.more_links = LINKS
        feed = _feed(server)
        newest, older = feed.granules(DAY, DAY)[DAY]
        assert [newest.name, older.name] == [NAMES[1], NAMES[0]], "the highest number counts"
        assert newest.location == f"{server.url}/data/{NAMES[1]}"
        feed.fetch(newest, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == (smap / NAMES[1]).read_bytes()


def test_the_two_products_are_told_apart(smap: Path) -> None:
    with serve(smap) as server:
        (enhanced,) = _feed(server, "smap-l3-enhanced").granules(DAY, DAY)[DAY]
        assert enhanced.name == NAMES[2]
        assert _feed(server, "smap-l3-enhanced").oldest() == DAY


def test_the_log_in_goes_to_nsidc_by_default() -> None:
    assert {"data.nsidc.earthdatacloud.nasa.gov", "n5eil01u.ecs.nsidc.org"} <= set(Earthdata().token_hosts)


@pytest.mark.parametrize(
    ("token", "fault", "found"),
    [
        ("a-good-token", None, "log-in accepted"),
        ("a-bad-token", None, r"does not accept the log-in \(401\)"),
        ("a-good-token", 403, r"the account may not read this \(403\)"),
        ("a-good-token", "login", "came as a log-in page"),
        ("a-good-token", 500, "cannot be read in 2 tries"),
        (None, None, "no Earthdata log-in: set EARTHDATA_TOKEN"),
    ],
)
def test_the_log_in_is_tried_with_the_newest_file(
    token: str | None, fault: int | str | None, found: str, smap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("EARTHDATA_TOKEN", token)
    else:
        monkeypatch.delenv("EARTHDATA_TOKEN")
    with serve(smap) as server:
        server.faults[NAMES[1]] = [fault] * 9 if fault else []
        feed = _feed(server)
        try:
            said = feed.check_login(feed.granules(DAY, DAY))
        except (LoginRefused, FeedUnreachable) as error:
            said = str(error)
    assert re.search(found, said or "")
    assert (token or "no token") not in (said or "")
