"""Hidden squares: which cells and days, what fillers may see, the scores, and the command from files to pictures."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from runtime.bundle import find_bundle, load_bundle
from runtime.common.clock import DAY
from runtime.common.grid import Floats, Grid
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World
from tests.conftest import START
from training.cli import app
from training.data import DataSection
from training.days import parse_month_and_day
from training.evaluate.hidden import WEIGHTED_MEAN, BundleFiller, Gaps
from training.evaluate.references import TODAY
from training.evaluate.score import Score
from training.evaluate.series import PUBLISHED_PLACES, parse_places
from training.evaluate.square_report import CSV, MEAN
from training.evaluate.squares import (
    ALL_SQUARES,
    SquareSettings,
    SquaresOfDay,
    days_of_years,
    fill_squares,
    squares_at,
)
from training.evaluate.writing import JSON, MARKDOWN
from training.samples import TrainingArchive

PLACES = {"France": (46.875, 2.125), "Spain": (40.125, -3.875)}
SIDE = 12
WINDOW_BUNDLE = "sgdsm1-amsr2-x"


def test_a_square_lies_around_its_place_and_ends_at_the_edge_of_the_grid(grid: Grid) -> None:
    places = {"middle": (42.4, 0.1), "corner": (49.9, -9.9), "elsewhere": (-10.0, 0.0)}
    found = squares_at(grid, places, 5)
    assert found == {"middle": (slice(28, 33), slice(38, 43)), "corner": (slice(0, 3), slice(0, 3))}
    assert grid.cell(*places["middle"]) == (30, 40)
    rows, cols = squares_at(grid, places, 4)["middle"]
    assert (rows, cols) == (slice(28, 32), slice(38, 42))


def test_of_each_year_the_nearest_day_is_taken() -> None:
    dates = [
        dt.date(2015, 4, 1),
        dt.date(2015, 4, 20),
        dt.date(2016, 7, 24),
        dt.date(2016, 7, 26),
        dt.date(2017, 7, 25),
    ]
    found = days_of_years(dates, 7, 25)
    assert [str(day) for day in found] == ["2015-07-25", "2016-07-25", "2017-07-25"]
    assert [str(day) for day in found.values()] == ["2015-04-20", "2016-07-24", "2017-07-25"]


def test_days_and_places_are_read_from_text() -> None:
    assert parse_month_and_day("07-25") == (7, 25)
    for text in ("02-29", "25 July", "13-01"):
        with pytest.raises(ValueError, match="give MM-DD"):
            parse_month_and_day(text)
    assert len(parse_places("sgdsm1")) == 6
    assert parse_places("sgdsm2") == PUBLISHED_PLACES["sgdsm2"]
    assert [*parse_places("10.1,12.4 -3.6,20.1").values()] == [(10.1, 12.4), (-3.6, 20.1)]
    for text in ("", "Kenya", "95,10", "10"):
        with pytest.raises(ValueError, match="names no places"):
            parse_places(text)


def _settings(archive: TrainingArchive, *bundles: str) -> SquareSettings:
    day = START + 7 * DAY
    return SquareSettings(
        source=DataSection(record=archive.folder),
        bundles={name: load_bundle(find_bundle(name)) for name in bundles},
        places=PLACES,
        side=SIDE,
        month=day.month,
        day=day.day,
    )


def _fill(settings: SquareSettings, folder: Path, grid: Grid) -> list[SquaresOfDay]:
    return list(fill_squares(settings, folder, grid))


def test_the_score_of_a_square_is_that_of_a_plain_loop(archive: TrainingArchive, tmp_path: Path, grid: Grid) -> None:
    (day,) = _fill(_settings(archive, WINDOW_BUNDLE), tmp_path, grid)
    index = archive.index(day.date)
    observed = archive.soil_moisture(index, 1)[0]
    others = np.delete(archive.soil_moisture(index - 12, 17), 12, axis=0)
    errors: dict[str, list[float]] = {}
    for square in day.squares:
        north, west = square.grid.latitudes[0], square.grid.longitudes[0]
        top, left = grid.cell(north, west) or (0, 0)
        row, col = grid.cell(*PLACES[square.place]) or (0, 0)
        for r in range(row - SIDE // 2, row + SIDE // 2):
            for c in range(col - SIDE // 2, col + SIDE // 2):
                values = [field[r - top, c - left] for field in square.filled.values()]
                if (
                    grid.land[r, c]
                    and np.isfinite([observed[r, c], *values]).all()
                    and np.isfinite(others[:, r, c]).any()
                ):
                    for name, value in zip(square.filled, values, strict=True):
                        errors.setdefault(f"{square.place} {name}", []).append(float(value) - float(observed[r, c]))
    for square in day.squares:
        for name in square.filled:
            score, by_loop = day.scores[square.place, name], np.array(errors[f"{square.place} {name}"])
            assert score.n == by_loop.size > 20
            assert score.rmse == pytest.approx(np.sqrt((by_loop**2).mean()), rel=1e-5)
            assert score.mae == pytest.approx(np.abs(by_loop).mean(), rel=1e-5)
    both = np.concatenate([errors[f"{place} {WINDOW_BUNDLE}"] for place in PLACES])
    assert day.scores[ALL_SQUARES, WINDOW_BUNDLE].rmse == pytest.approx(np.sqrt((both**2).mean()), rel=1e-5)


def test_nothing_of_a_hidden_square_reaches_the_fillers_on_that_day(
    archive: TrainingArchive, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Gaps] = []
    fill = BundleFiller.fill

    def watch(self: BundleFiller, gaps: Gaps, with_rain: bool = True) -> object:
        seen.append(gaps)
        return fill(self, gaps, with_rain)

    monkeypatch.setattr(BundleFiller, "fill", watch)
    (day,) = _fill(_settings(archive, WINDOW_BUNDLE), tmp_path, grid)
    (gaps,) = seen
    observed = archive.soil_moisture(archive.index(day.date), 1)[0]
    inside = np.zeros(grid.shape, bool)
    for part in squares_at(grid, PLACES, SIDE).values():
        inside[part] = True
    assert np.isfinite(observed[inside]).any()
    assert np.isnan(gaps.frames[TODAY][inside]).all()
    np.testing.assert_array_equal(gaps.frames[TODAY][~inside], observed[~inside])
    for square in day.squares:
        judged = np.isfinite(square.truth)
        assert judged.any()
        assert np.isnan(square.shown[judged]).all()
        np.testing.assert_array_equal(square.truth[judged], square.original[judged])


def test_a_value_changed_inside_a_square_changes_no_filled_value(
    archive: TrainingArchive, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(archive, WINDOW_BUNDLE, "sgdsm2-amsr2-x")
    (before,) = _fill(settings, tmp_path, grid)
    read, index = TrainingArchive.soil_moisture, archive.index(before.date)
    rows, cols = squares_at(grid, PLACES, SIDE)["France"]

    def with_wet_square(self: TrainingArchive, first: int, days: int, *rest: int) -> Floats:
        frames = read(self, first, days, *rest)
        if first <= index < first + days:
            frames[index - first, rows, cols] += 0.3
        return frames

    monkeypatch.setattr(TrainingArchive, "soil_moisture", with_wet_square)
    (after,) = _fill(settings, tmp_path, grid)
    for one, other in zip(before.squares, after.squares, strict=True):
        assert (np.nanmax(other.truth - one.truth) > 0.2) == (one.place == "France")
        for name in (WINDOW_BUNDLE, "sgdsm2-amsr2-x", WEIGHTED_MEAN):
            np.testing.assert_array_equal(one.filled[name], other.filled[name])


def test_the_mean_counts_each_year_once_and_leaves_out_one_without_observations() -> None:
    some, more = Score(0.8, 0.06, 0.05, 0.04, 0.01, 10), Score(0.6, 0.08, 0.07, 0.06, 0.03, 990)
    mean = Score.mean([some, more, Score.of(np.empty(0), np.empty(0))])
    assert (mean.r, mean.rmse, mean.mae, mean.n) == (pytest.approx(0.7), pytest.approx(0.07), pytest.approx(0.05), 1000)
    assert Score.mean([]).n == 0


@pytest.fixture(scope="module")
def three_years(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Path:
    """The files of 14 days around 25 July of three years; of the last one, the day itself is missing."""
    folder = tmp_path_factory.mktemp("years")
    for year in (2018, 2019, 2020):
        for day in World(grid, year).days(dt.date(year, 7, 16), 14):
            if day.date != dt.date(2020, 7, 25):
                write_lprm(folder, day, grid)
                write_imerg(folder, day.date, day.rain, grid)
    return folder


def test_only_the_days_of_the_window_are_packed(three_years: Path, tmp_path: Path, grid: Grid) -> None:
    source = DataSection(granules=three_years, rain=three_years)
    assert len(source.dates()) == 41
    middle = dt.date(2019, 7, 25)
    archive = source.open(tmp_path, grid, within=(middle - 3 * DAY, middle + 2 * DAY))
    assert (archive.first, len(archive), archive.has_rain) == (middle - 3 * DAY, 6, True)
    whole = source.open(tmp_path / "whole", grid, within=(dt.date(2019, 1, 1), dt.date(2019, 12, 31)))
    assert (whole.first, len(whole)) == (dt.date(2019, 7, 16), 14)
    np.testing.assert_array_equal(archive.soil_moisture(0, 6), whole.soil_moisture(6, 6))
    with pytest.raises(ValueError, match="from 2017-01-01 to 2017-02-01; check"):
        source.open(tmp_path, grid, within=(dt.date(2017, 1, 1), dt.date(2017, 2, 1)))


@pytest.mark.slow
def test_a_report_of_three_years_from_files_to_pictures(
    three_years: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    places = " ".join(f"{north},{east}" for north, east in PLACES.values())
    command = ["squares", "--data", str(three_years), "--places", places, "--side", str(SIDE)]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output + result.stderr
    assert "2020-07-25: no file of this day; 2020-07-24, the nearest one of the year, is used" in result.stderr
    rows = list(csv.DictReader((tmp_path / CSV).read_text().splitlines()))
    fillers = ["sgdsm1-amsr2-x", "sgdsm2-amsr2-x", WEIGHTED_MEAN]
    for filler in fillers:
        chosen = {row["year"]: row for row in rows if (row["place"], row["filler"]) == (ALL_SQUARES, filler)}
        assert [*chosen] == ["2018", "2019", "2020", MEAN]
        of_years = [chosen[year] for year in ("2018", "2019", "2020")]
        for name in ("r", "rmse", "mae"):
            assert float(chosen[MEAN][name]) == pytest.approx(np.mean([float(row[name]) for row in of_years]), rel=1e-4)
        assert int(chosen[MEAN]["n"]) == sum(int(row["n"]) for row in of_years) > 200
    text = (tmp_path / MARKDOWN).read_text()
    assert "- 2020: 2020-07-24, instead of 2020-07-25, which has no file; 8 of the 30 days before it and" in text
    values = json.loads((tmp_path / JSON).read_text())
    assert [day["date"] for day in values["days"].values()] == ["2018-07-25", "2019-07-25", "2020-07-24"]
    for year in ("2018", "2019", "2020"):
        for kind in ("maps", "scatter"):
            assert (tmp_path / f"squares-{year}-{kind}.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--places", "-40,170"], "none of the places (-40,170) is on the grid"),
        (["--places", "nowhere"], "names no places"),
        (["--day", "02-30"], "give MM-DD"),
        (["--bundle", WINDOW_BUNDLE, "--bundle", WINDOW_BUNDLE], "the same folder name"),
        (["--archive", "somewhere"], "give either --data"),
    ],
)
def test_the_command_says_what_is_wrong(
    options: list[str],
    message: str,
    fortnight: Path,
    tmp_path: Path,
    grid: Grid,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    result = CliRunner().invoke(app, ["squares", "--data", str(fortnight), "--out", str(tmp_path), *options])
    assert result.exit_code == 2, result.output
    assert message in result.stderr
