"""TensorRT engines: built by the real TensorRT for RTX, which needs no GPU, and run on a simulated GPU."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.bundle import Bundle, find_bundle, load_bundle, shipped_bundles
from runtime.common.grid import Grid
from runtime.demo.world import WorldDay
from runtime.engines import gpu
from runtime.engines.gpu import Gpu
from runtime.engines.ort import OrtEngine
from runtime.engines.select import EngineSettings, choose_engine, open_engine
from runtime.engines.tensorrt import cached, library, open_tensorrt_engine
from runtime.engines.tensorrt.accept import accept_engine
from runtime.engines.tensorrt.build import build_engine, key_of
from runtime.engines.tensorrt.run import TensorRtEngine
from runtime.engines.tensorrt.store import PLAN, RECORD, EngineKey, EngineRecord, EngineStore
from runtime.errors import ConfigError, EngineFailed, EngineRefused
from runtime.fill.recurrent import fill_recurrent, land_tiles
from runtime.fill.state import State
from runtime.fill.window import predict_window
from tests.support.tensorrt_device import FakeCuda, FakeTensorRt

rtx = pytest.importorskip("tensorrt_rtx")

Open = Callable[[str], tuple[TensorRtEngine, FakeTensorRt, FakeCuda]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Bundle, bytes, EngineRecord]]:
    """Each shipped bundle with its engine for compute capability 8.6."""
    timings = tmp_path_factory.mktemp("engines") / "timings"
    made = {}
    for name in shipped_bundles():
        bundle = load_bundle(find_bundle(name))
        made[name] = (bundle, *build_engine(bundle.graph, key_of(bundle, "tensorrt-rtx", "sm86", "fp32"), timings))
    assert timings.stat().st_size > 0
    return made


@pytest.fixture
def opened(built: dict[str, tuple[Bundle, bytes, EngineRecord]]) -> Open:
    def make(name: str) -> tuple[TensorRtEngine, FakeTensorRt, FakeCuda]:
        bundle, plan, record = built[name]
        cuda = FakeCuda()
        trt = FakeTensorRt(rtx, bundle, cuda)
        state = tuple(tensor.name for tensor in bundle.manifest.state)
        return TensorRtEngine(trt, cuda, plan, record, state), trt, cuda

    return make


def test_the_record_of_a_build(built: dict[str, tuple[Bundle, bytes, EngineRecord]]) -> None:
    bundle, plan, record = built["sgdsm1-amsr2-x"]
    assert record.plan_bytes == len(plan) > 1_000_000
    assert record.nodes > 90
    assert sum(" CONVOLUTION FLOAT" in layer for layer in record.layers) == 12, "six layers and the counts of six masks"
    assert record.inputs == {"sm": (-1, 9, -1, -1), "mask": (-1, 9, -1, -1), "land": (-1, -1, -1)}
    assert record.outputs == {"filled": (-1, -1, -1), "reached": (-1, -1, -1)}
    assert record.key.profile["sm"] == ((1, 9, 13, 13), (1, 9, 108, 108), (1, 9, 108, 108))
    assert record.parity is None
    assert record.key.model_id == bundle.model_id


def test_a_day_of_the_window_kind(opened: Open, grid: Grid, world_days: list[WorldDay]) -> None:
    engine, _, cuda = opened("seamless-amsr2-x")
    bundle = load_bundle(find_bundle("seamless-amsr2-x"))
    frames = np.stack([day.observed for day in world_days[:9]])
    rain = np.stack([day.rain for day in world_days[:9]])
    want = predict_window(OrtEngine(bundle.graph), bundle.manifest, grid, frames, rain, core=16)
    got = predict_window(engine, bundle.manifest, grid, frames, rain, core=16)
    for one, other in zip(want, got, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one, other)
    assert want.reached.any()
    names = cuda.names()
    assert names.count("cudaMalloc") == 8, "one buffer per tensor, kept across tiles"
    assert names.count("cudaStreamBeginCapture") == names.count("cudaGraphInstantiate") == 1
    assert names.count("cudaGraphLaunch") >= 5
    engine.close()
    assert (cuda.device, cuda.host, cuda.graphs, cuda.streams) == ({}, {}, {}, set())


def test_shapes_may_change_from_run_to_run(opened: Open) -> None:
    engine, trt, _ = opened("sgdsm1-amsr2-x")
    reference = OrtEngine(trt.bundle.graph)
    rng = np.random.default_rng(0)
    for size in (20, 33, 20, 20, 33, 33, 108):
        mask = (rng.random((1, 9, size, size)) < 0.5).astype(np.float32)
        inputs = {"sm": rng.random(mask.shape, np.float32), "mask": mask, "land": np.ones((1, size, size), np.float32)}
        want, got = reference.run(inputs), engine.run(inputs)
        for name, values in want.items():
            np.testing.assert_array_equal(got[name], values)


def test_a_day_of_the_recurrent_kind_keeps_its_state_on_the_device(
    opened: Open, grid: Grid, world_days: list[WorldDay]
) -> None:
    engine, trt, cuda = opened("sgdsm2-amsr2-x")
    manifest = trt.bundle.manifest.model_copy(update={"batch": 3})
    reference = OrtEngine(trt.bundle.graph)
    tiles = len(land_tiles(manifest, grid))
    assert tiles == 4, "a full batch and a smaller one"
    there = here = State.cold(manifest, grid, tiles)
    for day in world_days[:3]:
        before = len(cuda.calls)
        want, here = fill_recurrent(reference, manifest, grid, day.observed, day.rain, here)
        got, there = fill_recurrent(engine, manifest, grid, day.observed, day.rain, there)
        np.testing.assert_array_equal(got.soil_moisture, want.soil_moisture)
        for name, tensor in here.tensors.items():
            np.testing.assert_array_equal(there.tensors[name], tensor)
        kinds = [a[3].name for n, a in cuda.calls[before:] if n == "cudaMemcpyAsync"]
        assert kinds.count("cudaMemcpyDeviceToDevice") == 3 * 2 * 2, "three tensors, in and out, two batches"
    assert np.abs(here.tensors["c"]).max() > 0
    engine.close()
    assert cuda.device == {}


def test_calls_are_those_of_the_real_libraries(opened: Open, grid: Grid, world_days: list[WorldDay]) -> None:
    """Each call that was made exists in the real libraries, with this number of arguments."""
    real = pytest.importorskip("cuda.bindings.runtime")
    engine, trt, cuda = opened("sgdsm2-amsr2-x")
    manifest = trt.bundle.manifest.model_copy(update={"batch": 1})
    state = State.cold(manifest, grid, 4)
    fill_recurrent(engine, manifest, grid, world_days[0].observed, world_days[0].rain, state)
    engine.close()
    seen = {(name, len(arguments)) for name, arguments in cuda.calls}
    assert len(seen) >= 14
    for name, count in seen:
        signature = re.match(rf"{name}\((.*?)\)", getattr(real, name).__doc__)
        assert signature, name
        wanted = [part for part in signature[1].split(",") if part.strip()]
        assert len(wanted) - sum("=" in part for part in wanted) <= count <= len(wanted), f"{name}: {signature[0]}"
    for enum_name in ("cudaMemcpyKind", "cudaStreamCaptureMode"):
        for member in getattr(FakeCuda, enum_name):
            assert int(getattr(getattr(real, enum_name), member.name)) == member, member
    calls = {(kind, name, len(arguments)) for kind, name, arguments in trt.calls}
    assert {name for _, name, _ in calls} >= {"deserialize_cuda_engine", "set_tensor_address", "execute_async_v3"}
    for kind, name, count in calls:
        doc = inspect.getdoc(getattr(getattr(rtx, kind), name)) or ""
        overloads = [overload.split(", ")[1:] for overload in re.findall(rf"{name}\((self.*)\) ->", doc)]
        fits = [len(o) - sum(" = " in part for part in o) <= count <= len(o) for o in overloads]
        assert any(fits), f"{kind}.{name}: {doc[:300]}"


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("call", ["cudaMalloc", "cudaMallocHost", "cudaMemcpyAsync", "cudaStreamSynchronize"])
def test_a_cuda_failure_is_one_line(call: str, built: dict[str, tuple[Bundle, bytes, EngineRecord]]) -> None:
    bundle, plan, record = built["sgdsm1-amsr2-x"]
    cuda = FakeCuda()
    opened: list[TensorRtEngine] = []
    inputs = {
        "sm": np.zeros((1, 9, 20, 20), np.float32),
        "mask": np.ones((1, 9, 20, 20), np.float32),
        "land": np.ones((1, 20, 20), np.float32),
    }
    cuda.fail_at = call

    def run() -> None:
        opened.append(TensorRtEngine(FakeTensorRt(rtx, bundle, cuda), cuda, plan, record))
        opened[0].run(inputs)

    with pytest.raises(EngineFailed, match=rf"CUDA: {call} failed \(out of memory\)"):
        run()
    cuda.fail_at = None
    cuda.queue.clear()
    for engine in opened:
        engine.close()


def test_parity_is_a_gate(opened: Open) -> None:
    engine, trt, _ = opened("sgdsm2-amsr2-x")
    parity = accept_engine(engine, trt.bundle, "fp32")
    assert parity.worst == 0
    assert parity.cases == 6
    trt.wrong = 0.01
    with pytest.raises(EngineRefused, match=r"output filled differs from ONNX Runtime by .* \(limit 1e-04\)"):
        accept_engine(engine, trt.bundle, "fp32")
    engine.close()


@pytest.mark.slow
def test_an_engine_that_reaches_other_cells_is_refused(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, trt, _ = opened("sgdsm1-amsr2-x")
    real = engine.run

    def shifted(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        out = real(inputs)
        return out | {"reached": np.roll(out["reached"], 1, -1)}

    monkeypatch.setattr(engine, "run", shifted)
    with pytest.raises(EngineRefused, match="reaches other cells"):
        accept_engine(engine, trt.bundle, "fp32")
    engine.close()


class _Machine:
    """A machine with a GPU of capability 8.6 and TensorRT for RTX."""

    def __init__(self, bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bundle, self.cache = bundle, cache
        self.cuda = FakeCuda()
        self.trt = FakeTensorRt(rtx, bundle, self.cuda)
        monkeypatch.setattr(gpu, "find_gpu", lambda: Gpu("NVIDIA RTX A4000", (8, 6)))
        monkeypatch.setattr(library, "load_tensorrt", self._load)
        monkeypatch.setattr(library, "load_cuda", lambda: self.cuda)

    def _load(self, flavour: str) -> Any:
        if flavour != "tensorrt-rtx":
            raise ConfigError("tensorrt cannot be imported")
        return self.trt

    def open(self, *, rebuild: bool) -> TensorRtEngine:
        return open_tensorrt_engine(self.bundle, self.cache, "fp32", rebuild=rebuild)

    @property
    def folder(self) -> Path:
        return next(self.cache.glob("*/record.json")).parent


@pytest.fixture
def machine(
    built: dict[str, tuple[Bundle, bytes, EngineRecord]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> _Machine:
    """The machine, whose cache has an engine that was built elsewhere and has not run yet."""
    bundle, plan, record = built["sgdsm2-amsr2-x"]
    EngineStore(tmp_path / "engines").write(plan, record)
    return _Machine(bundle, tmp_path / "engines", monkeypatch)


def test_an_engine_built_elsewhere_is_judged_once(machine: _Machine) -> None:
    """When it is opened first, the parity check runs and is recorded; from then on `auto` takes it."""
    setup = EngineSettings(cache=machine.cache)
    assert choose_engine(machine.bundle, setup).engine != "tensorrt"
    machine.open(rebuild=False).close()
    assert json.loads((machine.folder / RECORD).read_text())["parity"] == {"worst": 0.0, "cases": 6}
    runs = len(machine.trt.calls)
    machine.open(rebuild=False).close()
    assert len(machine.trt.calls) - runs < 100, "not judged again"
    assert choose_engine(machine.bundle, setup).engine == "tensorrt"
    opened = open_engine(machine.bundle, setup)
    assert opened.name == f"tensorrt-rtx {rtx.__version__} sm86 fp32"


@pytest.mark.slow
def test_an_engine_that_fails_the_gate_is_never_used(machine: _Machine) -> None:
    machine.trt.wrong = 1.0
    for rebuild in (False, True):
        with pytest.raises(EngineRefused, match="do not use this engine|build it with"):
            machine.open(rebuild=rebuild)
    assert not cached(machine.bundle, machine.cache, "fp32")


def _other(machine: _Machine, **changes: object) -> None:
    """Change the key of the engine in the cache, as if an engine of another machine had been copied."""
    record = EngineRecord.model_validate_json((machine.folder / RECORD).read_text())
    other = EngineKey.model_validate(record.key.model_dump() | changes)
    plan = (machine.folder / PLAN).read_bytes()
    shutil.rmtree(machine.folder)
    EngineStore(machine.cache).write(plan, record.model_copy(update={"key": other}))


def _foreign_folder(machine: _Machine) -> None:
    """Put another capability's engine into the folder of this one."""
    record = json.loads((machine.folder / RECORD).read_text())
    record["key"]["target"] = "sm89"
    (machine.folder / RECORD).write_text(json.dumps(record))


