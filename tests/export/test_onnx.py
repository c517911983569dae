"""Export: the graph is the network, or there is no bundle."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from export import graph as graph_export
from export import onnx as exporting
from export import parity
from export.cli import app
from export.memory import bytes_per_cell
from runtime.bundle import Bundle, load_bundle
from runtime.engines.ort import OrtEngine
from runtime.errors import BundleError
from tests.support.networks import WINDOW, random_network, random_window_bundle
from tests.support.once import made_once
from training.checkpoint import Checkpoint, save_checkpoint
from training.models import LSTMCNNConfig
from training.presets import Preset

RECURRENT = Preset(LSTMCNNConfig(tile=8, layers=2, maps=4, fc_maps=2, memory=12), tile_core=8, batch=3, spin_up_days=7)
AS_PRINTED = dataclasses.replace(RECURRENT, model=dataclasses.replace(RECURRENT.model, reading="published"))  # type: ignore[call-overload]
PRESETS = {"window": WINDOW, "recurrent": RECURRENT, "recurrent, as printed": AS_PRINTED}


class _Exported(dict[str, Bundle]):
    """A bundle of each preset, exported when it is asked for."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory

    def __missing__(self, kind: str) -> Bundle:
        def make(folder: Path) -> None:
            exporting.export_bundle(random_network(PRESETS[kind]), folder)

        if kind == "window":
            self[kind] = random_window_bundle(self._factory)
        else:
            self[kind] = load_bundle(made_once(self._factory, f"exported {kind}", make))
        return self[kind]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> _Exported:
    return _Exported(tmp_path_factory)


def test_manifest_of_the_window_kind(exported: dict[str, Bundle]) -> None:
    manifest = exported["window"].manifest
    assert (manifest.kind, manifest.window, manifest.halo, manifest.state) == ("window", tuple(range(-4, 5)), 5, ())
    stages = {"stage-01.onnx", "stage-02.onnx", "stage-03.onnx"}
    assert set(manifest.files) == {"model.onnx", "MODEL_CARD.md"} | stages
    assert [(s.halo, s.frames, s.maps) for s in manifest.stages] == [(2, 7, 6), (2, 3, 6), (1, 1, 1)]


def test_the_memory_between_layers_is_counted(exported: dict[str, Bundle]) -> None:
    """The second of five layers reads and writes nine days of six maps, with a mask each: 2 * 9 * (6 + 1) values."""
    manifest = exported["window"].manifest
    assert manifest.bytes_per_cell is not None
    inputs, two_layers = 4 * (9 + 9 + 1), 4 * 2 * 9 * (6 + 1)
    assert two_layers <= manifest.bytes_per_cell <= 2 * (inputs + two_layers)
    assert manifest.bytes_per_cell == bytes_per_cell(exported["window"].graph, 5, 1)


@pytest.mark.slow
@pytest.mark.parametrize("reading", ["recurrent", "recurrent, as printed"])
def test_manifest_of_the_recurrent_kind(reading: str, exported: dict[str, Bundle]) -> None:
    manifest = exported[reading].manifest
    assert (manifest.kind, manifest.window, manifest.halo) == ("recurrent", (0,), 0)
    assert [(t.name, t.shape) for t in manifest.state] == [("h", (12,)), ("c", (12,)), ("seen", (1,))]
    assert manifest.spin_up_days == 7


@pytest.mark.slow
def test_manifest_of_our_own_network(seamless_bundle: Bundle) -> None:
    manifest = seamless_bundle.manifest
    assert (manifest.kind, manifest.halo, manifest.stride) == ("window", 64, 8)
    assert manifest.takes_rain
    assert manifest.gives_sigma
    assert manifest.window == tuple(range(-12, 5))


@pytest.mark.slow
def test_graphs_hold_no_source_paths(exported: dict[str, Bundle], seamless_bundle: Bundle) -> None:
    for bundle in (*(exported[kind] for kind in PRESETS), seamless_bundle):
        for file in bundle.path.glob("*.onnx"):
            assert b".py" not in file.read_bytes(), file


def test_graph_is_valid_and_dynamic(exported: dict[str, Bundle]) -> None:
    graph = onnx.load(exported["window"].graph)
    onnx.checker.check_model(graph, full_check=True)
    shapes = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.graph.input}
    assert [isinstance(size, str) for size in shapes["sm"]] == [True, False, True, True]
    assert set(shapes) == {"sm", "mask", "land"}
    assert {i.type.tensor_type.elem_type for i in graph.graph.input} == {onnx.TensorProto.FLOAT}
    engine = OrtEngine(exported["window"].graph)
    for tiles, rows, cols in ((1, 11, 11), (4, 20, 13)):
        inputs = {
            "sm": np.full((tiles, 9, rows, cols), np.nan, np.float32),
            "mask": np.zeros((tiles, 9, rows, cols), np.float32),
            "land": np.ones((tiles, rows, cols), np.float32),
        }
        out = engine.run(inputs)
        assert out["filled"].shape == out["reached"].shape == (tiles, rows - 10, cols - 10)
        assert np.isfinite(out["filled"]).all()


