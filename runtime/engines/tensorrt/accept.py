"""The parity gate of a built engine: it must compute what ONNX Runtime does on the CPU, or it is not used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import Bundle, Manifest
from runtime.engines.base import Engine
from runtime.engines.ort import OrtEngine
from runtime.engines.tensorrt.build import profile
from runtime.engines.tensorrt.store import EngineParity
from runtime.errors import EngineRefused

LIMITS = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2}
"""Largest RMS difference of an output by precision, in units of its spread. This is a check of the engine; what a
precision costs in accuracy is judged before a bundle is offered in it (`export.precision`)."""


def acceptance_cases(manifest: Manifest, seed: int = 0) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield random inputs of the smallest and the usual shapes: half of the cells observed, all, and none."""
    rng = np.random.default_rng(seed)
    for place in (0, 1):
        shapes = {name: shape[place] for name, shape in profile(manifest).items()}
        for observed in (0.5, 1.0, 0.0):
            inputs: dict[str, NDArray[Any]] = {n: rng.normal(0, 0.5, shape) for n, shape in shapes.items()}
            inputs["land"] = rng.random(shapes["land"]) < 0.9
            for values, mask, scale in (("sm", "mask", 0.6), ("precip", "precip_mask", 30.0)):
                if mask in shapes:
                    known = rng.random(shapes[mask]) < observed
                    inputs[values] = np.where(known, rng.random(shapes[values]) * scale, np.nan)
                    inputs[mask] = known
            if "seen" in inputs:
                inputs["seen"] = rng.random(shapes["seen"]) < 0.5
            yield {name: np.asarray(values, np.float32) for name, values in inputs.items()}


def accept_engine(engine: Engine, bundle: Bundle, precision: str) -> EngineParity:
    """Compare an engine with ONNX Runtime on the CPU, which runs the bundle's float32 graph.

    Raises
    ------
    EngineRefused
        An output differs by more than `LIMITS`, is not finite, or `reached` is not the same.
    """
    reference = OrtEngine(bundle.graph)
    pairs: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {}
    count = 0
    for inputs in acceptance_cases(bundle.manifest):
        wanted, got = reference.run(inputs), engine.run(inputs)
        for name, values in wanted.items():
            pairs.setdefault(name, []).append((values.ravel(), got[name].ravel().copy()))
        count += 1
    worst = 0.0
    for name, parts in pairs.items():
        want, have = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        if name == "reached":
            if not np.array_equal(want, have):
                raise EngineRefused(f"{engine.name}: reaches other cells than ONNX Runtime; do not use this engine")
            continue
        difference = float(np.sqrt(np.mean((want - have) ** 2)) / max(float(want.std()), 1e-6))
        if not difference <= LIMITS[precision]:
            raise EngineRefused(
                f"{engine.name}: output {name} differs from ONNX Runtime by {difference:.1e} of its spread "
                f"(limit {LIMITS[precision]:.0e}); do not use this engine"
            )
        worst = max(worst, difference)
    return EngineParity(worst=worst, cases=count)
