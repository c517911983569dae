"""Measure how long each engine takes for a day of the published SGD-SM 1.0 network, and what share of the peak it uses.

    python -m benchmarks.engines --data FOLDER [--date 2015-04-12] [--rounds 3] [--preset stpcnn-paper] [--json FILE]

All contenders compute the same real day with the same random weights, which cost the same as trained ones, in turns in
one process; the figures are medians. Lower precisions are measured for their speed only: random weights say nothing
about accuracy. On a machine with a GPU, the contenders that use it are measured too. FOLDER has LPRM AMSR2 files with
band x.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.days import read_window
from export.precision import add_int8, unproven
from runtime.bundle import Bundle, load_bundle
from runtime.common.grid import Bools, Floats, Grid
from runtime.engines.base import Engine, Staged
from runtime.engines.select import ENGINES, EngineSettings, open_engine
from runtime.errors import SeamlessError
from runtime.fill.staged import TILE, cells_needed
from runtime.fill.tiling import Tiling, batches
from runtime.fill.window import predict_window
from training.checkpoint import load_checkpoint
from training.models import STPCNN

REFERENCE = "PyTorch eager, 40 x 40 land tiles"
BEST_EFFORT = "PyTorch best effort"


@dataclass(frozen=True)
class Contender:
    """One way to compute the day."""

    name: str
    compute: Callable[[], Floats | None]
    """Return the filled field, or None if it differs at the edges of tiles and cannot be compared."""


def published(network: STPCNN, sm: Tensor, mask: Tensor, land: Tensor) -> Tensor:
    """Compute day T as in the paper: zero padding and every frame in every layer."""
    x, valid, land = network.normalise(sm, mask).unsqueeze(1), mask.unsqueeze(1), land[:, None, None]
    last = len(network.layers) - 1
    for number, layer in enumerate(network.layers):
        count = F.conv3d(valid, layer.ones.to(valid.dtype), padding=1)
        ratio, valid = layer.window / count.clamp(min=1.0), (count > 0).to(x.dtype) * land
        x = (F.conv3d(x, layer.weight, padding=1) * ratio + layer.bias.view(1, -1, 1, 1, 1)) * valid
        x = x if number == last else torch.relu(x)
    return network.denormalise(x[:, 0, sm.shape[1] // 2])


class Eager:
    """Compute the day with PyTorch, tile by tile.

    Parameters
    ----------
    network : callable
        The network.
    grid : Grid
        The grid.
    frames : float32 array, shape (T, rows, cols)
        Soil moisture, m3 m-3, NaN for a gap.
    wanted : bool array, shape (rows, cols)
        The cells to compute.
    core : int
        Rows and columns of a core.
    halo : int
        Number of cells read around the core; without them the result has errors at the edges of tiles.
    batch : int
        Tiles per call.
    half : bool
        Whether to multiply in bfloat16.
    device : str
        PyTorch's name of the device.
    """

    def __init__(
        self,
        network: Callable[..., Tensor | tuple[Tensor, Tensor]],
        grid: Grid,
        frames: Floats,
        wanted: Bools,
        *,
        core: int,
        halo: int = 0,
        batch: int = 1,
        half: bool = False,
        device: str = "cpu",
    ) -> None:
        self.network, self.grid, self.half, self.device, self.batch = network, grid, half, device, batch
        self.tiling = Tiling(grid, (core, core), halo)
        self.tiles = self.tiling.cover(wanted) if halo else self.tiling.tiles(wanted)
        self.sm = self.tiling.pad(frames, np.nan)
        self.land = self.tiling.pad(grid.land.astype(np.float32), 0.0)

    def __call__(self) -> Floats | None:
        """Compute the day."""
        out = np.zeros(self.grid.shape, np.float32)
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            for batch in batches(self.tiles, self.batch):
                sm = self.tiling.cut(self.sm, batch)
                inputs = (sm, (~np.isnan(sm)).astype(np.float32), self.tiling.cut(self.land, batch))
                result = self.network(*(torch.from_numpy(values).to(self.device) for values in inputs))
                filled = result[0] if isinstance(result, tuple) else result
                self.tiling.paste(out, batch, filled.float().cpu().numpy())
        return out if self.tiling.halo else None


def pytorch(network: STPCNN, grid: Grid, frames: Floats, gaps: Bools, device: str) -> Iterator[Contender]:
    """Yield the contenders in PyTorch: as in the paper, and the fastest ones that we know."""
    on = "" if device == "cpu" else f" ({device})"
    network = network.to(device)

    def paper(sm: Tensor, mask: Tensor, land: Tensor) -> Tensor:
        return published(network, sm, mask, land)

    last = network if device != "cpu" else network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    yield Contender(REFERENCE + on, Eager(paper, grid, frames, grid.land, core=40, batch=8, device=device))
    yield Contender(
        f"{BEST_EFFORT}{on}: BF16, channels last, 40 x 40, no halo",
        Eager(paper, grid, frames, grid.land, core=40, batch=8, half=True, device=device),
    )
    yield Contender(
        f"{BEST_EFFORT}{on}: BF16, channels last, cones, 80 x 80 and halo",
        Eager(last, grid, frames, gaps, core=80, halo=network.config.halo, half=True, device=device),
    )
    if device != "cpu":
        compiled = torch.compile(network)
        yield Contender(
            f"PyTorch compiled{on}: BF16, cones, 80 x 80 and halo",
            Eager(compiled, grid, frames, gaps, core=80, halo=network.config.halo, half=True, device=device),
        )


def engines(bundle: Bundle, grid: Grid, frames: Floats) -> Iterator[Contender]:
    """Yield every engine of the runtime that this machine can run, in each of its precisions."""
    manifest = bundle.manifest
    with tempfile.TemporaryDirectory() as cache:
        for name in ENGINES:
            for precision in ("fp32", "bf16", "fp16", "int8"):
                try:
                    engine = open_engine(bundle, EngineSettings(name, precision, Path(cache)))
                except SeamlessError as error:  # measure the others
                    print(f"not measured: {name} {precision}: {str(error)[:150]}")
                    continue

                def compute(engine: Engine | Staged = engine) -> Floats:
                    return predict_window(engine, manifest, grid, frames).filled

                yield Contender(f"runtime, {engine.name}", compute)


def products(network: STPCNN, bundle: Bundle, grid: Grid, gaps: Bools) -> float:
    """Return the multiply-adds of a day stage by stage, in units of 1e9, without those on frames outside the window."""
    stages, (height, width) = bundle.manifest.stages, TILE
    total, index, frames = 0.0, 0, network.config.window
    for stage, need in zip(stages, cells_needed(grid, gaps, stages), strict=True):
        tiles = len(Tiling(grid, TILE, stage.halo).cover(need))
        for around in reversed(range(stage.halo)):
            layer = network.layers[index]
            padding = layer.padding[0]
            given = frames - 2 + 2 * padding
            taps = sum(0 <= frame - padding + k < frames for frame in range(given) for k in range(3))
            cells = tiles * (height + 2 * around) * (width + 2 * around)
            total += cells * taps * layer.weight[:, :, 0].numel()
            index, frames = index + 1, given
    return total / 1e9


def matmul_peak(kind: torch.dtype, openvino_hint: str) -> float:
    """Return the multiply-adds per second of a large matrix product, 1e9; the better of PyTorch and OpenVINO."""
    rows, inner, cols = 4096, 2430, 4096
    a, b = torch.randn(rows, inner).to(kind), torch.randn(inner, cols).to(kind)

    def best(product: Callable[[], object]) -> float:
        seconds = []
        for _ in range(8):
            started = time.perf_counter()
            product()
            seconds.append(time.perf_counter() - started)
        return rows * inner * cols / min(seconds) / 1e9

    peaks = [best(lambda: a @ b)]
    try:
        import openvino as ov
    except ImportError:
        return peaks[0]
    x = ov.opset8.parameter([rows, inner], np.float32)
    weights = ov.opset8.constant(b.float().numpy())
    model = ov.Model([ov.opset8.matmul(x, weights, False, False)], [x])
    request = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": openvino_hint}).create_infer_request()
    values = ov.Tensor(a.float().numpy())
    peaks.append(best(lambda: request.infer([values], share_inputs=True, share_outputs=True)))
    return max(peaks)


def paper_bundle(scratch: Path, preset: str, grid: Grid, frames: Floats) -> tuple[STPCNN, Bundle]:
    """Return a network with random weights, and its bundle, which may be used in every precision."""
    checkpoint, folder = scratch / "random.safetensors", scratch / preset
    for command in (
        ("training", "random", "--preset", preset, "--out", str(checkpoint)),
        ("export", "onnx", "--checkpoint", str(checkpoint), "--out", str(folder)),
    ):
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
    network = load_checkpoint(checkpoint).model.eval()
    assert isinstance(network, STPCNN)
    bundle = load_bundle(folder)
    add_int8(bundle, folder, frames, np.full_like(frames, np.nan), grid)
    return network, unproven(bundle, "bf16", "fp16", "int8")


def main() -> None:
    """Measure all contenders and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--date", type=dt.date.fromisoformat, default=dt.date(2015, 4, 12))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="stpcnn-paper")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    grid = Grid.globe()
    frames = read_window(arguments.data, arguments.date, grid, range(-4, 5))
    gaps = grid.land & np.isnan(frames[frames.shape[0] // 2])
    with tempfile.TemporaryDirectory() as name:
        network, bundle = paper_bundle(Path(name), arguments.preset, grid, frames)
        devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        contenders = [*engines(bundle, grid, frames)]
        for device in devices:
            contenders += pytorch(network, grid, frames, gaps, device)
        seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
        peaks: dict[str, list[float]] = {"fp32": [], "bf16": []}
        fields: dict[str, Floats] = {}
        for number in range(arguments.rounds):
            for kind, dtype, hint in (("fp32", torch.float32, "f32"), ("bf16", torch.bfloat16, "bf16")):
                peaks[kind].append(matmul_peak(dtype, hint))
            for contender in contenders:
                started = time.perf_counter()
                field = contender.compute()
                seconds[contender.name].append(time.perf_counter() - started)
                print(f"round {number + 1}: {contender.name}: {seconds[contender.name][-1]:.1f} s", flush=True)
                if field is not None:
                    fields[contender.name] = field
        work = products(network, bundle, grid, gaps)
        report(arguments, work, gaps, seconds, peaks, fields)


def report(
    arguments: argparse.Namespace,
    work: float,
    gaps: Bools,
    seconds: dict[str, list[float]],
    peaks: dict[str, list[float]],
    fields: dict[str, Floats],
) -> None:
    """Print the table, and write the figures to a file if one is given."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    best_effort = min(value for name, value in medians.items() if name.startswith(BEST_EFFORT))
    exact = next(field for name, field in fields.items() if "onnxruntime" in name and "CPU fp32" in name)[gaps]
    peak = {kind: max(values) for kind, values in peaks.items()}
    rows = []
    for name, value in sorted(medians.items(), key=lambda item: item[1]):
        share = None
        if name.endswith("staged"):
            share = work / value / peak["bf16" if "bf16" in name else "fp32"] if "int8" not in name else None
        off = float((fields[name][gaps] - exact).std() / exact.std()) if name in fields else None
        rows.append(
            {
                "contender": name,
                "seconds": value,
                "least": min(seconds[name]),
                "most": max(seconds[name]),
                "times_eager": medians[REFERENCE] / value,
                "times_best_effort": best_effort / value,
                "share_of_matmul_peak": share,
                "rms_difference_in_spreads": off,
            }
        )
    print(f"\n{arguments.date}, {int(gaps.sum())} gaps, {os.cpu_count()} cores, {work:.0f}e9 multiply-adds a day")
    print(f"matrix product: {peak['fp32']:.0f}e9 (fp32) and {peak['bf16']:.0f}e9 (bf16) multiply-adds a second")
    print(f"{'contender':75} {'s a day':>8} {'x eager':>8} {'x best':>7} {'of peak':>8} {'differs':>8}")
    for row in rows:
        share, off = row["share_of_matmul_peak"], row["rms_difference_in_spreads"]
        print(
            f"{row['contender']:75} {row['seconds']:8.1f} {row['times_eager']:8.2f} {row['times_best_effort']:7.2f} "
            f"{'' if share is None else f'{100 * share:.0f} %':>8} {'seams' if off is None else f'{off:.0e}':>8}"
        )
    if arguments.json:
        head = {
            "date": str(arguments.date),
            "gaps": int(gaps.sum()),
            "cores": os.cpu_count(),
            "preset": arguments.preset,
        }
        figures = {
            **head,
            "multiply_adds_1e9": work,
            "matmul_peak_1e9": peak,
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