def test_the_card_says_that_random_weights_arerandom_network(exported: dict[str, Bundle]) -> None:
    card = (exported["window"].path / "MODEL_CARD.md").read_text()
    assert "the weights are random" in card
    assert "T-4, T-3, T-2, T-1, T, T+1, T+2, T+3, T+4" in card


@pytest.mark.slow
def test_a_dead_network_passes_no_gate(tmp_path: Path) -> None:
    dead = random_network(WINDOW)
    with torch.no_grad():
        dead.model.layers[1].bias.fill_(-1e6)  # type: ignore[union-attr, operator]
        dead.model.layers[-1].bias.zero_()  # type: ignore[union-attr, operator]
    with pytest.raises(BundleError, match="'filled' does not vary"):
        exporting.export_bundle(dead, tmp_path / "dead")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize(("kind", "preset"), PRESETS.items())
def test_another_graph_passes_no_gate(kind: str, preset: Preset, exported: dict[str, Bundle]) -> None:
    with pytest.raises(BundleError, match="no bundle written: output '.*' of the graph differs from PyTorch"):
        parity.check_parity(random_network(preset, seed=2).model, exported[kind].graph)


@pytest.mark.slow
def test_the_same_weights_in_the_other_reading_pass_no_gate(exported: dict[str, Bundle]) -> None:
    original, other = random_network(AS_PRINTED).model, random_network(RECURRENT).model
    parity.check_parity(original, exported["recurrent, as printed"].graph)
    other.load_state_dict(original.state_dict())
    with pytest.raises(BundleError, match="differs from PyTorch"):
        parity.check_parity(other, exported["recurrent, as printed"].graph)


def test_a_small_change_of_one_weight_is_found(exported: dict[str, Bundle]) -> None:
    original = random_network(WINDOW)
    parity.check_parity(original.model, exported["window"].graph)
    with torch.no_grad():
        next(original.model.parameters()).view(-1)[0] += 2e-3
    with pytest.raises(BundleError, match="differs from PyTorch"):
        parity.check_parity(original.model, exported["window"].graph)


def test_parity_covers_the_cases_it_names() -> None:
    names = [name for name, _ in parity.parity_cases(random_network(WINDOW).model)]
    assert set(names) == {"half observed, NaN in the holes", "all observed", "nothing observed", "no land"}
    cases = dict(parity.parity_cases(random_network(WINDOW).model))
    assert np.isnan(cases["nothing observed"]["sm"].numpy()).all()
    assert np.isnan(cases["half observed, NaN in the holes"]["sm"].numpy()).any()


def test_an_existing_bundle_is_kept_unless_told(exported: dict[str, Bundle]) -> None:
    path = exported["window"].path
    before = exported["window"].model_id
    with pytest.raises(BundleError, match="exists"):
        exporting.export_bundle(random_network(WINDOW, seed=5), path)
    assert load_bundle(path).model_id == before


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", random_network(RECURRENT))
    arguments = ["onnx", "--checkpoint", str(tmp_path / "c.safetensors"), "--out", str(tmp_path / "out" / "mine")]
    result = CliRunner().invoke(app, [*arguments, "--band", "c1", "--band", "x"])
    assert result.exit_code == 0, result.output
    loaded = load_bundle(tmp_path / "out" / "mine")
    assert (loaded.manifest.name, loaded.manifest.bands) == ("mine", ("c1", "x"))
    assert CliRunner().invoke(app, arguments).exit_code == 2
    bad = CliRunner().invoke(app, ["onnx", "--checkpoint", str(tmp_path / "none"), "--out", str(tmp_path / "x")])
    assert bad.exit_code == 2
    assert "is not a checkpoint" in bad.stderr


@pytest.mark.slow
def test_large_weights_go_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_export, "EMBEDDED_LIMIT", 100)
    made, _ = exporting.export_bundle(random_network(RECURRENT), tmp_path / "large")
    assert set(made.manifest.files) == {"model.onnx", "model.onnx.data", "MODEL_CARD.md"}
    raw = bytearray((made.path / "model.onnx.data").read_bytes())
    raw[10] ^= 1
    (made.path / "model.onnx.data").write_bytes(raw)
    with pytest.raises(BundleError, match=r"model.onnx.data does not have the hash"):
        load_bundle(made.path)


def _report(path: Path, name: str, ratio: float | None) -> Path:
    score = {"r": 0.9, "rmse": 0.0871, "ubrmse": 0.08, "mae": 0.05, "bias": 0.001, "n": 129337}
    line = {"tier": "consolidated", "gaps": "real gaps", "split": "all", "group": "all", "score": score}
    table = {"days": [1, 2], "latitudes": [-90.0, 90.0], "rmse": [[0.07], [0.09]], "n": [[500], [400]]}
    values = {
        "source": "twenty days",
        "days": {"consolidated": ["2015-04-13", "2015-04-16"]},
        "noise": {"all land": 0.0909},
        "bundles": {name: {"model_id": "a" * 64, "errors": table, "sigma_fit": ratio and [ratio, 1.0], "seam": None}},
        "scores": [line | {"filler": name}, line | {"filler": "DCT-PLS"}],
        "calibration": {f"{name}, consolidated, real gaps": {"all": {"all": 0.5}}},
        "calibration_fitted": {f"{name}, consolidated, real gaps": {"all": {"all": 0.7}}},
    }
    path.write_text(json.dumps(values))
    return path


