import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from runtime.bundle import CARD, GRAPH, MANIFEST, Bundle, find_bundle, load_bundle, shipped_bundles
from runtime.common import digest
from runtime.common.onnx_files import external_files
from runtime.config import Model
from runtime.errors import BundleError
from runtime.manifest import Manifest


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_bundle("sgdsm1-amsr2-x"), tmp_path / "copy"))


def test_shipped_bundles_load_and_are_small() -> None:
    names = shipped_bundles()
    assert {"seamless-2", "seamless-2-soil", "seamless-amsr2-x", "sgdsm1-amsr2-x", "sgdsm2-amsr2-x"} <= set(names)
    assert Model().bundle == "seamless-2"
    for name in names:
        loaded = load_bundle(find_bundle(name))
        assert loaded.manifest.name == name
        assert loaded.manifest.training, f"{name} has no training record"
        assert loaded.manifest.errors, f"{name} has no error table"
        assert loaded.manifest.not_judged("lprm-amsr2", "x") is None
        assert loaded.manifest.accepts("of tomorrow", None) == (name == "seamless-2")
        card = (loaded.path / CARD).read_text()
        references = ("DCT-PLS", "trees", "weighted mean") if name.startswith("seamless-2") else ("DCT-PLS",)
        assert all(f"\n| {reference} |" in card for reference in references)
        assert "one April" in card
    everything = [*names, *shipped_bundles(retrieval=True)]
    assert sum(file.stat().st_size for name in everything for file in find_bundle(name).iterdir()) < 36e6


@pytest.mark.parametrize("name", ["model.onnx", "MODEL_CARD.md"])
def test_one_flipped_byte_is_found(name: str, copy: Path) -> None:
    raw = bytearray((copy / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / name).write_bytes(raw)
    with pytest.raises(BundleError, match=f"{name} does not have the hash.*copy the bundle again"):
        load_bundle(copy)


def test_a_missing_file_is_found(copy: Path) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model.onnx is missing"):
        load_bundle(copy)


@pytest.mark.parametrize("text", ["{}", "not json", '{"schema_version": 99}'])
def test_a_bad_manifest_is_found(text: str, copy: Path) -> None:
    (copy / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle.json cannot be read"):
        load_bundle(copy)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(BundleError, match=r"no model bundle 'sgdsm9'.*sgdsm1-amsr2-x"):
        find_bundle("sgdsm9")


def test_only_what_changes_values_changes_the_model_id(copy: Path) -> None:
    before = load_bundle(copy)

    def edited(**changes: object) -> str:
        manifest = json.loads((copy / "bundle.json").read_text()) | changes
        return Bundle(copy, Manifest.model_validate(manifest)).model_id

    assert edited(version="99", name="other", training={"rmse": 0.1}) == before.model_id
    assert edited(products=["any"], bands=["any"], judged=[]) == before.model_id
    assert edited(halo=before.manifest.halo + 1) != before.model_id
    table = {"days": [1], "latitudes": [-90, 90], "rmse": [[0.1]], "n": [[5]]}
    assert edited(errors=table) != before.model_id, "it is published as uncertainty"
    assert edited(errors=table, gives_sigma=True) == edited(gives_sigma=True), "sigma is published instead"
    assert edited(files={"model.onnx": "0" * 64}) != before.model_id


ONE_COLUMN = {"days": [1], "latitudes": [-90, 90], "rmse": [[0.1, 0.2]], "n": [[1]]}


@pytest.mark.parametrize(
    ("changes", "said"), [({"stride": 5}, "must be multiples of 5"), ({"errors": ONE_COLUMN}, "1 rows and 1 columns")]
)
def test_a_manifest_that_contradicts_itself_is_found(changes: dict[str, object], said: str, copy: Path) -> None:
    manifest = json.loads((copy / "bundle.json").read_text()) | changes
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=said):
        load_bundle(copy)


# Weights outside the graph


def _with_weights_at(location: str, graph: Path, *, nested: bool = False) -> None:
    """Write a graph that takes its weights from another file; `nested`: in a branch of an If, as an attribute."""
    weights = numpy_helper.from_array(np.ones(4, np.float32), "weights")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    weights.external_data.add(key="length", value="16")
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [4])
    if nested:
        branch = helper.make_graph([helper.make_node("Constant", [], ["out"], value=weights)], "branch", [], [out])
        node = helper.make_node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch)
        yes = numpy_helper.from_array(np.array(True), "yes")
        made = helper.make_graph([node], "g", [], [out], [yes])
    else:
        made = helper.make_graph([helper.make_node("Identity", ["weights"], ["out"])], "g", [], [out], [weights])
    graph.write_bytes(helper.make_model(made).SerializeToString())


