"""Evaluation: scores by hand, what fillers may see, and one report from files to Markdown."""

import csv
import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from runtime.bundle import find_bundle, load_bundle, shipped_bundles
from runtime.common.grid import Grid
from runtime.common.vocabulary import Tier
from runtime.engines.select import EngineSettings
from tests.conftest import START
from training.cli import app
from training.data import DataSection
from training.evaluate.fill_hidden import Judged, fill_hidden
from training.evaluate.findings import calibration, error_table, sigma_fit
from training.evaluate.hidden import cells_to_hide, fit_trees, gaps
from training.evaluate.kinds import KINDS, TIERS, GapKind
from training.evaluate.references import NEAR_DAYS, TODAY, WINDOW, dct_pls, nearest_day, plain_mean, weighted_mean
from training.evaluate.report import CSV, _of_own_sigma
from training.evaluate.run import Settings, _fill_with_mean, evaluate_bundles
from training.evaluate.score import Score
from training.evaluate.scores import Cells, crps, nugget, probability_integral, strata
from training.evaluate.series import InputFolders, publish_series
from training.evaluate.structure import LAGS, OBSERVED, Structure
from training.evaluate.writing import JSON, MARKDOWN
from training.samples import TrainingArchive

DATE = START + dt.timedelta(6)


def test_a_fit_of_fitted_values_is_one_of_the_raw_ones() -> None:
    raw, earlier, later = np.array([0.02, 0.1]), (1.5, 1.2), (0.9, 1.1)
    factor, exponent = _of_own_sigma(later, earlier) or (0, 0)
    fitted = earlier[0] * raw ** earlier[1]
    np.testing.assert_allclose(factor * raw**exponent, later[0] * fitted ** later[1])
    assert _of_own_sigma(later, None) == later


def test_scores_by_hand() -> None:
    observed = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    estimate = np.array([0.2, 0.2, 0.5, 0.4], np.float32)
    score = Score.of(estimate, observed)
    assert score.n == 4
    assert score.bias == pytest.approx(0.075)
    assert score.mae == pytest.approx(0.075)
    assert score.rmse == pytest.approx(np.sqrt(0.05 / 4), rel=1e-6)
    assert score.ubrmse == pytest.approx(np.sqrt(0.05 / 4 - 0.075**2), rel=1e-5)
    assert score.r == pytest.approx(np.corrcoef(estimate, observed)[0, 1], rel=1e-6)
    assert Score.of(observed[:0], observed[:0]).n == 0


def _cells(n: int = 3000) -> Cells:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.05, 0.6, n).astype(np.float32)
    sigma = rng.uniform(0.02, 0.1, n).astype(np.float32)
    columns = {
        "latitude": rng.uniform(-50, 70, n),
        "age": rng.choice([1, 2, 3, 4, 99], n),
        "nearest": rng.choice([1, 2, 3, 4, 9], n),
        "distance": rng.uniform(1, 30, n),
        "rain": np.where(rng.random(n) < 0.5, np.nan, rng.exponential(4, n)),
        "wetness": rng.uniform(0.05, 0.6, n),
    }
    estimate = (truth + sigma * rng.standard_normal(n)).astype(np.float32)
    return Cells(truth, {k: v.astype(np.float32) for k, v in columns.items()}, {"net": estimate}, {"net": sigma})


def test_classes_divide_the_cells() -> None:
    cells = _cells()
    counted: dict[str, int] = {}
    for what, _, part in strata(cells):
        counted[what] = counted.get(what, 0) + part.truth.size
    rained = int(np.isfinite(cells.columns["rain"]).sum())
    assert set(counted.values()) == {cells.truth.size, rained}
    assert counted["precipitation on the day"] == rained


def test_calibration_and_its_correction() -> None:
    cells = _cells(20_000)
    shares = calibration(cells, "net")
    assert shares["all"]["all"] == pytest.approx(0.683, abs=0.015)
    assert all(share == pytest.approx(0.683, abs=0.025) for share in shares["latitude"].values())
    assert all(share == pytest.approx(0.1, abs=0.01) for share in probability_integral(cells, "net"))
    sharp = Cells(cells.truth, cells.columns, {"net": cells.truth}, cells.sigma)
    assert crps(sharp, "net") < crps(cells, "net")
    too_small = Cells(cells.truth, cells.columns, cells.fillers, {"net": cells.sigma["net"] / 2})
    too_even = Cells(cells.truth, cells.columns, cells.fillers, {"net": cells.sigma["net"] ** 0.5})
    for wrong, exponent in ((too_small, 1), (too_even, 2)):
        factor, found = sigma_fit([wrong], "net")
        assert found == pytest.approx(exponent, rel=0.15)
        mended = wrong.refitted("net", factor, found)
        for half in (cells.sigma["net"] < 0.06, cells.sigma["net"] >= 0.06):
            assert mended.only(half).coverage("net") == pytest.approx(0.683, abs=0.02)


