"""`export import-tf`: a SavedModel of TensorFlow becomes a bundle that computes the same, or there is no bundle.

TensorFlow is not part of ``[dev]``: where it is not installed, all of these are skipped but the first.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from export.cli import app
from runtime.bundle import CARD, load_retrieval
from runtime.cli import app as runtime_app
from runtime.retrieval.sample import Sample, samples_of
from runtime.retrieval.tfrecord import read_records
from tests.conftest import errors
from tests.support.retrieval import small_shard

ROOT = Path(__file__).parents[2]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a SavedModel; the arguments are those of `made_up_network`, and its tag."""
    for name, value in (("TF_CPP_MIN_LOG_LEVEL", "3"), ("TF_ENABLE_ONEDNN_OPTS", "0")):
        monkeypatch.setenv(name, value)
    for name in ("tensorflow", "tf2onnx"):
        pytest.importorskip(name, reason=f"IMPORT OF A SAVEDMODEL NOT TESTED: {name} is not installed")
    from tests.support.saved_model import made_up_network, write_saved_model

    return lambda tag="serve", **network: write_saved_model(tmp_path / "saved", made_up_network(**network), tag)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return small_shard(tmp_path / "data-00000-of-00001.tfrecord.gz", sensors=4, times=1)


def _import(saved_model: Path, out: Path, *words: object) -> tuple[int, str, str]:
    command = ["import-tf", "--saved-model", str(saved_model), "--out", str(out), *map(str, words)]
    result = CliRunner().invoke(app, command)
    return result.exit_code, result.stdout, result.stderr


def _refused(saved_model: Path, out: Path, *words: object) -> str:
    """Return the one line of a refusal with the exit code 2."""
    code, _, stderr = _import(saved_model, out, *words)
    (line,) = errors(stderr)
    assert code == 2
    assert not list(out.parent.glob("*bundle*"))
    return line


def test_without_tensorflow_it_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert "pip install 'seamless-sm[import-tf]'" in _refused(tmp_path, tmp_path / "bundle")


@pytest.mark.slow
@pytest.mark.parametrize("network", [{}, {"variables": True}, {"batch": None}])
def test_an_imported_network_gives_what_tensorflow_does(
    network: dict[str, object], write: Write, shard: Path, tmp_path: Path
) -> None:
    saved, out = write(**network), tmp_path / "bundle"
    code, stdout, stderr = _import(saved, out, "--examples", shard)
    assert code == 0, stderr
    assert "largest difference from TensorFlow in 4 examples" in stdout
    bundle = load_retrieval(out)
    assert "on 4 examples (the first of data-00000" in (out / CARD).read_text()
    expected = _by_tensorflow(saved, list(samples_of(read_records(shard), bundle.manifest)))
    assert np.std(expected) > 1e-4
    for engine in ("cpu", "openvino"):
        words = ["retrieve", "--bundle", str(out), "--examples", str(shard), "--engine", engine]
        lines = CliRunner().invoke(runtime_app, words).stdout.splitlines()
        assert [float(line.split(",")[4]) for line in lines[1:]] == pytest.approx(expected, abs=2e-6)


def _by_tensorflow(saved: Path, samples: list[object]) -> list[float]:
    """Return what TensorFlow computes, fed as the authors' script does it."""
    import tensorflow as tf

    values = []
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        tf.compat.v1.saved_model.load(session, ["serve"], str(saved))
        for each in samples:
            assert isinstance(each, Sample)
            image, low_res, aux = (each.inputs[name][None] for name in ("image", "low_res_image", "aux"))
            feed = {"ImageTensor:0": image, "LowResImageTensor:0": low_res, "AuxTensor:0": aux}
            values.append(float(session.run("clip_by_value:0", feed).squeeze()))
    return values


@pytest.mark.slow
def test_the_bundle_runs_where_there_is_no_tensorflow(write: Write, shard: Path, tmp_path: Path) -> None:
    assert _import(write(), tmp_path / "bundle")[0] == 0  # compared on made-up examples
    code = f"""
import sys
for name in ("tensorflow", "tf2onnx", "torch", "onnx"):
    sys.modules[name] = None
from runtime.cli import app
app(["retrieve", "--bundle", {str(tmp_path / "bundle")!r}, "--examples", {str(shard)!r}])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"tag": "train"}, "TensorFlow cannot load it with the tag 'serve'"),
        ({"image": "Image"}, "its graph has no tensor ImageTensor:0"),
        ({"output": "other"}, "its graph has no tensor clip_by_value:0"),
        ({"dtype": "uint8"}, "tensor ImageTensor:0 has the type uint8"),
        ({"size": 256}, "the shape (1, 256, 256, 10), wanted float32 and 1 x 512 x 512 x 10"),
        ({"level": 2.0}, "does not vary or is not finite"),
    ],
)
def test_a_network_of_another_form_is_refused_in_one_line(
    network: dict[str, object], reason: str, write: Write, tmp_path: Path
) -> None:
    assert reason in _refused(write(**network), tmp_path / "bundle", "--num", 2)


@pytest.mark.slow
def test_a_conversion_that_computes_something_else_gives_no_bundle(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tf2onnx

    convert = tf2onnx.convert.from_graph_def

    def with_other_weights(*args: object, **options: object) -> object:
        import onnx

        model, extra = convert(*args, **options)
        weight = next(each for each in model.graph.initializer if len(each.dims) == 4)
        values = onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(1.01), weight.name))
        return model, extra

    monkeypatch.setattr(tf2onnx.convert, "from_graph_def", with_other_weights)
    assert "differs from TensorFlow by" in _refused(write(), tmp_path / "bundle", "--num", 4)


@pytest.mark.slow
def test_a_folder_that_is_no_saved_model_is_refused(write: Write, tmp_path: Path) -> None:
    assert "no SavedModel (a folder with saved_model.pb" in _refused(tmp_path, tmp_path / "bundle")
    (tmp_path / "saved_model.pb").write_bytes(b"junk")
    assert "TensorFlow cannot load it" in _refused(tmp_path, tmp_path / "bundle")
