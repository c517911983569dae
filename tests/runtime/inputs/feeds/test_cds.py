"""The CDS feed with a server on loopback: days on offer, the queue, zips, and the errors of each."""

import datetime as dt
import time
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset

from runtime.common.deadline import TimeLimits
from runtime.common.sensors import PRODUCTS
from runtime.config import Cds
from runtime.errors import ConfigError, FeedUnreachable, LoginRefused
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.cds import CdsFeed, offered_days
from tests.conftest import DAYS, START, MakeSite, Runtime, Site
from tests.runtime.inputs.feeds.conftest import cds_feed, first_day
from tests.support.cds import KEY, CdsServer, serve_cds, zip_of


@pytest.mark.slow
def test_an_archive_from_the_cds_is_the_local_one(cds: tuple[Site, CdsServer], make_site: MakeSite) -> None:
    site, server = cds
    local = make_site(name="local")
    local.fill()
    outcome = site.fill(None, None, *server.settings())
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS)
    for number in range(DAYS):
        with Dataset(site.day_file(number)) as ours, Dataset(local.day_file(number)) as theirs:
            np.testing.assert_array_equal(ours["soil_moisture"][:].filled(-1), theirs["soil_moisture"][:].filled(-1))
    assert len(server.requests) == 1, "one request brings the days of a month"
    assert server.requests[0]["day"] == [f"{START + dt.timedelta(n):%d}" for n in range(DAYS)]
    asked = dict(server.asked)
    assert site.fill(None, None, *server.settings()).filled == []
    assert {name for name, count in server.asked.items() if count != asked[name]} == {"constraints"}


