"""A network that several tests of export need, and fixtures of the tests of training."""

from __future__ import annotations

import pytest
import torch

from export.onnx import export_bundle
from runtime.bundle import Bundle, load_bundle
from tests.support.once import made_once
from tests.training.conftest import _one_thread, archive
from training.checkpoint import Checkpoint
from training.models import Seamless, SeamlessConfig, build_network
from training.presets import Preset

__all__ = ["_one_thread", "archive", "seamless_bundle", "seamless_checkpoint"]


@pytest.fixture(scope="session")
def seamless_checkpoint() -> Checkpoint:
    """A random network whose coarse part, with 64 maps, changes the result; the rest is narrow and quick."""
    torch.manual_seed(5)
    model = build_network(SeamlessConfig(maps=(8, 64, 64), width=16))
    assert isinstance(model, Seamless)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    with torch.no_grad():
        model.head.weight[1] *= 0.01  # sigma is far from its limits
    return Checkpoint(model, Preset(model.config, tile_core=96, batch=1))


@pytest.fixture(scope="session")
def seamless_bundle(tmp_path_factory: pytest.TempPathFactory, seamless_checkpoint: Checkpoint) -> Bundle:
    """The bundle of `seamless_checkpoint`."""
    folder = made_once(tmp_path_factory, "seamless", lambda path: export_bundle(seamless_checkpoint, path))
    return load_bundle(folder)
