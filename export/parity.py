"""The parity gate: without a graph that computes what the PyTorch network does, no bundle is written."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.compare import TOLERANCE, Arrays, ParityReport, compare_outputs
from export.signature import example_inputs, output_names
from training.models import LSTMCNNConfig, Model, stride


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

    PyTorch computes in float64, so that the difference is only the graph's own rounding error; see `compare_outputs`
    for how large it may be.

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
    exact = copy.deepcopy(model).double()

    def reference(inputs: Arrays) -> list[NDArray[Any]]:
        with torch.inference_mode():
            outputs = exact(*(torch.from_numpy(value).double() for value in inputs.values()))
        return [each.numpy() for each in ((outputs,) if isinstance(outputs, Tensor) else outputs)]

    arrays = ({name: value.numpy() for name, value in inputs.items()} for inputs in cases)
    return compare_outputs(reference, graph, arrays, names, framework="PyTorch", tolerance=tolerance, rounding=rounding)
