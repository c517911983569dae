"""Memory, copies, a stream and graphs of a CUDA device, through ``cuda.bindings.runtime``."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineFailed


class Cuda:
    """A stream of the first GPU, and everything allocated for it; `release` frees all of it."""

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
        """Allocate `size` bytes of device memory, and return the address."""
        address = int(self._call("cudaMalloc", size))
        self._device.append(address)
        return address

    def free(self, address: int) -> None:
        """Free device memory."""
        self._device.remove(address)
        self._call("cudaFree", address)

    def pinned(self, count: int) -> NDArray[np.float32]:
        """Return a float32 array in page-locked memory, which can be copied while the GPU computes."""
        address = int(self._call("cudaMallocHost", count * 4))
        self._host.append(address)
        return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))

    def upload(self, device: int, host: NDArray[np.float32]) -> None:
        """Queue a copy to the device."""
        self._copy(device, host.ctypes.data, host.nbytes, "cudaMemcpyHostToDevice")

    def download(self, host: NDArray[np.float32], device: int) -> None:
        """Queue a copy from the device."""
        self._copy(host.ctypes.data, device, host.nbytes, "cudaMemcpyDeviceToHost")

    def move(self, target: int, source: int, size: int) -> None:
        """Queue a copy of `size` bytes from one address of the device to another."""
        self._copy(target, source, size, "cudaMemcpyDeviceToDevice")

    def _copy(self, target: int, source: int, size: int, kind: str) -> None:
        direction = getattr(self._cuda.cudaMemcpyKind, kind)
        self._call("cudaMemcpyAsync", target, source, size, direction, self.stream)

    def wait(self) -> None:
        """Wait until everything that was queued is done."""
        self._call("cudaStreamSynchronize", self.stream)

    def begin_capture(self) -> None:
        """From now on record what is queued, instead of doing it."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)

    def end_capture(self) -> Any:
        """Stop recording, and return the recorded graph, which `launch` takes."""
        graph = self._call("cudaStreamEndCapture", self.stream)
        ready = self._call("cudaGraphInstantiate", graph, 0)
        self._call("cudaGraphDestroy", graph)
        self._graphs.append(ready)
        return ready

    def launch(self, graph: Any) -> None:
        """Queue a recorded graph."""
        self._call("cudaGraphLaunch", graph, self.stream)

    def release(self) -> None:
        """Wait until everything is done, then free all memory, graphs and the stream."""
        self.wait()
        while self._graphs:
            self._call("cudaGraphExecDestroy", self._graphs.pop())
        while self._device:
            self._call("cudaFree", self._device.pop())
        while self._host:
            self._call("cudaFreeHost", self._host.pop())
        self._call("cudaStreamDestroy", self.stream)
