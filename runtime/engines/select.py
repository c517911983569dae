"""Which engine: a name and a bundle in, an open engine and the reason for it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from runtime.bundle import GRAPH, Bundle, in_precision
from runtime.common.vocabulary import EngineName, Precision
from runtime.engines.base import Engine, Staged
from runtime.engines.openvino import OpenVinoEngine, openvino_unavailable_reason
from runtime.engines.ort import OrtEngine, ort_unavailable_reason
from runtime.engines.tensorrt import cached, open_tensorrt_engine, tensorrt_unavailable_reason
from runtime.errors import ConfigError

EngineKind = Literal["cpu", "openvino", "cuda", "tensorrt"]


ENGINES: tuple[EngineKind, ...] = get_args(EngineKind)
_PRECISIONS: dict[EngineKind, tuple[Precision, ...]] = {
    "cpu": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "cuda": ("fp32",),
    "tensorrt": ("fp32", "bf16", "fp16"),
}


@dataclass(frozen=True)
class EngineSettings:
    """The settings an engine is opened with."""

    engine: EngineName = "auto"
    precision: Precision = "fp32"
    """Of the multiplications."""
    cache: Path | None = None
    """Folder of built TensorRT engines; None where there is none."""
    rebuild: bool = True
    """Whether a TensorRT engine that does not fit any more is built again, or an error."""

    def __post_init__(self) -> None:
        if self.engine not in get_args(EngineName) or self.precision not in get_args(Precision):
            raise ConfigError(
                f"no engine {self.engine} in {self.precision}: engines are {', '.join(get_args(EngineName))}, "
                f"precisions {', '.join(get_args(Precision))}"
            )


@dataclass(frozen=True)
class ChosenEngine:
    """An engine, by name, and why."""

    engine: EngineKind
    why: str


def unavailable_reason(name: EngineKind) -> str | None:
    """Return what keeps an engine from running on this machine, None if nothing is known to."""
    match name:
        case "openvino":
            return openvino_unavailable_reason()
        case "tensorrt":
            native, provided = tensorrt_unavailable_reason(), ort_unavailable_reason("tensorrt")
            return native and provided and (native if native == provided else f"{native}; and {provided}")
        case _:
            return ort_unavailable_reason(name)


def choose_engine(bundle: Bundle, setup: EngineSettings) -> ChosenEngine:
    """Return the engine to open: the one that is set, or for ``auto`` the fastest that is there.

    TensorRT is chosen by itself only where an accepted engine of this bundle lies in the cache: building one takes
    minutes, and is somebody's decision.

    Raises
    ------
    ConfigError
        The engine that is set is not there, or ``auto`` finds none.
    """
    if setup.engine != "auto":
        missing = unavailable_reason(setup.engine)
        if missing:
            raise ConfigError(f'model.engine = "{setup.engine}": {missing}; or set model.engine = "auto"')
        return ChosenEngine(setup.engine, "as configured")
    passed: dict[str, list[str]] = {}
    names: tuple[EngineKind, ...] = ("tensorrt", "cuda", "openvino", "cpu")
    if bundle.manifest.kind == "recurrent":  # for products with a vector OpenVINO is no faster, and packs all weights
        names = ("tensorrt", "cuda", "cpu", "openvino")
    for name in names:
        missing = unavailable_reason(name)
        if missing is None and setup.precision not in _PRECISIONS[name]:
            missing = f"does not compute in {setup.precision}"
        if missing is None and name == "tensorrt" and not cached(bundle, setup.cache, setup.precision):
            missing = "no engine of this bundle has been built (python -m export tensorrt)"
        if missing is None:
            return ChosenEngine(name, _reasons(passed) or "the fastest there is")
        passed.setdefault(missing, []).append(name)
    raise ConfigError(f'model.engine = "auto" finds no engine: {_reasons(passed)}')


def _reasons(passed: dict[str, list[str]]) -> str:
    return "; ".join(f"{' and '.join(names)}: {reason}" for reason, names in passed.items())


def open_engine(bundle: Bundle, setup: EngineSettings | None = None) -> Engine | Staged:
    """Open the engine of `choose` on a bundle.

    Raises
    ------
    ConfigError
        The engine is not there, or the bundle is not offered in this precision.
    BundleError
        The graph does not load.
    """
    setup = setup or EngineSettings()
    name, manifest = choose_engine(bundle, setup).engine, bundle.manifest
    if setup.precision not in _PRECISIONS[name]:
        raise ConfigError(
            f'model.precision = "{setup.precision}": engine {name} computes in {", ".join(_PRECISIONS[name])}'
        )
    if setup.precision != "fp32" and setup.precision not in manifest.precisions:
        offered = ", ".join(("fp32", *manifest.precisions))
        raise ConfigError(
            f'model.precision = "{setup.precision}": bundle {manifest.name} is offered in {offered}, others have not '
            "been shown to keep its accuracy; `python -m export precision` measures that and writes such a bundle"
        )
    if name == "tensorrt" and not tensorrt_unavailable_reason():
        return open_tensorrt_engine(bundle, setup.cache, setup.precision, rebuild=setup.rebuild)
    if name in ("cuda", "tensorrt"):
        cache = setup.cache and setup.cache / "onnxruntime" / bundle.model_id
        return OrtEngine(bundle.graph_in(setup.precision), name, cache=cache, precision=setup.precision)
    if not manifest.stages:
        return _on_cpu(bundle, GRAPH, name, setup)
    last = len(manifest.stages) - 1
    return Staged(
        [
            _on_cpu(bundle, stage.file, name, setup, ("x",) * (number > 0) + ("x_out",) * (number < last))
            for number, stage in enumerate(manifest.stages)
        ]
    )


def _on_cpu(
    bundle: Bundle, file: str, name: EngineKind, setup: EngineSettings, carried: tuple[str, ...] = ()
) -> Engine:
    """Open a graph on the CPU: OpenVINO lowers to bf16 by itself, int8 is a graph of its own."""
    graph = bundle.path / (in_precision(file, "int8") if setup.precision == "int8" else file)
    if name == "openvino":
        return OpenVinoEngine(graph, setup.precision, carried)
    return OrtEngine(graph, "cpu", precision=setup.precision)
