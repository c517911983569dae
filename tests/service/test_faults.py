"""When the newest day is too old, a run has failed, and a run is stuck."""

from __future__ import annotations

import datetime as dt

import pytest

from runtime.common.clock import now
from runtime.config import Config, Feeds, Policy, SoilMoistureFeed
from service.faults import failed_run_fault, lag_fault, stuck_run_fault
from tests.service.conftest import KnownRunner

TODAY = dt.date(2026, 11, 1)
ENDED = dt.date(2015, 4, 20)


@pytest.mark.parametrize(
    ("newest", "ends", "reason"),
    [
        (dt.date(2026, 10, 25), [None], None),
        (dt.date(2026, 10, 24), [None], "the newest day is 2026-10-24, 8 days before today; 7 are normal"),
        (dt.date(2015, 4, 20), [None], "4213 days before today"),
        (dt.date(2015, 4, 20), [ENDED], None),
        (dt.date(2015, 4, 30), [ENDED], None),
        (dt.date(2015, 4, 10), [ENDED], "10 days before 2015-04-20, the last day of the feeds"),
        (dt.date(2015, 4, 20), [ENDED, None], "4213 days before today"),
        (dt.date(2026, 10, 1), [dt.date(2030, 1, 1)], "31 days before today"),
        (None, [ENDED], "no day has been published yet; the last run ended with exit code 3"),
    ],
)
def test_an_archive_lags_unless_its_feeds_have_ended(
    newest: dt.date | None, ends: list[dt.date | None], reason: str | None
) -> None:
    feeds = Feeds(soil_moisture=tuple(SoilMoistureFeed(product="smap-l3", last=end) for end in ends))
    fault = lag_fault(Config(feeds=feeds), KnownRunner(exit_code=3), newest, TODAY)
    assert (reason or "") in (fault or "")
    assert (fault is None) == (reason is None)


def test_before_its_first_run_an_archive_may_be_empty() -> None:
    assert lag_fault(Config(), KnownRunner(), None, TODAY) is None


@pytest.mark.parametrize(("code", "failed"), [(0, 0), (3, 0), (4, 0), (5, 0), (7, 0), (1, 1), (2, 1), (6, 1), (-9, 1)])
def test_runs_that_did_what_they_could_have_not_failed(code: int, failed: bool) -> None:
    assert (failed_run_fault(KnownRunner(code)) is not None) == failed


@pytest.mark.parametrize(("minutes", "stuck"), [(None, False), (29, False), (44, False), (46, True)])
def test_a_run_is_stuck_after_the_limit(minutes: float | None, stuck: bool) -> None:
    config = Config(policy=Policy(max_run_minutes=30))
    assert (stuck_run_fault(config, KnownRunner(running_minutes=minutes), now()) is not None) == stuck
