"""Build a TensorRT engine from an ONNX graph, and record how it was built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.bundle import AnyBundle
from runtime.common import digest
from runtime.common.atomic import write_guard
from runtime.engines.tensorrt import library
from runtime.engines.tensorrt.library import Flavour, tensorrt_logger
from runtime.engines.tensorrt.store import EngineKey, EngineRecord, Shape
from runtime.errors import BundleError, ConfigError
from runtime.manifest import BundleManifest, Manifest, RetrievalManifest

OPTIMISATION = 3
"""TensorRT's optimisation level, 0 to 5."""
FLAGS = ("strongly typed", "tf32 off", f"optimisation {OPTIMISATION}")
"""Builder settings that are part of an engine's key."""


def profile(manifest: BundleManifest) -> dict[str, tuple[Shape, Shape, Shape]]:
    """Return the smallest, usual and largest shape of every input of a bundle's graph."""
    if isinstance(manifest, RetrievalManifest):
        return {each.name: ((1, *each.shape), *((manifest.batch, *each.shape),) * 2) for each in manifest.inputs}
    assert isinstance(manifest, Manifest)
    usual = manifest.tile_core + 2 * manifest.halo
    smallest = usual if manifest.carries_state else manifest.stride + 2 * manifest.halo
    sizes = ((1, smallest), (manifest.batch, usual), (manifest.batch, usual))
    days = () if manifest.carries_state else (len(manifest.window),)
    names = ["sm", "mask", *(("precip", "precip_mask") if manifest.takes_rain else ())]
    shapes: dict[str, tuple[Shape, ...]] = {n: tuple((tiles, *days, s, s) for tiles, s in sizes) for n in names}
    shapes["land"] = tuple((tiles, s, s) for tiles, s in sizes)
    shapes |= {state.name: tuple((tiles, *state.shape) for tiles, _ in sizes) for state in manifest.state}
    return {name: (shape[0], shape[1], shape[2]) for name, shape in shapes.items()}


def state_names(manifest: BundleManifest) -> tuple[str, ...]:
    """Return the names of the tensors that a network carries from day to day."""
    return tuple(tensor.name for tensor in manifest.state) if isinstance(manifest, Manifest) else ()


def key_of(bundle: AnyBundle, flavour: Flavour, target: str, precision: str) -> EngineKey:
    """Return the key of a bundle's engine for the installed version of TensorRT.

    Parameters
    ----------
    bundle : AnyBundle
        The network.
    flavour : Flavour
        TensorRT, or TensorRT for RTX.
    target : str
        What the engine is built for; see `library.local_target`.
    precision : str
        Type of the multiplications.

    Returns
    -------
    EngineKey
        The key, with the shapes from the bundle's manifest.

    Raises
    ------
    ConfigError
        The flavour is not installed.
    """
    return EngineKey(
        bundle=bundle.manifest.name,
        model_id=bundle.model_id,
        flavour=flavour,
        version=str(library.load_tensorrt(flavour).__version__),
        target=target,
        profile=profile(bundle.manifest),
        precision=precision,
        flags=FLAGS,
    )