def _list_files(bundle: Path, *names: str) -> None:
    """Let the manifest list these files and their hashes beside those it has."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    for name in (*manifest["files"], *names):
        manifest["files"][name] = digest.of_file(bundle / name)
    (bundle / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("nested", [False, True])
def test_weights_that_the_manifest_does_not_list_are_refused(nested: bool, copy: Path) -> None:
    """Other weights in that file would have the same model id."""
    (copy / "weights.bin").write_bytes(bytes(16))
    _with_weights_at("./weights.bin", copy / GRAPH, nested=nested)
    assert external_files(copy / GRAPH) == {"./weights.bin"}
    _list_files(copy)
    with pytest.raises(BundleError, match=r"model.onnx takes weights from './weights.bin', which bundle.json does not"):
        load_bundle(copy)
    _list_files(copy, "weights.bin")
    before = load_bundle(copy).model_id
    (copy / "weights.bin").write_bytes(b"1" * 16)
    with pytest.raises(BundleError, match=r"weights.bin does not have the hash"):
        load_bundle(copy)
    _list_files(copy)
    assert load_bundle(copy).model_id != before


@pytest.mark.parametrize("location", ["../weights.bin", "/tmp/weights.bin", "sub/../../weights.bin", ""])
def test_weights_outside_the_folder_are_refused(location: str, copy: Path) -> None:
    _with_weights_at(location, copy / "model.fp16.onnx")
    _list_files(copy)
    with pytest.raises(BundleError, match=r"model.fp16.onnx takes weights from"):
        load_bundle(copy)


@pytest.mark.parametrize("content", [b"no graph", b"\xff" * 99, b"\x3a\xff\xff\xff\xff\x0f"])
def test_a_file_that_is_no_graph_is_refused(content: bytes, copy: Path) -> None:
    (copy / "stage-02.onnx").write_bytes(content)
    _list_files(copy)
    with pytest.raises(BundleError, match=r"stage-02.onnx cannot be read \(it is no ONNX graph\)"):
        load_bundle(copy)


def test_a_graph_without_the_onnx_package_is_read_as_with_it() -> None:
    for name in shipped_bundles():
        for graph in find_bundle(name).glob("*.onnx"):
            found = onnx.external_data_helper._get_all_tensors(onnx.load(graph, load_external_data=False))
            assert {e.value for t in found for e in t.external_data if e.key == "location"} == external_files(graph)


# Manifests that make no sense

NONSENSE: dict[str, Any] = {
    "halo": -1,
    "tile_core": 0,
    "batch": 0,
    "stride": 0,
    "window": [],
    "window without day 0": [-2, -1, 1],
    "window with a day twice": [-1, 0, 0, 1],
    "window that does not ascend": [1, 0, -1],
    "window of years": [-100000, 0],
    "kind": "retrieval",
    "kind of another network": "recurrent",
    "products": [],
    "bands": "x",
    "spin_up_days": -1,
    "spin_up_days huge": 10**12,
    "tile_core huge": 10**30,
    "tile_core as text": "96",
    "halo as float": 6.5,
    "name": "two\nlines",
    "name empty": "",
    "version": None,
    "errors": {"days": [], "latitudes": [], "rmse": [], "n": []},
    "errors with one edge": {"days": [1], "latitudes": [0], "rmse": [[]], "n": [[]]},
    "errors that descend": {"days": [2, 1], "latitudes": [-90, 90], "rmse": [[1], [1]], "n": [[1], [1]]},
    "errors below 0": {"days": [1], "latitudes": [-90, 90], "rmse": [[-1]], "n": [[1]]},
    "state": [{"name": "h", "shape": [320]}],
    "stages": [{"file": "stage-01.onnx", "halo": 2, "frames": 9, "maps": 32}],
    "stages without a file": [{"file": "stage-09.onnx", "halo": 6, "frames": 1, "maps": 1}],
    "precisions": {"fp32": {"rmse": 0, "held_out": 1, "cells": 1, "hidden": 1}},
    "files": {},
    "files with a list": [],
    "files above": {"../model.onnx": "0" * 64, "model.onnx": "0" * 64},
    "files elsewhere": {"/model.onnx": "0" * 64},
    "files without a name": {"": "0" * 64},
    "files with a strange name": {"a\u0000b": "0" * 64},
    "files with a long name": {"a" * 5000: "0" * 64},
    "files that are a folder": {".": "0" * 64},
    "files without hash": {"model.onnx": ""},
    "files with a number": {"model.onnx": 1},
    "files that are missing": {"model.onnx": "0" * 64, "b.onnx": "0" * 64},
    "training": [],
    "unknown": 1,
    "schema_version": 2,
}


def _refused(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle)
    return str(caught.value)


@pytest.mark.parametrize("what", NONSENSE)
def test_a_manifest_that_makes_no_sense_is_refused_in_one_line(what: str, copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {what.split()[0]: NONSENSE[what]}))
    assert _is_one_line(_refused(copy))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe{}",
        b"\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"null",
        b"[]",
        b'"text"',
        b"1e999",
        b'{"name": NaN}',
        b'{"two\\nlines\\u0007": 1}',
        b'{"' + b"k" * 10_000 + b'": 1}',
        b"1" * 5000,
    ],
)
def test_a_file_that_is_no_manifest_is_refused_in_one_line(content: bytes, copy: Path) -> None:
    (copy / MANIFEST).write_bytes(content)
    said = _refused(copy)
    assert _is_one_line(said)
    assert "bundle.json cannot be read: " in said


def test_numbers_that_are_none_are_refused_wherever_they_are(copy: Path) -> None:
    text = (copy / MANIFEST).read_text()
    for number in ("NaN", "Infinity", "-Infinity"):
        (copy / MANIFEST).write_text(text.replace('"training": {', f'"training": {{"rmse": {number},', 1))
        assert _is_one_line(_refused(copy))
        (copy / MANIFEST).write_text(
            text.replace('"rmse": 0.0', f'"rmse": {number}', 1).replace(": 0.0", f": {number}", 1)
        )
        assert _is_one_line(_refused(copy))


def _is_one_line(text: str) -> bool:
    return text.isprintable() and len(text) < 1000


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["", "x", "window", "model.onnx", "../model.onnx", "0" * 64, 0, 1, -1, 10**9]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in _places(each, (*path, key)))]


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_a_manifest_gives_a_bundle_or_one_line(data: st.DataObject, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source = find_bundle(data.draw(st.sampled_from(shipped_bundles())))
    for file in source.iterdir():
        (folder / file.name).symlink_to(file)
    manifest = json.loads((source / MANIFEST).read_text())
    manifest.pop("training")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(_places(manifest)))
        value = data.draw(_JSON)
        if not place:
            manifest = value
            break
        inner = manifest
        for key in place[:-1]:
            inner = inner[key]
        if data.draw(st.booleans()):
            inner[place[-1]] = value
        elif isinstance(inner, dict):
            inner[data.draw(st.text(max_size=3))] = inner.pop(place[-1])
        else:
            inner.insert(place[-1], value)
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert _is_one_line(_outcome(folder))


def _outcome(bundle: Path) -> str:
    """Load a bundle; return the message if it is refused, otherwise its model id."""
    try:
        return load_bundle(bundle).model_id
    except BundleError as error:
        return str(error)
