"""The programs that compute a network: every engine of the runtime, and every way of PyTorch."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.context import TODAY, Context, Device
from benchmarks.gpu.torch_engine import WAYS, AsPublished, TorchEngine, Way, Work, count_work, load_weights
from benchmarks.paper_size import of_size
from export.folder import write_manifest
from export.lower import lower
from export.onnx import export_bundle
from export.precision import add_int8, unproven
from runtime.bundle import GRAPH, Bundle, find_bundle, in_precision, load_bundle
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.vocabulary import Precision
from runtime.engines.base import Engine, Staged
from runtime.engines.select import ENGINES, PRECISIONS, EngineSettings, open_engine, unavailable_reason
from runtime.errors import SeamlessError
from runtime.fill.base import make_filler
from runtime.fill.recurrent import land_tiles
from runtime.fill.staged import TILE, cells_needed
from runtime.fill.tiling import Tiling, batches, cheapest_core
from runtime.manifest import Stage
from training.checkpoint import Checkpoint
from training.models import STPCNN, Model, build_network
from training.presets import load_preset
from training.recipe import load_recipe

PUBLISHED = "PyTorch as published"
"""SGD-SM 1.0's own program: 40 x 40 tiles without a halo, every frame in every layer."""
PUBLISHED_BATCH = 8
"""Its tiles per call here."""


Compute = Callable[[Grid, Floats], Floats | None]
"""Fill the day on a grid from the days of `WINDOW`: soil moisture, m3 m-3, NaN where no data reaches; None if the
result differs at the edges of tiles."""


@dataclass(frozen=True)
class Program:
    """A program that fills a day with a network."""

    name: str
    precision: str
    open: Callable[[], Compute]
    """Prepare it; an error says why it cannot run here."""
    staged: bool = False
    """Whether it computes stage by stage on the cells that a gap can reach."""
    published: bool = False
    """Whether it computes as the paper's program."""
    compiled: bool = False
    """Whether it is compiled first, which takes long."""


@dataclass(frozen=True)
class Network:
    """A network with all that the programs need of it."""

    bundle: Bundle
    model: Model | None
    """The network in PyTorch; None if its code is no longer in the repository."""


def shipped(name: str) -> Network:
    """Return a shipped bundle, and its network in PyTorch if this version can build it."""
    bundle = load_bundle(find_bundle(name))
    try:
        model = build_network(load_recipe(name).preset.model).eval()
        load_weights(model, bundle)
    except (SeamlessError, ValueError):
        return Network(bundle, None)
    return Network(bundle, model)


def _random_model(context: Context, preset: str) -> Checkpoint:
    torch.manual_seed(0)
    chosen = load_preset(str(of_size(preset, context.scratch)))
    return Checkpoint(build_network(chosen.model), chosen)


def paper(context: Context, preset: str) -> Network:
    """Export a network of a published size, in every precision that an engine here needs, and return it."""
    checkpoint = _random_model(context, preset)
    bundle, _ = export_bundle(checkpoint, context.scratch / preset)
    precisions: list[Precision] = ["bf16", "fp16"]
    if unavailable_reason("tensorrt") is None:  # OpenVINO lowers by itself
        for precision in precisions:
            lower(bundle.graph, bundle.path / in_precision(GRAPH, precision), precision)
    if bundle.manifest.stages:
        frames = own_frames(bundle, context.frames(context.box))
        add_int8(bundle, bundle.path, frames, np.full_like(frames, np.nan), context.box)
        precisions.append("int8")
    write_manifest(bundle.path, unproven(bundle, *precisions).manifest)
    return Network(load_bundle(bundle.path), checkpoint.model.eval())


def own_frames(bundle: Bundle, frames: Floats) -> Floats:
    """Return the days of `WINDOW` that a bundle reads."""
    return frames[[TODAY + offset for offset in bundle.manifest.window]]


def fill_with(bundle: Bundle, engine: Engine | Staged) -> Compute:
    """Return a function that fills the day as the runtime does, with an engine."""

    def compute(grid: Grid, frames: Floats) -> Floats:
        filled, _ = make_filler(engine, bundle.manifest, grid).fill(own_frames(bundle, frames), None, None)
        return filled.soil_moisture

    return compute


def programs(network: Network, device: Device, cache: Path) -> Iterator[Program]:
    """Yield the programs of a network: those of the runtime, then those of PyTorch.

    Parameters
    ----------
    network : Network
        The network.
    device : str
        The device of PyTorch.
    cache : Path
        Folder for TensorRT's engines.

    Yields
    ------
    Program
        A program, whether it can run here or not.
    """
    bundle = network.bundle
    staged = bool(bundle.manifest.stages)
    for engine in ENGINES:
        if unavailable_reason(engine):
            continue  # the section of the machine says why
        for precision in ("fp32", *bundle.manifest.precisions):
            if precision not in PRECISIONS[engine]:
                continue

            def opened(settings: EngineSettings = EngineSettings(engine, precision, cache)) -> Compute:  # noqa: B008
                return fill_with(bundle, open_engine(bundle, settings))

            on_cpu = engine in ("cpu", "openvino")
            yield Program(f"runtime {engine}, {precision}", precision, opened, staged=staged and on_cpu)
    if network.model is None:
        return
    if isinstance(network.model, STPCNN):
        for precision in ("fp32", "bf16"):
            make = functools.partial(_published, network.model, device, Way("as published", precision))
            yield Program(f"{PUBLISHED}, {precision}", precision, make, published=True)
    for way in WAYS:
        make = functools.partial(_torch_program, bundle, network.model, device, way)
        yield Program(way.label, way.precision, make, compiled=way.compiled)


