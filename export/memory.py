"""Count the memory that a graph needs between its layers, from the shapes of all values."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

_SIDE = 1024
"""Rows and columns that are filled in the counted tile: many more than the halo, as in a tile of the whole globe."""


def bytes_per_cell(graph: Path, halo: int, stride: int) -> int:
    """Return the bytes that the values between the layers need at once, for each cell of a tile, halo included.

    Inputs and outputs are kept, and other values until the last layer that reads them. The operations are those that
    ONNX Runtime leaves after it has folded constants. Weights and what a single operation needs are not counted.

    Parameters
    ----------
    graph : Path
        The ONNX file.
    halo : int
        Number of cells read around the core of a tile, on every side.
    stride : int
        Cores are multiples of it.

    Returns
    -------
    int
        The bytes, rounded up.

    Raises
    ------
    ValueError
        The shape of a value depends on the inputs' values.
    """
    tile = _with_fixed_shapes(graph, -(-_SIDE // stride) * stride + 2 * halo)
    sizes = {value.name: _bytes(value) for value in (*tile.input, *tile.value_info, *tile.output)}
    last_use = {name: number for number, node in enumerate(tile.node) for name in node.input}
    last_use |= {value.name: len(tile.node) for value in (*tile.input, *tile.output)}
    kept, most = {value.name: sizes[value.name] for value in tile.input}, 0
    for number, node in enumerate(tile.node):
        kept |= {name: sizes[name] for name in node.output if name}
        most = max(most, sum(kept.values()))
        kept = {name: size for name, size in kept.items() if last_use.get(name, 0) > number}
    cells = next(math.prod(_dims(value)) for value in tile.input if value.name == "land")
    return -(-most // cells)


def _with_fixed_shapes(graph: Path, side: int) -> Any:
    """Return the graph for one tile, with the shapes of all values."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for value in onnx.load(graph, load_external_data=False).graph.input:
        first, *others = value.type.tensor_type.shape.dim
        for dim, size in ((first, 1), *((other, side) for other in others)):
            if dim.dim_param:
                options.add_free_dimension_override_by_name(dim.dim_param, size)
    with tempfile.TemporaryDirectory() as scratch:
        options.optimized_model_filepath = str(Path(scratch) / "folded.onnx")
        # a file of a graph holds 2 GiB at most, and the weights may be more
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
        onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(options.optimized_model_filepath, load_external_data=False)
    del folded.graph.value_info[:]  # some shapes there are still those of the export, with names for sizes
    return onnx.shape_inference.infer_shapes(folded, data_prop=True).graph


def _dims(value: Any) -> list[int]:
    dims = value.type.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        raise ValueError(f"the shape of {value.name} is not known before the graph runs")
    return [dim.dim_value for dim in dims]


def _bytes(value: Any) -> int:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return math.prod(_dims(value)) * int(dtype.itemsize)
