"""`runtime retrieve`: examples in, a table out; every engine, every fault, and an archive beside."""

import csv
import datetime as dt
import gzip
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from runtime.archive.reader import Reader
from runtime.bundle import GRAPH, MANIFEST, RetrievalBundle, find_bundle, load_bundle, load_retrieval
from runtime.cli import app
from runtime.common import digest
from runtime.demo.fusion import made_up_examples, made_up_sensors
from runtime.engines.select import EngineSettings
from runtime.errors import BundleError
from runtime.retrieval.example import _MESSAGES, Example, example_bytes, feature_bytes
from runtime.retrieval.from_archive import ArchiveValues
from runtime.retrieval.predict import open_retrieval_engines, retrievals
from runtime.retrieval.sample import Place
from runtime.retrieval.schema import ValueKind
from runtime.retrieval.tfrecord import Record, read_records, record_writer
from tests.conftest import FillOnce, Site, errors, messages
from tests.support.once import made_once
from tests.support.retrieval import mean_of_vv_bundle, small_shard


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> RetrievalBundle:
    folder = made_once(tmp_path_factory, "retrieval", lambda folder: mean_of_vv_bundle(folder / "mean"))
    return load_retrieval(folder / "mean")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    name = "data-00000-of-00001.tfrecord.gz"
    return made_once(tmp_path_factory, "shard", lambda folder: small_shard(folder / name, every_field=True)) / name