def _torch_program(bundle: Bundle, model: Model, device: Device, way: Way) -> Compute:
    return fill_with(bundle, TorchEngine.of(model, device, way))


def _published(model: STPCNN, device: Device, way: Way) -> Compute:
    network = AsPublished(copy.deepcopy(model)).eval().to(device)
    engine = TorchEngine(network, ("filled", "reached"), device, way)
    frames_read = model.config.window

    def compute(grid: Grid, frames: Floats) -> None:
        tiling = Tiling(grid, (40, 40), 0)
        first = TODAY - frames_read // 2
        tiles = tiling.tiles(grid.land)
        sm = tiling.pad(frames[first : first + frames_read], np.nan, tiles)
        land = tiling.pad(grid.land.astype(np.float32), 0.0, tiles)
        for batch in batches(tiles, PUBLISHED_BATCH):
            cut = tiling.cut(sm, batch)
            mask = (~np.isnan(cut)).astype(np.float32)
            engine.run({"sm": cut, "mask": mask, "land": tiling.cut(land, batch)})

    return compute


@dataclass(frozen=True)
class Tiles:
    """The tiles in which a program computes a day."""

    count: int
    size: tuple[int, int]
    """Rows and columns of a tile, halo included."""

    @property
    def cells(self) -> int:
        """Number of computed cells."""
        return self.count * self.size[0] * self.size[1]


def tiles_of(network: Network, program: Program, grid: Grid, frames: Floats) -> Tiles:
    """Return the tiles in which a program computes the day on a grid; of one with stages, those of the first stage."""
    manifest = network.bundle.manifest
    gaps = grid.land & np.isnan(frames[TODAY])
    if program.staged:
        stage = manifest.stages[0]
        need = cells_needed(grid, gaps, manifest.stages)[0]
        return Tiles(len(Tiling(grid, TILE, stage.halo).cover(need)), TILE)
    if program.published:
        return Tiles(len(Tiling(grid, (40, 40), 0).tiles(grid.land)), (40, 40))
    if manifest.carries_state:
        return Tiles(len(land_tiles(manifest, grid)), (manifest.tile_core, manifest.tile_core))
    core = cheapest_core(grid, gaps, manifest.tile_core, manifest.halo, manifest.stride)
    tiles = Tiling.of(grid, core, manifest.halo, manifest.stride).cover(gaps, manifest.stride)
    return Tiles(len(tiles), (core[0] + 2 * manifest.halo, core[1] + 2 * manifest.halo))


def work_of(network: Network, program: Program, grid: Grid, frames: Floats) -> Work | None:
    """Return what a program does for the day on a grid; None if that is not known.

    Of a program that computes stage by stage, the bytes are not known.
    """
    model = network.model
    if model is None:
        return None
    if program.staged:
        assert isinstance(model, STPCNN)
        gaps = grid.land & np.isnan(frames[TODAY])
        return Work(2e9 * staged_products(model, network.bundle.manifest.stages, grid, gaps), float("nan"))
    tiles = tiles_of(network, program, grid, frames)
    batch = PUBLISHED_BATCH if program.published else network.bundle.manifest.batch
    each = count_work(model, batch, tiles.size, AsPublished if program.published else None)
    return Work(tiles.count * each.flops, tiles.count * each.moved)


def staged_products(network: STPCNN, stages: Sequence[Stage], grid: Grid, gaps: Bools) -> float:
    """Return the multiply-adds of a day stage by stage, in units of 1e9, without those on frames outside the window."""
    height, width = TILE
    total, index, frames = 0.0, 0, network.config.window
    for stage, need in zip(stages, cells_needed(grid, gaps, stages), strict=True):
        tiles = len(Tiling(grid, TILE, stage.halo).cover(need))
        for around in reversed(range(stage.halo)):
            layer = network.layers[index]
            padding = layer.padding[0]  # type: ignore[index]
            given = frames - 2 + 2 * padding  # type: ignore[operator]
            taps = sum(0 <= frame - padding + k < frames for frame in range(given) for k in range(3))  # type: ignore
            cells = tiles * (height + 2 * around) * (width + 2 * around)
            total += cells * taps * layer.weight[:, :, 0].numel()  # type: ignore[index, union-attr]
            index, frames = index + 1, given  # type: ignore[assignment]
    return total / 1e9
