"""Engines that TensorRT builds: open the engine of a bundle on this machine's GPU, after building it if needed."""

from __future__ import annotations

from pathlib import Path

from runtime.bundle import AnyBundle
from runtime.engines import gpu
from runtime.engines.tensorrt import library
from runtime.engines.tensorrt.accept import accept_engine
from runtime.engines.tensorrt.build import build_engine, key_of, state_names
from runtime.engines.tensorrt.library import tensorrt_unavailable_reason
from runtime.engines.tensorrt.run import TensorRtEngine
from runtime.engines.tensorrt.store import EngineKey, EngineRecord, EngineStore
from runtime.errors import ConfigError, EngineRefused

__all__ = ["cached", "open_tensorrt_engine", "tensorrt_unavailable_reason"]


def _engine_keys(bundle: AnyBundle, precision: str) -> list[EngineKey]:
    """Return the keys of the engines that this machine can run: one per installed flavour of TensorRT."""
    device = gpu.find_gpu()
    if isinstance(device, str):
        raise ConfigError(f'model.engine = "tensorrt": {device}')
    return [
        key_of(bundle, flavour, library.local_target(flavour, device), precision) for flavour in library.installed()
    ]


def cached(bundle: AnyBundle, cache: Path | None, precision: str) -> bool:
    """Return whether the cache has an engine of this bundle for this machine that passed its parity check."""
    if cache is None:
        return False
    for key in _engine_keys(bundle, precision):
        try:
            if EngineStore(cache).read(key)[1].parity:
                return True
        except EngineRefused:
            continue
    return False


def open_tensorrt_engine(bundle: AnyBundle, cache: Path | None, precision: str, *, rebuild: bool) -> TensorRtEngine:
    """Open the engine of a bundle for this GPU, after building it if that is needed and allowed.

    Parameters
    ----------
    bundle : Bundle
        The network.
    cache : Path, optional
        Folder of built engines.
    precision : str
        Type of the multiplications.
    rebuild : bool
        Whether to build an engine if the cache has none that fits; otherwise that is an error.

    Returns
    -------
    TensorRtEngine
        The engine, on the GPU.

    Raises
    ------
    ConfigError
        There is no folder for engines, no GPU, or no TensorRT.
    EngineRefused
        No engine fits and none may be built, or the engine's results differ from those of ONNX Runtime.
    EngineFailed
        The GPU or its libraries failed.
    """
    if cache is None:
        raise ConfigError('model.engine = "tensorrt" needs a folder for its engines; set paths.engines')
    store, refusals = EngineStore(cache), []
    keys = _engine_keys(bundle, precision)
    for key in keys:
        try:
            return _load(bundle, store, *store.read(key))
        except EngineRefused as refusal:
            refusals.append(str(refusal))
    if not rebuild:
        cure = f"python -m export tensorrt --bundle {bundle.path} --flavour {keys[0].flavour} --precision {precision}"
        raise EngineRefused(f"{'; '.join(refusals)}; build it with `{cure}`, or set model.rebuild = true")
    plan, record = build_engine(bundle.graph_in(precision), keys[0], store.timings(keys[0]))
    store.write(plan, record)
    return _load(bundle, store, plan, record)


def _load(bundle: AnyBundle, store: EngineStore, plan: bytes, record: EngineRecord) -> TensorRtEngine:
    """Load an engine onto the GPU; before its first use it has to pass the parity check."""
    trt, cuda = library.load_tensorrt(record.key.flavour), library.load_cuda()
    engine = TensorRtEngine(trt, cuda, plan, record, state_names(bundle.manifest))
    if record.parity is None:
        parity = accept_engine(engine, bundle, record.key.precision)
        store.write(plan, record.model_copy(update={"parity": parity}))
    return engine
