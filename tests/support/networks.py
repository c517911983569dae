"""A random network that tests of exporting and of filling share, so that it is exported once for all of them."""

from __future__ import annotations

import pytest
import torch

from export.onnx import export_bundle
from runtime.bundle import Bundle, load_bundle
from tests.support.once import made_once
from training.checkpoint import Checkpoint
from training.models import Seamless, SeamlessConfig, build_network
from training.presets import Preset


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
