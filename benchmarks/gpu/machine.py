"""The machine: what it has, which engines can run, and how fast it multiplies and copies."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from importlib import metadata

import numpy as np
import torch

from benchmarks.gpu.context import Context
from benchmarks.gpu.rows import Row, not_run
from runtime.engines import gpu
from runtime.engines.select import ENGINES, unavailable_reason

_PACKAGES = (
    *("torch", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx", "cuda-bindings"),
    *("nvidia-ml-py", "onnx", "onnxscript", "lightning-fabric", "numpy"),
)
PEAKS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The number types whose matrix peak is measured."""
COPY = "copy, GB/s read and written"
"""What the machine row of the memory bandwidth is called."""


def peak_name(precision: str) -> str:
    """Return what the machine row of a matrix peak is called."""
    return f"matrix product {precision}, TFLOP/s"


def measure_machine(context: Context) -> Iterator[Row]:
    """Yield what the machine is, and its measured peaks."""
    found = gpu.find_gpu()
    yield _fact("GPU", found if isinstance(found, str) else f"{found.name}, compute capability {found.capability}")
    if context.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        yield _fact("GPU memory, GiB", properties.total_memory / 2**30)
        yield _fact("CUDA of PyTorch", torch.version.cuda)
    yield _fact("CPU", f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    yield _fact("load of the CPU when it began, processes", os.getloadavg()[0])
    for name in _PACKAGES:
        try:
            yield _fact(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield not_run(name, "the package is not installed")
    for engine in ENGINES:
        if reason := unavailable_reason(engine):
            yield not_run(f"engine {engine}", reason)
        else:
            yield _fact(f"engine {engine}", "can run")
    for precision, dtype in PEAKS.items():
        if context.device == "cpu" and precision == "fp16":
            continue  # PyTorch emulates it
        yield _fact(peak_name(precision), matrix_peak(context, precision, dtype))
    yield _fact(COPY, copy_peak(context))


def _fact(name: str, value: str | float | None) -> Row:
    return {"what": name, "value": value}


def _least_seconds(context: Context, work: Callable[[], object], seconds: float) -> float:
    """Return the seconds of the fastest of several calls, which take about so many seconds together."""
    wait = torch.cuda.synchronize if context.device == "cuda" else lambda: None
    ends, least = time.monotonic() + seconds, float("inf")
    work()
    while True:
        wait()
        started = time.perf_counter()
        work()
        wait()
        least = min(least, time.perf_counter() - started)
        if time.monotonic() > ends:
            return least


def matrix_peak(context: Context, precision: str, dtype: torch.dtype) -> float:
    """Return the speed of a large matrix product, 1e12 FLOP/s; on a CPU the better of PyTorch and OpenVINO."""
    size = 256 if context.small else 2048 if context.device == "cpu" else 8192
    a, b = (torch.randn(size, size, device=context.device).to(dtype) for _ in range(2))
    flops = 2 * size**3
    fastest = flops / _least_seconds(context, lambda: a @ b, 1.0) / 1e12
    if context.device == "cuda":
        return fastest
    try:
        import openvino as ov
    except ImportError:
        return fastest
    x = ov.opset8.parameter([size, size], np.float32)
    model = ov.Model([ov.opset8.matmul(x, ov.opset8.constant(b.float().numpy()), False, False)], [x])
    hint = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    request = ov.Core().compile_model(model, "CPU", hint).create_infer_request()
    values = ov.Tensor(a.float().numpy())

    def product() -> None:
        request.infer([values], share_inputs=True, share_outputs=True)

    return max(fastest, flops / _least_seconds(context, product, 1.0) / 1e12)


def copy_peak(context: Context) -> float:
    """Return the speed of a copy inside the device's memory, 1e9 bytes read and written a second."""
    count = 2**22 if context.small else 2**26 if context.device == "cpu" else 2**30
    source = torch.ones(count, device=context.device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _least_seconds(context, lambda: target.copy_(source), 1.0) / 1e9
