"""A retrieval: labels of ISMN, training on whole stations, export, every engine, and the table of scores."""

import datetime as dt
import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from export.retrieval import export_retrieval
from runtime.bundle import RetrievalBundle, find_bundle, load_retrieval
from runtime.cli import app as runtime_app
from runtime.demo.fusion import made_up_examples, made_up_sensors, write_shard
from runtime.engines.select import EngineSettings, open_engine
from runtime.engines.tensorrt.build import build_engine, capabilities, key_of
from runtime.errors import ConfigError
from runtime.retrieval.example import Example, example_bytes, feature_bytes
from runtime.retrieval.predict import Retrieval, open_retrieval_engines, retrievals
from runtime.retrieval.sample import Place, read_place, stack
from runtime.retrieval.schema import ValueKind
from runtime.retrieval.stacks import Source
from runtime.retrieval.tfrecord import Record, read_records, record_writer
from tests.support.once import made_once
from training.cli import app
from training.evaluate.score import Score
from training.fusion.combine import matches
from training.fusion.evaluate import Pairs, improvement, score_cells, score_tables
from training.fusion.examples import PackedExamples, Split, SplitRule, pack, station_of
from training.fusion.fit import FusionCheckpoint, FusionRun, load_fusion, save_fusion
from training.fusion.recipe import PRESETS, FusionRecipe, fusion_recipe
from training.models.fusion import Fusion, FusionConfig
from training.resume import RESUME

