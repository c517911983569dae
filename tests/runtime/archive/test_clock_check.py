"""A clock that disagrees with the archive."""

import datetime as dt

import pytest

from runtime.archive.catalog import Catalog
from runtime.archive.clock_check import clock_fault
from runtime.config import Config
from tests.conftest import DAYS, Site


def _fault(
    site: Site, moment: dt.datetime, made: dt.datetime | None = None, config: Config | None = None
) -> str | None:
    with Catalog.open(site.paths.catalog) as catalog:
        if made:
            with catalog.db.transaction() as db:
                db.execute("UPDATE revision SET made_at = ?", (made.isoformat(timespec="seconds"),))
        return clock_fault(catalog, moment, moment.date(), config or Config())


def _time(site: Site, days: float) -> dt.datetime:
    """Return a time so many days after noon of the newest day."""
    return dt.datetime.combine(site.date(DAYS - 1), dt.time(12), dt.UTC) + dt.timedelta(days)


@pytest.mark.parametrize(
    ("now", "made", "what"),
    [
        (0, 0, None),
        (1, 1.005, None),
        (30, 1, None),
        (-1, 0, "the newest day is 2020-04-14, and this machine's date is 2020-04-13"),
        (1, 2, "the last day was published at 2020-04-16T12:00:00+00:00, and it is 2020-04-15T12:00Z"),
        (40, 1, "this machine's date is 2020-05-24 (UTC), 40 days after the newest day, which was published after 1"),
        (4000, 2000, None),
    ],
)
def test_a_clock_that_jumps_is_told_from_a_late_day(filled_site: Site, now: float, made: float, what: str) -> None:
    fault = _fault(filled_site, _time(filled_site, now), _time(filled_site, made))
    assert what in fault if fault and what else fault == what


def test_an_empty_archive_says_nothing_about_the_clock(window_site: Site) -> None:
    assert _fault(window_site, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)) is None


def test_a_run_whose_clock_was_set_back_says_so(filled_site: Site) -> None:
    filled_site.today = filled_site.date(3)
    filled_site.fill()
    assert filled_site.said[0].startswith(
        "warning: the newest day is 2020-04-14, and this machine's date is 2020-04-04"
    )


def test_an_archive_whose_feeds_have_ended_is_not_told_of_a_wrong_clock(filled_site: Site) -> None:
    ended = filled_site.config(f"feeds.soil_moisture.0.to={filled_site.date(DAYS - 1)}")
    assert _fault(filled_site, _time(filled_site, 40), _time(filled_site, 1), ended) is None
