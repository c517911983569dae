"""A float32 graph and batches of real tiles in, the same graph with its convolutions in int8 out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

_WIDE = 64
"""Maps from which a convolution is worth it. The errors of a narrow one do not average out: quantised as a whole, the
shipped networks moved by more than `export.precision.MOST_MOVED`."""


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: Sequence[dict[str, NDArray[np.float32]]]) -> None:
        self._left: Iterator[dict[str, NDArray[np.float32]]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._left, None)


def quantise(graph: Path, out: Path, batches: Sequence[dict[str, NDArray[np.float32]]]) -> int:
    """Write a graph whose convolutions multiply int8, and return how many do.

    Weights are rounded by output map; what goes into a convolution is rounded to 256 steps over the range it has in the
    batches. Everything else stays float32.

    Parameters
    ----------
    graph : the float32 ONNX file
    out : the file to write; QuantizeLinear and DequantizeLinear around each convolution
    batches : inputs of the graph, from real tiles
    """
    model = onnx.load(graph)
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    ones = {t.name for t in model.graph.initializer if (numpy_helper.to_array(t) == 1).all()}
    products = [node for node in model.graph.node if node.op_type == "Conv"]
    chosen = [
        node.name
        for node in products
        if node.input[1] in weights and node.input[1] not in ones and min(weights[node.input[1]][:2]) >= _WIDE
    ]
    logging.getLogger().setLevel(logging.ERROR)  # it warns that it does not optimise the graph first; export has
    if not chosen:
        onnx.save(model, out)
        return 0
    quantize_static(
        str(graph),
        str(out),
        _Batches(batches),
        quant_format=QuantFormat.QDQ,
        nodes_to_quantize=chosen,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    return len(chosen)
