"""Training archives, and the samples drawn from them."""

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pytest

from runtime.common.grid import Floats, Grid
from runtime.demo.gaps import strips
from runtime.demo.world import WorldDay
from tests.conftest import DAYS, START
from training.samples import Choices, Geometry, Samples, SampleSource, TrainingArchive
from training.samples.draw import rescaled, wetted

WINDOW = Geometry(patch=24, context=4, days=9, label=4)
SEQUENCE = Geometry(patch=24, context=0, days=6, label=None)


def test_a_record_of_files_holds_what_the_files_hold(
    fortnight: Path, tmp_path: Path, grid: Grid, world_days: list[WorldDay]
) -> None:
    progress: list[tuple[int, int]] = []
    archive = TrainingArchive.of_granules(
        tmp_path / "r", fortnight, grid, progress=lambda done, total: progress.append((done, total))
    )
    assert progress[-1] == (DAYS, DAYS)
    for opened in (archive, TrainingArchive.open(tmp_path / "r")):
        expected = np.stack([day.observed for day in world_days])
        np.testing.assert_allclose(opened.soil_moisture(0, DAYS), expected, atol=1e-6)
        np.testing.assert_array_equal(opened.observed(3), ~np.isnan(expected[3]))
        assert opened.rain(2, 1)[0, 5:-5, 5:-5].mean() == pytest.approx(world_days[2].rain[5:-5, 5:-5].mean(), rel=0.1)
        assert opened.index(START + dt.timedelta(2)) == 2
    assert archive.has_rain


def test_days_outside_a_record_are_gaps(archive: TrainingArchive) -> None:
    frames = archive.soil_moisture(-2, 5, row=3, col=4, size=10)
    assert np.isnan(frames[:2]).all()
    np.testing.assert_array_equal(frames[2:], archive.soil_moisture(0, 3)[:, 3:13, 4:14])
    assert np.isnan(archive.rain(DAYS - 1, 3)[1:]).all()


def test_a_folder_without_a_record_or_files_says_what_to_do(tmp_path: Path, grid: Grid) -> None:
    with pytest.raises(ValueError, match="python -m training record"):
        TrainingArchive.open(tmp_path)
    with pytest.raises(ValueError, match="holds no lprm-amsr2 file"):
        TrainingArchive.of_granules(tmp_path / "r", tmp_path, grid)


@pytest.mark.parametrize("geometry", [WINDOW, SEQUENCE])
def test_what_is_hidden_is_not_shown(geometry: Geometry, archive: TrainingArchive) -> None:
    batch = Samples([SampleSource(archive)], geometry, Choices(), seed=0).batch(0, 24)
    for name, value in vars(batch).items():
        assert value.dtype == np.float32
        assert np.isfinite(value).all(), name
        assert len(value) == 24
    edge, size = geometry.context, batch.mask.shape[-1]
    core = batch.mask[..., edge : size - edge, edge : size - edge]
    shown = core if geometry.label is None else core[:, [geometry.label]]
    assert (shown * batch.hidden).max() == 0
    assert (batch.hidden <= batch.labelled).all()
    assert 0.1 < batch.hidden.sum() / batch.labelled.sum() < 0.9
    assert ((batch.sm == 0) | (batch.mask == 1)).all()
    assert ((batch.rain == 0) | (batch.rain_mask == 1)).all()


def test_a_sample_depends_on_its_number_and_the_seed_alone(archive: TrainingArchive) -> None:
    one, again = (Samples([SampleSource(archive)], WINDOW, Choices(), seed=4) for _ in range(2))
    again.batch(0, 7)
    for number in (0, 5, 1000):
        for x, y in zip(one.sample(number), again.sample(number), strict=True):
            np.testing.assert_array_equal(x, y)
    other = Samples([SampleSource(archive)], WINDOW, Choices(), seed=5)
    assert not np.array_equal(one.sample(0)[0], other.sample(0)[0])


def test_labels_come_from_the_days_that_may_carry_them(archive: TrainingArchive) -> None:
    first, last = START + dt.timedelta(5), START + dt.timedelta(6)
    samples = Samples([SampleSource(archive, first, last)], WINDOW, Choices(), seed=0)
    assert {int(row[0]) + 4 for row in samples._places[0]} == {5, 6}
    for sequence in (SEQUENCE, Geometry(24, 0, 3, None)):
        places = Samples([SampleSource(archive, first, START + dt.timedelta(12))], sequence, Choices(), seed=0)._places[
            0
        ]
        assert places[:, 0].min() == 5
        assert places[:, 0].max() == 12 - sequence.days + 1