def capabilities(trt: Any) -> list[str]:
    """Return the compute capabilities that TensorRT for RTX can build for, written like ``sm86``."""
    return [name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM")]


def build_engine(graph: Path, key: EngineKey, timings: Path | None = None) -> tuple[bytes, EngineRecord]:
    """Parse a graph, build an engine from it, and record every layer of the engine.

    Parameters
    ----------
    graph : Path
        The ONNX file in the key's precision; the engine computes in the types of this file.
    key : EngineKey
        What to build.
    timings : Path, optional
        The builder's timing cache, which is read and written.

    Returns
    -------
    plan : bytes
        The serialised engine.
    record : EngineRecord
        How it was built.

    Raises
    ------
    ConfigError
        TensorRT is missing, or cannot build for this target on this machine.
    BundleError
        TensorRT cannot build an engine from the graph.
    """
    trt = library.load_tensorrt(key.flavour)
    logger = tensorrt_logger(trt)
    builder = trt.Builder(logger)
    if builder is None:
        raise ConfigError(f"{key.flavour} {key.version} cannot build on this machine; `runtime doctor` says why")
    nodes = _count_nodes(trt, builder, graph)
    network = builder.create_network(_creation_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(number).desc() for number in range(parser.num_errors)]
        raise BundleError(f"{graph}: does not parse in {key.flavour} {key.version}: {'; '.join(errors)}")
    config = builder.create_builder_config()
    config.builder_optimization_level = OPTIMISATION
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if key.flavour == "tensorrt-rtx":
        _set_target(trt, config, key.target)
    config.add_optimization_profile(_optimization_profile(builder, network, key))
    cache = config.create_timing_cache(timings.read_bytes() if timings and timings.is_file() else b"")
    config.set_timing_cache(cache, True)
    if not builder.is_network_supported(network, config):
        raise BundleError(f"{graph}: {key.flavour} {key.version} does not support this network for {key.target}")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = logger.errors[-1] if logger.errors else "no reason given"
        raise BundleError(f"{graph}: {key.flavour} {key.version} built no engine for {key.target}: {reason}")
    if timings:
        with write_guard(timings):
            timings.parent.mkdir(parents=True, exist_ok=True)
            timings.write_bytes(bytes(config.get_timing_cache().serialize()))
    data = bytes(plan)
    record = EngineRecord(
        key=key,
        plan_sha256=digest.of_bytes(data),
        plan_bytes=len(data),
        nodes=nodes,
        layers=tuple(_layer_text(network.get_layer(number)) for number in range(network.num_layers)),
        inputs={tensor.name: tuple(tensor.shape) for tensor in map(network.get_input, range(network.num_inputs))},
        outputs={tensor.name: tuple(tensor.shape) for tensor in map(network.get_output, range(network.num_outputs))},
    )
    del parser, plan, cache, config, network, builder  # in this order: each of them refers to those after it
    return data, record


def _creation_flags(trt: Any) -> int:
    """Return the flag that makes TensorRT keep the graph's types; newer versions always do and have no such flag."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _set_target(trt: Any, config: Any, target: str) -> None:
    if target not in capabilities(trt):
        raise ConfigError(f"TensorRT for RTX does not build for {target}; it does for {', '.join(capabilities(trt))}")
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.__members__[target.upper()], 0)


def _optimization_profile(builder: Any, network: Any, key: EngineKey) -> Any:
    shapes = builder.create_optimization_profile()
    names = {network.get_input(number).name for number in range(network.num_inputs)}
    if names != key.profile.keys():
        raise BundleError(f"bundle {key.bundle}: its graph takes {sorted(names)}, not {sorted(key.profile)}")
    for name, (smallest, usual, largest) in key.profile.items():
        shapes.set_shape(name, smallest, usual, largest)
    return shapes


def _count_nodes(trt: Any, builder: Any, graph: Path) -> int:
    """Return how many nodes the graph has; an error names those that TensorRT does not support."""
    network, logger = builder.create_network(_creation_flags(trt)), tensorrt_logger(trt)
    parser = trt.OnnxParser(network, logger)  # keeps no reference to its arguments
    whole = parser.supports_model_v2(graph.read_bytes(), str(graph))
    parts = [(parser.is_subgraph_supported(n), parser.get_subgraph_nodes(n)) for n in range(parser.num_subgraphs)]
    refused = [f"node {node}" for supported, nodes in parts if not supported for node in nodes]
    if not whole or refused:
        reasons = [parser.get_error(number).desc() for number in range(parser.num_errors)]
        raise BundleError(f"{graph}: TensorRT does not take {'; '.join(refused + reasons)}")
    del parser  # before the network that it refers to
    return sum(len(nodes) for _, nodes in parts)


def _layer_text(layer: Any) -> str:
    types = ",".join(str(layer.get_output(number).dtype).split(".")[-1] for number in range(layer.num_outputs))
    return f"{layer.name} {str(layer.type).split('.')[-1]} {types}"
