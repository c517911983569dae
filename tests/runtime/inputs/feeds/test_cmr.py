"""What CMR answers, of any shape: sound granules, named ones that cannot be used, or a feed that is unreachable."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.common.deadline import Deadline
from runtime.common.vocabulary import ProblemKind, Tier
from runtime.config import Earthdata
from runtime.errors import FeedUnreachable
from runtime.inputs.feeds.cmr import CmrRecord, UnusableRecord, search_cmr
from runtime.pipeline.plan import Action
from tests.conftest import DAYS, START, Runtime, Site
from tests.runtime.inputs.feeds.conftest import earthdata_feed
from tests.support.earthdata import Server

COLLECTION = ("LPRM_AMSR2_D_SOILM3", "001")

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=10), inside, max_size=4),
    max_leaves=12,
)


def _sound(number: int = 1) -> dict[str, Any]:
    name = f"LPRM-AMSR2_L3_D_SOILM3_V001_202004{number:02}013507.nc4"
    return {
        "meta": {"concept-id": f"G{number}", "revision-id": 1},
        "umm": {
            "GranuleUR": name,
            "DataGranule": {
                "ArchiveAndDistributionInformation": [{"Name": name, "Checksum": {"Value": "ab", "Algorithm": "MD5"}}]
            },
            "RelatedUrls": [{"URL": f"https://data.gesdisc.earthdata.nasa.gov/{name}", "Type": "GET DATA"}],
        },
    }


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every part of a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inside for place in _places(part, (*path, key)))]


@st.composite
def _nearly_sound(draw: st.DrawFn) -> Any:
    """Return a sound record in which one part is any JSON, or missing."""
    record = _sound(draw(st.integers(1, 28)))
    *above, last = draw(st.sampled_from([place for place in _places(record) if place]))
    here: Any = record
    for key in above:
        here = here[key]
    if draw(st.booleans()):
        here[last] = draw(ANY_JSON)
    else:
        del here[last]
    return record


def _search(server: Server, hits: str, document: Any) -> tuple[list[CmrRecord], list[str], str]:
    """Return the records of an answer, what is wrong with the others, and why the feed is unreachable."""
    server.search_answer = hits, document if isinstance(document, bytes) else json.dumps(document).encode()
    configured = Earthdata(cmr_url=f"{server.url}/search/", attempts=1, timeout_s=5.0)
    try:
        found = search_cmr(configured, COLLECTION, (START, START), Deadline.after(20.0, "a.key"))
    except FeedUnreachable as error:
        return [], [], str(error)
    faults = [record.fault for record in found if isinstance(record, UnusableRecord)]
    return [record for record in found if isinstance(record, CmrRecord)], faults, ""


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(ANY_JSON | _nearly_sound() | st.just(_sound()), max_size=4))
def test_any_record_is_a_granule_or_cannot_be_used_and_is_named(items: list[Any], empty_server: Server) -> None:
    found, faults, failure = _search(empty_server, str(len(items)), {"hits": len(items), "items": items})
    if failure:
        assert "the same granule came twice" in failure or "is no list of granules" in failure
        return
    assert len(found) + len(faults) == len(items)
    assert all("cannot be used: " in fault and fault.isprintable() for fault in faults)
    feed = earthdata_feed(empty_server)
    listed = [granule for day in feed.granules().values() for granule in day]
    assert all(granule.name.isprintable() for granule in listed)
    for record in found:
        granule = feed._granule(record)
        assert granule is None or (granule.name.isprintable() and granule.location.startswith("http"))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=ANY_JSON | st.fixed_dictionaries({"items": ANY_JSON}) | st.binary(max_size=40))
def test_any_document_is_a_list_of_granules_or_an_unreachable_feed(document: Any, empty_server: Server) -> None:
    found, faults, failure = _search(empty_server, "1", document)
    if failure:
        assert "cannot be searched for LPRM_AMSR2_D_SOILM3 in 1 try" in failure
    else:
        assert len(found) + len(faults) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"items": ' + "[" * 5000 + "]" * 5000 + "}",
        "NaN",
        '{"items": [1e999999]}',
        '{"items": ["\\ud800"]}',
        '{"items": [{"umm": {"RelatedUrls": [{"URL": "https://[/x.nc4", "Type": "GET DATA"}]}}]}',
        '{"items": [{"umm": {"RelatedUrls": [{"URL": "https://host:99999/x.nc4", "Type": "GET DATA"}]}}]}',
    ],
)
def test_a_document_that_breaks_parsers_is_an_unreachable_feed(text: str, empty_server: Server) -> None:
    found, faults, failure = _search(empty_server, "1", text.encode())
    assert found == []
    assert bool(failure) != bool(faults)
    assert "\n" not in "".join([failure, *faults])


@pytest.mark.parametrize(
    ("hits", "items", "cause"),
    [
        ("14", 3, "3 granules came where 14 were to come, of 14 in all"),
        ("14", 0, "0 granules came where 14 were to come, of 14 in all"),
        ("0", 1, "1 granules came where 0 were to come, of 0 in all"),
        ("many", 1, "does not say how many granules there are"),
        ("-1", 1, "does not say how many granules there are"),
        ("", 1, "does not say how many granules there are"),
        ("9" * 9, 2000, "has 999999999 granules, more than 100000"),
    ],
)
def test_an_answer_that_is_not_complete_is_an_unreachable_feed(
    hits: str, items: int, cause: str, empty_server: Server
) -> None:
    document = {"items": [{"meta": {"concept-id": f"G{number}"}} for number in range(items)]}
    assert cause in _search(empty_server, hits, document)[2]


def test_hits_in_the_document_must_agree_too(empty_server: Server) -> None:
    _, _, failure = _search(empty_server, "1", {"hits": 14, "items": [_sound()]})
    assert "1 granules came, 14 are there by the document and 1 by CMR-Hits" in failure


def test_a_page_that_comes_twice_is_an_unreachable_feed(empty_server: Server) -> None:
    assert "the same granule came twice" in _search(empty_server, "2", {"items": [_sound(), _sound()]})[2]


@pytest.mark.slow
def test_days_with_data_are_not_filled_without_it_when_cmr_answers_short(remote: tuple[Site, Server]) -> None:
    site, server = remote
    records = server.records(COLLECTION[0], None)
    assert len(records) == DAYS
    server.search_answer = str(DAYS), json.dumps({"hits": DAYS, "items": records[:3]}).encode()
    outcome = site.fill(None, None, *server.settings(), "policy.max_lag_days=0")
    assert (outcome.exit_code, outcome.filled) == (3, [])
    assert f"3 granules came where {DAYS} were to come, of {DAYS} in all" in outcome.message
    assert {day.action.problem for day in outcome.planned.values()} == {ProblemKind.WAIT}
    server.search_answer = None
    assert len(site.fill(None, None, *server.settings()).filled) == DAYS


def _spoiled(record: Any, how: str) -> Any:
    """Return a sound record that can no longer be used."""
    if how == "no address":
        record["umm"]["RelatedUrls"] = []
    elif how == "a text for a list":
        record["umm"]["RelatedUrls"] = "nowhere"
    elif how == "a number for a digest":
        record["umm"]["DataGranule"]["ArchiveAndDistributionInformation"][0]["Checksum"]["Value"] = 5
    elif how == "as GES DISC names it":
        record["umm"] = {"GranuleUR": f"LPRM_AMSR2_D_SOILM3.001:{record['umm']['GranuleUR']}"}
    return record


@pytest.mark.slow
@pytest.mark.parametrize("how", ["no address", "a text for a list", "a number for a digest", "as GES DISC names it"])
def test_a_day_whose_cmr_record_cannot_be_used_waits_and_is_no_outage(
    how: str, remote: tuple[Site, Server], runtime: Runtime
) -> None:
    site, server = remote
    records = server.records(COLLECTION[0], None)
    records[5] = _spoiled(records[5], how)
    server.search_answer = str(DAYS), json.dumps({"hits": DAYS, "items": records}).encode()
    options = [*server.settings(), "feeds.precipitation.kind=none", "policy.max_lag_days=0"]
    outcome = site.fill(None, None, *options)
    assert outcome.filled == [site.date(n) for n in range(DAYS) if n != 5]
    assert outcome.exit_code == 3
    assert f"CMR, {COLLECTION[0]}: the record of " in outcome.message
    assert f"{site.lprm(5).name} cannot be used: " in outcome.message
    assert outcome.planned[site.date(5)].action is Action.WAIT
    assert outcome.planned[site.date(6)].tier is Tier.PROVISIONAL, "the day before it may still come"
    sets = [part for item in options for part in ("--set", item)]
    asked = runtime("fill", "--date", site.date(5), "--config", site.file, *sets)
    assert asked.exit_code == 3
    assert f"{site.lprm(5).name} cannot be used: " in asked.stderr
    assert asked.stderr.count("cannot be used") == 1
    server.search_answer = None
    assert site.date(5) in site.fill(None, None, *options).filled


def test_no_day_is_an_outage_while_a_cmr_record_does_not_say_its_day(remote: tuple[Site, Server]) -> None:
    site, server = remote
    records: list[Any] = server.records(COLLECTION[0], None)
    records[5] = {"meta": {"concept-id": "G5"}}
    server.search_answer = str(DAYS), json.dumps({"hits": DAYS, "items": records}).encode()
    options = [*server.settings(), "feeds.precipitation.kind=none", "policy.max_lag_days=0"]
    outcome = site.fill(0, DAYS - 1, *options)
    assert outcome.filled == [site.date(n) for n in range(DAYS) if n != 5]
    assert (outcome.exit_code, outcome.message) == (
        3,
        f"CMR, {COLLECTION[0]}: the record of G5 cannot be used: it has no address to download from; it does not say "
        "its day, so no day is known to have no file",
    )
    assert outcome.planned[site.date(5)].action is Action.WAIT


def test_a_record_that_cannot_be_used_does_not_hide_the_first_day(remote: tuple[Site, Server]) -> None:
    site, server = remote
    records: list[Any] = [{"meta": {"concept-id": "G0"}}, *server.records(COLLECTION[0], None)]
    server.search_answer = str(len(records)), json.dumps({"items": records}).encode()
    assert earthdata_feed(server).oldest() == site.date(0)


def test_a_name_too_long_for_a_file_is_skipped_and_named(remote: tuple[Site, Server]) -> None:
    site, server = remote
    records = server.records(COLLECTION[0], None)
    name = f"LPRM-AMSR2_L3_D_SOILM3_V001_20200405{'1' * 300}.nc4"
    records[4]["umm"]["RelatedUrls"] = [{"URL": f"{server.url}/data/{name}", "Type": "GET DATA"}]  # type: ignore[index]
    server.search_answer = str(DAYS), json.dumps({"hits": DAYS, "items": records}).encode()
    outcome = site.fill(None, None, *server.settings(), "feeds.precipitation.kind=none")
    assert outcome.exit_code == 0, outcome.message
    assert len(outcome.filled) >= DAYS - 1
    assert sum("LPRM-AMSR2_L3_D_SOILM3_V001_20200405111" in line and "skipped" in line for line in site.said)


def test_https_is_preferred_to_http() -> None:
    links = [{"URL": f"{scheme}://host/name", "Type": "GET DATA"} for scheme in ("ftp", "http", "https")]
    assert CmrRecord.model_validate({"umm": {"RelatedUrls": links}}).urls == ["https://host/name", "http://host/name"]
