"""The networks, and the function that builds one from its configuration."""

from __future__ import annotations

import torch

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
    "build_network",
    "stride",
]

Model = STPCNN | LSTMCNN | Seamless
ModelConfig = STPCNNConfig | LSTMCNNConfig | SeamlessConfig


def build_network(config: ModelConfig) -> Model:
    """Return the network of a configuration, with random weights."""
    if isinstance(config, SeamlessConfig):
        network = Seamless(config)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a CPU trains it 1.5 times as fast
        return network
    return STPCNN(config) if isinstance(config, STPCNNConfig) else LSTMCNN(config)


def stride(config: ModelConfig) -> int:
    """Return the number that tile sizes and origins must be multiples of: 1 for a network without pooling."""
    return config.stride if isinstance(config, SeamlessConfig) else 1
