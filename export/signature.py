"""The names of a graph's inputs and outputs, in the order of the network's arguments and results."""

from __future__ import annotations

import torch
from torch import Tensor

from training.models import LSTMCNN, LSTMCNNConfig, Model, Seamless

STATE = ("h", "c", "seen")
"""The state tensors of an `LSTMCNN`."""


def output_names(model: Model) -> tuple[str, ...]:
    """Return the names of the outputs, in the order in which the network returns them."""
    if isinstance(model, Seamless):
        return "filled", "reached", "sigma"
    return ("filled", "reached", *((f"{name}_out" for name in STATE) if isinstance(model, LSTMCNN) else ()))


def example_inputs(model: Model, tiles: int, size: int) -> dict[str, Tensor]:
    """Return random inputs: half of the cells are observed, the gaps are NaN, and nine tenths are land.

    Parameters
    ----------
    model : Model
        The network.
    tiles : int
        Number of tiles.
    size : int
        Height and width of a tile in cells, halo included.

    Returns
    -------
    dict
        Tensors by name, in the order of the network's arguments.
    """
    config = model.config
    days = () if isinstance(config, LSTMCNNConfig) else (config.window,)
    mask = (torch.rand(tiles, *days, size, size) < 0.5).float()
    inputs = {
        "sm": torch.where(mask > 0, torch.rand_like(mask) * 0.6, torch.nan),
        "mask": mask,
        "land": (torch.rand(tiles, size, size) < 0.9).float(),
    }
    if not isinstance(model, LSTMCNN | Seamless):
        return inputs
    rain = (torch.rand_like(mask) < 0.5).float()
    inputs |= {"precip": torch.where(rain > 0, torch.rand_like(rain) * 40, torch.nan), "precip_mask": rain}
    if isinstance(model, LSTMCNN):
        memory = model.config.memory
        state = (torch.rand(tiles, memory) * 2 - 1, torch.randn(tiles, memory), (torch.rand(tiles, 1) < 0.5).float())
        inputs |= dict(zip(STATE, state, strict=True))
    return inputs
