"""Engines are built on a machine without a GPU: TensorRT for RTX accepts every node of every network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from typer.testing import CliRunner

from export.cli import app
from export.graph import OPSET
from export.lower import lower
from export.onnx import write_graph
from export.tensorrt import make_engine
from runtime.bundle import GRAPH, MANIFEST, Bundle, find_bundle, load_bundle, shipped_bundles
from runtime.common import digest
from runtime.common.vocabulary import Precision
from runtime.engines.ort import OrtEngine
from runtime.engines.tensorrt.store import EngineRecord
from runtime.manifest import Manifest, StateTensor
from training.models import LSTMCNN, build_network
from training.presets import Preset, load_preset

pytest.importorskip("tensorrt_rtx")


def _check(record: EngineRecord, bundle: Bundle, precision: str) -> None:
    """All nodes taken, the multiplications in the precision, the rest in float32."""
    graph = onnx.load(bundle.graph, load_external_data=False)
    assert record.nodes >= len(graph.graph.node), "every node of the graph, and casts"
    kinds = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16"}
    products = [layer for layer in record.layers if layer.split()[-2] in ("CONVOLUTION", "MATRIX_MULTIPLY")]
    lowered = [layer for layer in products if layer.endswith(f" {kinds[precision]}")]
    assert len(lowered) >= 4
    if precision != "fp32":
        left = [layer for layer in products if layer not in lowered]
        assert left, "the counts of the masks stay float32"
        assert all(layer.endswith(" FLOAT") for layer in left)
    assert not any(layer.split()[-2].startswith("PLUGIN") for layer in record.layers)


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("name", ["sgdsm1-amsr2-x", "sgdsm2-amsr2-x"])
def test_compact_networks_build_for_two_capabilities(name: str, precision: str, tmp_path: Path) -> None:
    bundle = load_bundle(find_bundle(name))
    before = {path: path.read_bytes() for path in bundle.path.iterdir()}
    for target in ("sm86", "sm89"):
        folder, record = make_engine(bundle, "tensorrt-rtx", precision, target, tmp_path)
        assert record.key.target == target
        assert digest.of_file(folder / "engine.plan") == record.plan_sha256
        _check(record, bundle, precision)
    assert before == {path: path.read_bytes() for path in bundle.path.iterdir()}, "a bundle is never written to"


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_the_recurrent_network_builds_as_printed(precision: str, tmp_path: Path) -> None:
    values = load_preset("lstmcnn-compact").to_dict()
    values["model"]["reading"] = "published"
    bundle = _random_bundle(Preset.from_dict(values), tmp_path / "printed")
    for target in ("sm86", "sm89"):
        _, record = make_engine(bundle, "tensorrt-rtx", precision, target, tmp_path / "engines")
        _check(record, bundle, precision)


def _random_bundle(preset: Preset, folder: Path) -> Bundle:
    """A bundle with random weights; no parity, which takes minutes for the published sizes."""
    torch.manual_seed(0)
    model = build_network(preset.model).eval()
    folder.mkdir()
    write_graph(model, folder / GRAPH)
    recurrent = isinstance(model, LSTMCNN)
    state = ("h", "c", "seen") if recurrent else ()
    manifest = Manifest(
        name=folder.name,
        version="1",
        kind="recurrent" if recurrent else "window",
        products=("lprm-amsr2",),
        bands=("x",),
        window=(0,) if recurrent else tuple(range(-4, 5)),
        tile_core=preset.tile_core,
        halo=model.config.halo,
        batch=preset.batch,
        takes_rain=recurrent,
        state=tuple(StateTensor(name=s, shape=(1 if s == "seen" else model.config.memory,)) for s in state),  # type: ignore[union-attr]
        files={file.name: digest.of_file(file) for file in folder.iterdir()},
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return load_bundle(folder)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["stpcnn-paper", "lstmcnn-paper"])
def test_published_sizes_build_for_two_capabilities(preset: str, tmp_path: Path) -> None:
    bundle = _random_bundle(load_preset(preset), tmp_path / preset)
    choices: tuple[tuple[Precision, str], ...] = (("fp32", "sm86"), ("fp16", "sm89"))
    for precision, target in choices:
        folder, record = make_engine(bundle, "tensorrt-rtx", precision, target, tmp_path / "engines")
        _check(record, bundle, precision)
        print(f"{folder.name}: {record.plan_bytes / 2**20:.0f} MiB, {len(record.layers)} layers")
        (folder / "engine.plan").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_bundles())
def test_a_lowered_graph_is_the_same_network(name: str, tmp_path: Path) -> None:
    """ONNX Runtime runs the fp16 graph on the CPU: same cells reached, values off by what eleven bits lose."""
    bundle = load_bundle(find_bundle(name))
    changed = lower(bundle.graph, tmp_path / "low.onnx", "fp16")
    assert changed >= 6
    graph = onnx.load(tmp_path / "low.onnx")
    onnx.checker.check_model(graph)
    assert graph.opset_import[0].version == OPSET
    types = {i.type.tensor_type.elem_type for i in (*graph.graph.input, *graph.graph.output)}
    assert types == {TensorProto.FLOAT}, "inputs, outputs and state stay float32"
    from runtime.engines.tensorrt.accept import acceptance_cases

    exact, low = OrtEngine(bundle.graph), OrtEngine(tmp_path / "low.onnx")
    for inputs in list(acceptance_cases(bundle.manifest))[:2]:
        want, got = exact.run(inputs), low.run(inputs)
        np.testing.assert_array_equal(want["reached"], got["reached"])
        difference = np.abs(want["filled"] - got["filled"])[want["reached"] > 0]
        assert 0 < difference.max(initial=0) < 0.01


def test_the_command(tmp_path: Path) -> None:
    run = CliRunner().invoke
    options = ["tensorrt", "--bundle", "sgdsm2-amsr2-x", "--cache", str(tmp_path)]
    done = run(app, [*options, "--capability", "sm86", "--capability", "sm89"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("nodes taken") == 2
    assert done.stdout.count("not run yet: this machine has no such GPU") == 2
    shown = run(app, [*options, "--capability", "sm86", "--json"])
    assert EngineRecord.model_validate_json(shown.stdout).key.target == "sm86"
    for wrong, message in (
        (["--capability", "sm12"], "does not build for sm12; it does for sm75"),
        (["--precision", "fp8"], "--precision is fp32, fp16 or bf16"),
        (["--flavour", "tensorrt"], "tensorrt cannot be imported"),
        ([], "no GPU here to build for"),
    ):
        refused = run(app, [*options, *wrong])
        assert refused.exit_code == 2
        assert message in refused.stderr
