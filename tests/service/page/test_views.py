"""The views of the map, and the search for a town."""

from __future__ import annotations

import json

import numpy as np
import pyproj
import pytest

from tests.conftest import Site
from tests.service.page.conftest import Open

GLOBE = {
    **{"rows": 360, "cols": 720, "step": 0.5, "north": 90, "south": -90, "west": -180, "east": 180},
    "row_edges": np.linspace(90, -90, 361).tolist(),
}


@pytest.mark.slow
def test_a_polar_view_has_each_cell_where_the_projection_puts_it(visit: Open, varied: Site) -> None:
    page = visit().goes_to()
    page.shows(f"{varied.date(13)} soil_moisture")
    for name, sign in (("north", 1), ("south", -1)):
        width, left, top = page.page.evaluate(
            """async ([grid, name]) => {
                 const view = window.view = (await import("/static/views.js")).viewOf(grid, name);
                 const corner = view.crs.projection.project({ lat: view.bounds[0][0], lng: view.bounds[0][1] });
                 return [view.width, corner.x, corner.y] }""",
            [GLOBE, name],
        )
        rng = np.random.default_rng(1)
        lat, lon = sign * rng.uniform(1, 89, 3000), rng.uniform(-180, 180, 3000)
        x, y = pyproj.Proj(f"+proj=laea +lat_0={90 * sign} +lon_0=0 +R=1")(lon, lat)
        col, line = (np.floor((to - start) / (-2 * start) * width).astype(int) for to, start in ((x, left), (y, top)))
        pixels = [0, width**2 - 1, *(line * width + col).tolist()]
        corner, other, *found = page.page.evaluate("pixels => pixels.map(pixel => window.view.cells[pixel])", pixels)
        assert (corner, other) == (-1, -1), "the corners are beyond the equator"
        row, col = np.divmod(found, GLOBE["cols"])
        assert np.abs(89.75 - 0.5 * row - lat).max() < 0.5  # the pixel's centre is not the place itself
        turned = (0.5 * col - 179.75 - lon + 180) % 360 - 180
        assert np.abs(turned * np.cos(np.radians(lat))).max() < 0.5


@pytest.mark.slow
def test_an_area_drawn_around_180_degrees_or_a_pole_is_the_one_inside_the_line(visit: Open, varied: Site) -> None:
    page = visit().goes_to()
    page.shows(f"{varied.date(13)} soil_moisture")
    across = [(66, 178), (66, -176), (69, -176), (69, 178), (66, 178)]
    around = [(60, 0), (65, 120), (65, -120), (60, 0)]
    rings = page.page.evaluate(
        "async lines => { const { unrolled } = await import('/static/area.js'); return lines.map(unrolled) }",
        [across, around, [(-lat, lon) for lat, lon in around]],
    )
    assert rings[0] == [[178, 66], [184, 66], [184, 69], [178, 69], [178, 66]]
    assert rings[1] == [[0, 60], [120, 65], [240, 65], [360, 60], [360, 90], [0, 90], [0, 60]]
    assert rings[2][-3:-1] == [[360, -90], [0, -90]]


@pytest.mark.slow
def test_a_region_far_from_the_poles_has_no_polar_views(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#view=north")
    page.shows(f"{varied.date(13)} soil_moisture")
    assert page.page.is_hidden("#views")
    assert "view" not in page.page.url


def test_a_town_is_found_by_its_name_and_a_place_by_its_degrees(visit: Open, varied: Site) -> None:
    page = visit().goes_to("#date=2020-04-06")
    page.shows("2020-04-06 soil_moisture")
    page.page.locator("#town").press_sequentially("grenob")
    page.until("document.querySelector('#towns').options.length > 0")
    assert page.page.evaluate("Array.from(document.querySelector('#towns').options, o => o.value)") == [
        "Grenoble, France"
    ]
    page.page.keyboard.press("Enter")
    page.until("document.querySelector('#place-title').textContent.startsWith('45.125° N, 5.625° E')")
    assert page.text("#find-status") == "Grenoble, France"
    page.picture("town")
    page.is_accessible()
    page.page.fill("#town", "40.2 N, 5.1 W")
    page.page.click("#find button")
    page.until("document.querySelector('#place-title').textContent.startsWith('40.125° N, 5.125° W')")
    page.page.fill("#town", "Xyzzy")
    page.page.click("#find button")
    page.until("document.querySelector('#find-status').textContent.includes('“Xyzzy”')")


@pytest.mark.slow
def test_names_are_compared_without_accents_and_the_larger_town_comes_first(visit: Open, varied: Site) -> None:
    page = visit().goes_to()
    page.shows(f"{varied.date(13)} soil_moisture")
    found = page.page.evaluate(
        """async texts => {
             const { coordinates, find, fullName, towns } = await import("/static/names.js");
             const known = await towns();
             return texts.map(text => [coordinates(text), find(known, text).map(fullName)]) }""",
        ["sao paulo", "SÃO PAULO, br", "london, can", "york", "45,2 5", "-45.5 -12", "91 0", "45.5 S 12 E", ""],
    )
    places, names = zip(*found, strict=True)
    assert names[0][0] == names[1][0] == "São Paulo, Brazil"
    assert names[2] == ["London, Canada"]
    assert names[3][0].startswith("York")
    assert "New York City, United States" in names[3]
    assert json.dumps(places[4:]) == json.dumps(
        [None, {"lat": -45.5, "lon": -12}, None, {"lat": -45.5, "lon": 12}, None]
    )
