"""Quantise the convolutions of a float32 graph to int8, calibrated on batches of real tiles."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

_WIDE = 64
"""Smallest number of input and output maps of a convolution that is quantised. The errors of a narrower one do not
average out: with all convolutions quantised, the results of the shipped networks changed by more than
`export.precision.MOST_MOVED`."""


class _BatchReader(CalibrationDataReader):  # type: ignore[misc]
    """Gives the calibration one batch after the other."""

    def __init__(self, batches: Sequence[dict[str, NDArray[np.float32]]]) -> None:
        self._batches: Iterator[dict[str, NDArray[np.float32]]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch, None after the last."""
        return next(self._batches, None)


def quantise(graph: Path, out: Path, batches: Sequence[dict[str, NDArray[np.float32]]]) -> int:
    """Write a graph whose wide convolutions multiply int8.

    Weights are rounded for each output map; the input of a convolution is rounded to 256 steps over the range that it
    has in the batches. Everything else stays float32.

    Parameters
    ----------
    graph : Path
        The float32 ONNX file.
    out : Path
        The file to write, with QuantizeLinear and DequantizeLinear around each quantised convolution.
    batches : sequence of dict
        Inputs of the graph by name, from real tiles.

    Returns
    -------
    int
        The number of quantised convolutions.
    """
    model = onnx.load(graph)
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    ones = {t.name for t in model.graph.initializer if (numpy_helper.to_array(t) == 1).all()}
    chosen = [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.input[1] in weights
        and node.input[1] not in ones
        and min(weights[node.input[1]][:2]) >= _WIDE
    ]
    if not chosen:
        onnx.save(model, out)
        return 0
    with _no_warnings():
        quantize_static(
            str(graph),
            str(out),
            _BatchReader(batches),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=chosen,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    return len(chosen)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Suppress the library's warning that the graph should be optimised first: the export has optimised it."""
    root = logging.getLogger()  # the library logs here
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
