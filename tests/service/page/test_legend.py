"""The legend: the range of the colours, faded filled values, and what is said of the cell below the pointer."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.archive import cf
from runtime.fill.result import Flag
from tests.conftest import Site
from tests.service.page.conftest import Open

OVER = (0xD6, 0x00, 0x6C)
DATE = "2020-04-06"


def test_a_narrower_range_marks_what_is_beyond_it(visit: Open, varied: Site) -> None:
    page = visit().goes_to(f"#date={DATE}")
    page.expected.append("Canvas2D: Multiple readback")  # of this test
    page.shows(f"{DATE} soil_moisture")
    values = cf.values(varied.day_file(5), "soil_moisture")
    assert not (page.colours()[..., :3] == OVER).all(-1).any()
    high = round(float(np.nanpercentile(values, 80)), 2)
    page.page.fill("#range-high", str(high))
    page.page.press("#range-high", "Enter")
    page.until(f"document.querySelector('#legend').textContent.includes('above {high:g}')")
    page.page.wait_for_timeout(200)
    marked = (page.colours()[..., :3] == OVER).all(-1)
    far = np.abs(values - high) > 0.003  # a step of the scale is 0.0024
    np.testing.assert_array_equal(marked[far], (values > high)[far])
    page.picture("range")
    page.is_accessible()
    page.page.click("#range-reset")
    page.until("!document.querySelector('#legend').textContent.includes('above')")
    page.page.wait_for_timeout(200)
    assert not (page.colours()[..., :3] == OVER).all(-1).any()


@pytest.mark.slow
def test_filled_values_can_be_faded(visit: Open, varied: Site) -> None:
    page = visit().goes_to(f"#date={DATE}")
    page.expected.append("Canvas2D: Multiple readback")
    page.shows(f"{DATE} soil_moisture")
    before = page.colours().astype(int)
    page.page.check("#fade")
    page.page.wait_for_timeout(300)
    after = page.colours().astype(int)
    flags = cf.values(varied.day_file(5), "flag")
    is_filled = np.isin(flags, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
    assert is_filled.any()
    np.testing.assert_array_equal((before != after).any(-1), is_filled)
    background = np.array([0xE6, 0xE9, 0xEC])
    half = (before[is_filled][:, :3] + background) / 2
    np.testing.assert_allclose(after[is_filled][:, :3], half, atol=1)


@pytest.mark.slow
def test_the_cell_below_the_pointer_is_said_with_its_uncertainty(visit: Open) -> None:
    page = visit().goes_to(f"#date={DATE}")
    page.shows(f"{DATE} soil_moisture")
    box = page.page.locator("#map").bounding_box()
    assert box
    said: set[str] = set()
    for share in np.linspace(0.3, 0.7, 40):
        page.page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.4 * box["height"])
        page.page.wait_for_timeout(20)
        said.add(page.text("#readout"))
    filled = [text for text in said if "filled from other days" in text]
    assert any("m³ m⁻³ · filled" in text and "± 0." in text and "since an observation" in text for text in filled)
    assert any("· observed" in text and "±" not in text for text in said)
