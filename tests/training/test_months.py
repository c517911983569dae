"""Averages of months: by hand, what is hidden, stations, and the command from files to pictures."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.stations import MadeUpStation, write_ismn
from runtime.common.clock import DAY, days_between
from runtime.common.grid import Grid
from runtime.common.vocabulary import Tier
from runtime.demo.world import WorldDay
from tests.conftest import DAYS, START
from training.cli import app
from training.data import DataSection
from training.evaluate.hidden import WEIGHTED_MEAN, gaps
from training.evaluate.insitu import StationRules
from training.evaluate.kinds import HEADLINE
from training.evaluate.month_report import CSV, HIDDEN, MEAN, TOGETHER, month_rows
from training.evaluate.months import (
    ALL_DAYS,
    ORIGINAL,
    RECONSTRUCTED,
    MonthFindings,
    MonthSettings,
    compare_months,
    monthly_means,
)
from training.evaluate.references import weighted_mean
from training.evaluate.run import named_bundles
from training.evaluate.score import Score
from training.evaluate.writing import JSON, MARKDOWN
from training.samples import TrainingArchive

BUNDLES = ("sgdsm1-amsr2-x", "sgdsm2-amsr2-x")
NAN = float("nan")


def test_monthly_means_by_hand() -> None:
    def day(text: str, truth: list[float], one: list[float], two: list[float]) -> tuple:
        fields = [np.array(values, np.float32) for values in (truth, one, two)]
        return dt.date.fromisoformat(text), fields[0], {"one": fields[1], "two": fields[2]}

    days = [
        day("2015-04-01", [0.1, 0.2, NAN], [0.2, 0.2, 0.3], [0.3, 0.2, 0.3]),
        day("2015-04-20", [0.3, 0.4, 0.5], [0.6, 0.2, 0.3], [0.1, NAN, 0.3]),
        day("2015-04-30", [0.8, 0.6, 0.5], [0.4, 0.4, 0.5], [0.2, 0.8, 0.1]),
        day("2015-05-01", [0.5, 0.6, 0.5], [0.4, 0.4, 0.5], [0.2, 0.8, 0.1]),
    ]
    (april, means), (may, empty) = monthly_means(days, fewest=2)
    assert (april, may) == (dt.date(2015, 4, 1), dt.date(2015, 5, 1))
    np.testing.assert_allclose(means.truth, [1.2 / 3, 0.8 / 2, 1.0 / 2], rtol=1e-6)
    np.testing.assert_allclose(means.fillers["one"], [1.2 / 3, 0.6 / 2, 0.8 / 2], rtol=1e-6)
    np.testing.assert_allclose(means.fillers["two"], [0.6 / 3, 1.0 / 2, 0.4 / 2], rtol=1e-6)
    assert empty.truth.size == 0
    assert [cells.truth.size for _, cells in monthly_means(days, fewest=3)] == [1, 0]


def test_of_a_month_no_day_is_kept() -> None:
    alive: list[int] = []

    class Watched(np.ndarray):
        def __del__(self) -> None:
            alive.append(-1)

    def days() -> object:
        for number in range(20):
            alive.append(1)
            assert sum(alive) <= 3, "days of the month are kept"
            truth = np.full((4, 5), 0.2, np.float32).view(Watched)
            yield dt.date(2015, 4, 1) + number * DAY, truth, {"one": np.full((4, 5), 0.3, np.float32)}
            del truth

    ((_, cells),) = monthly_means(days(), 1)  # type: ignore[arg-type]
    assert cells.truth.size == 20


def _score(r: float, rmse: float, n: int) -> Score:
    return Score(r, rmse, rmse, rmse, 0.0, n)


def test_the_mean_row_counts_each_month_once() -> None:
    april, may = dt.date(2015, 4, 1), dt.date(2015, 5, 1)
    hidden = {april: {"one": _score(0.8, 0.06, 10)}, may: {"one": _score(0.6, 0.08, 990)}}
    rows = list(month_rows(MonthFindings(source="", first=april, last=may, hidden=hidden)))
    assert [(row.part, row.month) for row in rows] == [(HIDDEN, "2015-04"), (HIDDEN, "2015-05"), (HIDDEN, MEAN)]
    mean = rows[-1].scores["one"]
    assert (mean.r, mean.rmse, mean.n) == (pytest.approx(0.7), pytest.approx(0.07), 1000)


def test_hidden_cells_of_real_gaps_are_averaged(archive: TrainingArchive, tmp_path: Path, grid: Grid) -> None:
    days = days_between(START + 4 * DAY, START + 7 * DAY)
    settings = MonthSettings(
        source=DataSection(record=archive.folder), bundles=named_bundles(BUNDLES), days=days, fewest=2
    )
    done: list[tuple[int, int]] = []
    found = compare_months(settings, tmp_path, grid, lambda *step: done.append(step))
    assert done[-1][0] == done[-1][1]
    assert [*found.hidden] == [START.replace(day=1)]
    scores = found.hidden[START.replace(day=1)]
    assert [*scores] == [*BUNDLES, WEIGHTED_MEAN]
    assert len({score.n for score in scores.values()}) == 1
    truths, means = [], []
    for date in days:
        hidden = gaps(archive, date, Tier.CONSOLIDATED, HEADLINE)
        truths.append(hidden.truth)
        means.append(np.where(np.isfinite(hidden.truth), weighted_mean(hidden.frames), np.float32(np.nan)))
    enough = np.isfinite(truths).sum(0) >= 2
    truth, mean = (np.nanmean(np.array(fields)[:, enough], 0) for fields in (truths, means))
    assert scores[WEIGHTED_MEAN].n == enough.sum() > 100
    assert scores[WEIGHTED_MEAN].rmse == pytest.approx(np.sqrt(((mean - truth) ** 2).mean()), rel=1e-4)
    assert found.counts[BUNDLES[0]].sum() == enough.sum()


def _write_stations(path: Path, grid: Grid, days: list[WorldDay]) -> list[tuple[int, int]]:
    """Write stations that read the truth of their cells."""
    rng = np.random.default_rng(0)
    rows, cols = np.nonzero(grid.land)
    chosen = rng.choice(rows.size, 6, replace=False)
    cells = [(int(rows[number]), int(cols[number])) for number in chosen]
    stations = [
        MadeUpStation(
            f"S{number}",
            float(grid.latitudes[row]),
            float(grid.longitudes[col]),
            np.array([day.truth[row, col] for day in days], np.float32),
        )
        for number, (row, col) in enumerate(cells)
    ]
    write_ismn(path, stations, [day.date for day in days])
    return cells


@pytest.mark.slow
def test_stations_are_averaged_over_the_days_observed_and_filled(
    archive: TrainingArchive, fortnight: Path, world_days: list[WorldDay], tmp_path: Path, grid: Grid
) -> None:
    cells = _write_stations(tmp_path / "ismn.zip", grid, world_days)
    settings = MonthSettings(
        source=DataSection(granules=fortnight, rain=fortnight),
        bundles=named_bundles(BUNDLES[:1]),
        fewest=2,
        ismn=[tmp_path / "ismn.zip"],
        rules=StationRules(fewest_days=1),
    )
    found = compare_months(settings, tmp_path / "record", grid)
    assert [*found.stations] == [ORIGINAL, RECONSTRUCTED, ALL_DAYS]
    (original,) = found.stations[ORIGINAL].values()
    rows, cols = np.array(cells).T
    observed = archive.soil_moisture(0, DAYS)[:, rows, cols]
    enough = np.isfinite(observed).sum(0) >= 2
    means = np.nanmean(observed[:, enough], 0)
    np.testing.assert_allclose(np.sort(original.fillers[ORIGINAL]), np.sort(means), atol=1e-4)
    (everything,) = found.stations[ALL_DAYS].values()
    assert [*everything.fillers] == [BUNDLES[0], WEIGHTED_MEAN]
    assert everything.score(BUNDLES[0]).rmse < 0.05
    (filled,) = found.stations[RECONSTRUCTED].values()
    gap_days = np.isnan(observed).sum(0)
    assert filled.truth.size <= (gap_days >= 2).sum()
    rows_of_report = [(row.part, row.month) for row in month_rows(found)]
    assert (ALL_DAYS, TOGETHER) in rows_of_report


@pytest.mark.slow
def test_a_report_of_two_months_from_files_to_pictures(
    fortnight: Path, world_days: list[WorldDay], tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    _write_stations(tmp_path / "ismn.zip", grid, world_days)
    files = ["--data", str(fortnight), "--ismn", str(tmp_path / "ismn.zip"), "--record-days", "1"]
    result = CliRunner().invoke(app, ["months", *files, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output + result.stderr
    rows = list(csv.DictReader((tmp_path / "out" / CSV).read_text().splitlines()))
    hidden = {(row["month"], row["filler"]): row for row in rows if row["part"] == HIDDEN}
    fillers = [*BUNDLES, WEIGHTED_MEAN]
    assert [*hidden] == [(month, filler) for month in (f"{START:%Y-%m}", MEAN) for filler in fillers]
    assert {row["part"] for row in rows} == {HIDDEN, ORIGINAL, RECONSTRUCTED, ALL_DAYS}
    text = (tmp_path / "out" / MARKDOWN).read_text()
    for expected in ("sgdsm1-amsr2-x: R / RMSE / MAE | sgdsm2-amsr2-x: R / RMSE / MAE", "Reconstructed:", "## In situ"):
        assert expected in text
    assert json.loads((tmp_path / "out" / JSON).read_text())["fewest_days"] == 3
    assert (tmp_path / "out" / "months-averages.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--days", "2031-01-01:2031-01-31"], "no file from 2031-01-01 to 2031-01-31; give days from 2020-04-01"),
        (["--days", "2020-04-05", "--fewest-days", "2"], "no cell has 2 hidden days in a month"),
        (["--ismn", "nowhere.zip"], "does not exist"),
    ],
)
def test_the_command_says_what_is_missing(
    options: list[str], message: str, fortnight: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    result = CliRunner().invoke(app, ["months", "--data", str(fortnight), "--out", str(tmp_path), *options])
    assert result.exit_code == 2, result.output
    assert message in result.stderr
