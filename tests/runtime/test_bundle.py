import json
import shutil
from pathlib import Path

import pytest

from runtime.bundle import CARD, Bundle, Manifest, find_bundle, load_bundle, shipped_bundles
from runtime.config import Model
from runtime.errors import BundleError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_bundle("sgdsm1-amsr2-x"), tmp_path / "copy"))


def test_shipped_bundles_load_and_are_small() -> None:
    names = shipped_bundles()
    assert {"seamless-2", "seamless-2-soil", "seamless-amsr2-x", "sgdsm1-amsr2-x", "sgdsm2-amsr2-x"} <= set(names)
    assert Model().bundle == "seamless-2"
    total = 0
    for name in names:
        loaded = load_bundle(find_bundle(name))
        assert loaded.manifest.name == name
        assert loaded.manifest.training, f"{name} has no training record"
        assert loaded.manifest.errors, f"{name} has no error table"
        card = (loaded.path / CARD).read_text()
        references = ("DCT-PLS", "trees", "weighted mean") if name.startswith("seamless-2") else ("DCT-PLS",)
        assert all(f"\n| {reference} |" in card for reference in references)
        assert "one April" in card
        total += sum(f.stat().st_size for f in loaded.path.iterdir())
    assert total < 30e6


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
