"""Choose the engine for a bundle and open it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from runtime.bundle import GRAPH, AnyBundle, in_precision
from runtime.common.vocabulary import EngineName, Precision
from runtime.engines.base import Engine, Staged
from runtime.engines.openvino import OpenVinoEngine, openvino_unavailable_reason
from runtime.engines.ort import OrtEngine, ort_unavailable_reason
from runtime.engines.tensorrt import cached, open_tensorrt_engine, tensorrt_unavailable_reason
from runtime.errors import ConfigError
from runtime.manifest import Manifest

if TYPE_CHECKING:
    from runtime.config import Config

EngineKind = Literal["cpu", "openvino", "cuda", "tensorrt"]
"""An engine; as `EngineName`, without ``auto``."""

ENGINES: tuple[EngineKind, ...] = get_args(EngineKind)
"""All engines."""

PRECISIONS: dict[EngineKind, tuple[Precision, ...]] = {
    "cpu": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "cuda": ("fp32",),
    "tensorrt": ("fp32", "bf16", "fp16"),
}
"""The precisions that each engine computes in."""


@dataclass(frozen=True)
class EngineSettings:
    """The settings an engine is opened with."""

    engine: EngineName = "auto"
    precision: Precision = "fp32"
    """Type of the multiplications."""
    cache: Path | None = None
    """Folder of built TensorRT engines; None if there is none."""
    rebuild: bool = True
    """Whether a TensorRT engine that is missing or does not fit any more is built; otherwise that is an error."""
    threads: int = 0
    """Threads that compute on a CPU; 0 leaves the number to the engine, which takes all cores."""
    whole_grid: bool | None = False
    """Whether a day is computed in one call; None leaves it to `runtime.fill.whole_grid.choose_size`."""

    def __post_init__(self) -> None:
        if self.engine not in get_args(EngineName) or self.precision not in get_args(Precision):
            raise ConfigError(
                f"no engine {self.engine} in {self.precision}: engines are {', '.join(get_args(EngineName))}, "
                f"precisions {', '.join(get_args(Precision))}"
            )

    @classmethod
    def configured(cls, config: Config, cache: Path) -> EngineSettings:
        """Return the settings of a configuration.

        Parameters
        ----------
        config : Config
            The configuration, whose section ``[model]`` is used.
        cache : Path
            Folder of built TensorRT engines.

        Returns
        -------
        EngineSettings
            Engine, precision, size of the calls and whether engines may be built, as configured.
        """
        model = config.model
        return cls(model.engine, model.precision, cache, rebuild=model.rebuild, whole_grid=model.whole_grid)


@dataclass(frozen=True)
class ChosenEngine:
    """The engine that is used, and why."""

    engine: EngineKind
    why: str
    """The reason, in words."""


def unavailable_reason(name: EngineKind) -> str | None:
    """Return why an engine cannot run on this machine, or None if no reason is known."""
    match name:
        case "openvino":
            return openvino_unavailable_reason()
        case "tensorrt":
            native, provided = tensorrt_unavailable_reason(), ort_unavailable_reason("tensorrt")
            return native and provided and (native if native == provided else f"{native}; and {provided}")
        case _:
            return ort_unavailable_reason(name)


def choose_engine(bundle: AnyBundle, setup: EngineSettings) -> ChosenEngine:
    """Return the engine to open: the configured one, or for ``auto`` the fastest that can run on this machine.

    ``auto`` takes TensorRT only if the cache contains an engine of this bundle that passed its parity check. Building
    one takes minutes, so the user starts it.

    Raises
    ------
    ConfigError
        The configured engine cannot run on this machine, or ``auto`` finds none.
    """
    if setup.engine != "auto":
        reason = unavailable_reason(setup.engine)
        if reason:
            raise ConfigError(f'model.engine = "{setup.engine}": {reason}; or set model.engine = "auto"')
        return ChosenEngine(setup.engine, "as configured")
    not_usable: dict[str, list[str]] = {}
    names: tuple[EngineKind, ...] = ("tensorrt", "cuda", "openvino", "cpu")
    if isinstance(bundle.manifest, Manifest) and not bundle.manifest.stages:
        # OpenVINO is faster in stages, whose tiles are small; a whole graph takes it more memory, and no less time.
        names = ("tensorrt", "cuda", "cpu", "openvino")
    for name in names:
        reason = unavailable_reason(name)
        if reason is None and setup.precision not in PRECISIONS[name]:
            reason = f"does not compute in {setup.precision}"
        if reason is None and name == "tensorrt" and not cached(bundle, setup.cache, setup.precision):
            reason = "no engine of this bundle has been built (python -m export tensorrt)"
        if reason is None:
            return ChosenEngine(name, _reasons_text(not_usable) or "the fastest there is")
        not_usable.setdefault(reason, []).append(name)
    raise ConfigError(f'model.engine = "auto" finds no engine: {_reasons_text(not_usable)}')


def _reasons_text(not_usable: dict[str, list[str]]) -> str:
    return "; ".join(f"{' and '.join(names)}: {reason}" for reason, names in not_usable.items())


def open_engine(bundle: AnyBundle, setup: EngineSettings | None = None) -> Engine | Staged:
    """Open the engine that `choose_engine` returns for a bundle.

    Raises
    ------
    ConfigError
        The engine cannot run on this machine or takes only tiles, or the bundle may not be used in this precision.
    BundleError
        The engine cannot load the graph.
    """
    setup = setup or EngineSettings()
    name, manifest = choose_engine(bundle, setup).engine, bundle.manifest
    if setup.precision not in PRECISIONS[name]:
        raise ConfigError(
            f'model.precision = "{setup.precision}": engine {name} computes in {", ".join(PRECISIONS[name])}'
        )
    if setup.precision != "fp32" and setup.precision not in manifest.precisions:
        offered = ", ".join(("fp32", *manifest.precisions))
        raise ConfigError(
            f'model.precision = "{setup.precision}": bundle {manifest.name} is offered in {offered}, others have not '
            "been shown to keep its accuracy; `python -m export precision` measures that and writes such a bundle"
        )
    if name == "tensorrt" and not tensorrt_unavailable_reason():
        if setup.whole_grid:
            raise ConfigError(
                "model.whole_grid: TensorRT engines are built for tiles of the bundle's size; leave it unset, or set "
                'model.engine = "cuda"'
            )
        return open_tensorrt_engine(bundle, setup.cache, setup.precision, rebuild=setup.rebuild)
    if name in ("cuda", "tensorrt"):
        cache = setup.cache and setup.cache / "onnxruntime" / bundle.model_id
        return OrtEngine(bundle.graph_in(setup.precision), name, cache=cache, precision=setup.precision)
    stages = manifest.stages if isinstance(manifest, Manifest) and not setup.whole_grid else ()
    if not stages:
        return _open_cpu_engine(bundle, GRAPH, name, setup)
    last = len(stages) - 1
    return Staged(
        [
            _open_cpu_engine(bundle, stage.file, name, setup, ("x",) * (number > 0) + ("x_out",) * (number < last))
            for number, stage in enumerate(stages)
        ]
    )


def _open_cpu_engine(
    bundle: AnyBundle, file: str, name: EngineKind, setup: EngineSettings, carried: tuple[str, ...] = ()
) -> Engine:
    """Open a graph on the CPU; OpenVINO converts the float32 graph to bf16 itself, int8 has its own file."""
    graph = bundle.path / (in_precision(file, "int8") if setup.precision == "int8" else file)
    if name == "openvino":
        return OpenVinoEngine(graph, setup.precision, carried, setup.threads)
    # Tiles of stages are small, and memory that each of many graphs keeps adds up.
    alone = file == GRAPH
    return OrtEngine(graph, "cpu", precision=setup.precision, threads=setup.threads, keeps_memory=alone)
