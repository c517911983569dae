"""The parity gate: without a graph that computes what the PyTorch network does, no bundle is written."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export.signature import example_inputs, output_names
from runtime.engines.ort import OrtEngine
from runtime.errors import BundleError
from training.models import LSTMCNNConfig, Model, stride

TOLERANCE = 1e-5
"""Largest difference, in standard deviations of the output."""


@dataclass(frozen=True)
class ParityReport:
    """The differences that the gate measured."""

    spread: float
    """Standard deviation of the filled field over all cases, m3 m-3."""
    worst: float
    """Largest difference of any output, in the units of the tolerance of `check_parity`."""
    cases: int
    """Number of compared inputs."""


def parity_cases(model: Model, seed: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield random inputs: with gaps, all observed, nothing observed and no land, for several batch and tile sizes.

    Parameters
    ----------
    model : Model
        The network.
    seed : int
        Seed of the inputs.

    Yields
    ------
    name : str
        Name of the case.
    inputs : dict
        Tensors by name, in the order of the network's arguments.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = model.config
        sizes = [(3, 17), (1, 24), (2, 9)]
        for tiles, core in sizes:
            size = config.tile if isinstance(config, LSTMCNNConfig) else core * stride(config) + 2 * config.halo
            base = example_inputs(model, tiles, size)
            full = torch.ones_like(base["mask"])
            yield "half observed, NaN in the holes", base
            yield "all observed", base | {"mask": full, "sm": torch.rand_like(full) * 0.6}
            yield "nothing observed", base | {"mask": 0 * full, "sm": full * torch.nan}
            yield "no land", base | {"land": torch.zeros_like(base["land"])}


def check_parity(model: Model, graph: Path, tolerance: float = TOLERANCE) -> ParityReport:
    """Compare a graph in ONNX Runtime with the network in PyTorch, on the CPU.

    PyTorch computes in float64, so that the difference is only the graph's own rounding error. Each output may differ
    by at most `tolerance` times its own standard deviation over all cases. A value that is further from the mean than
    one standard deviation may differ by `tolerance` times its distance: rounding errors grow with the value, and
    partial convolution with random weights gives values of ten standard deviations where few cells are valid. For
    `sigma`, which has the unit of `filled`, the larger of both standard deviations counts.

    Parameters
    ----------
    model : Model
        The network.
    graph : Path
        The ONNX file.
    tolerance : float
        Largest difference, in standard deviations of the output.

    Returns
    -------
    ParityReport
        The differences.

    Raises
    ------
    BundleError
        The outputs differ, hold a NaN, or do not vary.
    """
    return compare_graph(model, graph, (inputs for _, inputs in parity_cases(model)), output_names(model), tolerance)


def compare_graph(
    model: nn.Module,
    graph: Path,
    cases: Iterable[Mapping[str, Tensor]],
    names: Sequence[str],
    tolerance: float = TOLERANCE,
    rounding: float = 0.0,
) -> ParityReport:
    """Compare a graph in ONNX Runtime with a module in PyTorch; see `check_parity`.

    Parameters
    ----------
    model : Module
        The module; it returns one tensor for each output, or the tensor of its only output.
    graph : Path
        The ONNX file.
    cases : iterable of dict
        Inputs by name, in the order of the module's arguments.
    names : sequence of str
        Names of the outputs; the report gives the spread of the first.
    tolerance : float
        Largest difference, in standard deviations of the output.
    rounding : float
        Differences up to this one, in the output's own unit, do not count: float32 has no finer steps.

    Returns
    -------
    ParityReport
        The differences.

    Raises
    ------
    BundleError
        The outputs differ, hold a NaN, or do not vary.
    """
    engine = OrtEngine(graph)
    exact = copy.deepcopy(model).double()
    expected: dict[str, list[np.ndarray]] = {name: [] for name in names}
    actual: dict[str, list[np.ndarray]] = {name: [] for name in names}
    count = 0
    for inputs in cases:
        with torch.inference_mode():
            reference = exact(*(value.double() for value in inputs.values()))
        reference = (reference,) if isinstance(reference, Tensor) else reference
        result = engine.run({name: value.numpy() for name, value in inputs.items()})
        for name, value in zip(names, reference, strict=True):
            expected[name].append(value.numpy().ravel())
            actual[name].append(result[name].ravel())
        count += 1
    worst = 0.0
    spreads = {}
    for name in names:
        reference, computed = np.concatenate(expected[name]), np.concatenate(actual[name])
        spreads[name] = float(reference.std())
        if not np.isfinite(reference).all() or not spreads[name] > 1e-6:
            raise BundleError(f"no bundle written: output {name!r} does not vary or is not finite (a dead network?)")
        spread = max(spreads[name], spreads["filled"]) if name == "sigma" else spreads[name]
        scale = np.maximum(spread, np.abs(reference - reference.mean()))
        difference = np.abs(reference - computed) / scale
        too_large = difference[np.abs(reference - computed) > rounding].max(initial=0.0)
        if not too_large <= tolerance or not np.isfinite(computed).all():
            raise BundleError(
                f"no bundle written: output {name!r} of the graph differs from PyTorch by {too_large:.2e} of its "
                f"spread (limit {tolerance:.0e})"
            )
        worst = max(worst, float(difference.max()))
    return ParityReport(spread=spreads[names[0]], worst=worst, cases=count)
