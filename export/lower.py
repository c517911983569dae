"""Lower the multiplications of a float32 graph to fp16 or bf16.

Only convolutions and matrix products change type: their inputs are rounded, and their results are cast back to float32.
Everything else stays float32, so mask counts, averages, ratios, normalisation and the state are not rounded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
_MULTIPLY = {
    "fp16": {"Conv", "ConvTranspose", "Gemm", "MatMul"},
    "bf16": {"Conv", "Gemm", "MatMul"},  # TensorRT for RTX 1.7 has no transposed convolution in bf16
}


def lower(graph: Path, out: Path, precision: str) -> int:
    """Write a graph whose multiplications are in a lower precision.

    Parameters
    ----------
    graph : Path
        The float32 ONNX file; weights in a file of their own are read too.
    out : Path
        The file to write. Weights over 1.5 GiB are written to ``{name}.data`` in the same folder.
    precision : str
        ``fp16`` or ``bf16``.

    Returns
    -------
    int
        The number of multiplications that were changed.
    """
    model = onnx.load(graph)
    target_type = TYPES[precision]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    casts: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    lowered: dict[str, onnx.TensorProto] = {}
    changed = 0

    def lowered_input(name: str) -> str:
        """Return the name of the lowered tensor; add it to the graph with its first use."""
        if name in weights:
            if name not in lowered:
                values = numpy_helper.to_array(weights[name])
                lowered[name] = helper.make_tensor(
                    f"{name}_{precision}", target_type, values.shape, _to_bytes(values, precision), raw=True
                )
            return lowered[name].name
        if name not in casts:
            casts[name] = f"{name}_{precision}"
            nodes.append(helper.make_node("Cast", [name], [casts[name]], to=target_type))
        return casts[name]

    for node in model.graph.node:
        if node.op_type not in _MULTIPLY[precision] or _averages(node, weights):
            nodes.append(node)
            continue
        changed += 1
        node.input[:] = [name and lowered_input(name) for name in node.input]
        result = node.output[0]
        node.output[0] = f"{result}_{precision}"
        nodes += [node, helper.make_node("Cast", [node.output[0]], [result], to=TensorProto.FLOAT)]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend([*kept, *lowered.values()])
    large = sum(tensor.ByteSize() for tensor in model.graph.initializer) > 3 * 2**29
    onnx.save(model, out, save_as_external_data=large, location=f"{out.name}.data")
    return changed


def _averages(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    """Return whether a convolution counts or averages: a trained one has negative weights, this one has none."""
    if len(node.input) < 2 or node.input[1] not in weights:
        return False
    return bool((np.asarray(numpy_helper.to_array(weights[node.input[1]])) >= 0).all())


def _to_bytes(values: np.ndarray, precision: str) -> bytes:
    """Return values rounded to a precision, to the nearest even number, as the bytes of a tensor."""
    if precision == "fp16":
        return values.astype(np.float16).tobytes()
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()
