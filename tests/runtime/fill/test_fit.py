"""A bundle whose graph does not do what its manifest says is refused before the first day."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runtime.bundle import MANIFEST, find_bundle, load_bundle, shipped_bundles
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import BundleError
from runtime.fill.fit import require_fit

STAGES = [
    {"file": "stage-01.onnx", "halo": 2, "frames": 9, "maps": 32},
    {"file": "stage-02.onnx", "halo": 2, "frames": 5, "maps": 32},
    {"file": "stage-03.onnx", "halo": 2, "frames": 1, "maps": 1},
]
OTHER: list[tuple[str, dict[str, Any]]] = [
    ("sgdsm1-amsr2-x", {"window": [-1, 0, 1]}),
    ("sgdsm1-amsr2-x", {"stages": [STAGES[0] | {"frames": 8, "maps": 36}, *STAGES[1:]]}),
    ("sgdsm1-amsr2-x", {"stages": [STAGES[0] | {"halo": 1}, STAGES[1] | {"halo": 3}, STAGES[2]]}),
    ("sgdsm1-amsr2-x", {"stages": [], "takes_rain": True}),
    ("sgdsm1-amsr2-x", {"stages": [], "gives_sigma": True}),
    ("sgdsm1-amsr2-x", {"stages": [], "halo": 7}),
    ("seamless-amsr2-x", {"window": [-1, 0, 1]}),
    ("seamless-amsr2-x", {"halo": 28}),
    ("seamless-amsr2-x", {"halo": 36}),
    ("seamless-amsr2-x", {"takes_rain": False}),
    ("sgdsm2-amsr2-x", {"tile_core": 48}),
    ("sgdsm2-amsr2-x", {"state": [{"name": "h", "shape": [320]}, {"name": "c", "shape": [320]}]}),
    ("sgdsm2-amsr2-x", {"state": [{"name": name, "shape": [320]} for name in ("h", "c", "seen")]}),
]


def _try(folder: Path) -> None:
    bundle = load_bundle(folder)
    require_fit(open_engine(bundle, EngineSettings("cpu")), bundle)


def test_the_shipped_bundles_fit() -> None:
    for name in shipped_bundles():
        _try(find_bundle(name))


@pytest.mark.parametrize(("name", "changes"), OTHER)
def test_a_graph_that_does_not_fit_its_manifest_is_refused_in_one_line(
    name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """A graph with another halo would otherwise fill every tile with its neighbours' values, a cell off."""
    folder = Path(shutil.copytree(find_bundle(name), tmp_path / "bundle"))
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))
    with pytest.raises(BundleError, match=r"^[ -~]*manifest[ -~]*; export the bundle again$"):
        _try(folder)
