"""The networks against the papers' equations, computed by hand."""

import numpy as np
import pytest
import torch

from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.models import STPCNN, LSTMCNNConfig, STPCNNConfig, build_network
from training.models.partial import PartialConv
from training.presets import Preset, load_preset, preset_names


def _by_hand(layer: PartialConv, x: np.ndarray, mask: np.ndarray, land: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equations 2 and 3 in plain loops; x (C, T, H, W), mask (T, H, W); one frame of padding in time, none in space."""
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    x, mask = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0))), np.pad(mask, ((1, 1), (0, 0), (0, 0)))
    t, h, w = (size - 2 for size in mask.shape)
    out, updated = np.zeros((len(weight), t, h, w)), np.zeros((t, h, w))
    for i in range(t):
        for j in range(h):
            for k in range(w):
                window = np.s_[i : i + 3, j : j + 3, k : k + 3]
                valid = mask[window].sum()
                if valid > 0 and land[j, k]:
                    seen = x[(slice(None), *window)] * mask[window]
                    out[:, i, j, k] = np.tensordot(weight, seen, 4) * 27 / valid + bias
                    updated[i, j, k] = 1
    return out, updated


def test_partial_convolution_is_equation_2_and_3() -> None:
    torch.manual_seed(1)
    layer = PartialConv(3, 4, padding=(1, 0, 0))
    torch.nn.init.normal_(layer.bias)
    rng = np.random.default_rng(1)
    mask = (rng.random((5, 9, 8)) < 0.2).astype(float)
    mask[:, :4, :4] = 0
    x = rng.standard_normal((3, 5, 9, 8)) * mask
    land = rng.random((7, 6)) < 0.8
    expected, updated = _by_hand(layer, x, mask, land)
    tensors = (torch.tensor(v, dtype=torch.float32) for v in (x[None], mask[None, None], land[None, None, None]))
    actual, reached = layer(*tensors)
    np.testing.assert_allclose(actual[0].detach().numpy(), expected, atol=1e-4)
    np.testing.assert_array_equal(reached[0, 0].numpy(), updated)
    assert 0 < updated.mean() < 1


def test_stpcnn_equals_a_stack_padded_in_time_and_space() -> None:
    """Leaving out frames that cannot reach day T, and cropping in space, changes nothing of what is left."""
    torch.manual_seed(2)
    model = STPCNN(STPCNNConfig(window=9, layers=6, maps=4))
    halo, size = model.config.halo, 10
    mask = (torch.rand(2, 9, size, size) < 0.4).float()
    sm, land = torch.rand_like(mask), (torch.rand(2, size, size) < 0.9).float()
    config = model.config
    x, m = ((sm - config.sm_mean) / config.sm_std * mask).unsqueeze(1), mask.unsqueeze(1)
    for layer in model.layers:
        published = PartialConv(layer.weight.shape[1], layer.weight.shape[0], padding=(1, 1, 1))
        published.weight, published.bias = layer.weight, layer.bias
        x, m = published(x, m, land[:, None, None])
        if layer is not model.layers[-1]:
            x = torch.relu(x)
    around = (halo,) * 4
    filled, reached = model(
        *(torch.nn.functional.pad(v, around) for v in (sm, mask)), torch.nn.functional.pad(land, around)
    )
    torch.testing.assert_close(filled, x[:, 0, 4] * config.sm_std + config.sm_mean, atol=1e-5, rtol=1e-4)
    assert torch.equal(reached, m[:, 0, 4])


def test_holes_may_hold_anything() -> None:
    model = STPCNN(STPCNNConfig(window=3, layers=2, maps=4))
    mask = (torch.rand(1, 3, 8, 8) < 0.5).float()
    sm, land = torch.rand(1, 3, 8, 8), torch.ones(1, 8, 8)
    clean = model(sm * mask, mask, land)
    for junk in (torch.nan, torch.inf, -32767.0):
        dirty = model(torch.where(mask > 0, sm, torch.tensor(junk)), mask, land)
        assert torch.equal(clean[0], dirty[0])


@pytest.mark.parametrize("layers", [4, 5, 11])
def test_every_day_of_the_window_reaches_day_t(layers: int) -> None:
    torch.manual_seed(0)
    model = STPCNN(STPCNNConfig(window=9, layers=layers, maps=3))
    size = 2 * layers + 1
    sm = torch.rand(1, 9, size, size, requires_grad=True)
    filled, _ = model(sm, torch.ones_like(sm), torch.ones(1, size, size))
    (gradient,) = torch.autograd.grad(filled.sum(), sm)
    assert (gradient.abs().amax((0, 2, 3)) > 0).all()
    assert gradient[0, 4, 0].abs().max() > 0, "the halo is no wider than the receptive field"


@pytest.mark.parametrize("name", preset_names())
def test_presets_round_trip(name: str) -> None:
    preset = load_preset(name)
    assert Preset.from_dict(preset.to_dict()) == preset


@pytest.mark.slow
def test_published_sizes() -> None:
    stpcnn, lstmcnn = load_preset("stpcnn-paper").model, load_preset("lstmcnn-paper").model
    assert stpcnn == STPCNNConfig(window=9, layers=11, maps=90)
    assert lstmcnn == LSTMCNNConfig(reading="published", tile=40, layers=4, maps=64, memory=2048)
    with torch.device("meta"):
        weights = sum(p.numel() for p in build_network(stpcnn).parameters())
        memory = sum(p.numel() for p in build_network(lstmcnn).parameters())
    assert weights == 27 * 90 + 90 + 9 * (27 * 90 * 90 + 90) + 27 * 90 + 1
    assert 1.7e9 < 4 * memory < 2**31, "near the protobuf limit, in bytes"


@pytest.mark.parametrize(
    "values", [{}, {"model": {"kind": "mlp"}}, {"model": {"kind": "stpcnn", "depth": 3}}, {"model": {"kind": "stpcnn"}}]
)
def test_bad_presets_are_named(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"kind|tile_core"):
        Preset.from_dict(values)


def test_checkpoints_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("c") / "deep" / "c.safetensors"
    preset = Preset(STPCNNConfig(window=3, layers=2, maps=4), tile_core=8, batch=1)
    model = build_network(preset.model)
    save_checkpoint(path, Checkpoint(model, preset, {"loss": 0.5}))
    loaded = load_checkpoint(path)
    assert loaded.preset == preset
    assert loaded.record == {"loss": 0.5}
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="is not a checkpoint"):
        load_checkpoint(path)
