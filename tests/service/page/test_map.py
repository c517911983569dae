"""The map: its layers, its days, and how one moves between them."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from runtime.archive import cf
from runtime.common.grid import Grid
from service.serve import listening
from tests.conftest import DAYS, Site
from tests.service.conftest import REFUSED, web
from tests.service.page.conftest import Open

PHONE = {"width": 390, "height": 844}


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_layers(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#date=2020-04-06")
    for label, layer in (
        ("Observed", "soil_moisture_observed"),
        ("What was filled", "flag"),
        ("Quality", "quality_flag"),
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


@pytest.mark.slow
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
    box = page.page.locator("#swipe-line span").bounding_box()
    page.page.mouse.move(box["x"] + 16, box["y"] + 16)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 16 + 0.3 * width, box["y"] + 40, steps=5)
    page.page.mouse.up()
    page.page.mouse.move(box["x"], box["y"])
    assert edge() - middle == pytest.approx(0.1 * width, abs=0.02 * width)
    page.picture("swipe")
    page.is_accessible()


@pytest.mark.slow
def test_coasts_and_borders_can_be_hidden(visit: Open) -> None:
    page = visit()
    page.expected.append("willReadFrequently")
    page.goes_to("#date=2020-04-06")
    drawn = """(canvas => canvas !== null && new Uint32Array(canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data.buffer).some(Boolean))
        (document.querySelector(".leaflet-lines-pane canvas"))"""
    page.until(drawn)
    page.page.click("#lines")
    page.until(f"!{drawn}")
    page.page.click("#lines")
    page.until(drawn)


@pytest.mark.slow
def test_in_dark_mode_the_sea_is_dark(visit: Open) -> None:
    page = visit(color_scheme="dark").goes_to("#date=2020-04-06&lat=45&lon=5")
    page.shows("2020-04-06 soil_moisture")
    page.page.wait_for_selector("#chart canvas")
    colours = page.colours()[..., :3].reshape(-1, 3)
    assert (colours == (0x23, 0x2B, 0x33)).all(-1).any()
    assert not (colours == (0xE6, 0xE9, 0xEC)).all(-1).any()
    page.picture("dark")
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_the_page_needs_nothing_from_elsewhere(address: str) -> None:
    for name in ("", "static/page.js", "static/page.css", "static/vendor/leaflet.js", "static/vendor/uPlot.js"):
        with urllib.request.urlopen(f"{address}/{name}") as answer:
            assert answer.status == 200
