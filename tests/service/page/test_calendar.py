"""The calendar, and what the page says of days, sensors and runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from runtime.archive.catalog import Catalog
from runtime.common.clock import now
from service.runner import FillRun
from service.serve import listening
from tests.conftest import MakeSite, Site
from tests.service.conftest import MISSING, REFUSED, web
from tests.service.page.conftest import Open


@pytest.mark.slow
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
    page.until("document.querySelector('#coverage-picture').naturalWidth == 1000")
    page.picture("calendar")


@pytest.mark.slow
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
        assert page.text("#day-state").startswith("no observation, filled from other days: nothing of the grid")
        assert page.page.locator("#calendar .no_observation").count() == 1
        assert page.page.locator("#calendar-ranges li").count() == 2
        outage = "5 April 2020 to 8 April 2020 (4 days): missing: outage: no soil moisture for more than 1 days"
        assert outage in page.text("#calendar-ranges")
        page.page.hover('[data-date="2020-04-06"]')
        assert page.text("#reason").startswith(outage)
        assert "refused 2020-04-02 (and 2 more days, to 2020-04-10): file 1" in page.text("#service-status")
        page.is_accessible()
        page.picture("an-outage")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_page_without_days_says_why_and_goes_on_to_each_new_day(visit: Open, make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    with web(site) as app, listening(site.config(), app) as address:
        page = visit(address)
        page.page.clock.install()
        page.goes_to()
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
        page.page.clock.fast_forward(31_000)
        page.shows("2020-04-05 soil_moisture")
        page.until("document.querySelector('#legend').textContent.includes('Soil moisture')")
        site.fill(5, 5)
        page.page.clock.fast_forward(31_000)
        page.shows("2020-04-06 soil_moisture")


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