@pytest.mark.slow
def test_a_new_day_is_the_only_one_that_is_requested(make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    site.bring(0, 7)
    with serve_cds(site.folder / "incoming" / "lprm") as server:
        site.fill(None, None, *server.settings(), "policy.max_lag_days=99")
        site.bring(8, 8)
        site.fill(None, None, *server.settings(), "policy.max_lag_days=99")
        assert [len(request["day"]) for request in server.requests] == [8, 1]


@pytest.mark.slow
def test_the_interim_record_is_replaced_by_the_final_one(make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    site.bring(0, 1)
    with serve_cds(site.folder / "incoming" / "lprm") as server:
        interim = first_day(cds_feed(server))
        assert interim.name == "C3S-SOILMOISTURE-L3S-SSMV-LPRM-AMSR2-DAILY-20200401000000-ICDR-v202312.0.0.nc"
        site.fill(None, None, *server.settings(), "policy.max_lag_days=99")
        server.record = ("cdr", "v202312")
        final = first_day(cds_feed(server))
        assert interim.location == final.location
        assert interim.version != final.version
        assert "-TCDR-" in final.name
        assert (interim.is_interim, final.is_interim) == (True, False)
        site.fill(None, None, *server.settings(), "policy.max_lag_days=99")
        assert [request["type_of_record"] for request in server.requests] == [["icdr"], ["cdr"]]


def test_the_final_record_counts_and_of_it_the_newest_version() -> None:
    keywords = {"variable": ("sm",), "type_of_record": ("cdr", "icdr"), "version": ()}
    usual = {"variable": ["sm", "rzsm"], "year": ["2024"], "month": ["01"]}
    offers = [
        usual | {"type_of_record": ["cdr"], "version": ["v202212"], "day": ["01", "02", "03"]},
        usual | {"type_of_record": ["icdr", "cdr"], "version": ["v202312"], "day": ["01"]},
        usual | {"type_of_record": ["icdr"], "version": ["v202312", "v202012.0.0"], "day": ["02", "31", "32"]},
        usual | {"variable": ["rzsm"], "type_of_record": ["icdr"], "version": ["v202505"], "day": ["01"]},
        usual | {"type_of_record": ["icdr"], "version": ["a b"], "day": ["04"]},
    ]
    found = offered_days(offers, keywords)
    assert {date.day: text for date, text in found.items()} == {
        1: "type_of_record=cdr version=v202312",
        2: "type_of_record=cdr version=v202212",
        3: "type_of_record=cdr version=v202212",
        31: "type_of_record=icdr version=v202312",
    }
    years = [f"{year:04}" for year in (*range(1900), *range(2200, 10_000))]
    assert not offered_days([{**offers[0], "year": years}], keywords)  # a million days else
    pinned = offered_days(offers, keywords | {"version": ("v202012.0.0",)})
    assert {date.day for date in pinned} == {2, 31}


def test_days_come_through_a_queue(cds: tuple[Site, CdsServer], tmp_path: Path) -> None:
    site, server = cds
    server.polls = 5
    feed = cds_feed(server)
    feed.fetch(first_day(feed), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == site.lprm(0).read_bytes()
    assert server.asked["job"] > 5
    assert feed.oldest() == START


@pytest.mark.slow
def test_a_request_left_in_the_queue_is_taken_up(cds: tuple[Site, CdsServer], tmp_path: Path) -> None:
    _, server = cds
    server.polls = 10**9
    feed = cds_feed(server, TimeLimits.start(file_minutes=0.5 / 60))
    with pytest.raises(FeedUnreachable, match="request job-0 is still .* after 0.5 s .*the next run takes it up"):
        feed.fetch(first_day(feed), tmp_path / "got")
    server.polls = 0
    feed = cds_feed(server)
    feed.fetch(first_day(feed), tmp_path / "got")
    assert len(server.requests) == 1


def test_nothing_more_is_requested_while_a_request_is_in_the_queue(cds: tuple[Site, CdsServer], tmp_path: Path) -> None:
    site, server = cds
    file = site.lprm(0)
    file.with_name(file.name.replace("20200401", "20200501")).write_bytes(file.read_bytes())
    server.polls = 10**9
    feed = cds_feed(server, TimeLimits.start(file_minutes=1.0 / 60))
    for granule in (first_day(feed), feed.granules()[dt.date(2020, 5, 1)][0]):
        with pytest.raises(FeedUnreachable, match="request job-0 is still"):
            feed.fetch(granule, tmp_path / "got")
    assert len(server.requests) == 1


def test_a_request_whose_result_is_gone_is_made_again(cds: tuple[Site, CdsServer], tmp_path: Path) -> None:
    site, server = cds
    for _ in range(2):
        feed = cds_feed(server)
        feed.fetch(first_day(feed), tmp_path / "got")
        server.faults["result"] = ["expired"]
    assert (tmp_path / "got").read_bytes() == site.lprm(0).read_bytes()
    assert len(server.requests) == 2


@pytest.mark.parametrize("product", ["c3s-passive", "c3s-combined"])
def test_a_day_of_c3s_has_the_name_of_its_file(product: str, tmp_path: Path) -> None:
    sensor = product.removeprefix("c3s-")
    name = f"C3S-SOILMOISTURE-L3S-SSMV-{sensor.upper()}-DAILY-20240115000000-ICDR-v202312.0.0.nc"
    (tmp_path / "cds").mkdir()
    (tmp_path / "cds" / name).write_bytes(b"a day")
    with serve_cds(tmp_path / "cds") as server:
        feed = CdsFeed(Cds(url=f"{server.url}/api", poll_s=0.02), GranuleFilter(PRODUCTS[product]))
        ((granule,),) = feed.granules().values()
        assert granule.name == name
        feed.fetch(granule, tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == b"a day"
        assert server.requests == [
            {
                "variable": ["surface_soil_moisture_volumetric"],
                "type_of_sensor": [sensor],
                "time_aggregation": ["daily"],
                "type_of_record": ["icdr"],
                "version": ["v202312"],
                "format": ["zip"],
                "year": ["2024"],
                "month": ["01"],
                "day": ["15"],
            }
        ]


def test_a_users_own_product_comes_from_the_cds_by_its_declaration(make_site: MakeSite) -> None:
    site = make_site("seamless-2", arrived=False)
    site.bring(0, 1)
    with serve_cds(site.folder / "incoming" / "lprm") as server:
        own = ("feeds.soil_moisture.0.product=mine", 'products.mine.extends="lprm-amsr2"', "policy.max_lag_days=99")
        settings = [text for text in server.settings() if "request" not in text]
        with pytest.raises(ConfigError, match=r"or cds.type_of_sensor in \[products.mine\], for example"):
            site.fill(0, 1, *settings, *own)
        declared = 'products.mine.cds={type_of_sensor="combined", format="tgz"}'
        assert len(site.fill(0, 1, *settings, *own, declared).filled) == 2
        assert {(*request["type_of_sensor"], *request["format"]) for request in server.requests} == {
            ("combined", "tgz")
        }


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize(
    ("question", "fault"), [("constraints", 429), ("submit", 500), ("job", 503), ("result", 502), ("download", 503)]
)
def test_passing_troubles_of_the_cds_are_overcome(
    question: str, fault: int, cds: tuple[Site, CdsServer], tmp_path: Path
) -> None:
    site, server = cds
    server.faults[question] = [fault]
    feed = cds_feed(server)
    feed.fetch(first_day(feed), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == site.lprm(0).read_bytes()


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize(
    ("question", "fault", "error", "message"),
    [
        (
            "submit",
            "quota",
            FeedUnreachable,
            "has too many queued requests and takes no more .*run again later, or delete",
        ),
        (
            "submit",
            "licence",
            LoginRefused,
            "the licence of satellite-soil-moisture is not accepted yet .*log in at http",
        ),
        ("submit", "invalid", FeedUnreachable, "refuses the request .*Unknown keyword.*set it in cds.request"),
        ("submit", "failed", FeedUnreachable, "The job has failed ValueError: no data"),
        ("submit", "redirect", FeedUnreachable, "redirected to http://localhost:1/stolen"),
        ("job", "odd", FeedUnreachable, "the answer is not one of the CDS"),
        ("constraints", "odd", FeedUnreachable, "the answer is no list of what is offered"),
        ("constraints", "html", FeedUnreachable, "the answer is not one of the CDS"),
        ("constraints", "bomb", FeedUnreachable, "it has more than 64 MiB"),
        ("constraints", 404, FeedUnreachable, "it has no satellite-soil-moisture"),
        ("result", "huge", FeedUnreachable, "cannot be what it should be"),
        ("download", "cut", FeedUnreachable, "did not come in 3 tries"),
        ("download", "short", FeedUnreachable, r"did not come in 3 tries \(\d+ bytes came of \d+\)"),
    ],
)
def test_lasting_troubles_of_the_cds_are_told_apart(
    question: str,
    fault: int | str,
    error: type[Exception],
    message: str,
    cds: tuple[Site, CdsServer],
    tmp_path: Path,
) -> None:
    _, server = cds
    server.faults[question] = [fault] * 20
    feed = cds_feed(server)
    with pytest.raises(error, match=message) as raised:
        feed.fetch(first_day(feed), tmp_path / "got")
    assert KEY not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_request_that_was_refused_is_not_made_again_for_each_day(
    cds: tuple[Site, CdsServer], runtime: Runtime
) -> None:
    site, server = cds
    server.faults["submit"] = ["quota"] * 99
    result = runtime("fill", "--config", site.file, *(part for s in server.settings() for part in ("--set", s)))
    assert result.exit_code == 3, result.output
    assert "has too many queued requests" in result.stderr
    assert server.asked["submit"] == 1


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("question", ["constraints", "submit", "job", "result", "download", "login"])
@pytest.mark.parametrize("fault", ["silent", "drip"])
def test_a_cds_that_never_ends_is_given_up(
    question: str, fault: str, cds: tuple[Site, CdsServer], tmp_path: Path
) -> None:
    _, server = cds
    feed = cds_feed(server, TimeLimits.start(file_minutes=1.0 / 60), timeout_s=0.5)
    server.faults[question] = [fault] * 99
    begun = time.monotonic()

    def use() -> None:
        feed.check_login({})
        feed.fetch(first_day(feed), tmp_path / "got")

    with pytest.raises(FeedUnreachable):
        use()
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    ("renamed", "message"),
    [
        ("type_of_sensor", 'has no keyword type_of_sensor, .*set cds.request: type_of_sensor = "" and the new one'),
        ("version", "has no keyword version"),
        ("month", "has no keyword month"),
    ],
)
def test_a_renamed_keyword_is_named(renamed: str, message: str, cds: tuple[Site, CdsServer]) -> None:
    _, server = cds
    server.renamed = {renamed: "new_name"}
    with pytest.raises(FeedUnreachable, match=message) as raised:
        cds_feed(server).granules()
    assert "new_name" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_renamed_keyword_is_replaced_by_the_configuration(cds: tuple[Site, CdsServer], tmp_path: Path) -> None:
    site, server = cds
    server.renamed = {"type_of_sensor": "sensor", "time_aggregation": "aggregation"}
    request = {"type_of_sensor": "", "sensor": "passive", "time_aggregation": "", "aggregation": ["daily"]}
    feed = cds_feed(server, request=request | {"type_of_sensor": ""})
    feed.fetch(first_day(feed), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == site.lprm(0).read_bytes()
    assert server.requests[0]["sensor"] == ["passive"]
    assert "type_of_sensor" not in server.requests[0]


def test_a_renamed_value_is_named_with_those_there_are(cds: tuple[Site, CdsServer]) -> None:
    _, server = cds
    with pytest.raises(
        FeedUnreachable, match="has no type_of_sensor radar, it has combined, passive; set cds.request.type_of_sen"
    ):
        cds_feed(server, request={"type_of_sensor": "radar"}).granules()
    with pytest.raises(FeedUnreachable, match="has no version v9, it has v202312; set cds.request.version"):
        cds_feed(server, version="v9").granules()
    with pytest.raises(
        ConfigError, match="what the CDS calls the sensor of lprm-amsr2; set cds.request.type_of_sensor"
    ):
        cds_feed(server, request={})


def test_a_zip_that_cannot_be_used_is_named(cds: tuple[Site, CdsServer], tmp_path: Path) -> None:
    _, server = cds
    server.zips = [b"<html>gone</html>", zip_of({"README.txt": b"x"})]
    feed = cds_feed(server)
    with pytest.raises(
        FeedUnreachable, match="CDS, satellite-soil-moisture of 2020-04 .*: is no zip, or was cut short"
    ):
        feed.fetch(first_day(feed), tmp_path / "got")
    server.jobs.clear()
    feed = cds_feed(server)
    with pytest.raises(FeedUnreachable, match="2020-04-01: the CDS offers it, and its answer has no file of that day"):
        feed.fetch(first_day(feed), tmp_path / "got")