def test_only_complete_land_patches_as_published(archive: TrainingArchive) -> None:
    complete = Samples([SampleSource(archive)], Geometry(12, 0, 9, 4), Choices(min_observed=1.0), seed=0)
    assert (complete.batch(0, 20).labelled == 1).all()
    with pytest.raises(ValueError, match=r"lower samples\.min_observed"):
        Samples([SampleSource(archive)], Geometry(40, 0, 9, 4), Choices(min_observed=1.0), seed=0)


def test_the_future_and_the_rain_are_dropped_as_often_as_asked(archive: TrainingArchive) -> None:
    choices = Choices(drop_future=0.5, drop_rain=0.25, drop_days=1.0)
    batch = Samples([SampleSource(archive)], WINDOW, choices, seed=1).batch(0, 200)
    kept = Samples([SampleSource(archive)], WINDOW, Choices(), seed=1).batch(0, 200)
    nothing, absent = (part.mask.sum((2, 3)) == 0 for part in (batch, kept))
    assert 0.3 < nothing[~absent[:, 8], 8].mean() < 0.75
    assert 0.2 < nothing[~absent[:, 8], 5:].all(1).mean() < 0.5, "most of them have no future at all"
    assert 0.15 < (batch.rain_mask.sum((1, 2, 3)) == 0).mean() < 0.35
    assert nothing[:, :4].any(1).mean() > 0.2


