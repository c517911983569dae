"""TensorRT's two flavours: a name in, the Python module out, or what is missing."""

from __future__ import annotations

import importlib
from typing import Any, Literal, get_args

from runtime.engines import gpu
from runtime.engines.gpu import Gpu
from runtime.errors import ConfigError

Flavour = Literal["tensorrt", "tensorrt-rtx"]
"""TensorRT proper, whose engines belong to the GPU they were built on; TensorRT for RTX, built for a capability."""

FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)


def load_tensorrt(flavour: Flavour) -> Any:
    """Import a flavour.

    Raises
    ------
    ConfigError
        It is not installed, or its libraries do not load.
    """
    try:
        return importlib.import_module(flavour.replace("-", "_"))
    except (ImportError, OSError) as error:
        raise ConfigError(f"{flavour} cannot be imported ({error}); pip install 'seamless-sm[{flavour}]'") from error


def tensorrt_logger(trt: Any) -> Any:
    """Return a logger that keeps TensorRT's errors, in `said`, for a message of ours.

    Building without a GPU reports errors of the driver that do no harm.
    """

    class TensorRtLogger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.said.append(message)

    return TensorRtLogger()


def load_cuda() -> Any:
    """Import the CUDA runtime's Python bindings.

    Raises
    ------
    ConfigError
        They are not installed.
    """
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except (ImportError, OSError) as error:
        raise ConfigError(f"cuda-bindings cannot be imported ({error}); pip install cuda-bindings") from error


def installed() -> list[Flavour]:
    """Return the flavours that can be imported, TensorRT proper first."""
    found = []
    for flavour in FLAVOURS:
        try:
            load_tensorrt(flavour)
        except ConfigError:
            continue
        found.append(flavour)
    return found


def tensorrt_unavailable_reason() -> str | None:
    """Return what keeps TensorRT from running on this machine, None if nothing is known to."""
    found = gpu.find_gpu()
    if isinstance(found, str):
        return found
    if not installed():
        return "neither tensorrt nor tensorrt-rtx can be imported; pip install 'seamless-sm[tensorrt-rtx]'"
    try:
        load_cuda()
    except ConfigError as error:
        return str(error)
    return None


def local_target(flavour: Flavour, device: Gpu) -> str:
    """Return what an engine for this GPU is built for: its compute capability, and for TensorRT proper its model."""
    capability = f"sm{device.capability[0]}{device.capability[1]}"
    return capability if flavour == "tensorrt-rtx" else f"{capability} {device.name}"
