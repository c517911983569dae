"""The networks, and how a preset becomes one."""

from __future__ import annotations

from training.models.lstmcnn import LSTMCNN, LSTMCNNConfig
from training.models.seamless import Seamless, SeamlessConfig
from training.models.stpcnn import STPCNN, STPCNNConfig

__all__ = [
    "LSTMCNN",
    "STPCNN",
    "LSTMCNNConfig",
    "Model",
    "ModelConfig",
    "STPCNNConfig",
    "Seamless",
    "SeamlessConfig",
    "build",
    "stride",
]

Model = STPCNN | LSTMCNN | Seamless
ModelConfig = STPCNNConfig | LSTMCNNConfig | SeamlessConfig


def build_network(config: ModelConfig) -> Model:
    """Return the network of a configuration, with freshly drawn weights."""
    if isinstance(config, SeamlessConfig):
        return Seamless(config)
    return STPCNN(config) if isinstance(config, STPCNNConfig) else LSTMCNN(config)


def stride(config: ModelConfig) -> int:
    """Return what tile sizes and origins must be multiples of: 1 for a network that does not pool."""
    return config.stride if isinstance(config, SeamlessConfig) else 1
