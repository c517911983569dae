"""The command line ``python -m export``: one file for each command."""

from export.cli import import_tf, judged, onnx, precision, retrieval, tensorrt
from export.cli.common import app

_ORDER = ("onnx", "judged", "tensorrt", "precision", "retrieval", "import-tf")
app.registered_commands.sort(key=lambda command: _ORDER.index(command.name or ""))

__all__ = ["app", "import_tf", "judged", "onnx", "precision", "retrieval", "tensorrt"]
