"""Samples, loss and fitting on the made-up world."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from runtime.grid import Grid
from runtime.synthetic.world import WorldDay
from tests.conftest import START
from training import checkpoint
from training.cli import app
from training.fit import Schedule, fit, make_sampler
from training.losses import global_local_loss
from training.models import LSTMCNNConfig, STPCNNConfig
from training.presets import Preset
from training.samples import DayStack, strip

WINDOW = Preset(STPCNNConfig(layers=4, maps=6), tile_core=40, batch=1)
RECURRENT = Preset(LSTMCNNConfig(layers=2, maps=6, fc_maps=1, memory=24), tile_core=40, batch=4)


@pytest.fixture(scope="module")
def stack(grid: Grid, world_days: list[WorldDay]) -> DayStack:
    sm, rain = (np.stack([getattr(day, name) for day in world_days]) for name in ("observed", "rain"))
    return DayStack(grid, START, sm, rain)


def test_days_are_read_from_files(fortnight: Path, grid: Grid, stack: DayStack) -> None:
    read = DayStack.read(fortnight, grid)
    np.testing.assert_allclose(read.sm, stack.sm, atol=1e-6)
    np.testing.assert_allclose(read.rain[:, 2:-2, 2:-2].mean(), stack.rain[:, 2:-2, 2:-2].mean(), rtol=0.05)


@pytest.mark.parametrize("preset", [WINDOW, RECURRENT])
def test_what_is_hidden_is_not_shown(preset: Preset, stack: DayStack) -> None:
    sampler = make_sampler(preset, [stack], Schedule(1, sequence=6))
    batch = sampler.draw(24)
    for name, value in vars(batch).items():
        assert np.isfinite(value).all(), name
        assert len(value) == 24
    halo = preset.model.halo
    size = batch.mask.shape[-1]
    core = batch.mask[..., halo : size - halo, halo : size - halo]
    shown = core[:, [4]] if preset is WINDOW else core
    assert (shown * batch.hidden).max() == 0
    assert (batch.hidden <= batch.labelled).all()
    assert 0.1 < batch.hidden.sum() / batch.labelled.sum() < 0.9
    assert (batch.labelled.max((1, 2, 3)) > 0).all()
    assert ((batch.sm == 0) | (batch.mask == 1)).all()


def test_the_future_is_dropped_as_often_as_asked(stack: DayStack) -> None:
    sampler = make_sampler(WINDOW, [stack], Schedule(1))
    batch = sampler.draw(200)
    last_is_empty = (batch.mask[:, 8].sum((1, 2)) == 0).mean()
    assert 0.2 < last_is_empty < 0.6


def test_a_strip_hides_30_to_70_percent_of_the_width() -> None:
    rng = np.random.default_rng(0)
    shares = [strip(rng, 40).mean() for _ in range(200)]
    assert max(shares) <= 0.75
    assert np.mean(shares) > 0.2


def test_loss_is_the_published_one() -> None:
    predicted, truth = torch.tensor([[1.0, 2.0, 3.0, 9.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    labelled, hidden = torch.tensor([[1.0, 1.0, 1.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    assert global_local_loss(predicted, truth, labelled, hidden, eta=0.1).item() == pytest.approx(9 + 0.1 * 13 / 3)


def test_nothing_labelled_is_no_loss() -> None:
    zero = torch.zeros(2, 3)
    assert global_local_loss(zero + 1, zero, zero, zero).item() == 0


@pytest.mark.parametrize("preset", [WINDOW, RECURRENT])
def test_fitting_learns_and_repeats_itself(preset: Preset, stack: DayStack) -> None:
    losses: list[float] = []
    schedule = Schedule(steps=40, batch=4, sequence=5, learning_rate=5e-3, seed=3)
    trained = fit(preset, [stack], schedule, report=lambda step, loss: losses.append(loss))
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    again = fit(preset, [stack], schedule)
    for one, other in zip(trained.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert trained.record["schedule"]["steps"] == 40


def test_the_command_line_from_days_to_checkpoint(
    fortnight: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.grid.Grid.globe", lambda: grid)
    preset = tmp_path / "tiny.toml"
    preset.write_text('[model]\nkind = "stpcnn"\nlayers = 4\nmaps = 4\n[bundle]\ntile_core = 40\nbatch = 1\n')
    out = tmp_path / "c.safetensors"
    arguments = ["fit", "--preset", str(preset), "--data", str(fortnight), "--steps", "3", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert checkpoint.load(out).record["days"] == [f"14 days from 2020-04-01 in {fortnight.name}"]
    missing = CliRunner().invoke(app, [*arguments[:4], str(tmp_path), *arguments[5:]])
    assert missing.exit_code == 2
    assert "holds no LPRM AMSR2 file" in missing.stderr


def test_the_command_line_makes_days_that_read(tmp_path: Path, globe: Grid) -> None:
    result = CliRunner().invoke(app, ["world", "--out", str(tmp_path), "--days", "1"])
    assert result.exit_code == 0, result.output
    stack = DayStack.read(tmp_path, globe)
    assert np.isfinite(stack.sm).sum() > 50_000
    assert np.isfinite(stack.rain).all()
