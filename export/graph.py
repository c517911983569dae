"""Export a PyTorch module as an ONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

OPSET = 18
EMBEDDED_LIMIT = 3 * 2**29
"""Largest size in bytes of weights that are stored inside the graph; a protobuf holds 2 GiB at most."""


def trace_graph(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: tuple[str, ...],
    dynamic: tuple[Any, ...],
    path: Path,
) -> None:
    """Export a module to ONNX.

    Parameters
    ----------
    module : nn.Module
        The module.
    inputs : dict
        Example inputs by name, in the order of the module's arguments.
    outputs : tuple of str
        Names of the outputs, in the order in which the module returns them.
    dynamic : tuple
        For each argument of the module, the axes whose length may vary, a dict; a tuple of them for ``*inputs``.
    path : Path
        The file to write. Weights over `EMBEDDED_LIMIT` are written to ``{name}.data`` in the same folder.
    """
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    with _quiet():
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic,
            external_data=weights > EMBEDDED_LIMIT,
            verbose=False,
        )
    _strip(path)


def _strip(path: Path) -> None:
    """Take out of a graph what PyTorch wrote about its sources: paths and lines, which would change the model id."""
    graph = onnx.load(path, load_external_data=False)
    for part in (graph, graph.graph, *graph.graph.node, *graph.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(graph, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what the exporter prints and its warnings; errors are still raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
