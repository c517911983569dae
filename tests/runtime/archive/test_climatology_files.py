"""The climatology beside the cube: the mean of each day of the calendar, right after every change and every kill."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

import runtime
from runtime.archive.climatology_files import Usual, climatology_faults, update_climatology
from runtime.archive.cube import DayFile
from runtime.common.grid import Grid
from runtime.common.vocabulary import Tier
from runtime.errors import ArchiveError
from runtime.fill.result import Filled
from tests.support.kills import is_done_before
from tests.support.records import day_record, published_day, put_day

GRID = Grid(50.0, 0.0, np.ones((4, 6), bool), 1.0)
TRACED = ("climatology_files.py", "atomic.py")
Sources = dict[dt.date, DayFile]


def _whole(items: Any, _: str) -> Any:
    return items


def _put(archive: Path, date: dt.date, seed: int = 0) -> tuple[dt.date, DayFile]:
    rng = np.random.default_rng([date.toordinal(), seed])
    field = np.where(rng.random(GRID.shape) < 0.3, np.nan, rng.random(GRID.shape)).astype(np.float32)
    filled = Filled(field, field, np.zeros(GRID.shape, np.int8), np.zeros(GRID.shape, np.int16))
    return put_day(archive, published_day(day_record(date, tier=Tier.CONSOLIDATED, model="m"), GRID, filled))


def _years(archive: Path, years: Iterable[int] = (2018, 2019, 2020), days: int = 5) -> Sources:
    """Put the days around the end of February of some years."""
    first = [dt.date(year, 2, 26) for year in years]
    return dict(_put(archive, date + dt.timedelta(number)) for date in first for number in range(days))


def _update(archive: Path, sources: Sources) -> int:
    return update_climatology(archive, sources, GRID, _whole)


def _agrees(archive: Path, sources: Sources) -> None:
    """Check that the mean around each day is the climatology that is computed from all days."""
    record = runtime.open_archive(archive).load()
    assert record.time.size == len(sources)
    for window in (1, 5, 31):
        wanted = record.seamless.anomalies(window).soil_moisture_climatology
        for date in sources:
            usual = Usual.around(archive, date, GRID, window)
            assert usual
            np.testing.assert_allclose(usual.mean(), wanted.sel(time=str(date)), atol=6e-5, err_msg=f"{date} {window}")
    assert climatology_faults(archive, sources, GRID, _whole) == []


def test_the_climatology_is_the_one_that_is_computed_from_all_days(tmp_path: Path) -> None:
    sources = _years(tmp_path)
    assert _update(tmp_path, sources) == 6, "26 to 29 February, 1 and 2 March"
    assert _update(tmp_path, sources) == 0
    _agrees(tmp_path, sources)


@pytest.mark.slow
def test_only_what_a_change_touches_is_made_again(tmp_path: Path) -> None:
    sources = _years(tmp_path)
    _update(tmp_path, sources)
    sources |= dict([_put(tmp_path, dt.date(2019, 2, 27), 1), _put(tmp_path, dt.date(2019, 7, 1))])
    assert _update(tmp_path, sources) == 2
    _agrees(tmp_path, sources)
    (tmp_path / sources.pop(dt.date(2019, 7, 1)).relative).unlink()
    (tmp_path / sources.pop(dt.date(2018, 2, 26)).relative).unlink()
    assert _update(tmp_path, sources) == 1
    assert not (tmp_path / "climatology" / "0701.nc").exists()
    _agrees(tmp_path, sources)


def test_a_day_of_the_calendar_that_is_gone_is_not_looked_for(tmp_path: Path) -> None:
    sources = _years(tmp_path)
    sources |= dict([_put(tmp_path, dt.date(2019, 3, 10))])
    _update(tmp_path, sources)
    (tmp_path / sources.pop(dt.date(2019, 3, 10)).relative).unlink()
    assert _update(tmp_path, sources) == 0
    _agrees(tmp_path, sources)


def test_a_day_that_was_damaged_counts_once_it_is_back(tmp_path: Path) -> None:
    sources = _years(tmp_path)
    damaged = tmp_path / sources[dt.date(2019, 2, 27)].relative
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1])
    assert _update(tmp_path, sources) == 6
    assert climatology_faults(tmp_path, sources, GRID, _whole) == [], "it is due to be made again"
    damaged.write_bytes(content)
    assert _update(tmp_path, sources) == 1
    _agrees(tmp_path, sources)


def test_a_climatology_of_another_grid_is_none(tmp_path: Path) -> None:
    _update(tmp_path, _years(tmp_path))
    moved = Grid.globe().box(0, 0, 2, 1)
    assert moved.digest != GRID.digest
    assert Usual.around(tmp_path, dt.date(2020, 2, 26), moved) is None


def test_a_short_record_has_none(tmp_path: Path) -> None:
    sources = _years(tmp_path, [2019, 2020])
    _update(tmp_path, sources)
    assert (tmp_path / "climatology").exists()
    assert _update(tmp_path, {date: file for date, file in sources.items() if date.year == 2020}) == 0
    assert not (tmp_path / "climatology").exists()
    assert Usual.around(tmp_path, dt.date(2020, 2, 26), GRID) is None


@pytest.mark.slow
def test_lost_and_damaged_files_are_named_and_made_again(tmp_path: Path) -> None:
    sources = _years(tmp_path)
    _update(tmp_path, sources)
    folder = tmp_path / "climatology"
    (folder / "0226.nc").write_bytes(b"no netCDF")
    shutil.copy(folder / "0227.nc", folder / "0228.nc")
    faults = climatology_faults(tmp_path, sources, GRID, _whole)
    assert [fault.partition(":")[0] for fault in faults] == [str(folder / "0226.nc"), str(folder / "0228.nc")]
    assert all("runtime check --rebuild-views" in fault for fault in faults)
    usual = Usual.around(tmp_path, dt.date(2020, 2, 26), GRID)
    assert usual
    with pytest.raises(ArchiveError, match=r"0226\.nc: cannot be read"):
        usual.mean()
    (folder / "0226.nc").unlink()
    assert _update(tmp_path, sources) == 1
    (folder / "index.json").write_text("[half")
    assert _update(tmp_path, sources) == 6
    _agrees(tmp_path, sources)


def test_a_daily_file_that_is_not_what_was_published_is_not_used(tmp_path: Path) -> None:
    sources = _years(tmp_path)
    _put(tmp_path, dt.date(2019, 2, 27), 1)  # not in the catalog
    _update(tmp_path, sources)
    with xarray.open_dataset(tmp_path / "climatology" / "0227.nc") as file:
        assert int(file.climatology_years.max()) == 2


def test_any_program_can_read_it(tmp_path: Path) -> None:
    sources = _years(tmp_path)
    _update(tmp_path, sources)
    file = tmp_path / "climatology" / "0226.nc"
    with xarray.open_dataset(file, decode_times=False) as opened:
        assert opened.time.attrs["climatology"] == "climatology_bounds"
        since = dt.date(2000, 1, 1)
        bounds = [since + dt.timedelta(int(day)) for day in opened.climatology_bounds.values[0]]
        assert bounds == [dt.date(2018, 2, 26), dt.date(2020, 2, 27)]
    command = [Path(sys.executable).with_name("compliance-checker"), "-t", "cf:1.11", file]
    report = subprocess.run(command, capture_output=True, text=True)
    assert "All tests passed!" in report.stdout, report.stdout


@pytest.mark.slow
def test_killed_at_any_line_the_next_update_makes_it_whole(tmp_path: Path) -> None:
    start, archive = tmp_path / "start", tmp_path / "archive"
    old = _years(start, days=2)
    _update(start, old)
    new = old | dict([_put(tmp_path / "new", dt.date(2019, 2, 27), 1), _put(tmp_path / "new", dt.date(2021, 3, 1))])
    line, lived = 0, False
    while not lived:
        line += 7
        shutil.rmtree(archive, ignore_errors=True)
        shutil.copytree(start, archive)
        shutil.copytree(tmp_path / "new", archive, dirs_exist_ok=True)
        sources = {date: file._replace(archive=archive) for date, file in new.items()}
        lived = is_done_before(line, TRACED, _update, archive, sources)
        assert climatology_faults(archive, sources, GRID, _whole) == [], f"killed at line {line}"
        _update(archive, sources)
        _agrees(archive, sources)
        index = json.loads((archive / "climatology" / "index.json").read_text())
        assert {path.name for path in (archive / "climatology").iterdir()} == {*index["files"], "index.json"}
    assert line > 50
