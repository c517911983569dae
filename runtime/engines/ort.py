"""ONNX Runtime with its CPU, CUDA or TensorRT provider."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.engines import gpu
from runtime.engines.base import Arrays, HostTileStates
from runtime.errors import BundleError, ConfigError

Device = Literal["cpu", "cuda", "tensorrt"]

PROVIDERS: dict[Device, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""ONNX Runtime's names of its providers, by device."""

_TENSORRT = "libnvinfer.so.10"
"""The library that the TensorRT provider of onnxruntime-gpu links; TensorRT 11 packages do not contain it."""


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"ONNX Runtime cannot be imported ({error}); pip install 'seamless-sm[cpu]' (or [gpu] on a CUDA machine)"
        ) from error
    return onnxruntime


def ort_unavailable_reason(device: Device) -> str | None:
    """Return why a provider cannot run on this machine, or None if no reason is known."""
    try:
        offered = _import_onnxruntime().get_available_providers()
    except ConfigError as error:
        return str(error)
    if device == "cpu":
        return None
    found = gpu.find_gpu()
    if isinstance(found, str):
        return found
    if PROVIDERS[device] not in offered:
        return (
            f"the installed ONNX Runtime has no {PROVIDERS[device]}; pip install 'seamless-sm[gpu]' in an environment "
            "without onnxruntime"
        )
    if device == "tensorrt":
        try:
            ctypes.CDLL(_TENSORRT)
        except OSError:
            return f"ONNX Runtime's TensorRT provider needs {_TENSORRT}, which does not load; install TensorRT 10"
    return None


class OrtEngine:
    """A graph that ONNX Runtime computes.

    Parameters
    ----------
    graph : Path
        The ONNX file.
    device : str
        ``cpu``, ``cuda`` or ``tensorrt``.
    cache : Path, optional
        Folder where the TensorRT provider keeps its engines and timings.
    precision : str
        Type of the graph's multiplications; used for `name` and for the TensorRT provider.
    threads : int
        Threads that compute on a CPU; 0 for one on each core.
    keeps_memory : bool
        Whether memory of the CPU that one layer has freed is kept for the next ones, until the engine is closed.
        Large values would otherwise cost a page fault for every 4 KiB, each time.

    Raises
    ------
    ConfigError
        ONNX Runtime is missing, or it does not use the requested provider. (ONNX Runtime itself changes to the CPU
        without any message.)
    BundleError
        ONNX Runtime cannot load the graph.
    """

    def __init__(
        self,
        graph: Path,
        device: Device = "cpu",
        cache: Path | None = None,
        precision: str = "fp32",
        threads: int = 0,
        *,
        keeps_memory: bool = True,
    ) -> None:
        ort = _import_onnxruntime()
        missing = ort_unavailable_reason(device)
        if missing:
            raise ConfigError(f'model.engine = "{device}": {missing}; or set model.engine = "cpu"')
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.enable_cpu_mem_arena = keeps_memory
        options.enable_mem_pattern = False
        if graph.with_name(graph.name + ".data").exists():
            # Packing copies every weight: for the published sizes 4 GB instead of 2 GB, for a few per cent of speed.
            options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            self._session = ort.InferenceSession(str(graph), options, providers=providers(device, cache, precision))
        except Exception as error:  # the errors of ONNX Runtime have no common class
            raise BundleError(f"{graph} does not load in ONNX Runtime: {str(error).splitlines()[0]}") from error
        used = self._session.get_providers()
        if used[0] != PROVIDERS[device]:
            raise ConfigError(
                f'model.engine = "{device}", but ONNX Runtime gave {", ".join(used)}: its libraries do not load on '
                'this machine; `runtime doctor` says more, or set model.engine = "cpu"'
            )
        provider = PROVIDERS[device].removesuffix("ExecutionProvider")
        self.name = f"onnxruntime {ort.__version__} {provider} {precision}"
        self.carried = np.dtype(np.float32)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._on_device = device != "cpu"

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Compute one batch of tiles."""
        arrays = {name: np.ascontiguousarray(values, np.float32) for name, values in inputs.items()}
        if not self._on_device:
            return dict(zip(self._outputs, self._compute(arrays), strict=True))
        binding = self._session.io_binding()
        for name, values in arrays.items():
            binding.bind_cpu_input(name, values)
        for name in self._outputs:
            binding.bind_output(name, "cuda")
        self._session.run_with_iobinding(binding)
        return dict(zip(self._outputs, binding.copy_outputs_to_cpu(), strict=True))

    def _compute(self, arrays: Arrays) -> list[NDArray[Any]]:
        try:
            outputs: list[NDArray[Any]] = self._session.run(self._outputs, arrays)
        except Exception as error:  # the errors of ONNX Runtime have no common class
            if "bad_alloc" in str(error):
                raise MemoryError("ONNX Runtime") from error
            raise
        return outputs

    def load_state(self, state: Arrays) -> HostTileStates:
        """Prepare to compute a day that starts from `state`, the state of all tiles."""
        return HostTileStates(self, state)


def providers(device: Device, cache: Path | None, precision: str = "fp32") -> list[tuple[str, dict[str, str]]]:
    """Return the providers of a session and their options.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda`` or ``tensorrt``.
    cache : Path, optional
        Folder where the TensorRT provider keeps its engines and timings.
    precision : str
        Type of the multiplications.

    Returns
    -------
    list of (str, dict)
        The requested provider first, then those that compute the operations it cannot.
    """
    cpu: tuple[str, dict[str, str]] = PROVIDERS["cpu"], {}
    cuda = PROVIDERS["cuda"], {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}
    if device == "cpu":
        return [cpu]
    if device == "cuda":
        return [cuda, cpu]
    options = {f"trt_{kind}_enable": str(int(kind == precision)) for kind in ("fp16", "bf16")}
    if cache:
        cache.mkdir(parents=True, exist_ok=True)
        folder = str(cache)
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": folder,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": folder,
            "trt_dump_ep_context_model": "1",
            "trt_ep_context_file_path": folder,
        }
    return [(PROVIDERS["tensorrt"], options), cuda, cpu]
