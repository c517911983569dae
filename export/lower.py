"""A float32 graph in, the same graph with its multiplications in fp16 or bf16 out.

Only convolutions and matrix products change type: their inputs are rounded on the way in, what they give is float32
again. Everything between stays float32, so that mask counts, ratios, normalisation and the state lose nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
_MULTIPLY = {
    "fp16": {"Conv", "ConvTranspose", "Gemm", "MatMul"},
    "bf16": {"Conv", "Gemm", "MatMul"},  # TensorRT for RTX 1.7 builds no transposed convolution in bf16
}


def lower(graph: Path, out: Path, precision: str) -> int:
    """Write a graph whose multiplications are in a lower precision; return how many were changed.

    Parameters
    ----------
    graph : Path
        The float32 ONNX file; weights beside it are read, too.
    out : Path
        The file to write; weights over 1.5 GiB go beside it, into ``{name}.data``.
    precision : str
        ``fp16`` or ``bf16``.
    """
    model = onnx.load(graph)
    kind = TYPES[precision]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    casts: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    lowered: dict[str, onnx.TensorProto] = {}
    changed = 0

    def rounded(name: str) -> str:
        if name in weights:
            if name not in lowered:
                values = numpy_helper.to_array(weights[name])
                lowered[name] = helper.make_tensor(
                    f"{name}_{precision}", kind, values.shape, _bytes(values, precision), raw=True
                )
            return lowered[name].name
        if name not in casts:
            casts[name] = f"{name}_{precision}"
            nodes.append(helper.make_node("Cast", [name], [casts[name]], to=kind))
        return casts[name]

    for node in model.graph.node:
        if node.op_type not in _MULTIPLY[precision] or _counts(node, weights):
            nodes.append(node)
            continue
        changed += 1
        node.input[:] = [name and rounded(name) for name in node.input]
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


def _counts(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    """Whether a convolution counts mask cells: its weights are ones."""
    return len(node.input) > 1 and node.input[1] in weights and bool((_array(weights[node.input[1]]) == 1).all())


def _array(tensor: onnx.TensorProto) -> np.ndarray:
    return np.asarray(numpy_helper.to_array(tensor))


def _bytes(values: np.ndarray, precision: str) -> bytes:
    if precision == "fp16":
        return values.astype(np.float16).tobytes()
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()