def _flipped(machine: _Machine) -> None:
    raw = bytearray((machine.folder / PLAN).read_bytes())
    raw[len(raw) // 2] ^= 1
    (machine.folder / PLAN).write_bytes(raw)


def _truncated(machine: _Machine) -> None:
    raw = (machine.folder / PLAN).read_bytes()
    (machine.folder / PLAN).write_bytes(raw[:-100])


WRONG = {
    "another model": (lambda m: _other(m, model_id="f" * 64), "model_id is ffff"),
    "another version": (lambda m: _other(m, version="1.0"), "version is 1.0, wanted"),
    "another capability": (lambda m: _other(m, target="sm89"), "target is sm89, wanted sm86"),
    "another precision": (lambda m: _other(m, precision="fp16"), "precision is fp16, wanted fp32"),
    "another capability in its folder": (_foreign_folder, "is another engine: target is sm89, wanted sm86"),
    "a flipped byte": (_flipped, "does not have the hash of its record"),
    "truncated": (_truncated, r"has \d+ of \d+ bytes"),
    "no record": (lambda m: (m.folder / RECORD).write_text("{"), "cannot be read"),
    "no plan": (lambda m: (m.folder / PLAN).unlink(), "cannot be read"),
}


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_engine_is_refused_or_built_again(wrong: str, machine: _Machine) -> None:
    spoil, reason = WRONG[wrong]
    spoil(machine)
    with pytest.raises(EngineRefused, match=reason) as refused:
        machine.open(rebuild=False)
    assert "build it with `python -m export tensorrt" in str(refused.value)
    assert machine.trt.deserialised == [], "a wrong engine is never run"
    machine.open(rebuild=True).close()
    plan, record = EngineStore(machine.cache).read(key_of(machine.bundle, "tensorrt-rtx", "sm86", "fp32"))
    assert machine.trt.deserialised == [plan]
    assert record.parity is not None


def test_an_empty_cache_says_so(machine: _Machine, tmp_path: Path) -> None:
    machine.cache = tmp_path / "empty"
    with pytest.raises(EngineRefused, match="no engine for sgdsm2-amsr2-x-tensorrt-rtx"):
        machine.open(rebuild=False)


def test_an_engine_tensorrt_does_not_load(machine: _Machine) -> None:
    machine.trt.loads = False
    with pytest.raises(EngineFailed, match="does not load this engine"):
        machine.open(rebuild=False)


def test_a_killed_build_leaves_no_engine(machine: _Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: Path, data: str, *args: object) -> int:
        raise KeyboardInterrupt

    plan, record = b"plan", EngineRecord.model_validate_json((machine.folder / RECORD).read_text())
    store = EngineStore(tmp_path / "killed")
    monkeypatch.setattr(Path, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write(plan, record)
    assert store.records() == []
    assert list(store.folder.iterdir()) == []
