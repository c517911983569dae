"""A PyTorch module in, an ONNX file out."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

OPSET = 18
EMBEDDED_LIMIT = 3 * 2**29
"""Bytes of weights that stay inside the graph; a protobuf holds 2 GiB at most."""


def trace_graph(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: tuple[str, ...],
    dynamic: tuple[dict[int, object], ...],
    path: Path,
) -> None:
    """Export a module to ONNX; `dynamic` names, per input, the axes that may vary."""
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress chatter off the terminal; errors still raise."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
