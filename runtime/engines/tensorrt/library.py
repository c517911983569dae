"""Import the two flavours of TensorRT, or say what is missing."""

from __future__ import annotations

import importlib
from typing import Any, Literal, get_args

from runtime.engines import gpu
from runtime.engines.gpu import Gpu
from runtime.errors import ConfigError

Flavour = Literal["tensorrt", "tensorrt-rtx"]
"""Which TensorRT.

Engines of ``tensorrt`` run only on the GPU model they were built on. Engines of ``tensorrt-rtx`` run on every GPU of
one compute capability.
"""

FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)
"""Both flavours, the preferred one first."""


def load_tensorrt(flavour: Flavour) -> Any:
    """Import a flavour of TensorRT.

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
    """Return a logger that collects TensorRT's errors in the list ``errors`` and prints nothing.

    On a machine without a GPU, TensorRT reports driver errors during a build that have no effect.
    """

    class TensorRtLogger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

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
    """Return the flavours that can be imported, the preferred one first."""
    found = []
    for flavour in FLAVOURS:
        try:
            load_tensorrt(flavour)
        except ConfigError:
            continue
        found.append(flavour)
    return found


def tensorrt_unavailable_reason() -> str | None:
    """Return why TensorRT cannot run on this machine, or None if no reason is known."""
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
    """Return what an engine for this GPU must be built for: its compute capability, for ``tensorrt`` also its model."""
    capability = f"sm{device.capability[0]}{device.capability[1]}"
    return capability if flavour == "tensorrt-rtx" else f"{capability} {device.name}"