def _run(bundle: RetrievalBundle, *words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["retrieve", "--bundle", str(bundle.path), *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def _by_hand(shard: Path) -> list[float]:
    """Return what the network of the bundle gives, from the fields as protobuf reads them."""
    values = []
    for record in read_records(shard):
        assert isinstance(record, Record)
        vv, smap = (_integers(Example.parse(record.data), name) for name in ("sentinel_1_VV", "smap_sm"))
        middle = vv.reshape(512, 512)[128:384, 128:384]
        values.append(float(np.clip(0.5 * middle.mean() / 255 + 0.5 * smap[0] / 255, 0, 1)))
    return values


def _integers(example: Example, name: str) -> np.ndarray:
    feature = _MESSAGES["Feature"].FromString(example.fields[name])
    return np.array(feature.int64_list.value)


@pytest.mark.parametrize("engine", ["cpu", "openvino"])
def test_a_table_has_what_a_hand_computes(engine: str, bundle: RetrievalBundle, shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.csv"
    code, _, stderr = _run(bundle, "--examples", shard, "--out", out, "--engine", engine)
    assert code == 0, stderr
    rows = _rows(out)
    assert list(rows[0]) == ["sensor_id", "time", "lat", "lon", "prediction", "label"]
    assert [float(row["prediction"]) for row in rows] == pytest.approx(_by_hand(shard), abs=1e-5)
    assert rows[0]["sensor_id"] == "MADEUP__place_000__probe"
    assert rows[0]["time"].startswith("2019-04-01T")
    assert "6 examples of 1 file, 6 with a label" in stderr
    assert not list(tmp_path.glob("*.part"))


def test_no_more_is_computed_than_num_wants(
    bundle: RetrievalBundle, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (engine, *_), computed = open_retrieval_engines(bundle, EngineSettings("cpu")), []
    run = engine.run
    monkeypatch.setattr(engine, "run", lambda inputs: computed.append(len(next(iter(inputs.values())))) or run(inputs))
    assert len(list(retrievals([engine], bundle.manifest, [shard, shard], 2))) == 2
    assert sum(computed) == 2


def test_the_progress_ends_at_the_size_of_all_files(bundle: RetrievalBundle, shard: Path, tmp_path: Path) -> None:
    damaged, absent, seen = tmp_path / "damaged.tfrecord.gz", tmp_path / "absent.tfrecord.gz", []
    damaged.write_bytes(shard.read_bytes()[:-3000])
    engines = open_retrieval_engines(bundle, EngineSettings("cpu"))
    files = [damaged, absent, shard]
    list(retrievals(engines, bundle.manifest, files, progress=lambda done, of: seen.append((done, of))))
    size = damaged.stat().st_size + shard.stat().st_size
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_without_a_file_the_table_is_printed_and_num_ends_it(bundle: RetrievalBundle, shard: Path) -> None:
    code, stdout, _ = _run(bundle, "--examples", shard, shard, "--num", 8)
    assert code == 0
    assert len(stdout.splitlines()) == 9


def test_a_pattern_and_a_folder_stand_for_their_files(bundle: RetrievalBundle, shard: Path) -> None:
    for name in (shard.parent, shard.parent / "data-*.gz"):
        assert len(_run(bundle, "--examples", name)[1].splitlines()) == 7
    code, _, stderr = _run(bundle, "--examples", shard.parent / "other-*.gz")
    assert code == 2
    assert "no such file" in errors(stderr)[0]


def test_parquet_has_the_rows_of_the_csv(bundle: RetrievalBundle, shard: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="PARQUET NOT TESTED: pyarrow is not installed")
    assert _run(bundle, "--examples", shard, "--out", tmp_path / "found.csv")[0] == 0
    assert _run(bundle, "--examples", shard, "--out", tmp_path / "found.parquet")[0] == 0
    table = parquet.read_table(tmp_path / "found.parquet").to_pylist()
    rows = _rows(tmp_path / "found.csv")
    assert [row["sensor_id"] for row in table] == [row["sensor_id"] for row in rows]
    assert [row["prediction"] for row in table] == pytest.approx([float(row["prediction"]) for row in rows], abs=1e-6)
    assert [f"{row['time']:%Y-%m-%dT%H:%M:%SZ}" for row in table] == [row["time"] for row in rows]


def test_parquet_without_its_package_and_other_endings_are_refused(
    bundle: RetrievalBundle, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, stderr = _run(bundle, "--examples", shard, "--out", tmp_path / "found.parquet")
    assert code == 2
    assert "pip install 'seamless-sm[retrieval]', or write .csv" in errors(stderr)[0]
    code, _, stderr = _run(bundle, "--examples", shard, "--out", tmp_path / "found.xlsx")
    assert code == 2
    assert "ends in .csv or .parquet" in errors(stderr)[0]


def test_a_record_that_cannot_be_used_is_named_and_the_others_go_on(bundle: RetrievalBundle, tmp_path: Path) -> None:
    examples = list(made_up_examples(made_up_sensors(5, 1), 1, 1, every_field=False))
    del examples[1]["sentinel_1_VV"]
    examples[2]["smap_sm"] = feature_bytes(ValueKind.FLOAT, [1.0])
    shard = tmp_path / "bad.tfrecord.gz"
    with record_writer(shard) as write:
        for fields in examples:
            write(example_bytes(fields))
        write(b"no example")
    shard.write_bytes(shard.read_bytes()[:-5])  # cut
    out = tmp_path / "found.csv"
    code, _, stderr = _run(bundle, "--examples", shard, "--out", out)
    assert code == 4
    assert [line for line in messages(stderr) if line.startswith("warning: ")] == [
        f"warning: {shard}: record 2: it has no field sentinel_1_VV",
        f"warning: {shard}: record 3: field smap_sm is of the type float_list, wanted int64_list",
        f"warning: {shard}: record 6: it is no tf.train.Example: its form is wrong",
        f"warning: {shard}: record 7: the gzip stream is cut or damaged (it ends before its end-of-stream marker)",
    ]
    assert "4 records could not be used" in errors(stderr)[0]
    assert [row["sensor_id"].split("_")[3] for row in _rows(out)] == ["000", "003", "004"]


def test_a_shard_that_is_cut_in_its_first_two_records_is_refused(bundle: RetrievalBundle, tmp_path: Path) -> None:
    """At some places; `test_tfrecord` cuts a smaller file at every byte."""
    raw = small_shard(tmp_path / "whole.gz", sensors=2, times=1).read_bytes()
    stream = gzip.decompress(raw)
    cut = tmp_path / "cut.gz"
    places = (0, 1, 11, 12, 4000, len(stream) // 2, len(stream) - 1)
    for content in (raw[:-1], raw[: len(raw) // 2], raw[:9], *(gzip.compress(stream[:size], 1) for size in places)):
        cut.write_bytes(content)
        code, _, stderr = _run(bundle, "--examples", cut)
        assert code == 4
        assert f"warning: {cut}: record " in stderr


# Kinds of bundles


def test_a_filling_bundle_does_not_retrieve_and_a_retrieval_does_not_fill(
    bundle: RetrievalBundle, shard: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["retrieve", "--bundle", "seamless-2", "--examples", str(shard)])
    assert result.exit_code == 2
    assert "is of the window kind: it fills days" in errors(result.stderr)[0]
    assert "`runtime fill`" in errors(result.stderr)[0]
    for command in ("fill", "plan", "doctor"):
        words = [command, "--set", f"model.bundle={bundle.path}", "--set", f"archive.path={tmp_path / 'archive'}"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2, command
        output = " ".join((result.stdout + result.stderr).split())
        assert f"use `runtime retrieve --bundle {bundle.path}`" in output, command


def test_the_bundles_that_fill_are_those_that_they_were() -> None:
    ids = {
        "seamless-2": "3a9785e482f97b0401c6e97154b7c7d1febc462571545b323b3bb288825bd0a8",
        "seamless-2-soil": "d749e0938831d8bb1019afcd3a05798504940900aedbd2cce377f6ea324faf88",
        "seamless-amsr2-x": "1d4573899c96399ddf07a7360b215ff234224c9650428de848786fa8b82dcec0",
        "sgdsm1-amsr2-x": "111a853290c95980a1b7aed6fb4c58f62038f581c1232db2442cfb3a3bf174be",
        "sgdsm2-amsr2-x": "90c31bbfb8dc9b608803428fb6e92cf20351e5a8dd47d7d1d380d9583adaaf81",
    }
    assert {name: load_bundle(find_bundle(name)).model_id for name in ids} == ids


def _rewritten(bundle: RetrievalBundle, folder: Path, old: str, new: str) -> Path:
    text = (bundle.path / MANIFEST).read_text()
    assert old in text
    folder.mkdir()
    for file in bundle.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / MANIFEST).write_text(text.replace(old, new))
    return folder


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"name": "aux"', '"name": "image"', "two inputs have one name"),
        ('"minimum": 0.0', '"minimum": 1.0', "minimum must be below its maximum"),
        ('"divide_by": 3000.0', '"divide_by": 0.0', "divide_by"),
        ('"dtype": "float32"', '"dtype": "int8"', "dtype"),
        ('"batch": 4', '"batch": 4, "window": [0]', "window: Extra inputs"),
        ("      2\n", "      3\n", "input aux has 2 fields"),
        ('"kind": "retrieval"', '"kind": "window"', "export the bundle again"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    old: str, new: str, reason: str, bundle: RetrievalBundle, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=reason):
        load_retrieval(_rewritten(bundle, tmp_path / "other", old, new))


@pytest.mark.parametrize("old", ['"name": "soil_moisture"', '"name": "aux"', '"minimum": 0.0'])
def test_a_graph_that_does_not_do_what_its_manifest_says_is_refused(
    old: str, bundle: RetrievalBundle, tmp_path: Path
) -> None:
    other = load_retrieval(
        _rewritten(
            bundle, tmp_path / "other", old, old.replace("soil", "x").replace("aux", "other").replace("0.0", "0.5")
        )
    )
    with pytest.raises(BundleError, match=r"export the bundle again|outside of its range"):
        open_retrieval_engines(other, EngineSettings("cpu"))


def test_what_the_inputs_are_made_of_is_part_of_the_model_id(bundle: RetrievalBundle, tmp_path: Path) -> None:
    scaled = _rewritten(bundle, tmp_path / "scaled", '"divide_by": 3000.0', '"divide_by": 2999.0')
    renamed = _rewritten(bundle, tmp_path / "renamed", '"version": "1"', '"version": "2"')
    assert load_retrieval(scaled).model_id != bundle.model_id
    assert load_retrieval(renamed).model_id == bundle.model_id


def test_a_graph_of_fixed_batch_and_whole_images_runs(tmp_path: Path) -> None:
    """As the authors' network has it: 512 x 512 pixels, one example at a time; the middle is cut inside."""
    whole = mean_of_vv_bundle(tmp_path / "whole", 512)
    graph = onnx.load(whole.graph)
    for each in (*graph.graph.input, *graph.graph.output):
        each.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, whole.graph)
    text = (whole.path / MANIFEST).read_text().replace('"batch": 4', '"batch": 1')
    old = next(value for name, value in whole.manifest.files.items() if name == GRAPH)
    (whole.path / MANIFEST).write_text(text.replace(old, digest.of_file(whole.graph)))
    shard = small_shard(tmp_path / "shard.gz", sensors=2, times=1)
    for engine in ("cpu", "openvino"):
        code, stdout, _ = _run(load_retrieval(whole.path), "--examples", shard, "--engine", engine)
        assert code == 0
        found = [float(line.split(",")[4]) for line in stdout.splitlines()[1:]]
        assert found == pytest.approx(_by_hand(shard), abs=1e-5)


# An archive beside


def test_the_value_of_an_archive_is_that_of_the_cell_and_day(fill_once: FillOnce, window_site: Site) -> None:
    fill_once(window_site, 0, 3)
    reader, found = Reader(window_site.archive), ArchiveValues(window_site.archive)
    date = window_site.date(2)
    fields = reader.fields(date, ("soil_moisture", "flag", "soil_moisture_uncertainty"))
    row, col = next(zip(*np.nonzero(fields["flag"] == 2), strict=True), None) or (20, 20)
    lat, lon = float(reader.axes[0][row]), float(reader.axes[1][col])

    def at(moment: dt.datetime | None, shift: float = 0.0) -> object:
        return found.at(Place("x", lat + shift, lon, moment, None))

    noon = dt.datetime.combine(date, dt.time(12), dt.UTC)
    here = found.at(Place("x", lat, lon, noon, None))
    assert here.value == pytest.approx(float(fields["soil_moisture"][row, col]), nan_ok=True)
    assert here.flag == fields["flag"][row, col]
    assert here.sigma == pytest.approx(float(fields["soil_moisture_uncertainty"][row, col]), nan_ok=True)
    before_midnight = dt.datetime.combine(window_site.date(1), dt.time(23, 59, 10), dt.UTC)
    assert str(at(before_midnight)) == str(here)
    for nowhere in (at(None), at(noon, 50.0), at(noon + dt.timedelta(days=400)), at(noon, math.nan)):
        assert str(nowhere) == "ArchiveValue(value=nan, flag=None, sigma=nan)"


# What is installed


def test_it_runs_without_torch_and_tensorflow(bundle: RetrievalBundle, shard: Path) -> None:
    code = f"""
import sys
for name in ("torch", "tensorflow", "onnx", "training", "export", "scipy", "pyarrow"):
    sys.modules[name] = None
from runtime.cli import app
app(["retrieve", "--bundle", {str(bundle.path)!r}, "--examples", {str(shard)!r}, "--num", "2"])
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
