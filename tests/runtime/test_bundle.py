import json
import shutil
from pathlib import Path

import pytest

from runtime import bundle
from runtime.errors import BundleError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.find("sgdsm1-amsr2-x"), tmp_path / "copy"))


def test_shipped_bundles_load_and_are_small() -> None:
    names = bundle.shipped()
    assert {"sgdsm1-amsr2-x", "sgdsm2-amsr2-x"} <= set(names)
    total = 0
    for name in names:
        loaded = bundle.load(bundle.find(name))
        assert loaded.manifest.name == name
        assert loaded.manifest.training, f"{name} has no training record"
        total += sum(f.stat().st_size for f in loaded.path.iterdir())
    assert total < 20e6


@pytest.mark.parametrize("name", ["model.onnx", "MODEL_CARD.md"])
def test_one_flipped_byte_is_found(name: str, copy: Path) -> None:
    raw = bytearray((copy / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / name).write_bytes(raw)
    with pytest.raises(BundleError, match=f"{name} does not have the hash.*copy the bundle again"):
        bundle.load(copy)


def test_a_missing_file_is_found(copy: Path) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model.onnx is missing"):
        bundle.load(copy)


@pytest.mark.parametrize("text", ["{}", "not json", '{"schema_version": 99}'])
def test_a_bad_manifest_is_found(text: str, copy: Path) -> None:
    (copy / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle.json cannot be read"):
        bundle.load(copy)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(BundleError, match=r"no model bundle 'sgdsm9'.*sgdsm1-amsr2-x"):
        bundle.find("sgdsm9")


def test_only_what_changes_values_changes_the_model_id(copy: Path) -> None:
    before = bundle.load(copy)

    def edited(**changes: object) -> str:
        manifest = json.loads((copy / "bundle.json").read_text()) | changes
        return bundle.Bundle(copy, bundle.Manifest.model_validate(manifest)).model_id

    assert edited(version="99", name="other", training={"rmse": 0.1}) == before.model_id
    assert edited(halo=before.manifest.halo + 1) != before.model_id
    assert edited(files={"model.onnx": "0" * 64}) != before.model_id
