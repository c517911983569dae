"""ONNX Runtime, on its CPU, CUDA or TensorRT provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines import Arrays
from runtime.errors import BundleError, ConfigError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def _import() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"ONNX Runtime cannot be imported ({error}); pip install 'seamless-sm[cpu]' (or [gpu] on a CUDA machine)"
        ) from error
    return onnxruntime


def available() -> dict[str, bool]:
    """Return, for each engine name, whether the installed ONNX Runtime was built with it."""
    offered = _import().get_available_providers()
    return {name: provider in offered for name, provider in PROVIDERS.items()}


def best_available() -> str:
    """Return the fastest engine that opens on this machine."""
    offered = available()
    return "cuda" if offered["cuda"] and Path("/dev/nvidiactl").exists() else "cpu"


class OrtEngine:
    """A graph in an ONNX Runtime session.

    Raises
    ------
    ConfigError
        ONNX Runtime is missing, or the session did not get the provider that was asked for. ONNX Runtime itself falls
        back to the CPU without a word.
    BundleError
        The graph does not load.
    """

    def __init__(self, graph: Path, engine: str = "cpu", threads: int = 0) -> None:
        ort = _import()
        wanted = PROVIDERS[engine]
        if wanted not in ort.get_available_providers():
            raise ConfigError(
                f"model.engine = {engine!r}, but the installed ONNX Runtime has no {wanted}; "
                "pip install 'seamless-sm[gpu]' in an environment without onnxruntime, or set model.engine = \"cpu\""
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Tiles differ in shape and number from graph to graph; the arena would keep the largest of everything.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        if graph.with_name(graph.name + ".data").exists():
            # Packing copies every weight: at paper size twice two gigabytes for a few per cent of speed.
            options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            self._session = ort.InferenceSession(str(graph), options, providers=[wanted])
        except Exception as error:  # ONNX Runtime raises its own untyped errors
            raise BundleError(f"{graph} does not load in ONNX Runtime: {str(error).splitlines()[0]}") from error
        got = self._session.get_providers()
        if got[0] != wanted:
            raise ConfigError(
                f"model.engine = {engine!r}, but ONNX Runtime gave {', '.join(got)}: its libraries do not load on this "
                'machine; `runtime doctor` says more, or set model.engine = "cpu"'
            )
        self.name = f"onnxruntime {ort.__version__} {wanted.removesuffix('ExecutionProvider')}"
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Run one batch of tiles."""
        values = self._session.run(self._outputs, {k: np.ascontiguousarray(v, np.float32) for k, v in inputs.items()})
        return dict(zip(self._outputs, values, strict=True))
