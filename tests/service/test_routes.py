"""What the routes answer about an archive."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import xarray

from runtime.archive import cf
from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.common.grid import Grid
from runtime.demo.world import WorldDay
from runtime.fill.result import Flag
from runtime.output.colours import SCALES, STEPS
from service.maps import GAP, NOTHING
from service.serve import listening
from tests.conftest import DAYS, START, MakeSite, Site
from tests.service.conftest import MISSING, REFUSED, KnownRunner, asking, publish_anew, web


@pytest.fixture
def empty(make_site: MakeSite) -> Iterator[httpx.Client]:
    with asking(make_site(arrived=False)) as client:
        yield client


def test_the_coverage_is_a_picture_that_changes_with_the_archive(client: httpx.Client, empty: httpx.Client) -> None:
    answer = client.get("/api/coverage.png?newest=2020-04-14")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content.startswith(b"\x89PNG")
    assert client.get("/api/coverage.png").content == answer.content
    again = client.get("/api/coverage.png", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert empty.get("/api/coverage.png").status_code == 404


def test_a_map_is_the_day_in_bytes(client: httpx.Client, varied: Site) -> None:
    anomaly = f"/api/days/{varied.date(5)}/map/soil_moisture_anomaly"
    assert client.get(anomaly).status_code == 404, "less than a year"
    for name, scale in SCALES.items():
        if name == "soil_moisture_anomaly":
            continue
        answer = client.get(f"/api/days/{varied.date(5)}/map/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
        values, flag = cf.values(varied.day_file(5), name), cf.values(varied.day_file(5), "flag")
        cells = np.frombuffer(answer.content, np.uint8).reshape(values.shape)
        finite = np.isfinite(values)
        shown = scale.low + cells[finite] / (STEPS - 1) * (scale.high - scale.low)
        half = (scale.high - scale.low) / (STEPS - 1) / 2
        np.testing.assert_allclose(shown, values[finite].clip(scale.low, scale.high), atol=half * 1.01)
        assert (cells[~finite & (flag != Flag.NOT_LAND)] == GAP).all()
        assert (cells[~finite & (flag == Flag.NOT_LAND)] == NOTHING).all()
    flags = np.frombuffer(client.get(f"/api/days/{varied.date(5)}/map/flag").content, np.uint8)
    np.testing.assert_array_equal(flags.reshape(flag.shape), flag)
    shown = np.frombuffer(client.get(f"/api/days/{varied.date(5)}/map/quality_flag").content, np.uint8).reshape(
        flag.shape
    )
    quality = cf.values(varied.day_file(5), "quality_flag")
    has_value = (flag != Flag.NOT_LAND) & (flag != Flag.NOT_REACHED)
    assert ((shown[has_value] == 0) == (quality[has_value] == 0)).all()
    assert (shown[has_value] & ~quality[has_value].astype(np.uint8) == 0).all()
    assert (shown[flag == Flag.NOT_LAND] == NOTHING).all()


def test_a_map_is_asked_for_once(client: httpx.Client, varied: Site) -> None:
    path = f"/api/days/{varied.date(5)}/map/soil_moisture"
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content


def test_the_archive_describes_itself(client: httpx.Client) -> None:
    answer = client.get("/api/archive").json()
    assert answer["days"] == {"first": "2020-04-01", "newest": "2020-04-14", "count": DAYS - 2}
    assert answer["grid"] == {
        **{"rows": 60, "cols": 80, "step": 0.25},
        **{"north": 50.0, "south": 35.0, "west": -10.0, "east": 10.0},
        "row_edges": [50 - row / 4 for row in range(61)],
    }
    assert set(answer["layers"]) == {*SCALES, "flag", "quality_flag"} - {"soil_moisture_anomaly"}, "less than a year"
    assert all(len(scale["colours"]) == answer["steps"] == STEPS for scale in answer["scales"])


def test_the_calendar_says_why(client: httpx.Client, varied: Site) -> None:
    answer = client.get("/api/calendar").json()
    assert answer["first"] == str(START)
    states, reasons = answer["states"], answer["reasons"]
    with Catalog.open(ArchivePaths.of(varied.config()).catalog, read_only=True) as catalog:
        tiers = {date: row.record.tier for date, row in catalog.days().items()}
    for day in range(DAYS):
        tier = tiers.get(varied.date(day), "r" if day == REFUSED else "m")
        assert states[day] == tier[0], day
    assert set(states[:DAYS]) == set("cprm")
    assert "since " in reasons[str(varied.date(REFUSED))]
    assert "HDF5" in reasons[str(varied.date(REFUSED))] or "NetCDF" in reasons[str(varied.date(REFUSED))]
    assert reasons[str(varied.date(MISSING))].startswith("wait: soil moisture is not published")
    assert reasons[str(varied.date(DAYS - 1))] == (
        "made without soil moisture of 2020-04-10, 2020-04-12, 2020-04-15 to 2020-04-18 "
        "and rain of 2020-04-15 to 2020-04-18"
    )
    assert len(states) == DAYS, "years without any input are not listed"


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/api/series?lat=91&lon=0", 422, "less than or equal to 90"),
        ("/api/series?lat=45", 422, "Field required"),
        ("/api/series?lat=nan&lon=2", 422, "nan"),
        ("/api/series?lat=inf&lon=2", 422, "less than or equal"),
        ("/api/series?lat=60&lon=2", 422, "60 N 2 E is outside the archive"),
        ("/api/series?lat=47&lon=-7", 422, "is in the sea; the nearest land cell is 48.375"),
        ("/api/series?lat=45&lon=2&from=2020-04-09&to=2020-04-01", 422, "is after to"),
        ("/api/series?lat=45&lon=2&from=yesterday", 422, "date"),
        ("/api/series?lat=45&lon=2&format=xls", 422, "'json', 'csv' or 'nc'"),
        ("/api/days/2020-02-31/map/soil_moisture", 422, "date"),
        ("/api/days/1999-01-01/map/soil_moisture", 404, "1999-01-01 is not in the archive"),
        ("/api/days/2020-04-05/map/soil", 404, "no layer 'soil'; there are soil_moisture"),
        ("/api/days/2020-04-05/map/..%2f..%2fseamless-sm.toml", 404, "Not Found"),
        ("/api/days/1999-01-01/file", 404, "1999-01-01 is not in the archive"),
    ],
)
def test_odd_questions_get_a_reason(client: httpx.Client, path: str, code: int, reason: str) -> None:
    answer = client.get(path)
    assert answer.status_code == code
    assert reason in json.dumps(answer.json()["detail"])


@pytest.mark.parametrize(
    "path",
    [
        "/api/days?to=0001-01-10",
        "/api/days?to=0001-01-01",
        "/api/days?from=9999-12-01&to=9999-12-31",
        "/api/days/0001-01-01",
        "/api/days/9999-12-31/file",
        "/api/series?lat=45.1&lon=2.2&from=0001-01-01&to=9999-12-31",
        "/api/days?from=0",
        "/api/days?to=1e400",
        "/api/days?to=-99999999999999999999",
        "/api/days?to=%ff%ed%a0%80",
        "/api/series?lat=1e400&lon=-0",
        "/api/series?lat=45.1&lon=2.2&format=%00",
        f"/archive/2020/{'a' * 300}.nc",
        f"/archive/stac/{'a' * 5000}.json",
        f"/archive/cube.zarr/{'a' * 300}/zarr.json",
        f"/archive/cube.zarr/{'a/' * 3000}zarr.json",
        f"/static/{'a' * 300}.js",
        f"/static/{'a/' * 3000}",
        "/static/%00",
        "/static/",
        f"/api/days/{'9' * 5000}",
        f"/api/days/2020-04-05/map/{'a' * 5000}",
        f"/{'a' * 20000}",
        "/archive/cube.zarr/c",
        "/archive/2020/%ff.nc",
    ],
)
def test_no_question_makes_the_service_fail(path: str, client: httpx.Client) -> None:
    answer = client.get(path)
    assert answer.status_code in (200, 404, 422)
    assert answer.status_code == 200 or answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    ["/", "/static/page.js", "/archive/cube.zarr/zarr.json", "/api/days/2020-04-06/map/soil_moisture"],
)
@pytest.mark.parametrize("form", ["{}", "W/{}", '"another", W/{}', '"another",{}', "*"])
def test_what_the_client_has_is_not_sent_again_be_its_etag_weak_or_strong(
    path: str, form: str, client: httpx.Client
) -> None:
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": form.format(first.headers["etag"])})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    for other in ('"another"', 'W/"another"', first.headers["etag"].strip('"')):
        assert client.get(path, headers={"If-None-Match": other}).status_code == 200


ENDED = "feeds.soil_moisture.0.to=2020-04-14"


@pytest.mark.parametrize(
    ("overrides", "runner", "reason"),
    [
        ([ENDED], KnownRunner(), None),
        ([ENDED], KnownRunner(exit_code=0), None),
        ([ENDED], KnownRunner(exit_code=3), None),
        ([ENDED], KnownRunner(exit_code=4), None),
        ([ENDED], KnownRunner(exit_code=1), "the last run ended with exit code 1"),
        ([ENDED], KnownRunner(exit_code=2), "the last run ended with exit code 2"),
        ([ENDED], KnownRunner(exit_code=-9), "the last run ended with exit code -9"),
        ([ENDED], KnownRunner(running_minutes=359), None),
        ([ENDED], KnownRunner(running_minutes=736), "more than 720 minutes ago"),
        ([ENDED, "policy.max_run_minutes=5"], KnownRunner(running_minutes=21), "more than 5 minutes ago"),
        ([], KnownRunner(exit_code=3), "the newest day is 2020-04-14"),
        (["feeds.soil_moisture.0.to=2199-12-31"], KnownRunner(), "days before today; 7 are normal"),
        ([], KnownRunner(), "days before 2026-08-31, the last day of the feeds; 7 are normal"),
        (["policy.max_lag_days=99999"], KnownRunner(exit_code=0), None),
        (["feeds.soil_moisture.0.to=2020-05-01"], KnownRunner(exit_code=0), "17 days before 2020-05-01"),
    ],
)
def test_it_is_ready_if_the_archive_is_current_and_no_run_is_stuck(
    overrides: list[str], runner: KnownRunner, reason: str | None, varied: Site
) -> None:
    with web(varied, *overrides, runner=runner) as app, listening(varied.config(), app) as address:
        answer, metrics = httpx.get(f"{address}/readyz"), httpx.get(f"{address}/metrics").text
    if reason is None:
        assert answer.json() == {"status": "ready", "newest": "2020-04-14"}
    else:
        assert answer.status_code == 503
        assert reason in answer.json()["detail"]
    is_stuck = reason is not None and "minutes" in reason
    assert f"seamless_run_stuck {float(is_stuck)}" in metrics
    assert "seamless_catalog_readable 1.0" in metrics


def test_a_damaged_catalog_leaves_the_metrics_of_the_runs(make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    site.paths.catalog.parent.mkdir(parents=True)
    site.paths.catalog.write_text("not a database " * 1000)
    with asking(site) as client:
        metrics = client.get("/metrics").text
        assert "seamless_catalog_readable 0.0" in metrics
        assert "seamless_run_in_progress 0.0" in metrics
        assert client.get("/readyz").status_code == 503


def test_answers_are_for_this_page_alone(client: httpx.Client) -> None:
    page = client.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text


def test_an_archive_without_days(empty: httpx.Client) -> None:
    answer = empty.get("/api/archive").json()
    assert (answer["days"], answer["grid"], answer["layers"]) == (None, None, [])
    assert empty.get("/api/calendar").json() == {"first": None, "states": "", "reasons": {}, "sensors": []}
    assert empty.get("/api/series?lat=45&lon=2").status_code == 404
    assert "no day is published" in empty.get("/api/series?lat=45&lon=2").json()["detail"]


READERS = 200


@pytest.mark.slow
def test_many_readers_during_fills_see_whole_days_only(
    make_site: MakeSite, world_days: list[WorldDay], grid: Grid
) -> None:
    """One day is published again and again with either of two fields; each answer is one of them, never a mixture."""
    site = make_site("sgdsm2-amsr2-x")
    fill = [sys.executable, "-m", "runtime", "fill", "--from", str(site.date(4)), "--to", str(site.date(6))]
    command = [*fill, "--config", str(site.file)]
    day = world_days[5]
    paths = [
        f"/api/days/{day.date}/map/soil_moisture",
        f"/api/days/{day.date}/map/soil_moisture_observed",
        f"/api/days/{day.date}/file",
        f"/api/series?lat=45.1&lon=2.2&from={day.date}&to={day.date}",
    ]
    whole: dict[str, set[bytes]] = {path: set() for path in paths}
    with web(site) as app, listening(site.config(), app) as address:
        for shift in (0.0, 0.05):
            publish_anew(site, day, grid, shift)
            site.fill(4, 6)
            for path in paths:
                whole[path].add(_values(httpx.get(address + path).content))
        assert all(len(versions) == 2 for versions in whole.values())
        read, wrong = asyncio.run(_hammer(address, paths, whole, site, day, grid, command))
    assert wrong == []
    assert read > READERS


def _values(content: bytes) -> bytes:
    """Return an answer without the days that were read from the files, which change while a run updates the cube."""
    return re.sub(rb'"not_from_cube":\[[^\]]*\]', b"", content)


async def _hammer(
    address: str,
    paths: list[str],
    whole: dict[str, set[bytes]],
    site: Site,
    day: WorldDay,
    grid: Grid,
    command: list[str],
) -> tuple[int, list[str]]:
    done, read, wrong = asyncio.Event(), 0, list[str]()

    async def reader(client: httpx.AsyncClient, number: int) -> None:
        nonlocal read
        while not done.is_set():
            path = paths[(number + read) % len(paths)]
            answer = await client.get(address + path)
            read += 1
            if answer.status_code != 200 or _values(answer.content) not in whole[path]:
                wrong.append(f"{path}: {answer.status_code} {answer.content[:200]!r}")

    limits = httpx.Limits(max_connections=READERS)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        async with asyncio.TaskGroup() as readers:  # one that fails ends all, here and not in a later test
            for number in range(READERS):
                readers.create_task(reader(client, number))
            for shift in (0.0, 0.05, 0.0):
                publish_anew(site, day, grid, shift)
                process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
                assert await process.wait() == 0
            done.set()
    return read, wrong


def test_the_map_of_an_archive_in_the_other_layout(window_site: Site) -> None:
    window_site.fill(5, 6, "archive.layout=sgd-sm")
    with asking(window_site) as client:
        assert client.get("/api/archive").json()["layers"] == ["soil_moisture", "soil_moisture_observed"]
        answer = client.get("/api/days/2020-04-06/map/soil_moisture", headers={"Accept-Encoding": "gzip"})
        assert len(answer.content) == 4800
        assert client.get("/api/days/2020-04-06/map/flag").status_code == 404
    with xarray.open_dataset(window_site.archive / "2020" / "SGD-SM_20200406.nc") as day:
        assert int(np.isfinite(day.reconstructed_sm_c1).sum()) == sum(value < STEPS for value in answer.content)
