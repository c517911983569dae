"""The page in a real browser: headless Chromium, driven by Playwright, against the application on a real port.

Every test fails on a console error and on a request to any other host. Pictures are left in ``screenshots/`` (or where
SEAMLESS_SM_SCREENSHOTS says).
"""

from __future__ import annotations

import csv
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.archive import cf
from runtime.archive.catalog import Catalog
from runtime.archive.format import ArchiveFormat
from runtime.common.clock import now
from runtime.common.grid import Grid
from service.runner import FillRun
from service.serve import listening
from tests.conftest import DAYS, MakeSite, Site, tool
from tests.service.conftest import MISSING, REFUSED, web
from tests.support.page import Visit

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("axe_playwright_python.sync_playwright")

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DESK, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as control:
        chromium = control.chromium.launch(executable_path=tool("chromium"), args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(varied: Site) -> Iterator[str]:
    with web(varied) as app, listening(varied.config(), app) as address:
        yield address


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Open]:
    """Return a function that opens the page in a browser profile of its own."""
    visits: list[Visit] = []
    with ExitStack() as held:

        def start(at: str = address, viewport: dict[str, int] | None = None, **options: Any) -> Visit:
            context = browser.new_context(viewport=viewport or DESK, **options)
            held.callback(context.close)
            opened = Visit(context.new_page(), at)
            page = opened.page
            page.on("console", lambda m: opened.wrong.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: opened.wrong.append(str(error)))
            known = (at, "data:", "blob:")
            page.on("request", lambda r: None if r.url.startswith(known) else opened.wrong.append(r.url))
            visits.append(opened)
            return opened

        yield start
        for opened in visits:
            unknown = [w for w in opened.wrong if not any(re.search(e, w) for e in opened.expected)]
            assert unknown == []


def test_the_map_shows_the_newest_day(visit: Open, varied: Site) -> None:
    page = visit().goes_to()
    newest = varied.date(DAYS - 1)
    page.shows(f"{newest} soil_moisture")
    assert page.text("#day-name") == "14 April 2020"
    assert page.text("#day-state").startswith("provisional: made without soil moisture of")
    assert "Newest day\n2020-04-14" in page.text("#service-status")
    assert "Next run" in page.text("#service-status")
    colours = page.colours()
    values = cf.values(varied.day_file(DAYS - 1), "soil_moisture")
    flags = cf.values(varied.day_file(DAYS - 1), "flag")
    sea = (colours[..., :3] == (0xE6, 0xE9, 0xEC)).all(-1)
    np.testing.assert_array_equal(sea, np.isnan(values) & (flags == 5))
    wettest, driest = (np.nanargmax(values), np.nanargmin(values))
    assert colours.reshape(-1, 4)[driest, :3].sum() > colours.reshape(-1, 4)[wettest, :3].sum(), "wet is dark"
    page.picture("map")
    page.is_accessible()


def test_the_rows_of_an_ease_grid_lie_at_their_latitudes(visit: Open, fortnight: Path, tmp_path: Path) -> None:
    text = '[archive]\n[grid]\nkind = "ease2"\ncell_km = 36\nbox = [-9, 36, 9, 49]\n[model]\nengine = "cpu"\n'
    site = Site(tmp_path, fortnight, "seamless-2")
    site.file.write_text(f'{text}[[feeds.soil_moisture]]\nband = "x"\n[service]\nport = 0\n')
    site.bring()
    site.fill(0, 1)
    grid, flags = Grid.ease2(36).box(-9, 36, 9, 49), cf.values(site.day_file(1), "flag")
    with web(site) as app, listening(site.config(), app) as address:
        page = visit(address).goes_to("#lat=45&lon=2")
        page.shows(f"{site.date(1)} soil_moisture")
        rows = grid.picture_rows()
        assert rows.size > grid.shape[0]
        sea = (page.colours(shape=(rows.size, grid.shape[1]))[..., :3] == (0xE6, 0xE9, 0xEC)).all(-1)
        np.testing.assert_array_equal(sea, flags[rows] == 5)
        page.until("document.querySelector('#place-title').textContent.includes('44.8957')")
        page.page.close()


