"""A lower precision is offered only if the accuracy on real days allows it."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from export import precision
from export.precision import add_int8, measure_impact, offer, unproven
from runtime.bundle import CARD, Bundle, find_bundle, load_bundle
from runtime.common.grid import Floats
from runtime.common.vocabulary import Tier
from runtime.engines.openvino import has_bfloat16
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import BundleError, ConfigError
from runtime.fill.window import predict_window
from training.samples import TrainingArchive

DAYS = {Tier.CONSOLIDATED: [dt.date(2020, 4, 7)], Tier.PROVISIONAL: [dt.date(2020, 4, 8)]}


@pytest.fixture(scope="module")
def seamless() -> Bundle:
    return load_bundle(find_bundle("seamless-amsr2-x"))


def test_an_offered_precision_is_in_the_bundle_and_on_its_card(
    seamless: Bundle, archive: TrainingArchive, tmp_path: Path
) -> None:
    offered, impact = offer(seamless, "fp16", archive, DAYS, tmp_path / "made")
    assert 0 < impact.rmse < 1e-4
    assert impact.held_out == pytest.approx(1, abs=1e-3)
    assert impact.cells > impact.hidden > 500
    assert offered.manifest.precisions["fp16"] == impact
    assert offered.model_id == seamless.model_id, "an archive of the same weights can be continued"
    assert offered.graph_in("fp16").is_file()
    assert f"| fp16 | {impact.rmse:.5f} |" in (offered.path / CARD).read_text()
    with pytest.raises(BundleError, match="exists; choose another --out"):
        offer(seamless, "fp16", archive, DAYS, tmp_path / "made")


def test_a_precision_that_costs_too_much_is_not_offered(
    seamless: Bundle, archive: TrainingArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both limits: the field that moves, and the error that rises."""
    for name, limit, message in (
        ("MOST_MOVED", 1e-9, "changes by"),
        ("MOST_RISEN", 0.5, "times that of fp32"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(precision, name, limit)
            with pytest.raises(BundleError, match=rf"is not offered in fp16: .*{message}"):
                offer(seamless, "fp16", archive, DAYS, tmp_path / "refused")
        assert list(tmp_path.iterdir()) == []


def test_a_worse_network_is_seen(seamless: Bundle, archive: TrainingArchive) -> None:
    """With a network whose values are wrong by a known amount, the measured change is that amount."""

    class Biased:
        def __init__(self) -> None:
            self._engine = open_engine(seamless, EngineSettings("cpu"))
            self.name, self.carried = "biased", np.dtype(np.float32)

        def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            out = self._engine.run(inputs)  # type: ignore[union-attr]
            return out | {"filled": out["filled"] + np.float32(0.01)}

    impact = measure_impact(seamless, Biased(), archive, DAYS)  # type: ignore[arg-type]
    assert impact.rmse == pytest.approx(0.01, rel=0.02)
    assert impact.held_out > 1.0005


def test_random_weights_and_memories_are_not_judged(
    small_random: Bundle, archive: TrainingArchive, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="has random weights"):
        offer(small_random, "fp16", archive, DAYS, tmp_path / "no")
    with pytest.raises(BundleError, match="no day to evaluate"):
        offer(small_random, "int8", archive, {Tier.CONSOLIDATED: []}, tmp_path / "no")
    recurrent = load_bundle(find_bundle("sgdsm2-amsr2-x"))
    for lower in ("bf16", "int8"):
        with pytest.raises(BundleError, match="carries a memory"):
            offer(recurrent, lower, archive, DAYS, tmp_path / "no")
    compact = load_bundle(find_bundle("sgdsm1-amsr2-x"))
    with pytest.raises(BundleError, match="no convolution is wide enough"):
        offer(compact, "int8", archive, DAYS, tmp_path / "no")


@pytest.fixture
def small_random(seamless: Bundle) -> Bundle:
    return Bundle(seamless.path, seamless.manifest.model_copy(update={"training": {}}))


def _filled(bundle: Bundle, setup: EngineSettings, archive: TrainingArchive) -> Floats:
    frames, rain = _window(archive, bundle)
    return predict_window(open_engine(bundle, setup), bundle.manifest, archive.grid, frames, rain).filled


def _window(archive: TrainingArchive, bundle: Bundle) -> tuple[Floats, Floats]:
    window = bundle.manifest.window
    return archive.soil_moisture(6 + window[0], len(window)), archive.rain(6 + window[0], len(window))


@pytest.mark.slow
def test_int8_multiplies_int8_where_it_is_wide(
    seamless_bundle: Bundle, archive: TrainingArchive, tmp_path: Path
) -> None:
    frames, rain = _window(archive, seamless_bundle)
    shutil.copytree(seamless_bundle.path, tmp_path / "int8")
    add_int8(seamless_bundle, tmp_path / "int8", frames, rain, archive.grid)
    graph = onnx.load(tmp_path / "int8" / "model.int8.onnx")
    rounded = [t for t in graph.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4]
    assert len(rounded) >= 4
    assert all(min(tensor.dims[:2]) >= 64 for tensor in rounded)
    claimed = unproven(Bundle(tmp_path / "int8", seamless_bundle.manifest), "int8")
    exact = _filled(seamless_bundle, EngineSettings("cpu"), archive)
    spread = exact[exact != 0].std()
    for engine in ("cpu", "openvino"):
        low = _filled(claimed, EngineSettings(engine, "int8"), archive)  # type: ignore[arg-type]
        assert 1e-4 * spread < np.abs(low - exact).max() < spread


def test_bf16_on_this_cpu(seamless: Bundle, archive: TrainingArchive) -> None:
    if not has_bfloat16():
        with pytest.raises(ConfigError, match="this CPU has no bfloat16"):
            open_engine(seamless, EngineSettings("openvino", "bf16"))
        return
    low, exact = (_filled(seamless, EngineSettings("openvino", kind), archive) for kind in ("bf16", "fp32"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(low == 0, exact == 0)
    assert 1e-6 < np.abs(low - exact).max() < 0.02