def test_sources_are_drawn_by_their_weight(archive: TrainingArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [SampleSource(archive, weight=weight) for weight in (1, 3, 0)]
    samples = Samples(sources, WINDOW, Choices(), seed=0)
    drawn: list[int] = []
    draw = Samples._draw_place
    monkeypatch.setattr(
        Samples, "_draw_place", lambda self, rng, source: (drawn.append(source), draw(self, rng, source))[1]
    )
    samples.batch(0, 200)
    assert 0.15 < np.mean(np.array(drawn) == 0) < 0.35
    assert 2 not in drawn


@pytest.mark.parametrize("share", [(0.3, 0.3), (0.3, 0.7)])
def test_strips_hide_the_share_they_are_asked_for(share: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    shares = [strips(rng, (200, 300), share).mean() for _ in range(100)]
    assert np.mean(shares) == pytest.approx(np.mean(share), abs=0.04)
    assert min(shares) > share[0] - 0.12
    assert max(shares) < share[1] + 0.12


def test_a_storm_wets_the_soil_it_falls_on_and_dries_off() -> None:
    sm = np.full((4, 2, 2), 0.2, np.float32)
    sm[1, 0, 0] = np.nan
    rain = np.zeros_like(sm)
    rain[1, 0, :] = 22
    wet = wetted(sm, rain)
    extra = 0.3 * (1 - np.exp(-1))
    assert np.isnan(wet[1, 0, 0])
    assert wet[1, 0, 1] == pytest.approx(0.2 + extra)
    for column in (0, 1):
        np.testing.assert_allclose(wet[2:, 0, column], 0.2 + extra * np.exp([-0.2, -0.4]), rtol=1e-5)
    np.testing.assert_array_equal(wet[:, 1], sm[:, 1])
    assert wetted(sm + 0.75, rain * 100)[3].max() <= 0.99


def test_real_days_get_storms_and_the_rain_that_brought_them(archive: TrainingArchive, tmp_path: Path) -> None:
    shutil.copytree(archive.folder, tmp_path / "dry")
    (tmp_path / "dry" / "rain.npy").unlink()
    dry = SampleSource(TrainingArchive.open(tmp_path / "dry"), weight=1)
    rainy = SampleSource(archive, weight=1e-9)
    plain = Samples([dry, rainy], WINDOW, Choices(), seed=2).batch(0, 60)
    assert plain.rain_mask.max() == 0
    stormy = Samples([dry, rainy], WINDOW, Choices(storms=0.5, drop_rain=1.0), seed=2).batch(0, 60)
    assert 0.3 < stormy.rain_mask.any((1, 2, 3)).mean() < 0.7, "rain that came with wetness is not dropped"
    with pytest.raises(ValueError, match="needs a source with rain"):
        Samples([dry], WINDOW, Choices(storms=0.5), seed=2)


def test_no_day_outside_the_source_is_read(archive: TrainingArchive) -> None:
    day = START + dt.timedelta(6)
    source = SampleSource(archive, first=day, last=day)
    batch = Samples([source], WINDOW, Choices(real_masks=0), seed=0).batch(0, 10)
    assert batch.mask[:, WINDOW.label].any()
    assert not np.delete(batch.mask, WINDOW.label or 0, axis=1).any()


@pytest.mark.slow
def test_the_first_samples_are_simulated_and_the_last_are_not(archive: TrainingArchive) -> None:
    choices = Choices(simulated=0.5, simulated_first=20, real_last=60)
    samples = Samples([SampleSource(archive)], WINDOW, choices, seed=0)
    real = Samples([SampleSource(archive)], WINDOW, Choices(), seed=0)
    means = [abs(samples.sample(n)[3].mean() - real.sample(n)[3].mean()) for n in range(0, 80)]
    assert min(means[:20]) > 0
    assert not any(means[60:])
    assert any(means[20:60])


def test_the_gaps_of_the_next_day_are_hidden(archive: TrainingArchive) -> None:
    source = SampleSource(archive, first=START + dt.timedelta(4), last=START + dt.timedelta(5))
    batch = Samples([source], WINDOW, Choices(real_masks=1.0, mask_days=1), seed=0).batch(0, 20)
    assert (batch.hidden.sum((1, 2, 3)) > 0).all()


def test_days_run_backwards_where_there_is_no_rain(archive: TrainingArchive, tmp_path: Path) -> None:
    shutil.copytree(archive.folder, tmp_path / "dry")
    (tmp_path / "dry" / "rain.npy").unlink()
    dry = TrainingArchive.open(tmp_path / "dry")
    for days, order in ((dry, -1), (archive, 1)):
        forward, backward = (
            Samples([SampleSource(days)], WINDOW, Choices(real_masks=0, backwards=share), seed=0).batch(0, 10)
            for share in (0, 1)
        )
        assert not np.array_equal(forward.sm, forward.sm[:, ::-1])
        np.testing.assert_array_equal(backward.sm, forward.sm[:, ::order])
        np.testing.assert_array_equal(backward.truth, forward.truth)


def test_labels_of_the_soil_are_the_truth_or_a_day_nobody_saw(archive: TrainingArchive, tmp_path: Path) -> None:
    shutil.copytree(archive.folder, tmp_path / "real")
    (tmp_path / "real" / "truth.npy").unlink()
    real = TrainingArchive.open(tmp_path / "real")
    assert archive.truth(4) is not None
    assert real.truth(4) is None
    plain, known, hidden = (
        Samples([SampleSource(days)], WINDOW, Choices(soil=soil, backwards=0.5), seed=3).batch(0, 20)
        for days, soil in ((archive, False), (archive, True), (real, True))
    )
    np.testing.assert_array_equal(known.sm, plain.sm)
    core = slice(WINDOW.context, -WINDOW.context)
    seen = plain.mask[:, WINDOW.label, core, core]
    np.testing.assert_array_equal(known.hidden[:, 0], plain.land[:, core, core] * (1 - seen))
    both = (plain.hidden == 1) & (known.hidden == 1)
    errors = np.abs(known.truth - plain.truth)[both]
    assert 0.01 < errors.mean() < 0.05, "the retrieval error of the world"
    assert not hidden.mask[:, WINDOW.label].any()
    np.testing.assert_array_equal(hidden.hidden, plain.labelled)
    np.testing.assert_array_equal(hidden.truth, plain.truth)
    scaled = Samples([SampleSource(archive)], WINDOW, Choices(soil=True, rescaled=1), seed=3).batch(0, 20)
    assert (_ratios(known.truth, scaled.truth) < 1).all(), "the truth is multiplied like the values"


def _ratios(before: Floats, after: Floats) -> Floats:
    """Return the factor between two batches of the same samples, mirrored or not, of each sample."""
    ratios = []
    for one, other in zip(before, after, strict=True):
        each = np.sort(other[other > 0]) / np.sort(one[one > 0])
        assert np.ptp(each) < 1e-4, "one factor for all cells"
        ratios.append(each.mean())
    return np.array(ratios)


def test_rescaled_values_keep_the_limits_and_their_ratios(archive: TrainingArchive) -> None:
    plain, scaled = (
        Samples([SampleSource(archive)], WINDOW, Choices(rescaled=share), seed=6).batch(0, 20) for share in (0, 1)
    )
    ratios = _ratios(plain.truth, scaled.truth)
    assert 0.6 <= ratios.min() < 0.75
    assert 0.85 < ratios.max() <= 1
    saturated = np.float32([[0.99, 0.5, np.nan]])
    out = rescaled(saturated, 0.8)
    assert out[0, 0] == saturated[0, 0]
    assert out[0, 1] == pytest.approx(0.4)
    assert np.isnan(out[0, 2])
