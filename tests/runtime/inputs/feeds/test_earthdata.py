"""The Earthdata feed with a server on loopback: search, download, and the errors of both."""

import datetime as dt
from pathlib import Path

import pytest

from runtime.common.sensors import PRODUCTS
from runtime.config import Earthdata
from runtime.errors import FeedUnreachable, LoginRefused
from runtime.inputs.feeds.base import Granule, GranuleFilter
from runtime.inputs.feeds.earthdata import EarthdataFeed
from tests.conftest import DAYS, START, Site
from tests.runtime.inputs.feeds.conftest import earthdata_feed, sample
from tests.support.earthdata import PAGE, TOKEN, Server, serve


def test_searching_follows_the_pages(remote: tuple[Site, Server]) -> None:
    site, server = remote
    days = [dt.date(2013, 1, 1) + dt.timedelta(n) for n in range(PAGE + 100)]
    server.more = [Path(f"LPRM-AMSR2_L3_D_SOILM3_V001_{day:%Y%m%d}013507.nc4") for day in days]
    found = earthdata_feed(server).granules(days[0], site.date(DAYS - 1))
    assert sorted(found) == [*days, *(site.date(n) for n in range(DAYS))]
    assert server.requests["search"] == 2
    server.more.clear()
    assert earthdata_feed(server).oldest() == START
    assert list(earthdata_feed(server).granules(site.date(3), site.date(3))) == [site.date(3)]


@pytest.mark.parametrize("fault", [429, 500, 503, "truncated", "short", "slow", "html", "json", "redirect"])
def test_passing_troubles_are_overcome(fault: int | str, remote: tuple[Site, Server], tmp_path: Path) -> None:
    _, server = remote
    name = sample(remote)
    server.faults[name] = [fault]
    feed = earthdata_feed(server, timeout_s=0.5)
    ((granule,),) = [g for day, g in feed.granules(START, remote[0].date(9)).items() if day == remote[0].date(3)]
    feed.fetch(granule, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == remote[0].lprm(3).read_bytes()
    assert server.requests[name] == (1 if fault == "redirect" else 2)


def test_a_server_that_says_when_to_come_back_is_obeyed(remote: tuple[Site, Server], tmp_path: Path) -> None:
    _, server = remote
    server.faults["search"] = [429]
    earthdata_feed(server).granules(START, START)
    assert server.asked_at[1] - server.asked_at[0] >= 1.0


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (401, LoginRefused, "the token has expired or is wrong; make a new one at https://.* and set EARTHDATA_TOKEN"),
        (403, LoginRefused, "Applications, Authorized Apps, and approve NASA GESDISC DATA ARCHIVE"),
        ("login", LoginRefused, "came as a log-in page; the token has expired, or the account has not approved"),
        (404, FeedUnreachable, r"CMR lists it, its host does not have it \(404\)"),
        (500, FeedUnreachable, r"did not come in 3 tries \(HTTP 500\); run again later"),
        ("html", FeedUnreachable, "came as a web page: '<!DOCTYPE html><html><body>The requested granule cannot"),
        ("json", FeedUnreachable, "came as a JSON message: .*not available"),
        ("truncated", FeedUnreachable, "did not come in 3 tries"),
    ],
)
def test_lasting_troubles_are_told_apart(
    fault: int | str, error: type[Exception], message: str, remote: tuple[Site, Server], tmp_path: Path
) -> None:
    _, server = remote
    server.faults[sample(remote)] = [fault] * 20
    feed = earthdata_feed(server)
    granule = feed.granules(START, remote[0].date(9))[remote[0].date(3)][0]
    with pytest.raises(error, match=message):
        feed.fetch(granule, tmp_path / "got")


def test_netrc_serves_where_there_is_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The log-in host needs HTTPS, so here the log-in must fail when it connects, and not before."""
    monkeypatch.delenv("EARTHDATA_TOKEN")
    (tmp_path / "netrc").write_text("machine localhost:1 login me password secret\n")
    feed = EarthdataFeed(
        Earthdata(edl_host="localhost:1", attempts=1, token_hosts=("localhost",)),
        GranuleFilter(PRODUCTS["lprm-amsr2"], "descending"),
    )
    granule = Granule(START, "lprm-amsr2", "n", "http://localhost:1/n", "v")
    with pytest.raises(FeedUnreachable, match="localhost:1.* does not answer"):
        feed.fetch(granule, tmp_path / "got")


def test_the_token_is_not_sent_after_a_redirect_to_another_host(remote: tuple[Site, Server], tmp_path: Path) -> None:
    site, server = remote
    (tmp_path / "netrc").write_text("default login me password secret\n")
    with serve(site.folder / "incoming") as other:
        hosts = [f"127.0.0.1:{each.server_address[1]}" for each in (server, other)]
        for target, seen in ((other.store_url, set()), (server.store_url, {f"Bearer {TOKEN}"})):
            server.store_url, name = target, sample(remote)
            server.faults[name] = ["redirect"]
            feed = earthdata_feed(server, token_hosts=hosts)
            feed.fetch(feed.granules(START, site.date(9))[site.date(3)][0], tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == site.lprm(3).read_bytes()
            logged_in = server.log_ins | other.log_ins
            assert logged_in[f"/data/{name}"] == {f"Bearer {TOKEN}"}
            assert logged_in.get(f"/store/{name}", set()) == seen


@pytest.mark.parametrize("fault", [500, 503, "truncated"])
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_request_is_made_as_often_as_configured(
    fault: int | str, attempts: int, remote: tuple[Site, Server], tmp_path: Path
) -> None:
    _, server = remote
    name = sample(remote)
    server.faults = {name: [fault] * 99}
    feed = earthdata_feed(server, attempts=attempts)
    granule = feed.granules(START, remote[0].date(9))[remote[0].date(3)][0]
    with pytest.raises(FeedUnreachable, match="did not come in [13] tr"):
        feed.fetch(granule, tmp_path / "got")
    server.faults = {"search": [503] * 99}
    before = server.requests["search"]
    with pytest.raises(FeedUnreachable, match=r"in [13] tr\w+ \(HTTP 503\)"):
        feed.granules(START, START)
    assert (server.requests[name], server.requests["search"] - before) == (attempts, attempts)


@pytest.mark.slow
def test_a_file_that_grows_without_end_is_not_taken(remote: tuple[Site, Server], tmp_path: Path) -> None:
    _, server = remote
    name = sample(remote)
    server.faults[name] = ["gzip bomb"] * 9
    feed = earthdata_feed(server, timeout_s=30.0)  # the server compresses for a second or more
    granule = feed.granules(START, remote[0].date(9))[remote[0].date(3)][0]
    with pytest.raises(FeedUnreachable, match=f"{name} did not come in 1 try \\(it has more than 128 MiB"):
        feed.fetch(granule, tmp_path / "got")
    assert (tmp_path / "got").stat().st_size <= PRODUCTS["lprm-amsr2"].max_bytes
    assert server.requests[name] == 1
    server.faults["search"] = ["gzip bomb"] * 9
    with pytest.raises(FeedUnreachable, match="cannot be searched for .*it has more than 256 MiB"):
        feed.granules(START, START)