def test_days_change_by_slider_buttons_date_and_keys(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#date=2020-04-05")
    page.shows("2020-04-05 soil_moisture")
    page.page.click("#next")
    page.shows("2020-04-06 soil_moisture")
    page.page.click("#previous")
    page.shows("2020-04-05 soil_moisture")
    page.page.fill("#date", "2020-04-08")
    page.shows("2020-04-08 soil_moisture")
    page.page.evaluate("() => { slider.value = 2; slider.dispatchEvent(new Event('input')) }")
    page.shows("2020-04-03 soil_moisture")
    page.page.evaluate("document.activeElement.blur()")
    for key, day in (("ArrowRight", 4), ("ArrowRight", 5), ("ArrowLeft", 4), ("End", 14), ("Home", 1)):
        page.page.keyboard.press(key)
        page.shows(f"2020-04-{day:02} soil_moisture")
    assert "date=2020-04-01" in page.page.url
    page.page.reload()
    page.shows("2020-04-01 soil_moisture")


def test_layers(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#date=2020-04-06")
    for label, layer in (
        ("Observed", "soil_moisture_observed"),
        ("What was filled", "flag"),
        ("Days since observation", "days_since_observation"),
        ("Uncertainty", "soil_moisture_uncertainty"),
        ("Rain", "precipitation"),
    ):
        page.page.click(f"#layers label:has-text('{label}')")
        page.shows(f"2020-04-06 {layer}")
        if layer == "flag":
            assert "filled from other days" in page.text("#legend")
            shown = {"#{:02x}{:02x}{:02x}".format(*c) for c in page.colours()[..., :3].reshape(-1, 3).tolist()}
            assert {"#0072b2", "#d55e00"} <= shown
            page.picture("what-was-filled")
        else:
            assert len(page.text("#legend")) > 10
    page.is_accessible()


def test_swipe(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.page.click("#layers label:has-text('Swipe')")
    page.shows("2020-04-06 swipe")
    filled, observed = page.colours(0), page.colours(1)
    gaps = np.isnan(cf.values(varied.day_file(5), "soil_moisture_observed")) & np.isfinite(
        cf.values(varied.day_file(5), "soil_moisture")
    )
    assert (observed[gaps][:, :3] == 0x9A).all()
    assert (filled[gaps][:, :3] != 0x9A).any(-1).all()
    np.testing.assert_array_equal(filled[~gaps], observed[~gaps])

    def edge() -> float:
        clip = page.page.evaluate("document.querySelector('.leaflet-left-pane').style.clip")
        return float(re.findall(r"(-?[\d.]+)px", clip)[1])

    middle = edge()
    page.page.focus("#swipe")
    for _ in range(20):
        page.page.keyboard.press("ArrowLeft")
    width = page.page.evaluate("document.querySelector('#map').clientWidth")
    assert middle - edge() == pytest.approx(0.2 * width, abs=2)
    page.picture("swipe")
    page.is_accessible()


@pytest.mark.slow
def test_play_a_month(visit: Open) -> None:
    page = visit().goes_to("#date=2020-04-03")
    page.shows("2020-04-03 soil_moisture")
    page.page.click("#play")
    assert page.page.get_attribute("#play", "aria-pressed") == "true"
    page.until("stage.dataset.shows > '2020-04-05'")
    page.page.click("#play")
    assert page.page.get_attribute("#play", "aria-pressed") == "false"
    page.page.click("#play")
    page.shows("2020-04-14 soil_moisture")
    page.page.wait_for_selector('#play[aria-pressed="false"]')


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


def test_the_calendar_tells_the_reason_on_hover_and_on_focus(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    refused, missing = (str(varied.date(day)) for day in (REFUSED, MISSING))
    page.page.hover(f'[data-date="{refused}"]')
    assert page.text("#reason").startswith("10 April 2020: refused: since")
    assert "LPRM-AMSR2_L3_D_SOILM3_V001_20200410" in page.text("#reason")
    page.page.hover(f'[data-date="{missing}"]')
    assert page.text("#reason").startswith("12 April 2020: missing: wait")
    assert page.page.locator("#calendar .consolidated, #calendar .provisional").count() == 12
    page.page.click('[data-date="2020-04-04"]')
    page.shows("2020-04-04 soil_moisture")
    page.page.focus('[data-date="2020-04-04"]')
    page.page.keyboard.press("ArrowDown")
    assert page.text("#reason").startswith("11 April 2020")
    page.picture("calendar")


def test_days_alike_are_one_range_on_the_page(visit: Open, make_site: MakeSite) -> None:
    """An outage is one line below the calendar, and many refused days are one incident."""
    site = make_site()
    for day in range(3, 8):
        site.lprm(day).unlink()
    site.fill(None, None, "policy.max_outage_days=1", "policy.max_lag_days=0")
    with Catalog.open(site.paths.catalog) as catalog:
        for day in (1, 2, 9):
            catalog.open_incident(f"refused {site.date(day)}", f"file {day}", "2020-04-14T00:00:00+00:00")
    with web(site) as app, listening(site.config(), app) as address:
        page = visit(address).goes_to("#date=2020-04-04")
        page.shows("2020-04-04 soil_moisture")
        assert page.text("#day-state").startswith("no observation, filled from other days: made without")
        assert page.page.locator("#calendar .no_observation").count() == 1
        assert page.page.locator("#calendar-ranges li").count() == 2
        outage = "5 April 2020 to 8 April 2020 (4 days): missing: outage: no soil moisture for more than 1 days"
        assert outage in page.text("#calendar-ranges")
        page.page.hover('[data-date="2020-04-06"]')
        assert page.text("#reason").startswith(outage)
        assert "refused 2020-04-02 (and 2 more days, to 2020-04-10): file 1" in page.text("#service-status")
        page.is_accessible()
        page.picture("an-outage")


def test_the_page_shows_which_sensors_a_day_has(visit: Open, make_site: MakeSite, varied: Site) -> None:
    """Two bands of one product are two sensors; the second one ends."""
    site = make_site(bundle="seamless-2")
    text, feed = site.file.read_text(), '[[feeds.soil_moisture]]\nband = "x"\n'
    second = f'[[feeds.soil_moisture]]\nband = "c1"\nto = {site.date(3)}\n[merge]\nmode = "together"\n'
    site.file.write_text(text.replace(feed, feed + second))
    site.fill(3, 4)
    with web(site) as app, listening(site.config(), app) as address:
        page = visit(address).goes_to("#date=2020-04-04")
        page.shows("2020-04-04 soil_moisture")
        assert page.text("#day-sensors") == "seen by lprm-amsr2-descending-x, lprm-amsr2-descending-c1"
        page.page.click("#next")
        page.shows("2020-04-05 soil_moisture")
        assert page.text("#day-sensors") == "seen by lprm-amsr2-descending-x"
        page.is_accessible()
        page.picture("several-sensors")
    page = visit().goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    assert page.text("#day-sensors") == ""


def test_a_day_without_a_map_says_why(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    page.page.click(f'[data-date="{varied.date(REFUSED)}"]')
    page.shows(f"{varied.date(REFUSED)} nothing")
    assert page.text("#day-state").startswith("no map: refused: since")
    assert page.page.is_hidden("#download")
    assert page.colours()[..., 3].max() == 0


def test_everything_by_keyboard(visit: Open) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    reached = []
    for _ in range(40):
        page.page.keyboard.press("Tab")
        here = page.page.evaluate("(a => a.id || a.value || a.tagName)(document.activeElement)")
        if here != (reached or [None])[-1]:  # the parts of a date are one place
            reached.append(here)
        if here == "map":
            page.page.keyboard.press("Enter")
            page.page.wait_for_selector("#chart canvas")
            assert page.page.is_visible("#crosshair")
    wanted = ["map", "soil_moisture", "previous", "play", "next", "date", "download", "slider", "lat", "lon", "csv"]
    order = [name for name in reached if name in wanted]
    assert order[: len(wanted)] == wanted
    page.page.focus('#layers input[value="soil_moisture"]')
    page.page.keyboard.press("ArrowRight")
    page.shows("2020-04-06 soil_moisture_observed")
    page.page.focus("#slider")
    page.page.keyboard.press("ArrowRight")
    page.shows("2020-04-07 soil_moisture_observed")


def test_on_a_phone(visit: Open) -> None:
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2).goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    width = page.page.evaluate("document.documentElement.scrollWidth")
    wide = page.page.evaluate(
        "[...document.querySelectorAll('body *')]"
        f".filter((e) => e.getBoundingClientRect().right > {PHONE['width']} + 1)"
        ".map((e) => e.tagName + '#' + e.id + '.' + e.className + ' ' + e.textContent.slice(0, 80))"
    )
    assert width <= PHONE["width"], f"these stick out: {wide}"
    page.page.evaluate("document.querySelector('#service-status dd').textContent = '/' + 'path'.repeat(100)")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "a long path is broken"
    page.page.tap("#map", position={"x": 180, "y": 150})
    page.page.wait_for_selector("#chart canvas")
    page.page.tap("#next")
    page.shows("2020-04-07 soil_moisture")
    assert page.page.evaluate("document.querySelector('#chart canvas').getBoundingClientRect().right") <= PHONE["width"]
    page.picture("phone")
    page.is_accessible()


def test_an_archive_without_days_says_why_the_last_run_published_nothing(visit: Open, make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    with web(site) as app, listening(site.config(), app) as address:
        page = visit(address).goes_to()
        page.page.wait_for_selector("#empty:not([hidden])")
        assert "runtime fill --date today" in page.text("#empty")
        assert page.page.is_hidden("#map")
        page.picture("empty")
        page.is_accessible()
        assert page.text("#empty-reason") == ""
        services = app.state.services
        services.runner.last = FillRun(now(), now(), 2, "the feed's folder incoming does not exist")
        page.page.reload()
        page.page.wait_for_selector("#empty-reason:not(:empty)")
        assert page.text("#empty-reason") == "The last run: the feed's folder incoming does not exist"
        site.bring(0, 8)
        site.fill(0, 4)
        page.page.reload()
        page.shows("2020-04-05 soil_moisture")


@contextmanager
def _served(site: Site, port: int) -> Iterator[str]:
    with web(site) as app, listening(site.config(f"service.port={port}"), app) as address:
        yield address


@pytest.mark.slow
def test_the_service_goes_and_comes_back(visit: Open, varied: Site) -> None:
    with ExitStack() as first:
        address = first.enter_context(_served(varied, 0))
        page = visit(address).goes_to("#date=2020-04-06")
        page.expected += ["ERR_CONNECTION", "ERR_EMPTY_RESPONSE"]
        page.shows("2020-04-06 soil_moisture")
    page.page.click("#next")
    page.page.wait_for_selector("#banner:not([hidden])")
    assert "The service does not answer" in page.text("#banner")
    assert page.text("#day-name") == "6 April 2020", "what the map still shows"
    assert page.colours()[..., 3].max() == 255
    page.picture("service-down")
    page.is_accessible()
    with _served(varied, int(address.rsplit(":", 1)[1])):
        page.page.wait_for_selector("#banner", state="hidden", timeout=60_000)
        page.page.click("#next")
        page.until("stage.dataset.shows.endsWith('soil_moisture')")


def test_the_page_needs_nothing_from_elsewhere(address: str) -> None:
    for name in ("", "static/page.js", "static/page.css", "static/vendor/leaflet.js", "static/vendor/uPlot.js"):
        with urllib.request.urlopen(f"{address}/{name}") as answer:
            assert answer.status == 200
