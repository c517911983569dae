"""Export a window network as stages: one graph for each group of layers.

A computation that applies one stage after the other to the whole globe computes each layer once, for exactly the cells
that a gap depends on. A computation that goes tile by tile computes the halo of every tile in every layer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export.compare import TOLERANCE
from export.graph import trace_graph
from runtime.bundle import GRAPH
from runtime.engines.ort import OrtEngine
from runtime.errors import BundleError
from runtime.manifest import Stage
from training.models import STPCNN

WIDE = 64
"""Smallest number of maps with which each layer is a stage of its own. In a narrower network a stage is two layers: to
store the values between them costs more than to compute a halo."""


class _Stage(nn.Module):
    """The layers from `first` to before `last`, with arrays whose last axes are frames and maps."""

    def __init__(self, network: STPCNN, first: int, last: int) -> None:
        super().__init__()
        self.network, self.first, self.last = network, first, last

    def forward(self, x: Tensor, valid: Tensor, land: Tensor) -> tuple[Tensor, Tensor]:
        network = self.network
        x, valid = x.permute(0, 4, 3, 1, 2), valid.permute(0, 3, 1, 2).unsqueeze(1)
        if self.first == 0:
            x = network.normalise(x, valid)
        x, valid = network.through(x, valid, land[:, None, None], self.first, self.last)
        if self.last == len(network.layers):
            x = network.denormalise(x)
        return x.permute(0, 3, 4, 2, 1), valid[:, 0].permute(0, 2, 3, 1)


def write_stages(network: STPCNN, folder: Path) -> tuple[Stage, ...]:
    """Write the stages of a network as ``stage-NN.onnx``.

    Every graph has the inputs `x` (N, H, W, T, maps), `valid` (N, H, W, T) and `land` (N, H, W) and the outputs `x_out`
    and `valid_out`, which are `halo` cells smaller on every side. The one map of the first input is soil moisture in
    m3 m-3, and may be NaN where `valid` is 0; the last output is in m3 m-3.

    Parameters
    ----------
    network : STPCNN
        The network.
    folder : Path
        Folder to write to.

    Returns
    -------
    tuple of Stage
        The stages as the manifest lists them.
    """
    network = network.eval()
    frames, maps = network.config.window, 1
    stages = []
    layers, layers_per_stage = len(network.layers), 1 if network.config.maps >= WIDE else 2
    for number, first in enumerate(range(0, layers, layers_per_stage), 1):
        last = min(first + layers_per_stage, layers)
        halo = last - first
        size = 2 * halo + 6
        file = f"stage-{number:02}.onnx"
        inputs = {
            "x": torch.randn(2, size, size, frames, maps),
            "valid": torch.ones(2, size, size, frames),
            "land": torch.ones(2, size, size),
        }
        axes = {0: torch.export.Dim("n", min=1)} | {
            axis: torch.export.Dim(name, min=2 * halo + 1) for axis, name in ((1, "h_in"), (2, "w_in"))
        }
        shapes: tuple[dict[int, object], ...] = tuple(dict(axes) for _ in inputs)
        stage = _Stage(network, first, last)
        trace_graph(stage, inputs, ("x_out", "valid_out"), shapes, folder / file)
        with torch.inference_mode():
            out, _ = stage(*inputs.values())
        frames, maps = out.shape[3:]
        stages.append(Stage(file=file, halo=halo, frames=frames, maps=maps))
    return tuple(stages)


def check_stages(stages: tuple[Stage, ...], folder: Path, halo: int, window: int) -> None:
    """Compare the result of all stages with that of the whole graph in the same folder.

    Parameters
    ----------
    stages : tuple of Stage
        The stages, in order.
    folder : Path
        Folder of the graphs.
    halo : int
        Halo of the whole graph, in cells.
    window : int
        Days of the window.

    Raises
    ------
    BundleError
        They reach other cells, or differ by more than `export.compare.TOLERANCE` of the output's standard deviation.
    """
    rng = np.random.default_rng(0)
    size = 2 * halo + 20
    mask = (rng.random((2, window, size, size)) < 0.5).astype(np.float32)
    sm = np.where(mask > 0, rng.random(mask.shape) * 0.6, np.nan).astype(np.float32)
    land = (rng.random((2, size, size)) < 0.9).astype(np.float32)
    whole = OrtEngine(folder / GRAPH).run({"sm": sm, "mask": mask, "land": land})
    x, valid = sm.transpose(0, 2, 3, 1)[..., None], mask.transpose(0, 2, 3, 1)
    for stage in stages:
        out = OrtEngine(folder / stage.file).run({"x": x, "valid": valid, "land": land})
        x, valid = out["x_out"], out["valid_out"]
        land = land[:, stage.halo : -stage.halo, stage.halo : -stage.halo]
    if not np.array_equal(valid[..., 0], whole["reached"]):
        raise BundleError("no bundle written: the stages reach other cells than the whole graph")
    worst = float(np.abs(x[..., 0, 0] - whole["filled"]).max() / whole["filled"].std())
    if not worst <= TOLERANCE:
        raise BundleError(f"no bundle written: the stages differ from the whole graph by {worst:.1e} of its spread")
