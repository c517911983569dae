"""The published networks, and how a preset becomes one."""

from __future__ import annotations

from training.models.lstmcnn import LSTMCNN, LSTMCNNConfig
from training.models.stpcnn import STPCNN, STPCNNConfig

__all__ = ["LSTMCNN", "STPCNN", "LSTMCNNConfig", "ModelConfig", "STPCNNConfig", "build"]

ModelConfig = STPCNNConfig | LSTMCNNConfig


def build(config: ModelConfig) -> STPCNN | LSTMCNN:
    """Return the network of a configuration, with freshly drawn weights."""
    return STPCNN(config) if isinstance(config, STPCNNConfig) else LSTMCNN(config)
