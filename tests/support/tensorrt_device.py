"""A simulated GPU: record and check the calls of TensorRT and CUDA, and compute the network with ONNX Runtime.

Device memory is bytes under addresses that no process has; whatever is queued on the stream happens at the next wait,
so that a copy too late, a buffer reused too early or a read before the wait gives wrong numbers, as on a GPU.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from typing import Any

import numpy as np

from runtime.bundle import Bundle
from runtime.engines.ort import OrtEngine

_DEVICE = 1 << 56


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


class FakeCuda:
    """The functions of ``cuda.bindings.runtime`` that the engine calls."""

    cudaMemcpyKind = cudaMemcpyKind
    cudaStreamCaptureMode = cudaStreamCaptureMode

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.device: dict[int, bytearray] = {}
        self.host: dict[int, Any] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.streams: set[int] = set()
        self.queue: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None
        self.fail_at: str | None = None
        self._next = _DEVICE
        self._number = 0

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if not name.startswith("cuda") or isinstance(value, type):
            return value

        def called(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            if name == self.fail_at:
                return (2,)
            return value(*arguments)

        return called

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def submit(self, work: Callable[[], None]) -> None:
        (self.queue if self.recording is None else self.recording).append(work)

    def memory(self, address: int, size: int) -> memoryview:
        for start, data in self.device.items():
            if start <= address and address + size <= start + len(data):
                return memoryview(data)[address - start : address - start + size]
        raise AssertionError(f"{size} bytes at {address:#x} lie in no device memory")

    def _bytes(self, address: int, size: int, on_device: bool) -> Any:
        assert (address >= _DEVICE) == on_device, "a host address for a device one, or the other way round"
        return self.memory(address, size) if on_device else (ctypes.c_char * size).from_address(address)

    def cudaSetDevice(self, number: int) -> tuple[int]:
        assert number == 0
        return (0,)

    def cudaStreamCreate(self) -> tuple[int, int]:
        self._number += 1
        self.streams.add(self._number)
        return 0, self._number

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        assert not self.queue, "work is still queued"
        self.streams.remove(stream)
        return (0,)

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        assert self.recording is None, "memory must not be allocated while recording"
        self._next += 1 << 40
        self.device[self._next] = bytearray(b"\xff" * size)  # NaN until it is written
        return 0, self._next

    def cudaFree(self, address: int) -> tuple[int]:
        assert not self.queue, "memory is given back while work is queued"
        del self.device[address]
        return (0,)

    def cudaMallocHost(self, size: int) -> tuple[int, int]:
        buffer = ctypes.create_string_buffer(b"\xff" * size, size)
        address = ctypes.addressof(buffer)
        self.host[address] = buffer
        return 0, address

    def cudaFreeHost(self, address: int) -> tuple[int]:
        del self.host[address]
        return (0,)

    def cudaMemcpyAsync(self, to: int, start: int, size: int, kind: cudaMemcpyKind, stream: int) -> tuple[int]:
        assert stream in self.streams
        to_device, from_device = kind != cudaMemcpyKind.cudaMemcpyDeviceToHost, kind != 1
        self._bytes(to, size, to_device), self._bytes(start, size, from_device)

        def copy() -> None:
            data = bytes(self._bytes(start, size, from_device))
            memoryview(self._bytes(to, size, to_device)).cast("B")[:] = data

        self.submit(copy)
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        assert self.recording is None, "waiting while recording"
        assert stream in self.streams
        for work in self.queue:
            work()
        self.queue.clear()
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: cudaStreamCaptureMode) -> tuple[int]:
        assert self.recording is None
        self.recording = []
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, int]:
        assert self.recording, "nothing was recorded"
        self._number += 1
        self.graphs[self._number], self.recording = self.recording, None
        return 0, self._number

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[int, int]:
        self._number += 1
        self.graphs[self._number] = self.graphs[graph]
        return 0, self._number

    def cudaGraphDestroy(self, graph: int) -> tuple[int]:
        del self.graphs[graph]
        return (0,)

    def cudaGraphExecDestroy(self, graph: int) -> tuple[int]:
        del self.graphs[graph]
        return (0,)

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[int]:
        self.queue += self.graphs[graph]
        return (0,)

    def cudaGetErrorString(self, code: int) -> tuple[int, bytes]:
        return 0, b"out of memory"


class FakeTensorRt:
    """TensorRT with a simulated runtime; building an engine is done by the real library."""

    def __init__(self, real: Any, bundle: Bundle, cuda: FakeCuda) -> None:
        self._real, self.bundle, self.cuda = real, bundle, cuda
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.wrong = 0.0
        """Added to every value of the first output."""
        self.loads = True
        self.deserialised: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def Runtime(self, logger: Any) -> _Runtime:
        return _Runtime(self)


class _Written:
    """Record the calls of its methods."""

    kind = ""

    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name.startswith("_") or not callable(value) or name == "trt":
            return value

        def called(*arguments: Any) -> Any:
            self.trt.calls.append((type(self).kind, name, arguments))
            return value(*arguments)

        return called


class _Runtime(_Written):
    kind = "Runtime"

    def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
        self.trt.deserialised.append(plan)
        return _Engine(self.trt) if self.trt.loads else None


class _Engine(_Written):
    kind = "ICudaEngine"

    def __init__(self, trt: FakeTensorRt) -> None:
        super().__init__(trt)
        self._ort = OrtEngine(trt.bundle.graph)
        self._inputs = [value.name for value in self._ort._session.get_inputs()]
        self._outputs = self._ort._outputs

    @property
    def num_io_tensors(self) -> int:
        return len(self._inputs) + len(self._outputs)

    def get_tensor_name(self, number: int) -> str:
        return (self._inputs + self._outputs)[number]

    def create_execution_context(self) -> _Context:
        return _Context(self.trt, self)


class _Context(_Written):
    kind = "IExecutionContext"

    def __init__(self, trt: FakeTensorRt, engine: _Engine) -> None:
        super().__init__(trt)
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name in self._engine._inputs
        self._shapes[name] = tuple(shape)
        return True

    def infer_shapes(self) -> list[str]:
        missing = [name for name in self._engine._inputs if name not in self._shapes]
        if not missing:
            inputs = {name: np.zeros(self._shapes[name], np.float32) for name in self._engine._inputs}
            self._shapes |= {name: values.shape for name, values in self._engine._ort.run(inputs).items()}
        return missing

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, cuda = self._engine, self.trt.cuda
        assert stream_handle in cuda.streams, "the default stream, or none"
        shapes = dict(self._shapes)
        assert self._addresses.keys() == set(engine._inputs + engine._outputs), "a tensor without an address"

        def compute() -> None:
            def at(name: str) -> np.ndarray:
                memory = cuda.memory(self._addresses[name], int(np.prod(shapes[name])) * 4)
                return np.frombuffer(memory, np.float32).reshape(shapes[name])

            for name, values in engine._ort.run({name: at(name) for name in engine._inputs}).items():
                at(name)[:] = values + self.trt.wrong * (name == engine._outputs[0])

        cuda.submit(compute)
        return True
