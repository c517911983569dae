"""TensorRT's own engines: a bundle in, an engine on this machine's GPU out, built once and kept."""

from __future__ import annotations

from pathlib import Path

from runtime.bundle import Bundle
from runtime.engines import gpu
from runtime.engines.tensorrt import library
from runtime.engines.tensorrt.accept import accept_engine
from runtime.engines.tensorrt.build import build_engine, key_of
from runtime.engines.tensorrt.library import tensorrt_unavailable_reason
from runtime.engines.tensorrt.run import TensorRtEngine
from runtime.engines.tensorrt.store import EngineKey, EngineRecord, EngineStore
from runtime.errors import ConfigError, EngineRefused

__all__ = ["cached", "open_tensorrt_engine", "tensorrt_unavailable_reason"]


def _engine_keys(bundle: Bundle, precision: str) -> list[EngineKey]:
    """Return the keys an engine for this machine may have: one per installed flavour."""
    device = gpu.find_gpu()
    if isinstance(device, str):
        raise ConfigError(f'model.engine = "tensorrt": {device}')
    return [
        key_of(bundle, flavour, library.local_target(flavour, device), precision) for flavour in library.installed()
    ]


def cached(bundle: Bundle, cache: Path | None, precision: str) -> bool:
    """Return whether an engine of this bundle for this machine has been built and has passed its parity gate."""
    if cache is None:
        return False
    for key in _engine_keys(bundle, precision):
        try:
            if EngineStore(cache).read(key)[1].parity:
                return True
        except EngineRefused:
            continue
    return False


def open_tensorrt_engine(bundle: Bundle, cache: Path | None, precision: str, *, rebuild: bool) -> TensorRtEngine:
    """Open the bundle's engine for this GPU, after building it where that is allowed.

    Parameters
    ----------
    cache : folder of built engines
    rebuild : build one where none fits; otherwise that is an error

    Raises
    ------
    EngineRefused
        No engine fits, and none may be built; or it does not compute what ONNX Runtime does.
    EngineFailed
        The GPU or its libraries fail.
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


def _load(bundle: Bundle, store: EngineStore, plan: bytes, record: EngineRecord) -> TensorRtEngine:
    """Put an engine on the GPU; one that has never run there has to pass its parity gate first."""
    state = tuple(tensor.name for tensor in bundle.manifest.state)
    engine = TensorRtEngine(library.load_tensorrt(record.key.flavour), library.load_cuda(), plan, record, state)
    if record.parity is None:
        parity = accept_engine(engine, bundle, record.key.precision)
        store.write(plan, record.model_copy(update={"parity": parity}))
    return engine
