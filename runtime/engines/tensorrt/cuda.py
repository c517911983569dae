"""Memory, copies, a stream and graphs of a CUDA device; a thin hand around ``cuda.bindings.runtime``."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineFailed


class Cuda:
    """A stream of the first GPU and everything allocated for it, which `release` gives back."""

    def __init__(self, library: Any) -> None:
        self._cuda = library
        self._call("cudaSetDevice", 0)
        self.stream: Any = self._call("cudaStreamCreate")
        self._device: list[int] = []
        self._host: list[int] = []
        self._graphs: list[Any] = []

    def _call(self, name: str, *arguments: Any) -> Any:
        code, *values = getattr(self._cuda, name)(*arguments)
        if int(code):
            text = self._cuda.cudaGetErrorString(code)[1]
            raise EngineFailed(f"CUDA: {name} failed ({text.decode() if isinstance(text, bytes) else text})")
        return values[0] if values else None

    def allocate(self, size: int) -> int:
        """Return the address of device memory, in bytes."""
        address = int(self._call("cudaMalloc", size))
        self._device.append(address)
        return address

    def free(self, address: int) -> None:
        """Give device memory back."""
        self._device.remove(address)
        self._call("cudaFree", address)

    def pinned(self, count: int) -> NDArray[np.float32]:
        """Return an array of page-locked memory, which copies to and from the device run beside computation."""
        address = int(self._call("cudaMallocHost", count * 4))
        self._host.append(address)
        return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))

    def upload(self, device: int, host: NDArray[np.float32]) -> None:
        """Queue a copy to the device."""
        self._copy(device, host.ctypes.data, host.nbytes, "cudaMemcpyHostToDevice")

    def download(self, host: NDArray[np.float32], device: int) -> None:
        """Queue a copy from the device."""
        self._copy(host.ctypes.data, device, host.nbytes, "cudaMemcpyDeviceToHost")

    def move(self, to: int, start: int, size: int) -> None:
        """Queue a copy inside the device."""
        self._copy(to, start, size, "cudaMemcpyDeviceToDevice")

    def _copy(self, to: int, start: int, size: int, kind: str) -> None:
        direction = getattr(self._cuda.cudaMemcpyKind, kind)
        self._call("cudaMemcpyAsync", to, start, size, direction, self.stream)

    def wait(self) -> None:
        """Wait for everything queued."""
        self._call("cudaStreamSynchronize", self.stream)

    def begin_capture(self) -> None:
        """Record what is queued from now on instead of doing it."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)

    def end_capture(self) -> Any:
        """Return what was recorded, ready to `launch`."""
        graph = self._call("cudaStreamEndCapture", self.stream)
        ready = self._call("cudaGraphInstantiate", graph, 0)
        self._call("cudaGraphDestroy", graph)
        self._graphs.append(ready)
        return ready

    def launch(self, graph: Any) -> None:
        """Queue a recording."""
        self._call("cudaGraphLaunch", graph, self.stream)

    def release(self) -> None:
        """Wait, and give everything back."""
        self.wait()
        while self._graphs:
            self._call("cudaGraphExecDestroy", self._graphs.pop())
        while self._device:
            self._call("cudaFree", self._device.pop())
        while self._host:
            self._call("cudaFreeHost", self._host.pop())
        self._call("cudaStreamDestroy", self.stream)
