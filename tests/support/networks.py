"""Random networks that tests of exporting and of filling share, so that each is exported once for all of them."""

from __future__ import annotations

import pytest
import torch

from export.onnx import export_bundle
from runtime.bundle import Bundle, load_bundle
from tests.support.once import made_once
from training.checkpoint import Checkpoint
from training.models import Seamless, SeamlessConfig, STPCNNConfig, build_network
from training.presets import Preset

WINDOW = Preset(STPCNNConfig(layers=5, maps=6), tile_core=16, batch=3)
"""A window network of nine days."""


def random_network(preset: Preset, seed: int = 3) -> Checkpoint:
    """Return a network with random weights."""
    torch.manual_seed(seed)
    return Checkpoint(build_network(preset.model), preset)


def random_window_bundle(factory: pytest.TempPathFactory) -> Bundle:
    """Return the bundle of `random_network(WINDOW)`."""
    return load_bundle(made_once(factory, "window", lambda folder: export_bundle(random_network(WINDOW), folder)))


def random_seamless() -> Checkpoint:
    """Return a network whose correction, and in it the coarse part with 64 maps, is as large as what it corrects."""
    torch.manual_seed(5)
    model = build_network(SeamlessConfig(maps=(8, 64, 64), width=16))
    assert isinstance(model, Seamless)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    torch.nn.init.normal_(model.rain.weight, std=0.2)
    with torch.no_grad():
        model.head.weight[1] *= 0.1  # sigma is far from its limits
    return Checkpoint(model, Preset(model.config, tile_core=32, batch=2))


def random_seamless_bundle(factory: pytest.TempPathFactory) -> Bundle:
    """Return the bundle of `random_seamless`."""
    return load_bundle(made_once(factory, "seamless", lambda folder: export_bundle(random_seamless(), folder)))