def test_the_error_table_holds_the_rmse_of_each_class() -> None:
    cells = _cells(20_000)
    table = error_table([cells], "net")
    chosen = (cells.columns["age"] == 2) & (cells.columns["latitude"] >= 0) & (cells.columns["latitude"] < 30)
    expected = np.sqrt(((cells.fillers["net"] - cells.truth)[chosen] ** 2).mean())
    assert table.rmse[1][2] == pytest.approx(expected, abs=1e-4)
    assert table.n[1][2] == chosen.sum()
    assert np.sum(table.n) == 20_000


def test_the_nugget_is_the_noise() -> None:
    rng = np.random.default_rng(1)
    soil = np.cumsum(rng.normal(0, 0.005, (25, 60, 60)), 0)
    noisy = (soil + rng.normal(0, 0.08, soil.shape)).astype(np.float32)
    noisy[rng.random(noisy.shape) < 0.5] = np.nan
    assert nugget(noisy, np.ones((60, 60), bool)) == pytest.approx(0.08, rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tier", TIERS)
def test_fillers_see_nothing_of_what_they_are_judged_on(kind: GapKind, tier: Tier, archive: TrainingArchive) -> None:
    hidden = gaps(archive, DATE, tier, kind)
    judged = np.isfinite(hidden.truth)
    assert judged.any()
    assert np.isnan(hidden.frames[TODAY][judged]).all()
    original = archive.soil_moisture(archive.index(DATE), 1)[0]
    np.testing.assert_array_equal(hidden.truth[judged], original[judged])
    assert np.isnan(hidden.frames[TODAY + 1 :]).all() == (tier == Tier.PROVISIONAL)
    visible = hidden.frames[:TODAY] if tier == Tier.PROVISIONAL else hidden.frames
    assert np.isfinite(visible[:, judged]).any(0).all()
    again = gaps(archive, DATE, Tier.CONSOLIDATED, kind)
    np.testing.assert_array_equal(np.isnan(again.frames[TODAY]), np.isnan(hidden.frames[TODAY]))


def test_real_gaps_are_those_of_the_following_day(archive: TrainingArchive) -> None:
    day = archive.index(DATE)
    hidden = gaps(archive, DATE, Tier.CONSOLIDATED, GapKind.REAL)
    assert np.isnan(archive.soil_moisture(day + 1, 1)[0][np.isfinite(hidden.truth)]).all()
    last = archive.first + dt.timedelta(len(archive) - 1)
    hidden = gaps(archive, last, Tier.PROVISIONAL, GapKind.REAL)
    assert np.isnan(archive.soil_moisture(len(archive) - 2, 1)[0][np.isfinite(hidden.truth)]).all()


def test_a_following_day_without_observations_is_passed_over(
    archive: TrainingArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, observed = archive.index(DATE), TrainingArchive.observed
    empty = {day + 1, day - 1}

    def with_outage(self: TrainingArchive, index: int, *rest: int) -> np.ndarray:
        return observed(self, index, *rest) & (index not in empty)

    monkeypatch.setattr(TrainingArchive, "observed", with_outage)
    hidden = cells_to_hide(GapKind.REAL, archive, DATE)
    np.testing.assert_array_equal(hidden, ~observed(archive, day + 2))
    empty |= set(range(len(archive)))
    with pytest.raises(ValueError, match="no other day"):
        cells_to_hide(GapKind.REAL, archive, DATE)


def test_the_weighted_mean_by_hand() -> None:
    frames = np.full((len(WINDOW), 1, 3), np.nan, np.float32)
    frames[TODAY - 1, 0, 0], frames[TODAY + 3, 0, 0] = 0.1, 0.4
    frames[0, 0, 1] = 0.3
    one, three = np.exp(-0.5), np.exp(-1.5)
    expected = [(0.1 * one + 0.4 * three) / (one + three), 0.3, np.nan]
    np.testing.assert_allclose(weighted_mean(frames)[0], expected, rtol=1e-5)
    np.testing.assert_allclose(plain_mean(frames)[0], [0.25, np.nan, np.nan], rtol=1e-5)
    assert nearest_day(frames).tolist() == [[1, 12, 99]]


@pytest.mark.slow
def test_trees_learn_what_their_features_hold(archive: TrainingArchive) -> None:
    trees = fit_trees(archive, Tier.CONSOLIDATED, DATE)
    hidden = gaps(archive, DATE, Tier.CONSOLIDATED, GapKind.REAL)
    wanted = np.isfinite(hidden.truth)
    filled = trees.fill(hidden.frames, wanted)
    np.testing.assert_array_equal(np.isfinite(filled), wanted)
    mean = weighted_mean(hidden.frames)
    rmse = [np.sqrt(((field - hidden.truth)[wanted] ** 2).mean()) for field in (filled, mean)]
    assert rmse[0] < rmse[1]
    with pytest.raises(ValueError, match="give more days before"):
        fit_trees(archive, Tier.CONSOLIDATED, archive.first)


def test_structure_tells_a_smooth_field_from_a_rough_one() -> None:
    rng = np.random.default_rng(0)
    rough = rng.normal(0.3, 0.1, (40, 80)).astype(np.float32)
    structure = Structure()
    other = rng.normal(0, 0.1, rough.shape).astype(np.float32)
    half = (0.5 * rough + other).astype(np.float32)
    structure.add(rough, {"smooth": np.full_like(rough, 0.3), "half": half, "other": other})
    np.testing.assert_allclose(structure.variogram(OBSERVED), 0.01, rtol=0.1)
    assert structure.variogram("smooth") == [0.0] * len(LAGS)
    assert structure.shared(OBSERVED) == structure.variogram(OBSERVED)
    np.testing.assert_allclose(structure.shared("half"), 0.005, rtol=0.15)
    np.testing.assert_allclose(structure.shared("other"), 0, atol=0.001)
    np.testing.assert_allclose(structure.spectrum(OBSERVED)[2:-1], 0.01, rtol=0.4)
    assert max(structure.spectrum("smooth")) < 1e-12


def test_dct_pls_fills_a_smooth_field() -> None:
    rows, cols = np.mgrid[:30, :40]
    field = (0.3 + 0.1 * np.sin(rows / 6) * np.cos(cols / 8)).astype(np.float32)
    frames = np.repeat(field[None], len(WINDOW), 0)
    frames[np.random.default_rng(0).random(frames.shape) < 0.4] = np.nan
    filled = dct_pls(frames, np.ones((30, 40), bool))
    assert np.abs(filled - field).max() < 0.02


def test_stations_are_compared_with_the_weighted_mean_in_the_gaps(archive: TrainingArchive) -> None:
    cells = [(row, col) for row in range(10, 50, 5) for col in range(10, 70, 5)]
    rows, cols = np.array(cells).T
    days = _fill_with_mean(archive, [DATE, DATE + dt.timedelta(1)], cells)
    seen = np.isfinite(days.observed)
    first = archive.index(DATE)
    np.testing.assert_array_equal(days.observed, archive.soil_moisture(first, 2)[:, rows, cols])
    np.testing.assert_array_equal(days.seamless[seen], days.observed[seen])
    frames = archive.soil_moisture(first + 1 + WINDOW[0], len(WINDOW))
    np.testing.assert_allclose(days.seamless[1][~seen[1]], weighted_mean(frames)[rows, cols][~seen[1]], rtol=1e-6)
    assert np.isfinite(days.seamless).sum() > seen.sum()


def _settings(fortnight: Path, *names: str) -> Settings:
    return Settings(
        bundles=names,
        source=DataSection(granules=fortnight, rain=fortnight),
        tiers={Tier.CONSOLIDATED: [DATE], Tier.PROVISIONAL: [START + dt.timedelta(11)]},
        series=[DATE],
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", [["seamless-2", "sgdsm2-amsr2-x"], shipped_bundles()], ids=["a window and a memory", "all bundles"]
)
def test_a_report_from_files_to_markdown(
    names: list[str], fortnight: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    monkeypatch.setattr("training.evaluate.references._TREES", 50)
    found = evaluate_bundles(_settings(fortnight, *names), tmp_path / "out", grid)
    text = (tmp_path / "out" / MARKDOWN).read_text()
    for expected in (
        *names,
        "DCT-PLS",
        "plain mean",
        "trees",
        "weighted mean",
        "wide strips, provisional",
        "Seams",
        "nugget",
    ):
        assert expected in text
    values = json.loads((tmp_path / "out" / JSON).read_text())
    assert set(values["bundles"]) == set(names)
    rows = list(csv.DictReader((tmp_path / "out" / CSV).read_text().splitlines()))
    by_hand = found.hidden.cells[Tier.CONSOLIDATED, GapKind.STRIPS].common()
    by_hand = by_hand.only(by_hand.columns["nearest"] <= NEAR_DAYS)
    (line,) = (
        r
        for r in rows
        if (r["tier"], r["gaps"], r["split"], r["filler"]) == ("consolidated", "wide strips", "all", "plain mean")
    )
    error = by_hand.fillers["plain mean"] - by_hand.truth
    assert float(line["rmse"]) == pytest.approx(np.sqrt((error.astype(float) ** 2).mean()), rel=1e-4)
    assert int(line["n"]) == error.size > 200
    for figure in ("scatter-consolidated.png", "structure-provisional.png", "series.png"):
        assert (tmp_path / "out" / figure).stat().st_size > 10_000
    assert found.series.published[names[0]].dates == [DATE]


@pytest.mark.slow
def test_an_archive_is_evaluated_on_its_own_observed_cells(
    fortnight: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    inputs, last = InputFolders(fortnight, fortnight, "lprm-amsr2", "descending", "x"), START + dt.timedelta(11)
    publish_series(tmp_path / "p", find_bundle("seamless-2"), inputs, first=START, last=last)
    where = ["--archive", str(tmp_path / "p" / "archive"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["evaluate", "--suite", "--no-dct-pls", "--no-trees", *where])
    assert result.exit_code == 0, result.output
    assert "seamless-2" in result.output
    (packed,) = (tmp_path / "out" / "record").iterdir()
    of_archive = TrainingArchive.open(packed)
    of_files = DataSection(granules=fortnight, rain=fortnight).open(tmp_path, grid)
    assert (of_archive.first, len(of_archive), of_archive.has_rain) == (START, 12, True)
    np.testing.assert_array_equal(of_archive.grid.land, grid.land)
    np.testing.assert_allclose(of_archive.soil_moisture(0, 12), of_files.soil_moisture(0, 12), atol=2e-4)
    assert set(json.loads((tmp_path / "out" / JSON).read_text())["bundles"]) == {"seamless-2"}
    np.testing.assert_allclose(of_archive.rain(0, 12), of_files.rain(0, 12), atol=0.05)
    both = CliRunner().invoke(app, ["evaluate", "--suite", "--data", str(fortnight), *where])
    assert "give either --data" in both.stderr
    monkeypatch.setattr("training.evaluate.run.shipped_bundles", list)
    other = CliRunner().invoke(app, ["evaluate", "--suite", *where])
    assert "give its folder with --bundle" in other.stderr


def test_the_command_line_says_what_is_missing(
    fortnight: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    name = shipped_bundles()[0]
    common = ["evaluate", "--bundle", name, "--data", str(fortnight), "--out", str(tmp_path / "out")]
    for extra, message in (
        ([], "no day to evaluate"),
        (["--consolidated", "yesterday"], "give FIRST:LAST"),
        (["--suite", "--consolidated", str(DATE)], "give either --suite, or --consolidated"),
        (["--suite", "--bundle", name], "the same folder name"),
        (["--consolidated", "2031-01-01"], "is not among the days"),
        (["--consolidated", str(DATE), "--ismn", str(tmp_path / "none")], "does not exist"),
    ):
        result = CliRunner().invoke(app, [*common, *extra])
        assert result.exit_code == 2, result.output
        assert message in result.stderr


@pytest.mark.slow
def test_several_processes_find_what_one_finds(archive: TrainingArchive) -> None:
    names = ("seamless-amsr2-x", "sgdsm2-amsr2-x")
    bundles = {name: load_bundle(find_bundle(name)) for name in names}
    judged = Judged(bundles, archive, EngineSettings("cpu"), dct_pls=False)
    days = {Tier.CONSOLIDATED: [DATE, DATE + dt.timedelta(1)], Tier.PROVISIONAL: [DATE + dt.timedelta(3)]}
    one, two = (fill_hidden(judged, days, workers=workers) for workers in (1, 2))
    np.testing.assert_equal(one.seams, two.seams)
    assert one.cells.keys() == two.cells.keys()
    for key, cells in one.cells.items():
        assert cells.fillers.keys() == two.cells[key].fillers.keys() >= {*names, "trees"}
        for name, values in cells.fillers.items():
            np.testing.assert_array_equal(values, two.cells[key].fillers[name])
        assert one.structures[key].variogram("trees") == two.structures[key].variogram("trees")
