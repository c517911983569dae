"""The losses against the papers' equations in plain loops."""

import math

import numpy as np
import pytest
import torch

from training.losses import ONE_SIGMA, Objective, global_local_loss, sigma_loss
from training.models import LSTMCNN, LSTMCNNConfig, Seamless, SeamlessConfig


def _published(predicted: np.ndarray, truth: np.ndarray, labelled: np.ndarray, hidden: np.ndarray, eta: float) -> float:
    """SGD-SM 1.0, equations 4 to 6, one cell after the other: plain sums."""
    local_loss = global_loss = 0.0
    for place in np.ndindex(predicted.shape):
        square = (predicted[place] - truth[place]) ** 2
        if hidden[place]:
            local_loss += square
        if labelled[place]:
            global_loss += square
    return local_loss + eta * global_loss


def _weights(labelled: np.ndarray, hidden: np.ndarray, eta: float) -> float:
    """What the squares of equations 4 to 6 are multiplied by, added up."""
    return _published(np.ones(hidden.shape), np.zeros(hidden.shape), labelled, hidden, eta)


def _some_cells(shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    labelled = rng.random(shape) < 0.7
    return rng.random(shape), rng.random(shape), labelled, labelled & (rng.random(shape) < 0.4)


def test_the_loss_is_the_sum_of_equations_4_to_6_over_the_sum_of_its_weights() -> None:
    cells = _some_cells((2, 5, 6))
    for eta in (0.0, 0.1, 2.0):
        expected = _published(*cells, eta) / _weights(*cells[2:], eta)
        tensors = [torch.tensor(v, dtype=torch.float64) for v in cells]
        assert global_local_loss(*tensors, eta=eta).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("share_hidden", [0.05, 0.3, 0.7])
def test_a_shown_cell_weighs_a_tenth_of_the_eleven_tenths_of_a_hidden_one(share_hidden: float) -> None:
    """Whatever the share of hidden cells: equation 6 adds 0.1 of equation 5 to equation 4, both of them sums."""
    labelled = torch.ones(20, 20, dtype=torch.float64)
    hidden = (torch.arange(400).reshape(20, 20) < 400 * share_hidden).double()
    predicted = torch.full((20, 20), 0.5, dtype=torch.float64, requires_grad=True)
    global_local_loss(predicted, 0 * labelled, labelled, hidden).backward()
    assert predicted.grad is not None
    of_hidden, of_shown = predicted.grad[0, 0].item(), predicted.grad[-1, -1].item()
    assert of_shown / of_hidden == pytest.approx(0.1 / 1.1, rel=1e-12)


def test_nothing_labelled_is_no_loss() -> None:
    zero = torch.zeros(2, 3)
    assert global_local_loss(zero + 1, zero, zero, zero).item() == 0


def test_a_batch_without_hidden_cells_has_no_loss_and_can_be_stepped_over() -> None:
    model = Seamless(SeamlessConfig(maps=(4, 4, 4), width=8))
    days = torch.full((2, model.config.window, 16, 16), 0.2)
    small = torch.zeros(2, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        loss = Objective(model, eta=0.1, sigma_weight=0.1)(
            days, days, torch.ones(2, 16, 16), small, small, small, days, days
        )
        loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def _sequence(days: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    shape = (2, days, 6, 6)
    mask = (torch.rand(shape) < 0.5).double()
    labelled = (torch.rand(shape) < 0.8).double()
    return {
        "sm": torch.rand(shape).double() * mask,
        "mask": mask,
        "land": torch.ones(2, 6, 6).double(),
        "truth": torch.rand(shape).double(),
        "labelled": labelled,
        "hidden": labelled * (1 - mask),
        "rain": torch.rand(shape).double() * 20,
        "rain_mask": torch.ones(shape).double(),
    }


def test_the_recurrent_loss_is_the_sum_over_the_sequence_equation_12() -> None:
    torch.manual_seed(6)
    model = LSTMCNN(LSTMCNNConfig(tile=6, layers=2, maps=3, fc_maps=1, memory=4)).double()
    batch = _sequence(4)
    with torch.no_grad():
        total = Objective(model, eta=0.1)(*batch.values()).item()
        h = c = torch.zeros(2, 4).double()
        seen = torch.zeros(2, 1).double()
        expected = weights = 0.0
        for day in range(4):
            inputs = (batch[name][:, day] for name in ("sm", "mask"))
            rain = (batch[name][:, day] for name in ("rain", "rain_mask"))
            filled, reached, h, c, seen = model(*inputs, batch["land"], *rain, h, c, seen)
            labelled, hidden = ((batch[name][:, day] * reached).numpy() > 0 for name in ("labelled", "hidden"))
            truth = batch["truth"][:, day].numpy()
            expected += _published(filled.numpy(), truth, labelled, hidden, 0.1) / model.config.sm_std**2
            weights += _weights(labelled, hidden, 0.1)
    assert total == pytest.approx(expected / (weights / 4), rel=1e-12)


def test_gradients_do_not_flow_past_where_the_sequence_is_truncated() -> None:
    model = LSTMCNN(LSTMCNNConfig(tile=6, layers=2, maps=3, fc_maps=1, memory=4)).double()
    for truncate, reaches_first_day in ((0, True), (2, False)):
        batch = _sequence(4)
        batch["labelled"][:, :2], batch["hidden"][:, :2] = 0, 0
        batch["sm"].requires_grad_(True)
        Objective(model, eta=0.1, truncate=truncate)(*batch.values()).backward()
        gradient = batch["sm"].grad
        assert gradient is not None
        assert (gradient[:, 0].abs().max() > 0) == reaches_first_day
        assert gradient[:, 2:].abs().max() > 0


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("tails", ["normal", "laplace", "student"])
def test_the_minimum_of_the_sigma_loss_holds_68_percent_of_errors_whatever_their_tails(tails: str) -> None:
    rng = np.random.default_rng(2)
    draws = {"normal": rng.normal, "laplace": rng.laplace, "student": lambda size: rng.standard_t(2.5, size=size)}
    error = torch.tensor(draws[tails](size=40_000) * 0.4)
    log_sigma = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([log_sigma], lr=0.02)
    for _ in range(300):
        loss = sigma_loss(error, log_sigma.expand_as(error), torch.ones_like(error))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    inside = (error.abs() < log_sigma.exp()).double().mean().item()
    assert inside == pytest.approx(ONE_SIGMA, abs=0.01)
    assert pytest.approx(0.6827, abs=1e-4) == math.erf(math.sqrt(0.5))


def test_two_shares_of_a_batch_weigh_as_the_whole() -> None:
    """Each process divides by the mean weight of all, so that the mean of their losses is the loss of all samples."""
    rng = np.random.default_rng(3)
    predicted, truth = (torch.tensor(rng.random((4, 5, 5))) for _ in range(2))
    labelled = torch.tensor((rng.random((4, 5, 5)) < np.array([0.9, 0.8, 0.2, 0.1])[:, None, None]) * 1.0)
    hidden = labelled * torch.tensor((rng.random((4, 5, 5)) < 0.5) * 1.0)
    whole = global_local_loss(predicted, truth, labelled, hidden)
    weights = torch.tensor(_weights(labelled.numpy(), hidden.numpy(), 0.1))
    given: list[torch.Tensor] = []

    def mean_of_two(own: torch.Tensor) -> torch.Tensor:
        given.append(own)
        return weights / 2

    parts = []
    for half in (slice(0, 2), slice(2, 4)):
        arguments = (v[half] for v in (predicted, truth, labelled, hidden))
        parts.append(global_local_loss(*arguments, share=mean_of_two))
    assert sum(given).item() == pytest.approx(weights.item())  # type: ignore[union-attr]
    assert torch.stack(parts).mean().item() == pytest.approx(whole.item(), rel=1e-12)
