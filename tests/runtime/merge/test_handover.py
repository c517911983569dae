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
from runtime.demo.files import write_lprm
from runtime.demo.world import World
from tests.conftest import Runtime
from tests.support.sensor_site import DAYS, FIRST, INSTRUMENTS, SEED, SensorSite, sensor_name

CHANGE = 20
"""First day of the second sensor."""

SIDE = 6
"""Days on each side that are filled."""

SETTINGS = "[merge]\nfit_days = 18\nrefit_days = 6\nsettle_days = 0\n[handover]\ndays = 6\n"

YEAR = dt.timedelta(365)


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


@pytest.mark.slow
@pytest.mark.slow
def test_a_planted_bias_is_taken_out_where_that_is_asked_for(
    matched: SensorSite, as_it_is: SensorSite, truth: list[Floats]
) -> None:
    assert _step(as_it_is, truth) > 0.03
    assert abs(_step(matched, truth)) < 0.005


@pytest.mark.slow
@pytest.mark.slow
def test_the_days_of_the_reference_are_the_same_with_and_without_matching(
    matched: SensorSite, as_it_is: SensorSite
) -> None:
    for day in range(CHANGE - SIDE, CHANGE):
        with_it, without = (cf.values(site.day_file(day), "soil_moisture_observed") for site in (matched, as_it_is))
        np.testing.assert_array_equal(with_it, without)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_handover_without_matching_knows_no_transfer(as_it_is: SensorSite) -> None:
    item = DayRecord.from_file(as_it_is.day_file(CHANGE)).inputs[TODAY]
    assert item
    assert (item.parts, item.transfer) == ((), None)
    assert not (as_it_is.archive / ".transfer").exists()


@pytest.mark.slow
def test_a_sensor_that_begins_at_the_handover_is_mapped_by_its_own_first_days(
    tmp_path: Path, grid: Grid, truth: list[Floats]
) -> None:
    """As in the record of SGD-SM 2.0: no day before the handover has a file of the new sensor."""
    dates = 'from = "2019-01-01"\nto = "2020-12-31"\n'
    site = SensorSite(tmp_path / "site", tmp_path, SETTINGS + "match = true\n", dates=dates)
    world, last = World(grid, SEED), CHANGE + 20
    for begin, days in ((FIRST - YEAR, last), (FIRST, CHANGE)):
        for day in world.days(begin, days):
            write_lprm(site.folder / "lprm-amsr2", world.observe(day, INSTRUMENTS["lprm-amsr2"], 0), grid)
    files = [
        write_lprm(site.source / "new", world.observe(day, INSTRUMENTS["lprm-amsre"], 1), grid, "lprm-amsre")
        for day in list(world.days(FIRST, last))[CHANGE:]
    ]

    def arrive(few: list[Path]) -> tuple[str, float]:
        """Let files arrive and fill the first day; return why, and the mean error of its observations, m3 m-3."""
        for file in few:
            file.rename(site.folder / "lprm-amsre" / file.name)
        outcome = site.fill(CHANGE, CHANGE)
        assert outcome.filled == [FIRST + dt.timedelta(CHANGE)]
        error = cf.values(site.day_file(CHANGE), "soil_moisture_observed") - truth[CHANGE]
        return outcome.planned[outcome.filled[0]].reason, float(np.nanmean(error))

    why, error = arrive(files[:8])
    assert (why, error > 0.03) == ("new", True)
    assert any(f"{sensor_name('lprm-amsre')}: less than 200 cells" in line for line in site.said)
    why, error = arrive(files[8:])
    assert "T is mapped by a transfer that was fitted again" in why
    assert abs(error) < 0.01
