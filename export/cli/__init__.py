"""The command line ``python -m export``: one file for each command."""

from export.cli import judged, onnx, precision, retrieval, tensorrt
from export.cli.common import app

_ORDER = ("onnx", "judged", "tensorrt", "precision", "retrieval")
app.registered_commands.sort(key=lambda command: _ORDER.index(command.name or ""))

__all__ = ["app", "judged", "onnx", "precision", "retrieval", "tensorrt"]
