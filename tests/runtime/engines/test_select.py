"""Which engine is chosen, and the reasons given for those that are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.bundle import Bundle, find_bundle, load_bundle
from runtime.engines import gpu
from runtime.engines.base import Staged
from runtime.engines.gpu import Gpu, find_gpu
from runtime.engines.openvino import OpenVinoEngine, openvino_unavailable_reason
from runtime.engines.ort import PROVIDERS, OrtEngine, providers
from runtime.engines.select import ChosenEngine, EngineSettings, choose_engine, open_engine
from runtime.errors import BundleError, ConfigError
from runtime.fill.fit import require_fit

GPU = Gpu("NVIDIA RTX A4000", (8, 6))


@pytest.fixture(scope="module")
def recurrent() -> Bundle:
    return load_bundle(find_bundle("sgdsm2-amsr2-x"))


@pytest.fixture(scope="module")
def window() -> Bundle:
    return load_bundle(find_bundle("seamless-amsr2-x"))


@pytest.fixture(scope="module")
def in_stages() -> Bundle:
    return load_bundle(find_bundle("sgdsm1-amsr2-x"))


def test_onnx_runtime_is_told_to_report_nothing_before_it_is_loaded() -> None:
    code = "import os, runtime, sys; print('onnxruntime' in sys.modules, os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "1"], done.stderr


def test_a_driver_that_is_not_there() -> None:
    assert find_gpu("libnosuchcuda.so.1") == "no NVIDIA driver (libnosuchcuda.so.1 is not on this machine)"


def test_what_the_driver_says_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        """Answers as the driver's library: 0, and the result where the first pointer points."""

        def cuInit(self, flags: int) -> int:
            return flags

        def cuDeviceGetCount(self, count: Any) -> int:
            count._obj.value = 1
            return 0

        def cuDeviceGetName(self, name: Any, length: int, device: int) -> int:
            name.value = b"NVIDIA RTX A4000"[:length]
            return device

        def cuDeviceGetAttribute(self, value: Any, attribute: int, device: int) -> int:
            value._obj.value = {75: 8, 76: 6}[attribute]
            return device

        def cuDeviceTotalMem_v2(self, size: Any, device: int) -> int:
            size._obj.value = 16 * 2**30
            return device

    monkeypatch.setattr("ctypes.CDLL", lambda library: Driver())
    assert find_gpu() == Gpu("NVIDIA RTX A4000", (8, 6), 16 * 2**30)


def test_auto_falls_back_and_names_each_reason(
    window: Bundle, in_stages: Bundle, recurrent: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "find_gpu", lambda: "no GPU")
    assert choose_engine(in_stages, EngineSettings()) == ChosenEngine("openvino", "tensorrt and cuda: no GPU")
    for whole in (window, recurrent):
        assert choose_engine(whole, EngineSettings()) == ChosenEngine("cpu", "tensorrt and cuda: no GPU")
    assert choose_engine(window, EngineSettings(precision="bf16")).engine == "openvino"
    monkeypatch.setitem(sys.modules, "openvino", None)
    chosen = choose_engine(in_stages, EngineSettings())
    assert chosen.engine == "cpu"
    assert chosen.why.startswith("tensorrt and cuda: no GPU; openvino: OpenVINO cannot be imported")
    assert "pip install 'seamless-sm[openvino]'" in chosen.why
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"finds no engine: .*cpu: ONNX Runtime cannot be imported"):
        choose_engine(in_stages, EngineSettings())


def test_a_gpu_without_the_library_for_it(window: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU but ONNX Runtime for the CPU, `auto` takes another engine, and `cuda` says what to install."""
    monkeypatch.setattr(gpu, "find_gpu", lambda: GPU)
    assert choose_engine(window, EngineSettings()).engine == "cpu"
    with pytest.raises(ConfigError, match=r'model.engine = "cuda": .*no CUDAExecutionProvider; pip install'):
        open_engine(window, EngineSettings("cuda"))


def test_an_engine_for_tiles_does_not_take_the_whole_grid(window: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.engines.select.tensorrt_unavailable_reason", lambda: None)
    with pytest.raises(ConfigError, match=r'built for tiles .* set model.engine = "cuda"'):
        open_engine(window, EngineSettings("tensorrt", whole_grid=True))


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_cuda_is_taken_where_it_is(recurrent: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "find_gpu", lambda: GPU)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: list(PROVIDERS.values()))
    assert choose_engine(recurrent, EngineSettings()).engine == "cuda"
    with pytest.raises(ConfigError, match="but ONNX Runtime gave CPUExecutionProvider"):
        OrtEngine(recurrent.graph, "cuda")


def test_a_precision_passes_engines_by(recurrent: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "find_gpu", lambda: "no GPU")
    with pytest.raises(ConfigError, match=r"cpu and openvino: does not compute in fp16"):
        choose_engine(recurrent, EngineSettings(precision="fp16"))


def test_options_of_onnx_runtimes_providers(tmp_path: Path) -> None:
    """The TensorRT provider leaves other operations to CUDA, keeps its engines, and does not lower the precision."""
    (tensorrt, options), (cuda, cuda_options), (cpu, _) = providers("tensorrt", tmp_path / "cache", "fp16")
    assert [tensorrt, cuda, cpu] == [PROVIDERS[name] for name in ("tensorrt", "cuda", "cpu")]
    assert (options["trt_fp16_enable"], options["trt_bf16_enable"]) == ("1", "0")
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path / "cache")
    assert (tmp_path / "cache").is_dir()
    assert cuda_options["use_tf32"] == "0", "fp32 is fp32"
    assert [name for name, _ in providers("cpu", None)] == [cpu]


def test_names_that_do_not_exist() -> None:
    with pytest.raises(ConfigError, match="no engine gpu in fp32: engines are auto, cpu"):
        EngineSettings("gpu")  # type: ignore[arg-type]


def test_a_window_network_is_opened_in_stages_on_a_cpu() -> None:
    bundle = load_bundle(find_bundle("sgdsm1-amsr2-x"))
    for name in ("cpu", "openvino"):
        opened = open_engine(bundle, EngineSettings(name))  # type: ignore[arg-type]
        assert isinstance(opened, Staged)
        assert opened.name.endswith(" staged")
        assert [engine.carried for engine in opened.stages] == [np.dtype(np.float32)] * 3


@pytest.mark.parametrize("engine", [OrtEngine, OpenVinoEngine])
def test_a_graph_that_does_not_load(engine: type[OrtEngine | OpenVinoEngine], tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match=r"bad.onnx does not load in (ONNX Runtime|OpenVINO)"):
        engine(tmp_path / "bad.onnx")


def test_onnx_runtime_without_memory_is_no_fault_of_the_graph(
    recurrent: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Session:
        def run(self, *_: object) -> None:
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Status Message: std::bad_alloc")

    engine = OrtEngine(recurrent.graph)
    monkeypatch.setattr(engine, "_session", Session())
    with pytest.raises(MemoryError, match="ONNX Runtime"):
        require_fit(engine, recurrent)


def test_openvino_and_onnx_runtime_agree_on_a_memory(recurrent: Bundle) -> None:
    from runtime.engines.tensorrt.accept import acceptance_cases

    one, other = OrtEngine(recurrent.graph), OpenVinoEngine(recurrent.graph)
    assert openvino_unavailable_reason() is None
    for inputs in acceptance_cases(recurrent.manifest):
        want, got = one.run(inputs), other.run(inputs)
        for name, values in want.items():
            np.testing.assert_allclose(got[name], values, atol=2e-5 * max(1.0, float(np.abs(values).max())))
