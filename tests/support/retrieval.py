"""A bundle of the retrieval kind whose values can be computed by hand, and a small shard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from export.folder import write_manifest
from runtime.bundle import CARD, GRAPH, RetrievalBundle, load_retrieval
from runtime.common.vocabulary import ModelKind
from runtime.demo.fusion import made_up_examples, made_up_sensors, write_shard
from runtime.manifest import NamedInput, RetrievalManifest, RetrievedOutput
from runtime.retrieval.stacks import stacked_inputs


def mean_of_vv_bundle(folder: Path, size: int = 256, inputs: Sequence[NamedInput] = ()) -> RetrievalBundle:
    """Write a bundle: half of the mean of VV / 255 in the middle 256 x 256 pixels, and half of what SMAP says."""
    folder.mkdir(parents=True)
    named = tuple(inputs) or stacked_inputs(size=size)
    first = (size - 256) // 2
    constants = {
        "starts": [first, first, 0],
        "ends": [first + 256, first + 256, 1],
        "axes": [1, 2, 3],
        "aux_start": [0],
        "aux_end": [1],
        "aux_axis": [1],
        "flat": [-1],
    }
    tensors = [helper.make_tensor(n, TensorProto.INT64, [len(v)], v) for n, v in constants.items()]
    tensors += [helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])]
    tensors += [helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5 / 255])]
    tensors += [helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("zero", 0.0), ("one", 1.0))]
    nodes = [
        helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["vv"]),
        helper.make_node("ReduceMean", ["vv", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["from_vv"]),
        helper.make_node("Slice", ["aux", "aux_start", "aux_end", "aux_axis"], ["smap"]),
        helper.make_node("Reshape", ["smap", "flat"], ["smap_flat"]),
        helper.make_node("Mul", ["smap_flat", "half"], ["from_smap"]),
        helper.make_node("ReduceMean", ["low_res_image", "axes"], ["soil"], keepdims=0),
        helper.make_node("Mul", ["soil", "zero"], ["nothing"]),
        helper.make_node("Add", ["from_vv", "from_smap"], ["both"]),
        helper.make_node("Add", ["both", "nothing"], ["sum"]),
        helper.make_node("Clip", ["sum", "zero", "one"], ["soil_moisture"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info(each.name, TensorProto.FLOAT, ["n", *each.shape]) for each in named],
        [helper.make_tensor_value_info("soil_moisture", TensorProto.FLOAT, ["n"])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / GRAPH)
    (folder / CARD).write_text("# for tests\n")
    manifest = RetrievalManifest(
        name=folder.name,
        version="1",
        kind=ModelKind.RETRIEVAL,
        batch=4,
        inputs=named,
        output=RetrievedOutput(name="soil_moisture"),
    )
    write_manifest(folder, manifest)
    return load_retrieval(folder)


def small_shard(path: Path, sensors: int = 3, times: int = 2, *, every_field: bool = False) -> Path:
    """Write a shard of made-up examples."""
    write_shard(path, made_up_examples(made_up_sensors(sensors, 1), times, 1, every_field=every_field))
    return path
