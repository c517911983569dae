"""What bounds a network on a GPU: networks, a day's gaps and two peaks walk in; the least seconds of a day walk out.

No network is computed: operations are counted on arrays without values. What is measured is the time of one core that
cuts the inputs of the default network out of its fields and puts the outputs back. Peaks are given, by default those of
one H200 as its maker states them for dense bf16 (989 TFLOP/s, 4.8 TB/s) times the share of them that large matrix
products and copies usually reach (790 TFLOP/s, 4.3 TB/s).

    python -m benchmarks.gpu.limits --data FOLDER
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.gpu.context import TODAY, Context
from benchmarks.gpu.programs import staged_products
from benchmarks.gpu.torch_engine import count_work, on_no_device
from runtime.bundle import find_bundle, load_bundle
from runtime.common.grid import Bools, Floats, Grid
from runtime.engines.base import Arrays, TileStates
from runtime.fill.base import make_filler
from runtime.fill.tiling import Tiling, cheapest_core
from runtime.manifest import Stage
from training.models import STPCNN, LSTMCNNConfig, Model, SeamlessConfig, build_network
from training.presets import Preset, load_preset

NETWORKS = {
    "seamless-2": "seamless",
    "SGD-SM 1.0, published": "stpcnn-paper",
    "SGD-SM 2.0, published": "lstmcnn-paper",
}
BYTES = 2
"""Of a value in bf16."""
_ROUNDS = 5
_PRODUCTS = ("conv2d", "conv3d", "linear", "matmul", "convolution", "mm", "addmm", "bmm")


@dataclass(frozen=True)
class Layout:
    """A way to compute a day."""

    name: str
    flops: float
    moved: float
    """Bytes in bf16, if each product reads inputs and weights and writes its output once, and all else is fused."""
    largest: float
    """Bytes of the largest input and output of one product together."""


class _Products(TorchDispatchMode):
    """Counts the values that products read and write, and the most of one product."""

    def __init__(self) -> None:
        super().__init__()
        self.values, self.largest = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.__name__.partition(".")[0] in _PRODUCTS:
            values = sum(each.numel() for each in tree_leaves((args, kwargs, out)) if isinstance(each, torch.Tensor))
            self.values, self.largest = self.values + values, max(self.largest, values)
        return out


def layout(name: str, model: Model, count: int, tiles: int, size: tuple[int, int]) -> Layout:
    """Return a layout of some calls with some tiles of a size each."""
    empty, inputs = on_no_device(model, tiles, size)
    with torch.inference_mode(), _Products() as products:
        empty(*inputs)
    flops = count_work(model, tiles, size).flops * tiles
    return Layout(name, count * flops, count * BYTES * products.values, BYTES * products.largest)


def layouts(preset: Preset, grid: Grid, gaps: Bools) -> Iterator[Layout]:
    """Yield the ways to compute a day with a network."""
    model, config = build_network(preset.model).eval(), preset.model
    if isinstance(config, LSTMCNNConfig):
        count = len(Tiling.of(grid, preset.tile_core, 0).tiles(grid.land))
        size = (preset.tile_core, preset.tile_core)
        yield layout(
            f"{count} tiles of land, {preset.batch} a call", model, -(-count // preset.batch), preset.batch, size
        )
        yield layout("all tiles of land in one call", model, 1, count, size)
        return
    stride = config.stride if isinstance(config, SeamlessConfig) else 1
    core = cheapest_core(grid, gaps, preset.tile_core, config.halo, stride)
    tiling = Tiling.of(grid, core, config.halo, stride)
    count = len(tiling.cover(gaps, stride))
    size = (core[0] + 2 * config.halo, core[1] + 2 * config.halo)
    yield layout(f"tiles with a gap, core {core[0]} x {core[1]}", model, count, 1, size)
    rows, cols = (-(-side // stride) * stride + 2 * config.halo for side in grid.shape)
    yield layout("whole globe", model, 1, 1, (rows, cols))
    if isinstance(model, STPCNN):
        stages = [Stage(file="stage.onnx", halo=1, frames=1, maps=1) for _ in model.layers]
        flops = 2e9 * staged_products(model, stages, grid, gaps)
        yield Layout("layer by layer, blocks of 8 x 16 cells", flops, float("nan"), float("nan"))


class _NoNetwork:
    """An engine that returns zeros at once, and adds up the bytes of its inputs."""

    name, carried = "none", np.dtype(np.float32)

    def __init__(self, halo: int) -> None:
        self._halo, self.bytes = halo, 0

    def run(self, inputs: Arrays) -> dict[str, Floats]:
        """Return outputs of the size of cores."""
        self.bytes += sum(values.nbytes for values in inputs.values())
        tiles, rows, cols = inputs["land"].shape
        core = np.zeros((tiles, rows - 2 * self._halo, cols - 2 * self._halo), np.float32)
        return dict.fromkeys(("filled", "reached", "sigma"), core)

    def load_state(self, state: Arrays) -> TileStates:
        """Refuse: window networks have no state."""
        raise NotImplementedError


def around_the_network(name: str, grid: Grid, frames: Floats) -> Iterator[str]:
    """Yield what it costs to hand a day with rain to a window network, in tiles and in one call, as rows of a table."""
    manifest = load_bundle(find_bundle(name)).manifest
    for whole in (False, True):
        spent, engine = [], _NoNetwork(manifest.halo)
        filler = make_filler(engine, manifest, grid, whole_grid=whole)
        for _ in range(_ROUNDS):
            began = time.process_time()
            filler.fill(frames, frames, None)
            spent.append(time.process_time() - began)
        size = "whole globe" if whole else "tiles with a gap"
        yield f"| {name} | {size} | {engine.bytes / _ROUNDS / 1e6:.0f} | {np.median(spent):.2f} |"


def main() -> None:
    """Count, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of LPRM AMSR2 files of April 2015; default: a made-up day")
    parser.add_argument("--tflops", type=float, default=790.0, help="speed of products, TFLOP/s")
    parser.add_argument("--tbytes", type=float, default=4.3, help="speed of memory, TB/s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        context = Context("cpu", Path(folder), float("inf"), arguments.data)
        grid = context.grid
        frames = context.frames(grid)
    gaps = grid.land & np.isnan(frames[TODAY])
    print(f"{gaps.sum():,} gaps on {grid.land.sum():,} cells of land")
    print("| network | computed as | TFLOP | GB | GB of a layer | products, s | memory, s |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, preset in NETWORKS.items():
        for each in layouts(load_preset(preset), grid, gaps):
            seconds = each.flops / arguments.tflops / 1e12, each.moved / arguments.tbytes / 1e12
            cells = f"{each.flops / 1e12:.3g}", f"{each.moved / 1e9:.3g}", f"{each.largest / 1e9:.2g}"
            print(
                f"| {name} | {each.name} | {' | '.join(cells)} | {seconds[0]:.4f} | {seconds[1]:.4f} |".replace(
                    "nan", "-"
                )
            )
    print("| bundle | computed as | MB of inputs | s of one core around the network |")
    print("| --- | --- | ---: | ---: |")
    for row in around_the_network("seamless-2", grid, frames):
        print(row)


if __name__ == "__main__":
    main()
