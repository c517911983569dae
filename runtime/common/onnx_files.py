"""Which files an ONNX graph takes its weights from, read without the ONNX package, which the runtime does not need."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Model": {"graph": (7, "Graph"), "training_info": (20, "Training*"), "functions": (25, "Function*")},
    "Training": {"initialization": (1, "Graph"), "algorithm": (2, "Graph")},
    "Graph": {"node": (1, "Node*"), "initializer": (5, "Tensor*"), "sparse_initializer": (15, "Sparse*")},
    "Function": {"node": (7, "Node*"), "attribute_proto": (11, "Attribute*")},
    "Node": {"attribute": (5, "Attribute*")},
    "Attribute": {
        "t": (5, "Tensor"),
        "g": (6, "Graph"),
        "tensors": (10, "Tensor*"),
        "graphs": (11, "Graph*"),
        "sparse_tensor": (22, "Sparse"),
        "sparse_tensors": (23, "Sparse*"),
    },
    "Sparse": {"values": (1, "Tensor"), "indices": (2, "Tensor")},
    "Tensor": {"external_data": (13, "Entry*")},
    "Entry": {"key": (1, "bytes"), "value": (2, "bytes")},
}
"""The messages of ``onnx.proto`` on the way to external data: number and type of each field; ``*``: repeated."""


def external_files(graph: Path) -> set[str]:
    """Return the locations of the files outside an ONNX file that hold its weights, as the graph writes them.

    Parameters
    ----------
    graph : Path
        The ONNX file.

    Returns
    -------
    set of str
        Paths relative to the graph's folder, if the graph is a sound one.

    Raises
    ------
    ValueError
        The file is no ONNX graph.
    OSError
        The file cannot be read.
    """
    model = _model_class()()
    try:
        model.ParseFromString(graph.read_bytes())
    except (DecodeError, RecursionError) as error:
        raise ValueError("it is no ONNX graph") from error
    return {
        entry.value.decode(errors="replace")
        for tensor in _tensors(model)
        for entry in tensor.external_data
        if entry.key == b"location"
    }


def _tensors(message: Any) -> Iterator[Any]:
    """Yield all tensors inside a message."""
    waiting = [message]
    while waiting:
        message = waiting.pop()
        if message.DESCRIPTOR.name == "Tensor":
            yield message
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting += [value] if hasattr(value, "ListFields") else value


@cache
def _model_class() -> Any:
    """Return the class of the message ``Model``; fields that it does not know are passed over."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="onnx_files.proto", package="onnx_files", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = kinds.LABEL_REPEATED if kind.endswith("*") else kinds.LABEL_OPTIONAL
            if kind == "bytes":
                message.field.add(name=field, number=number, label=label, type=kinds.TYPE_BYTES)
            else:
                type_name = f".onnx_files.{kind.rstrip('*')}"
                message.field.add(name=field, number=number, label=label, type=kinds.TYPE_MESSAGE, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("onnx_files.Model"))
