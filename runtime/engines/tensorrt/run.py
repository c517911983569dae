"""Run a TensorRT engine on its GPU; buffers, CUDA graphs and the network's state stay on the device."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Arrays
from runtime.engines.tensorrt.cuda import Cuda
from runtime.engines.tensorrt.library import tensorrt_logger
from runtime.engines.tensorrt.store import EngineRecord, Shape
from runtime.errors import EngineFailed


@dataclass(frozen=True)
class _Buffer:
    """Memory for the largest shape of an input or output."""

    device: int
    """Address on the device."""
    host: NDArray[np.float32] | None
    """Page-locked memory of the machine; None for state, which stays on the device."""


class TensorRtEngine:
    """An engine on the GPU.

    Buffers are allocated once, for the largest shapes of the profile. For each shape, the first run is queued call by
    call. The second run is recorded as a CUDA graph (copy the inputs, compute, copy the outputs), and later runs launch
    that graph.

    Parameters
    ----------
    trt : module
        TensorRT in the engine's flavour.
    cuda : module
        The module ``cuda.bindings.runtime``.
    plan : bytes
        The serialised engine.
    record : EngineRecord
        How the engine was built, with the largest shapes.
    state : tuple of str
        Inputs that are state; the output for the input ``x`` is called ``x_out``.

    Raises
    ------
    EngineFailed
        TensorRT cannot load the engine, or CUDA failed.
    """

    def __init__(self, trt: Any, cuda: Any, plan: bytes, record: EngineRecord, state: tuple[str, ...] = ()) -> None:
        self.carried = np.dtype(np.float32)
        key = record.key
        self.name = f"{key.flavour} {key.version} {key.target} {key.precision}"
        self.state = state
        self.device = Cuda(cuda)
        self.close = weakref.finalize(self, self.device.release)
        self._log = tensorrt_logger(trt)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            reason = self._log.errors[-1] if self._log.errors else "no reason given"
            raise EngineFailed(f"{key.folder}: TensorRT does not load this engine ({reason}); build it again")
        self._context = self._engine.create_execution_context()
        self._inputs = [name for name in record.inputs if name not in state]
        state_outputs = {f"{name}_out" for name in state}
        self._outputs = [name for name in record.outputs if name not in state_outputs]
        self._shapes: tuple[tuple[str, Shape], ...] = ()
        self._graphs: dict[tuple[tuple[str, Shape], ...], Any] = {}
        self._set_shapes({name: shapes[2] for name, shapes in key.profile.items()})
        on_device_only = state_outputs.union(state)
        self._buffers = {name: self._buffer(name, name not in on_device_only) for name in self._tensor_names()}

    def _tensor_names(self) -> list[str]:
        return [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]

    def _buffer(self, name: str, on_host: bool) -> _Buffer:
        count = math.prod(self._context.get_tensor_shape(name))
        buffer = _Buffer(self.device.allocate(count * 4), self.device.pinned(count) if on_host else None)
        self._context.set_tensor_address(name, buffer.device)
        return buffer

    def _set_shapes(self, shapes: dict[str, Shape]) -> None:
        wanted = tuple(sorted(shapes.items()))
        if wanted == self._shapes:
            return
        for name, shape in wanted:
            if not self._context.set_input_shape(name, shape):
                raise EngineFailed(f"{self.name}: input {name} cannot have shape {shape}; build it for larger tiles")
        if missing := self._context.infer_shapes():
            raise EngineFailed(f"{self.name}: TensorRT has no shape for {', '.join(missing)}")
        self._shapes = wanted

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Compute one batch of tiles; the next call overwrites the returned arrays."""
        if not self.state:
            return self._run(inputs)
        memory = self.load_state({name: inputs[name] for name in self.state})
        others = {name: values for name, values in inputs.items() if name not in self.state}
        out = memory.run(others, slice(0, len(next(iter(inputs.values())))))
        return out | {f"{name}_out": values for name, values in memory.after().items()}

    def _run(self, inputs: Arrays, state: dict[str, Shape] | None = None) -> dict[str, NDArray[Any]]:
        """Compute a batch whose state, if any, is already in the engine's buffers."""
        self._set_shapes({name: values.shape for name, values in inputs.items()} | (state or {}))
        for name in self._inputs:
            np.copyto(self._on_host(name), np.asarray(inputs[name], np.float32))
        self._launch()
        self.device.wait()
        return {name: self._on_host(name) for name in self._outputs}

    def _launch(self) -> None:
        if self._shapes in self._graphs:
            graph = self._graphs[self._shapes]
            if graph is None:
                self.device.begin_capture()
                self._queue()
                graph = self._graphs[self._shapes] = self.device.end_capture()
            self.device.launch(graph)
        else:  # on the first run of a shape TensorRT does preparations that cannot be recorded
            self._queue()
            self._graphs[self._shapes] = None

    def _queue(self) -> None:
        for name in self._inputs:
            self.device.upload(self._buffers[name].device, self._on_host(name))
        if not self._context.execute_async_v3(int(self.device.stream)):
            raise EngineFailed(f"{self.name}: TensorRT did not run the batch")
        for name in self._outputs:
            self.device.download(self._on_host(name), self._buffers[name].device)

    def _on_host(self, name: str) -> NDArray[np.float32]:
        shape = tuple(self._context.get_tensor_shape(name))
        host = self._buffers[name].host
        assert host is not None, name
        return host[: math.prod(shape)].reshape(shape)

    def load_state(self, state: Arrays) -> DeviceTileStates:
        """Prepare to compute a day that starts from `state`, the state of all tiles: copy it to the device."""
        return DeviceTileStates(self, state)


class DeviceTileStates:
    """The state of all tiles on the device: copied there before a day is computed, and back after it."""

    def __init__(self, engine: TensorRtEngine, state: Arrays) -> None:
        self._engine, self._device = engine, engine.device
        self._state = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in state.items()}
        self._before = {name: self._device.allocate(tensor.nbytes) for name, tensor in self._state.items()}
        self._after = {name: self._device.allocate(tensor.nbytes) for name, tensor in self._state.items()}
        for name, tensor in self._state.items():
            self._device.upload(self._before[name], tensor)

    def run(self, inputs: Arrays, tiles: slice) -> dict[str, NDArray[Any]]:
        """Compute the tiles of a slice and update their state; return the outputs that are not state."""
        engine, count = self._engine, tiles.stop - tiles.start
        shapes = {name: (count, *tensor.shape[1:]) for name, tensor in self._state.items()}
        for name, shape in shapes.items():
            size = math.prod(shape[1:]) * 4
            self._device.move(engine._buffers[name].device, self._before[name] + tiles.start * size, count * size)
        out = engine._run(inputs, shapes)
        for name, shape in shapes.items():
            size = math.prod(shape[1:]) * 4
            target = self._after[name] + tiles.start * size
            self._device.move(target, engine._buffers[f"{name}_out"].device, count * size)
        return out

    def after(self) -> dict[str, NDArray[np.float32]]:
        """Return the state of all tiles after the day, and free its memory on the device."""
        after = {name: np.empty_like(tensor) for name, tensor in self._state.items()}
        for name, tensor in after.items():
            self._device.download(tensor, self._after[name])
        self._device.wait()
        for address in (*self._before.values(), *self._after.values()):
            self._device.free(address)
        self._before, self._after = {}, {}
        return after
