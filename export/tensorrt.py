"""Build TensorRT engines of a bundle into a cache."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from export.lower import lower
from runtime.bundle import GRAPH, AnyBundle, in_precision
from runtime.engines import gpu
from runtime.engines.tensorrt.accept import accept_engine
from runtime.engines.tensorrt.build import build_engine, capabilities, key_of, state_names
from runtime.engines.tensorrt.library import (
    Flavour,
    load_cuda,
    load_tensorrt,
    local_target,
    tensorrt_unavailable_reason,
)
from runtime.engines.tensorrt.run import TensorRtEngine
from runtime.engines.tensorrt.store import EngineRecord, EngineStore
from runtime.errors import ConfigError


def build_targets(flavour: Flavour, wanted: Sequence[str]) -> list[str]:
    """Return what to build engines for: the given capabilities, or this machine's GPU.

    Parameters
    ----------
    flavour : Flavour
        ``tensorrt``, or ``tensorrt-rtx``.
    wanted : sequence of str
        Compute capabilities, like ``sm86``; empty for this machine's GPU.

    Returns
    -------
    list of str
        The targets.

    Raises
    ------
    ConfigError
        The flavour is not installed, there is no GPU and no capability is given, or the flavour cannot build for it.
    """
    trt = load_tensorrt(flavour)
    device = gpu.find_gpu()
    here = None if isinstance(device, str) else local_target(flavour, device)
    if flavour == "tensorrt":
        if wanted:
            raise ConfigError("TensorRT proper builds for the GPU it runs on; leave --capability out")
        if here is None:
            raise ConfigError(f"TensorRT proper builds on the GPU it is for: {device}; or --flavour tensorrt-rtx")
        return [here]
    if not wanted and here is None:
        raise ConfigError(f"no GPU here to build for ({device}); name one: --capability {capabilities(trt)[0]}")
    return list(wanted) or [here or ""]


def make_engine(
    bundle: AnyBundle, flavour: Flavour, precision: str, target: str, cache: Path
) -> tuple[Path, EngineRecord]:
    """Build an engine, check it if this machine can run it, and write it to the cache.

    Parameters
    ----------
    bundle : AnyBundle
        The bundle.
    flavour : Flavour
        ``tensorrt``, or ``tensorrt-rtx``.
    precision : str
        Number type of the multiplications, ``fp32``, ``fp16`` or ``bf16``.
    target : str
        What to build for, as `build_targets` returns it.
    cache : Path
        Folder of engines.

    Returns
    -------
    folder : Path
        Folder of the engine.
    record : EngineRecord
        Record of the build.

    Raises
    ------
    ConfigError
        TensorRT is not installed, or cannot build for the target.
    BundleError
        TensorRT does not accept the graph.
    EngineRefused
        The engine runs here, and does not compute what ONNX Runtime does.
    """
    store, key = EngineStore(cache), key_of(bundle, flavour, target, precision)
    with tempfile.TemporaryDirectory() as scratch:
        graph = bundle.graph
        if precision != "fp32":
            graph = Path(scratch) / in_precision(GRAPH, precision)
            lower(bundle.graph, graph, precision)
        plan, record = build_engine(graph, key, store.timings(key))
    device = gpu.find_gpu()
    if (
        not isinstance(device, str)
        and local_target(flavour, device) == target
        and tensorrt_unavailable_reason() is None
    ):
        trt, cuda = load_tensorrt(flavour), load_cuda()
        engine = TensorRtEngine(trt, cuda, plan, record, state_names(bundle.manifest))
        record = record.model_copy(update={"parity": accept_engine(engine, bundle, precision)})
        engine.close()
    return store.write(plan, record), record