@pytest.mark.slow
def test_an_evaluation_goes_into_card_manifest_and_sigma(
    tmp_path: Path, seamless_checkpoint: Checkpoint, seamless_bundle: Bundle
) -> None:
    save_checkpoint(tmp_path / "c.safetensors", seamless_checkpoint)
    reports = [_report(tmp_path / f"{ratio}.json", "mine", ratio) for ratio in (1.0, 1.5625)]
    arguments = ["onnx", "--checkpoint", str(tmp_path / "c.safetensors"), "--out", str(tmp_path / "mine")]
    result = CliRunner().invoke(app, [*arguments, *(f"--report={report}" for report in reports)])
    assert result.exit_code == 0, result.output
    mine, plain = load_bundle(tmp_path / "mine"), seamless_bundle
    assert (mine.manifest.sigma_fit, plain.manifest.sigma_fit) == (pytest.approx((1.25, 1.0)), None)
    assert mine.manifest.errors is not None
    assert mine.manifest.errors.rmse == ((0.07,), (0.09,))
    assert mine.manifest.not_judged("lprm-amsr2", "x") is None
    card = (mine.path / "MODEL_CARD.md").read_text()
    for expected in (
        "0.0871",
        "129337",
        "aaaaaaaaaaaa",
        "0.0909 all land",
        "the geometric mean of these fits: 1.250 times its power of 1.000",
        "DCT-PLS",
    ):
        assert expected in card
    cases = dict(parity.parity_cases(seamless_checkpoint.model))
    inputs = {name: value.numpy() for name, value in cases["all observed"].items()}
    one, other = (OrtEngine(b.graph).run(inputs) for b in (mine, plain))
    np.testing.assert_array_equal(one["filled"], other["filled"])
    np.testing.assert_allclose(one["sigma"], 1.25 * other["sigma"], rtol=1e-5)


def test_a_bundle_is_judged_on_one_more_product(tmp_path: Path, exported: dict[str, Bundle]) -> None:
    before = exported["window"]
    report = _report(tmp_path / "report.json", before.manifest.name, None)
    values = json.loads(report.read_text())
    arguments = ["judged", "--bundle", str(before.path), "--report", str(report), "--out", str(tmp_path / "mine")]
    unnamed = CliRunner().invoke(app, arguments)
    assert unnamed.exit_code == 2
    assert "does not name its product; give --product and --band" in unnamed.stderr
    report.write_text(json.dumps(values | {"product": "lprm-amsre", "band": "c"}))
    made = CliRunner().invoke(app, [*arguments, "--note", "made up"])
    assert made.exit_code == 0, made.output
    assert "judged on lprm-amsre band c, RMSE consolidated 0.0871 m3 m-3" in made.stdout
    mine = load_bundle(tmp_path / "mine")
    assert mine.manifest.not_judged("lprm-amsre", "c") is None
    assert "only on lprm-amsre band c" in str(mine.manifest.not_judged("lprm-amsre", "x"))
    assert mine.model_id == before.model_id
    card = (mine.path / "MODEL_CARD.md").read_text()
    assert (
        "| lprm-amsre band c | consolidated | 0.900 | 0.0871 | 0.0500 | 0.0010 | 129337 | twenty days, made up |"
        in card
    )
    again = CliRunner().invoke(app, [*arguments, "--overwrite"])
    assert again.exit_code == 0, again.output
    assert [each.source for each in load_bundle(tmp_path / "mine").manifest.judged] == ["twenty days"]


@pytest.mark.slow
def test_a_bundle_for_any_product_says_so(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", random_network(WINDOW))
    arguments = ["onnx", "--checkpoint", str(tmp_path / "c.safetensors"), "--out", str(tmp_path / "mine")]
    both = CliRunner().invoke(app, [*arguments, "--any-product", "--band", "x"])
    assert "--any-product accepts all; leave out --product and --band" in both.stderr
    assert CliRunner().invoke(app, [*arguments, "--any-product"]).exit_code == 0
    manifest = load_bundle(tmp_path / "mine").manifest
    assert manifest.accepts("of tomorrow", None)
    assert "any soil-moisture product" in (tmp_path / "mine" / "MODEL_CARD.md").read_text()


def test_a_report_of_another_bundle_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", random_network(WINDOW))
    report = _report(tmp_path / "report.json", "other", None)
    arguments = ["onnx", "--checkpoint", str(tmp_path / "c.safetensors"), "--out", str(tmp_path / "mine")]
    refused = CliRunner().invoke(app, [*arguments, "--report", str(report)])
    assert refused.exit_code == 2
    assert "evaluates other, not mine" in refused.stderr
    report.write_text("{}")
    assert "is no report.json" in CliRunner().invoke(app, [*arguments, "--report", str(report)]).stderr
