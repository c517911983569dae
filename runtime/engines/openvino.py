"""OpenVINO on a CPU, in float32 or bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Arrays, HostTileStates
from runtime.errors import BundleError, ConfigError


def _import_openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(f"OpenVINO cannot be imported ({error}); pip install 'seamless-sm[openvino]'") from error
    return openvino


def openvino_unavailable_reason() -> str | None:
    """Return why OpenVINO cannot run on this machine, or None if it can."""
    try:
        devices = _import_openvino().Core().available_devices
    except ConfigError as error:
        return str(error)
    return None if "CPU" in devices else "OpenVINO finds no CPU it can use"


def has_bfloat16() -> bool:
    """Return whether this CPU has bfloat16 instructions; without them bfloat16 is slower than float32."""
    return "BF16" in _import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """A graph compiled by OpenVINO for this CPU.

    Parameters
    ----------
    graph : Path
        The ONNX file.
    precision : str
        Type of the multiplications, ``fp32`` or ``bf16``. Inputs and outputs are float32 in both.
    carried : tuple of str
        Inputs and outputs that only pass from one graph to the next. In ``bf16`` they are not converted to float32:
        they are uint16 arrays with the bits of bfloat16.
    threads : int
        Threads that compute; 0 for one on each core.

    Raises
    ------
    ConfigError
        OpenVINO is missing, or this CPU has no bfloat16.
    BundleError
        OpenVINO cannot load the graph.
    """

    def __init__(self, graph: Path, precision: str = "fp32", carried: tuple[str, ...] = (), threads: int = 0) -> None:
        ov = _import_openvino()
        if precision == "bf16" and not has_bfloat16():
            raise ConfigError('model.precision = "bf16": this CPU has no bfloat16; set model.precision = "fp32"')
        self._ov = ov
        half = precision == "bf16"
        self.carried = np.dtype(np.uint16 if half else np.float32)
        self._bits = frozenset(carried if half else ())
        core = ov.Core()
        try:
            model = core.read_model(graph)
            if self._bits:
                steps = ov.preprocess.PrePostProcessor(model)
                for side, ports in ((steps.input, model.inputs), (steps.output, model.outputs)):
                    for port in ports:
                        if port.any_name in self._bits:
                            side(port.any_name).tensor().set_element_type(ov.Type.bf16)
                model = steps.build()
            self._outputs = [output.any_name for output in model.outputs]  # a compiled port may have more names
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
                    "PERFORMANCE_HINT": "LATENCY",
                    **({"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False} if threads else {}),
                },
            )
        except RuntimeError as error:
            raise BundleError(f"{graph} does not load in OpenVINO: {str(error).splitlines()[0]}") from error
        self.name = f"openvino {ov.__version__.split('-')[0]} CPU {precision}"
        self._request = compiled.create_infer_request()

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Compute one batch of tiles; the next call overwrites the returned arrays."""
        self._request.infer({name: self._tensor(name, values) for name, values in inputs.items()}, share_inputs=True)
        return {name: self._array(name) for name in self._outputs}

    def load_state(self, state: Arrays) -> HostTileStates:
        """Prepare to compute a day that starts from `state`, the state of all tiles."""
        return HostTileStates(self, state)

    def _tensor(self, name: str, values: NDArray[Any]) -> Any:
        if name in self._bits:
            values = np.ascontiguousarray(values, np.uint16)
            return self._ov.Tensor(values, self._ov.Shape(values.shape), self._ov.Type.bf16)
        return self._ov.Tensor(np.ascontiguousarray(values, np.float32), shared_memory=True)

    def _array(self, name: str) -> NDArray[Any]:
        data = self._request.get_tensor(name).data
        return np.asarray(data.view(np.uint16) if name in self._bits else data)
