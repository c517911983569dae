"""The recurrent network against the equations of SGD-SM 2.0, in plain loops, and both readings of them."""

import math

import numpy as np
import pytest
import torch

from training.models import LSTMCNN, LSTMCNNConfig
from training.models.partial import PartialConv
from training.presets import Preset, load_preset

TILE, MEMORY, MAPS = 4, 5, 2
READINGS = ["published", "rain-gated"]


def _network(reading: str, **sizes: int) -> LSTMCNN:
    sizes = {"tile": TILE, "layers": 2, "maps": 3, "fc_maps": MAPS, "memory": MEMORY} | sizes
    return LSTMCNN(LSTMCNNConfig(reading=reading, **sizes)).double()  # type: ignore[arg-type]


def _sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _linear(layer: torch.nn.Linear, x: list[float], first: int = 0, count: int | None = None) -> list[float]:
    """W x + b, of the rows of W from `first` on."""
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    rows = range(first, first + (len(bias) if count is None else count))
    return [sum(weight[row][column] * x[column] for column in range(len(x))) + bias[row] for row in rows]


def _partial(layer: PartialConv, x: np.ndarray, mask: np.ndarray, land: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SGD-SM 1.0, equations 2 and 3, in the plane: x (maps, H, W), mask and land (H, W), one cell of padding."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    out, updated = np.zeros((len(weight), *mask.shape)), np.zeros(mask.shape)
    for row, column in np.ndindex(mask.shape):
        valid, total = 0.0, np.zeros(len(weight))
        for down, right in np.ndindex(3, 3):
            i, j = row + down - 1, column + right - 1
            if 0 <= i < mask.shape[0] and 0 <= j < mask.shape[1] and mask[i, j]:
                valid += 1
                total += weight[:, :, down, right] @ x[:, i, j]
        if valid and land[row, column]:
            out[:, row, column] = total * 9 / valid + bias
            updated[row, column] = 1
    return out, updated


def _published(gates: torch.nn.Linear, joined: list[float], p: list[float], c: list[float]) -> tuple[list[float], ...]:
    """Equations 4 to 11 as printed, with o the sigmoid of equation 10; return S', h and C."""
    w_f, w_i, w_s, w_c = (_linear(gates, joined, block * MEMORY, MEMORY) for block in range(4))
    s_prime, h_new, c_new = [], [], []
    for unit in range(MEMORY):
        f, i, candidate = _sigma(w_f[unit]), _sigma(w_i[unit]), math.tanh(w_c[unit])
        c_new.append(f * c[unit] + i * candidate)
        o = _sigma(w_s[unit])
        s_prime.append(o * math.tanh(p[unit]))
        h_new.append(math.tanh(o * c_new[unit]))
    return s_prime, h_new, c_new


def _rain_gated(gates: torch.nn.Linear, joined: list[float], p: list[float], c: list[float]) -> tuple[list[float], ...]:
    """The other reading: S' is what enters C, o has weights of its own, and h is decoded; return h, h and C."""
    w_f, w_i, w_o, w_s = (_linear(gates, joined, block * MEMORY, MEMORY) for block in range(4))
    h_new, c_new = [], []
    for unit in range(MEMORY):
        s_prime = _sigma(w_s[unit]) * math.tanh(p[unit])
        c_new.append(_sigma(w_f[unit]) * c[unit] + _sigma(w_i[unit]) * s_prime)
        h_new.append(math.tanh(_sigma(w_o[unit]) * c_new[unit]))
    return h_new, h_new, c_new


def _day(
    model: LSTMCNN, sm: np.ndarray, mask: np.ndarray, land: np.ndarray, rain: np.ndarray, h: list[float], c: list[float]
) -> tuple[np.ndarray, list[float], list[float]]:
    """One tile and one day; `rain` is NaN where there is no estimate."""
    x, valid = np.where(mask > 0, (sm - 0.25) / 0.2, 0)[None], mask
    for layer in model.encoder:
        x, valid = _partial(layer, x, valid, land)  # type: ignore[arg-type]
        x = np.maximum(x, 0)
    s = _linear(model.to_memory, list(x.ravel()))
    estimated = [0.0 if math.isnan(r) else 1.0 for r in rain.ravel()]
    amounts = [0.0 if math.isnan(r) else float(r) for r in rain.ravel()]
    is_published = model.config.reading == "published"
    amounts = [a / 10 if is_published else math.log(1 + a) for a in amounts]
    p = _linear(model.rain_to_memory, [*amounts, *estimated])
    decoded, h, c = (_published if is_published else _rain_gated)(model.gates, h + s, p, c)
    if is_published:  # a part of the bias that stands apart
        decoded = [value - 0.5 * math.tanh(1) for value in decoded]
    x = np.array(_linear(model.from_memory, decoded)).reshape(MAPS, TILE, TILE) * land
    valid = land
    for number, layer in enumerate(model.decoder):
        x, valid = _partial(layer, x, valid, land)  # type: ignore[arg-type]
        if number < len(model.decoder) - 1:
            x = np.maximum(x, 0)
    return x[0] * 0.2 + 0.25, h, c


@pytest.mark.parametrize("reading", READINGS)
def test_five_days_in_a_row_are_the_papers_equations(reading: str) -> None:
    """Days with rain, without rain, without an estimate of rain, and without an observation."""
    torch.manual_seed(4)
    model = _network(reading)
    for parameter in model.parameters():  # away from the first weights, which have zeros and ones
        torch.nn.init.normal_(parameter, std=0.4)
    rng = np.random.default_rng(4)
    land = (rng.random((TILE, TILE)) < 0.9).astype(float)
    rains = [rng.random((TILE, TILE)) * 30, np.zeros((TILE, TILE)), np.full((TILE, TILE), np.nan)]
    rains += [np.where(rng.random((TILE, TILE)) < 0.5, np.nan, rng.random((TILE, TILE)) * 5) for _ in range(2)]
    state = [torch.zeros(1, MEMORY).double(), torch.zeros(1, MEMORY).double(), torch.zeros(1, 1).double()]
    h, c = [0.0] * MEMORY, [0.0] * MEMORY
    for day, rain in enumerate(rains):
        mask = (rng.random((TILE, TILE)) < 0.5) * land if day != 3 else np.zeros((TILE, TILE))
        sm = np.where(mask > 0, rng.random((TILE, TILE)) * 0.6, np.nan)
        inputs = (torch.tensor(field)[None] for field in (sm, mask, land, rain, 1.0 - np.isnan(rain)))
        with torch.no_grad():
            filled, reached, *state = model(*inputs, *state)
        expected, h, c = _day(model, sm, mask, land, rain, h, c)
        np.testing.assert_allclose(filled[0].numpy(), expected, rtol=1e-9, err_msg=f"day {day}")
        np.testing.assert_allclose(state[0][0].numpy(), h, rtol=1e-9)
        np.testing.assert_allclose(state[1][0].numpy(), c, rtol=1e-9)
        np.testing.assert_array_equal(reached[0].numpy(), land)


def test_as_printed_the_long_memory_changes_the_field_of_the_next_day_only() -> None:
    torch.manual_seed(3)
    one, zero = torch.ones(1, TILE, TILE).double(), torch.zeros(1, MEMORY).double()
    day = (one * 0.2, one, one, one, one)
    for reading, reads_at_once in (("published", False), ("rain-gated", True)):
        model = _network(reading)
        fields = []
        with torch.no_grad():
            for c in (zero, zero + 1):
                first, _, *state = model(*day, zero, c, torch.ones(1, 1).double())
                fields.append((first, model(*day, *state)[0]))
        assert torch.equal(fields[0][0], fields[1][0]) != reads_at_once
        assert not torch.allclose(fields[0][1], fields[1][1])


def test_a_preset_that_names_no_reading_is_read_as_the_shipped_bundle_was_trained() -> None:
    values = load_preset("lstmcnn-compact").to_dict()
    del values["model"]["reading"], values["model"]["rain_scale"]
    config = Preset.from_dict(values).model
    assert isinstance(config, LSTMCNNConfig)
    assert config.reading == "rain-gated"


@pytest.mark.parametrize("wrong", [{"reading": "printed"}, {"rain_scale": 0.0}])
def test_a_reading_that_does_not_exist_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"known readings: published, rain-gated|it must be > 0"):
        LSTMCNNConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("reading", READINGS)
def test_a_day_without_rain_data_is_not_a_day_without_rain(reading: str) -> None:
    model = _network(reading, tile=6).float()
    one = torch.ones(1, 6, 6)
    state = (torch.zeros(1, 5), torch.zeros(1, 5), torch.zeros(1, 1))
    with torch.no_grad():
        dry = model(one * 0.2, one, one, one * 0, one, *state)
        absent = model(one * 0.2, one, one, one * torch.nan, one * 0, *state)
    assert torch.isfinite(absent[0]).all()
    assert not torch.allclose(dry[0], absent[0])


@pytest.mark.parametrize("reading", READINGS)
def test_nothing_is_reached_before_the_first_observation(reading: str) -> None:
    model = _network(reading, tile=6, fc_maps=1).float()
    one, state = torch.ones(2, 6, 6), (torch.zeros(2, 5), torch.zeros(2, 5), torch.tensor([[0.0], [1.0]]))
    _, reached, *_ = model(one * torch.nan, one * 0, one, one, one, *state)
    assert (reached[0] == 0).all()
    assert (reached[1] == 1).all()
