"""A sensor that never met the reference is mapped on the same days of another year; its bias follows the season."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.archive import cf
from runtime.archive.paths import ArchivePaths
from runtime.archive.record import DayRecord
from runtime.common.clock import DAY, DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.common.vocabulary import TODAY
from runtime.config import load_config
from runtime.demo.files import write_lprm
from runtime.demo.world import Instrument, World
from runtime.merge.store import TransferStore
from runtime.merge.transfer import Basis
from runtime.pipeline.run import fill_archive
from tests.conftest import BOX, Runtime
from tests.support.sensor_site import sensor_name

pytestmark = pytest.mark.slow

BEGIN = dt.date(2019, 1, 1)
YEAR = 365 * DAY
SEASONS = [dt.date(2020, month, 20) for month in (2, 5, 8, 11)]
"""Days that are judged; the reference ended at the end of the year before."""
BEFORE = 20
"""Days before each of them that both sensors have, a year apart."""
NOISE = 0.04


def _bias(date: dt.date) -> float:
    """Return what the second sensor adds, m3 m-3: nothing in spring and twice 0.05 in autumn."""
    return 0.05 - 0.05 * float(np.sin(2 * np.pi * (date.timetuple().tm_yday - 50) / 365.25))


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> dict[str, tuple[Path, list[float]]]:
    """Two archives, values as they are and mapped, each with the mean error of its observations in each season."""
    folder = tmp_path_factory.mktemp("seasons")
    wanted = {day - number * DAY for day in SEASONS for number in range(BEFORE)}
    world, truth = World(grid, 5), {}
    second = Instrument(noise=NOISE, shared_noise=0.5, phase=0.35)
    for day in world.days(BEGIN, 2 * 366):
        if day.date + YEAR in wanted:
            write_lprm(folder / "lprm-amsr2", world.observe(day, replace(second, phase=0.0), 0), grid)
        if day.date in wanted:
            truth[day.date] = day.truth
            seen = world.observe(day, replace(second, bias=_bias(day.date)), 1)
            write_lprm(folder / "lprm-amsre", seen, grid, "lprm-amsre")
    found = {}
    for name in ("as it is", "matched"):
        (folder / name).mkdir()
        file = folder / name / "seamless-sm.toml"
        file.write_text(
            f'[archive]\nstart = 2020-01-01\n[grid]\nbox = {list(BOX)}\n[model]\nengine = "cpu"\n'
            f'[[feeds.soil_moisture]]\nproduct = "lprm-amsr2"\npath = "{folder}/lprm-amsr2"\nband = "x"\n'
            f"from = {BEGIN}\nto = 2019-12-31\n"
            f'[[feeds.soil_moisture]]\nproduct = "lprm-amsre"\npath = "{folder}/lprm-amsre"\nband = "x"\n'
            "from = 2020-01-01\nto = 2020-12-31\n[merge]\nfit_days = 12\nrefit_days = 6\nsettle_days = 0\n"
            f"[handover]\nmatch = {str(name == 'matched').lower()}\n"
        )
        config, errors = load_config(file, environment={}), []
        for date in SEASONS:
            outcome = fill_archive(config, DateRange(date, date), SEASONS[-1] + 9 * DAY, RunEvents())
            assert outcome.filled == [date], outcome.message
            observed = cf.values(config.archive.path / cf.CfLayout().relative_path(date), "soil_moisture_observed")
            errors.append(float(np.nanmean(observed - truth[date])))
        found[name] = file, errors
        print(name, [round(error, 4) for error in errors], [round(_bias(date), 4) for date in SEASONS])
    return found


def test_a_bias_that_changes_with_the_season_is_taken_out(sites: dict[str, tuple[Path, list[float]]]) -> None:
    as_it_is, matched = sites["as it is"][1], sites["matched"][1]
    assert max(as_it_is) - min(as_it_is) > 0.08
    assert max(as_it_is) > 0.09
    assert max(np.abs(matched)) < 0.02


def test_the_archive_says_that_no_overlap_was_there(
    sites: dict[str, tuple[Path, list[float]]], runtime: Runtime
) -> None:
    file, _ = sites["matched"]
    config = load_config(file, environment={})
    name, store = sensor_name("lprm-amsre"), TransferStore(ArchivePaths.of(config).transfers)
    for date in SEASONS:
        item = DayRecord.from_file(config.archive.path / cf.CfLayout().relative_path(date)).inputs[TODAY]
        assert item
        assert item.transfer
        kept = store.of_key(item.transfer)
        assert kept
        assert kept.sensors[name].basis is Basis.SEASONS
        assert kept.sensors[name].errors[0] > NOISE, "of all cells: the weather of the two years differs, too"
        assert [pair.date - pair.reference_date for pair in kept.pairs[name]] == [YEAR] * 12
    shown = runtime("check", "--config", file)
    assert shown.exit_code == 0
    assert "the archive is whole" in shown.stdout
