"""The series of a place."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from runtime.archive.catalog import Catalog
from runtime.archive.format import ArchiveFormat
from service.serve import listening
from tests.conftest import MakeSite, Site
from tests.service.conftest import web
from tests.service.page.conftest import Open
from tests.support.page import Visit

BASIN = {"type": "Polygon", "coordinates": [[[-1, 42], [3.1, 42.3], [3, 45.6], [0, 46], [-1, 42]]]}


def test_a_click_shows_the_places_days_and_their_csv(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    page.page.click("#map", position={"x": 420, "y": 300})
    page.page.wait_for_selector("#chart canvas")
    title = page.text("#place-title")
    assert re.fullmatch(r"[\d.]+° N, [\d.]+° [EW]", title)
    summary = page.text("#series-summary")
    counts = re.search(r"^12 days from 2020-04-01 to 2020-04-14: (\d+) observed .* (\d+) filled", summary)
    assert counts
    assert page.page.locator("#rain canvas").count() == 1
    with page.page.expect_download() as download:
        page.page.click("#csv")
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert len(rows) == 12
    observed = [row for row in rows if row["soil_moisture_observed (m3 m-3)"]]
    assert len(observed) == int(counts[1])
    page.picture("series")
    page.is_accessible()


@pytest.mark.slow
def test_days_left_out_of_a_series_or_not_read_from_the_cube_are_named_below_it(
    visit: Open, make_site: MakeSite
) -> None:
    """Three of seven days have been moved to another grid so far; then a chunk of the cube is lost."""
    site, east = make_site(), "grid.box=[-9, 35, 10, 50]"
    site.fill(0, 6)
    config = site.config(east)
    with Catalog.open(site.paths.catalog) as catalog:
        catalog.write_format(ArchiveFormat.of(config.make_grid(), config.archive.layout))
    site.fill(0, 2, east)
    with web(site, east) as app, listening(config, app) as address:
        page = visit(address).goes_to("#date=2020-04-02&lat=45.1&lon=2.2")
        page.page.wait_for_selector("#chart canvas")
        assert page.text("#series-summary").startswith("3 days from 2020-04-01 to 2020-04-03")
        left_out = page.page.locator("#series-notes li").all_inner_texts()
        assert len(left_out) == 1
        assert left_out[0].startswith(
            "4 days from 4 April 2020 to 7 April 2020 left out, on another grid than the archive: "
        )
        assert "runtime reprocess --all" in left_out[0]
        (site.archive / "cube.zarr" / "soil_moisture" / "c" / "0" / "0" / "0").unlink()
        page.page.click("#where button")
        page.page.wait_for_selector("#series-notes li >> nth=1")
        assert page.page.locator("#series-notes li").all_inner_texts() == [
            *left_out,
            "3 days from 1 April 2020 to 3 April 2020 read from the daily files, because the cube (the archive's copy "
            "for time series) cannot be read there. The values are the same; the next run repairs the cube.",
        ]
        page.is_accessible()
        page.picture("series-notes")
    site.fill(0, 6, east)
    with web(site, east) as app, listening(config, app) as address:
        page = visit(address).goes_to("#date=2020-04-02&lat=45.1&lon=2.2")
        page.page.wait_for_selector("#chart canvas")
        assert page.text("#series-summary").startswith("7 days from 2020-04-01 to 2020-04-07")
        assert page.page.is_hidden("#series-notes")


@pytest.mark.slow
def test_a_place_where_nothing_is(visit: Open) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.expected.append("422")
    page.shows("2020-04-06 soil_moisture")
    page.page.fill("#lat", "80")
    page.page.fill("#lon", "2")
    page.page.click("#where button")
    page.page.wait_for_selector("#place-status.bad")
    assert "80 N 2 E is outside the archive" in page.text("#place-status")


def _click_corners(page: Visit, *places: tuple[int, int]) -> None:
    for x, y in places:
        page.page.click("#map", position={"x": x, "y": y})


@pytest.mark.slow
def test_an_area_is_drawn_and_its_mean_can_be_saved_and_sent_as_a_link(visit: Open) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    page.page.click("#draw")
    corners = [(560, 200), (760, 200), (760, 330)]
    _click_corners(page, *corners)
    page.picture("area-drawing")
    _click_corners(page, corners[0])
    page.page.wait_for_selector("#chart canvas")
    km2 = re.fullmatch(r"Mean over ([\d,]+) km²", page.text("#place-title"))
    assert km2
    assert 10_000 < int(km2[1].replace(",", "")) < 400_000
    assert re.search(
        r"^12 days from .*: mean 0\.\d+ m³ m⁻³\. On average \d+ % of the land was", page.text("#series-summary")
    )
    page.is_accessible()
    page.picture("area")
    with page.page.expect_download() as download:
        page.page.click("#csv")
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert len(rows) == 12
    assert {"observed_share", "filled_share"} <= rows[0].keys()
    again = visit().goes_to(f"#{page.page.url.partition('#')[2]}")
    again.page.wait_for_selector("#chart canvas")
    assert again.text("#place-title") == page.text("#place-title")


@pytest.mark.slow
def test_an_area_from_a_file_and_one_that_is_refused(visit: Open) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.expected.append("422")
    page.shows("2020-04-06 soil_moisture")
    page.page.set_input_files("#area-file", {"name": "b.geojson", "mimeType": "", "buffer": json.dumps(BASIN).encode()})
    page.page.wait_for_selector("#chart canvas")
    assert page.text("#place-title").startswith("Mean over ")
    page.page.set_input_files("#area-file", {"name": "b.txt", "mimeType": "", "buffer": b"no polygon"})
    page.page.wait_for_selector("#place-status.bad")
    assert "is not GeoJSON with polygons" in page.text("#place-status")
    assert page.text("#place-title").startswith("Mean over "), "what was shown stays"


@pytest.mark.slow
def test_drawing_stops_with_escape_and_a_click_is_a_place_again(visit: Open) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    page.page.click("#draw")
    _click_corners(page, (420, 300))
    assert page.page.is_visible("#area-hint")
    page.page.keyboard.press("Escape")
    assert page.page.is_hidden("#area-hint")
    _click_corners(page, (420, 300))
    page.page.wait_for_selector("#chart canvas")
    assert "° N" in page.text("#place-title")


@pytest.mark.slow
def test_a_chart_compares_places_shows_the_clicked_day_and_is_saved_as_a_picture(visit: Open) -> None:
    page = visit().goes_to("#date=2020-04-06&lat=45.1&lon=2.2")
    page.page.wait_for_selector("#chart canvas")
    first = page.text("#place-title")
    page.page.check("#keep")
    page.page.fill("#lat", "40.2")
    page.page.fill("#lon", "-5.1")
    page.page.click("#where button[type=submit]")
    page.until(f"document.querySelector('#place-title').textContent !== '{first}'")
    assert first in page.page.locator("#chart .u-legend").inner_text()
    page.picture("series-compared")
    box = page.page.locator("#chart .u-over").bounding_box()
    assert box
    page.page.mouse.click(box["x"] + box["width"] - 2, box["y"] + 20)
    page.shows("2020-04-14 soil_moisture")
    with page.page.expect_download() as download:
        page.page.click("#png")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    page.page.uncheck("#keep")
    assert first not in page.page.locator("#chart .u-legend").inner_text()
