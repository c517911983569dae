"""The series of a place."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from runtime.archive.catalog import Catalog
from runtime.archive.format import ArchiveFormat
from service.serve import listening
from tests.conftest import MakeSite, Site
from tests.service.conftest import web
from tests.service.page.conftest import Open


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


def test_a_place_where_nothing_is(visit: Open) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.expected.append("422")
    page.shows("2020-04-06 soil_moisture")
    page.page.fill("#lat", "80")
    page.page.fill("#lon", "2")
    page.page.click("#where button")
    page.page.wait_for_selector("#place-status.bad")
    assert "80 N 2 E is outside the archive" in page.text("#place-status")