TINY = ["model.size=32", "model.maps=[4]", "model.width=8", "schedule.batch=4"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        for number, first in enumerate((0, 6)):
            examples = made_up_examples(made_up_sensors(6, 3, first), 2, number, every_field=False)
            write_shard(folder / f"data-{number:05d}-of-00002.tfrecord.gz", examples)

    return made_once(tmp_path_factory, "fusion-shards", make)


def _packed(shards: Path, recipe: FusionRecipe, folder: Path) -> PackedExamples:
    return pack(sorted(shards.glob("*.gz")), recipe.model.config().inputs(), folder)


# ISMN


def _write_ismn(folder: Path) -> Path:
    station = folder / "TESTNET" / "Here-North"
    station.mkdir(parents=True)
    head = "TESTNET TESTNET Here-North 45.10000 5.20000 210.00 0.0500 0.0500 Probe"
    rows = [("10:00", 0.21), ("12:02", 0.22), ("15:00", 0.23), ("15:02", 0.24)]
    lines = [f"2019/05/01 {time} {value:.4f} G M" for time, value in rows]
    name = "TESTNET_TESTNET_Here-North_sm_0.050000_0.050000_Probe_20190501_20190501.stm"
    (station / name).write_text("\n".join([head, *lines]) + "\n")
    return folder


def _at(sensor: str, time: str, **more: bytes) -> bytes:
    fields = next(made_up_examples(made_up_sensors(1, 1), 1, 1, every_field=False, labels=False))
    moment = dt.datetime.fromisoformat(f"2019-05-01T{time}+00:00").timestamp() * 1000
    fields |= {"sensor_id": feature_bytes(ValueKind.BYTES, [sensor.encode()])}
    fields |= {"timestamp": feature_bytes(ValueKind.FLOAT, [moment])}
    return example_bytes(fields | more)


def test_the_readings_of_ismn_become_labels(tmp_path: Path) -> None:
    """Exact, two minutes off, none within three, and two; a label that is there already stays."""
    ismn = _write_ismn(tmp_path / "ismn")
    shard = tmp_path / "data-00000-of-00001.tfrecord.gz"
    named = "TESTNET__HereNorth__Probe"
    records = [
        _at(named, "10:00"),
        _at("TESTNET__Here_North__Probe", "12:00", **{"of tomorrow": feature_bytes(ValueKind.INT64, [7])}),
        _at(named, "13:00"),
        _at(named, "15:01"),
        _at("OTHER__Here__Probe", "10:00"),
        _at("TESTNET__There__Probe", "10:00"),
        _at(named, "10:00", sm_0_5=feature_bytes(ValueKind.FLOAT, [0.5])),
    ]
    with record_writer(shard) as write:
        for each in records:
            write(each)
    words = ["combine", "--ismn", str(ismn), "--examples", str(shard), "--out", str(tmp_path / "full")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "3 done, 3 lookup failures, 1 value failures" in result.output
    assert f"{shard}: record 4: left out, {named} has 2 readings within 3 minutes" in result.stderr
    written = [each for each in read_records(tmp_path / "full" / shard.name) if isinstance(each, Record)]
    examples = [Example.parse(each.data) for each in written]
    assert [read_place(each).label for each in examples] == pytest.approx([0.21, 0.22, 0.5])
    assert examples[1].fields["of tomorrow"] == feature_bytes(ValueKind.INT64, [7])
    before = (tmp_path / "full" / shard.name).stat().st_mtime_ns
    again = CliRunner().invoke(app, words)
    assert "now: 0 done" in again.output
    assert (tmp_path / "full" / shard.name).stat().st_mtime_ns == before


def test_a_station_is_meant_if_each_part_of_the_name_is_in_it() -> None:
    assert matches("Here_North", "Here-North")
    assert matches("HereNorth", "Here-North")
    assert not matches("Here_South", "Here-North")


# Training


def test_no_station_is_in_two_splits_and_another_station_moves_none(shards: Path, tmp_path: Path) -> None:
    rule = SplitRule(seed=4)
    sensors = [f"NET__station_{number}__{kind}" for number in range(300) for kind in ("a", "b")]
    splits = {sensor: rule.of(sensor) for sensor in sensors}
    for sensor, split in splits.items():
        assert splits[f"{station_of(sensor)}__a"] is split
    share = sum(split is Split.TEST for split in splits.values()) / len(splits)
    assert 0.1 < share < 0.2
    assert SplitRule(seed=5).of(sensors[0]) in Split
    assert {SplitRule(seed).of(sensors[0]) for seed in range(40)} == set(Split)
    packed = _packed(shards, fusion_recipe("all", TINY), tmp_path)
    numbers = [packed.of_split(rule, split) for split in Split]
    assert sorted(np.concatenate(numbers).tolist()) == list(range(24))


def test_packed_examples_are_what_the_runtime_reads(shards: Path, tmp_path: Path) -> None:
    recipe = fusion_recipe("all", TINY)
    packed = _packed(shards, recipe, tmp_path)
    last = [each for each in read_records(sorted(shards.glob("*.gz"))[-1]) if isinstance(each, Record)][-1]
    for each in recipe.model.config().inputs():
        assert np.array_equal(packed.take([0, 23])[each.name][1], stack(Example.parse(last.data), each))


def test_a_run_that_stops_is_resumed_to_the_same_weights(shards: Path, tmp_path: Path) -> None:
    recipe = fusion_recipe("all", [*TINY, "schedule.steps=6", "schedule.validate_every=3"])
    packed = _packed(shards, recipe, tmp_path / "packed")
    whole = FusionRun(tmp_path / "whole", recipe, packed, "made up").fit()

    class Killed(Exception):
        pass

    class Kill(FusionRun):
        def _validation_loss(self, average: torch.nn.Module) -> float | None:
            self._kills = getattr(self, "_kills", 0) + 1
            if self.progress.step == 6:
                raise Killed
            return super()._validation_loss(average)

    frequent = recipe.model_copy(update={"schedule": recipe.schedule.model_copy(update={"keep_every": 2})})
    with pytest.raises(Killed):
        Kill(tmp_path / "part", frequent, packed, "made up").fit()
    assert (tmp_path / "part" / RESUME).exists()
    resumed = FusionRun(tmp_path / "part", frequent, packed, "made up")
    again = resumed.fit()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    loaded = load_fusion(tmp_path / "part" / "last.safetensors")
    assert sum(loaded.record["examples"].values()) == 24
    assert sum(loaded.record["stations"].values()) == 12
    other = fusion_recipe("all", [*TINY, "schedule.steps=7"])
    with pytest.raises(ValueError, match="another recipe"):
        FusionRun(tmp_path / "part", other, packed, "made up").fit()


def test_presets_are_the_rows_of_the_table() -> None:
    assert [len(sources) for sources in PRESETS.values()] == [2, 2, 3, 4, 6]
    assert {each.name for each in fusion_recipe("smap-gldas").model.config().inputs()} == {"aux"}
    assert fusion_recipe("s1-dem").model.config().inputs()[0].shape == (256, 256, 4)
    with pytest.raises(ConfigError, match="there are smap-gldas"):
        fusion_recipe("other")
    with pytest.raises(ConfigError, match=r"model\.maps"):
        fusion_recipe("all", ["model.maps=x"])


# Export


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RetrievalBundle:
    def make(folder: Path) -> None:
        torch.manual_seed(0)
        model = Fusion(FusionConfig(size=64, maps=(4, 6), width=8))
        for name in ("image", "low_res_image"):
            model.get_buffer(f"{name}_std").fill_(100.0)
        save_fusion(folder / "random.safetensors", FusionCheckpoint(model))
        export_retrieval(load_fusion(folder / "random.safetensors"), folder / "small")

    return load_retrieval(made_once(tmp_path_factory, "fusion-bundle", make) / "small")


@pytest.mark.slow
def test_the_engines_agree_on_examples(small: RetrievalBundle, shards: Path) -> None:
    found = {}
    for engine in ("cpu", "openvino"):
        opened = open_retrieval_engines(small, EngineSettings(engine))  # type: ignore[arg-type]
        values = list(retrievals(opened, small.manifest, sorted(shards.glob("*.gz"))))
        assert all(isinstance(each, Retrieval) for each in values)
        found[engine] = [each.value for each in values if isinstance(each, Retrieval)]
    assert len(found["cpu"]) == 24
    assert found["cpu"] == pytest.approx(found["openvino"], abs=1e-5)


def test_tensorrt_builds_an_engine_of_it(small: RetrievalBundle) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="NO TENSORRT-RTX HERE")
    target = "sm86" if "sm86" in capabilities(trt) else capabilities(trt)[0]
    plan, record = build_engine(small.graph, key_of(small, "tensorrt-rtx", target, "fp32"))
    assert len(plan) == record.plan_bytes > 0
    assert record.nodes == len(onnx.load(small.graph).graph.node)
    assert set(record.inputs) == {"image", "low_res_image", "aux"}


def test_a_source_that_is_absent_counts_as_its_mean(small: RetrievalBundle) -> None:
    engine = open_engine(small, EngineSettings("cpu"))
    assert not hasattr(engine, "stages")
    shapes = {each.name: (1, *each.shape) for each in small.manifest.inputs}
    one = {name: np.full(shape, 7.0, np.float32) for name, shape in shapes.items()}
    without = {**one, "aux": one["aux"] * np.array([[0.0, 1.0]], np.float32)}
    values = [float(engine.run(each)["soil_moisture"][0]) for each in (one, without)]  # type: ignore[union-attr]
    assert values[0] != values[1]
    assert all(0 <= value <= 1 for value in values)


# Scores

PAPER = {  # ubRMSE, RMSE and R on the test sites, as the paper's table has them
    "reference": (0.063, 0.098, 0.666),
    "+SoilGrids": (0.061, 0.095, 0.647),
    "+SMAP+GLDAS": (0.056, 0.087, 0.729),
}


def test_the_percentages_follow_from_the_figures_of_the_paper() -> None:
    def score(name: str) -> Score:
        ubrmse, rmse, r = PAPER[name]
        return Score(r=r, rmse=rmse, ubrmse=ubrmse, mae=math.nan, bias=math.nan, n=9)

    found = {name: score_cells(score(name), score("reference")) for name in ("+SoilGrids", "+SMAP+GLDAS")}
    assert found["+SMAP+GLDAS"] == ["0.056 (+11.1 %)", "0.087 (+11.2 %)", "0.729 (+9.5 %)", "9"]
    assert found["+SoilGrids"] == ["0.061 (+3.2 %)", "0.095 (+3.1 %)", "0.647 (-2.9 %)", "9"]
    assert improvement(0.5, 0.4, of_error=True) == pytest.approx(0.2)
    assert improvement(0.5, 0.4, of_error=False) == pytest.approx(-0.2)


def test_scores_are_pooled_and_means_over_sensors() -> None:
    pairs = Pairs()
    for sensor, shift in (("N__a__x", 0.1), ("N__b__x", -0.3)):
        for label in (0.1, 0.2, 0.4):
            pairs.add(Place(sensor, 0.0, 0.0, None, label), label + shift)
    pairs.add(Place("N__a__x", 0.0, 0.0, None, None), 0.3)  # no label
    pairs.add(Place("N__a__x", 0.0, 0.0, None, 0.3), math.nan)  # no estimate
    assert pairs.pooled().n == 6
    assert pairs.pooled().rmse == pytest.approx(math.sqrt((0.01 + 0.09) / 2))
    mean = pairs.mean_over_sensors()
    assert (mean.n, round(mean.rmse, 6), round(mean.ubrmse, 6), round(mean.r, 6)) == (2, 0.2, 0.0, 1.0)
    table = score_tables({"one": pairs}, SplitRule(), (None,), "")
    assert "| one | 0.200 | 0.224 |" in table
    assert "| one | 0.000 | 0.200 | 1.000 | 2 |" in table


@pytest.mark.slow
def test_a_planted_law_is_learned_and_the_shipped_bundle_knows_it(tmp_path: Path) -> None:
    """At sensors that the bundle was not trained on, which are numbered from 500."""
    shard = tmp_path / "unseen.tfrecord.gz"
    write_shard(shard, made_up_examples(made_up_sensors(30, 9, 500), 2, 9, every_field=False))
    words = ["--bundle", "fusion-made-up", "--examples", str(shard), "--out", str(tmp_path / "report")]
    result = CliRunner().invoke(app, ["evaluate-fusion", *words, "--validation", "0.4", "--test", "0.5"])
    assert result.exit_code == 0, result.output
    bundle = load_retrieval(find_bundle("fusion-made-up"))
    engines = open_retrieval_engines(bundle, EngineSettings("cpu"))
    found = [each for each in retrievals(engines, bundle.manifest, [shard]) if isinstance(each, Retrieval)]
    pairs = np.array([(each.value, each.place.label) for each in found], float)
    assert np.corrcoef(pairs.T)[0, 1] > 0.9
    assert bundle.manifest.training["data"].startswith("400 made-up examples")
    assert "made-up world" in (bundle.path / "MODEL_CARD.md").read_text()
    assert json.loads((bundle.path / "bundle.json").read_text())["kind"] == "retrieval"


@pytest.mark.slow
def test_the_demo_shows_estimates_and_labels(tmp_path: Path) -> None:
    result = CliRunner().invoke(runtime_app, ["demo", "--fusion", "--folder", str(tmp_path / "demo")])
    assert result.exit_code == 0, result.output
    assert "24 examples of a made-up world, 106 fields each" in result.output
    assert float(result.output.partition("\nR ")[2][:5]) > 0.9


def test_sources_have_one_place_each() -> None:
    groups = FusionConfig(sources=(Source.DEM, Source.SENTINEL_1)).groups()
    assert groups == {"image": [slice(0, 3), slice(3, 4)]}
