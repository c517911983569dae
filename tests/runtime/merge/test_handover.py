"""One sensor follows another: the step of the values is measured, and taken out only if it is asked for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from runtime.archive import cf
from runtime.archive.record import DayRecord
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import TODAY
from runtime.demo.world import World
from tests.conftest import Runtime
from tests.support.sensor_site import DAYS, FIRST, SEED, SensorSite, sensor_name

CHANGE = 20
"""First day of the second sensor."""

SIDE = 6
"""Days on each side that are filled."""

SETTINGS = "[merge]\nfit_days = 18\nrefit_days = 6\nsettle_days = 0\n[handover]\ndays = 6\n"


@pytest.fixture(scope="module")
def truth(grid: Grid) -> list[Floats]:
    return [day.truth for day in World(grid, SEED).days(FIRST, DAYS)]


def _handed_over(folder: Path, month: Path, settings: str) -> SensorSite:
    """Return an archive whose first sensor ends before its second one goes on; both overlap before."""
    site = SensorSite(folder, month, settings)
    site.bring("lprm-amsr2", 0, CHANGE - 1)
    site.bring("lprm-amsre")
    assert site.fill(CHANGE - SIDE, CHANGE + SIDE - 1).exit_code == 0
    return site


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory, month: Path) -> SensorSite:
    return _handed_over(tmp_path_factory.mktemp("matched") / "site", month, SETTINGS + "match = true\n")


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory, month: Path) -> SensorSite:
    return _handed_over(tmp_path_factory.mktemp("as_it_is") / "site", month, SETTINGS)


def _step(site: SensorSite, truth: list[Floats]) -> float:
    """Return by how much the difference of the observations from the truth changes, m3 m-3."""

    def error(first: int) -> float:
        days = range(first, first + SIDE)
        return float(np.nanmean([cf.values(site.day_file(day), "soil_moisture_observed") - truth[day] for day in days]))

    return error(CHANGE) - error(CHANGE - SIDE)


def test_a_planted_bias_is_taken_out_where_that_is_asked_for(
    matched: SensorSite, as_it_is: SensorSite, truth: list[Floats]
) -> None:
    assert _step(as_it_is, truth) > 0.03
    assert abs(_step(matched, truth)) < 0.005


@pytest.mark.slow
def test_the_days_of_the_reference_are_the_same_with_and_without_matching(
    matched: SensorSite, as_it_is: SensorSite
) -> None:
    for day in range(CHANGE - SIDE, CHANGE):
        with_it, without = (cf.values(site.day_file(day), "soil_moisture_observed") for site in (matched, as_it_is))
        np.testing.assert_array_equal(with_it, without)


def test_check_and_status_tell_the_step_and_how_it_was_treated(
    matched: SensorSite, as_it_is: SensorSite, runtime: Runtime
) -> None:
    names = sensor_name("lprm-amsr2"), sensor_name("lprm-amsre")
    date = FIRST + dt.timedelta(CHANGE)
    for site, how in ((as_it_is, "not mapped"), (matched, "mapped to the reference, fitted on overlap")):
        done = runtime("check", "--config", site.file)
        assert done.exit_code == 0
        assert done.stdout.splitlines()[0] == "the archive is whole"
        assert f"{date}: {names[1]} ({how}) follows {names[0]}: " in done.stdout
        assert "30 to 45 N" in done.stdout
        shown = runtime("status", "--config", site.file).stdout
        assert f"handovers          {date}: {names[1]} ({how})" in shown


def test_a_handover_without_matching_knows_no_transfer(as_it_is: SensorSite) -> None:
    item = DayRecord.from_file(as_it_is.day_file(CHANGE)).inputs[TODAY]
    assert item
    assert (item.parts, item.transfer) == ((), None)
    assert not (as_it_is.archive / ".transfer").exists()
