"""The parity check of a built engine: it is used only if its results equal those of ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import AnyBundle
from runtime.engines.base import Engine
from runtime.engines.ort import OrtEngine
from runtime.engines.tensorrt.build import profile
from runtime.engines.tensorrt.store import EngineParity
from runtime.errors import EngineRefused
from runtime.manifest import BundleManifest, RetrievalManifest

LIMITS = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2}
"""Largest allowed RMS difference of an output, in units of its standard deviation, by precision.

This checks the engine only. How a precision changes the accuracy is measured before a bundle may be used in it; see
`export.precision`.
"""


def acceptance_cases(manifest: BundleManifest, seed: int = 0) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield random inputs of the smallest and the usual shapes.

    Of a day, half, all and none of the cells are observed; the images of a retrieval have single bytes as values.
    """
    rng = np.random.default_rng(seed)
    if isinstance(manifest, RetrievalManifest):
        scales = {each.name: 255.0 if len(each.shape) > 1 else 1.0 for each in manifest.inputs}
        for size in (0, 1, 1):
            shapes = {name: shape[size] for name, shape in profile(manifest).items()}
            yield {n: (rng.random(shape) * scales[n]).astype(np.float32) for n, shape in shapes.items()}
        return
    for size in (0, 1):
        shapes = {name: shape[size] for name, shape in profile(manifest).items()}
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


def accept_engine(engine: Engine, bundle: AnyBundle, precision: str) -> EngineParity:
    """Compare an engine with ONNX Runtime, which computes the bundle's float32 graph on the CPU.

    Parameters
    ----------
    engine : Engine
        The engine to check.
    bundle : AnyBundle
        The network it was built from.
    precision : str
        The engine's precision, which sets the limit.

    Returns
    -------
    EngineParity
        The largest difference found.

    Raises
    ------
    EngineRefused
        An output differs by more than `LIMITS` or is not finite, or ``reached`` is not equal.
    """
    reference = OrtEngine(bundle.graph)
    pairs: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {}
    count = 0
    for inputs in acceptance_cases(bundle.manifest):
        expected, computed = reference.run(inputs), engine.run(inputs)
        for name, values in expected.items():
            pairs.setdefault(name, []).append((values.ravel(), computed[name].ravel().copy()))
        count += 1
    worst = 0.0
    for name, parts in pairs.items():
        expect, actual = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        if name == "reached":
            if not np.array_equal(expect, actual):
                raise EngineRefused(f"{engine.name}: reaches other cells than ONNX Runtime; do not use this engine")
            continue
        difference = float(np.sqrt(np.mean((expect - actual) ** 2)) / max(float(expect.std()), 1e-6))
        if not difference <= LIMITS[precision]:
            raise EngineRefused(
                f"{engine.name}: output {name} differs from ONNX Runtime by {difference:.1e} of its spread "
                f"(limit {LIMITS[precision]:.0e}); do not use this engine"
            )
        worst = max(worst, difference)
    return EngineParity(worst=worst, cases=count)
