"""The project and the styles for QGIS, read by QGIS itself."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from matplotlib.image import imread

from runtime.archive import cf
from runtime.output import colours
from service.maps import LayerName
from tests.conftest import Site

PYTHON, CLIENT = Path("/usr/bin/python3"), Path(__file__).parents[1] / "support" / "qgis_client.py"
"""The system's, for which Debian's python3-qgis is."""


def _run_qgis(*arguments: str | Path) -> dict[str, object]:
    known = subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True, text=True)
    if known.returncode and os.environ.get("SEAMLESS_SM_TOOLS"):
        pytest.fail(f"QGIS is not installed: {known.stderr}")
    if known.returncode:
        pytest.skip("NOT TESTED WITH QGIS: python3-qgis is not installed")
    done = subprocess.run([PYTHON, CLIENT, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_layer_has_a_style_with_its_colours(client: httpx.Client) -> None:
    for layer in LayerName:
        style = ElementTree.fromstring(client.get(f"/qgis/{layer}.qml").content)
        used = [element.get("color") for kind in ("item", "paletteEntry") for element in style.iter(kind)]
        categories = colours.CATEGORIES.get(layer)
        if layer is LayerName.QUALITY_FLAG:  # each value that several bits make together
            values = [int(entry.get("value", "")) for entry in style.iter("paletteEntry")]
            assert values == list(range(64))
            assert used == [dict(categories or {})[bit][1] for bit in colours.first_bits(np.array(values)).tolist()]
            continue
        assert used == ([c for _, c in categories.values()] if categories else colours.SCALES[layer].colours)
    assert client.get("/qgis/cube.qml").status_code == 422


def test_a_project_has_the_layers_of_a_day(client: httpx.Client, varied: Site) -> None:
    answer = client.get("/qgis/seamless-sm.qgs", params={"date": str(varied.date(5))})
    assert answer.headers["content-disposition"] == 'attachment; filename="seamless-sm.qgs"'
    sources = [element.text or "" for element in ElementTree.fromstring(answer.content).iter("datasource")]
    assert len(sources) == len(client.get("/api/archive").json()["layers"])
    assert all(f"Time%3D{varied.date(5)}" in source for source in sources)
    assert "Time%3Dnewest" in client.get("/qgis/seamless-sm.qgs").text
    assert client.get("/qgis/seamless-sm.qgs", params={"date": "2031-01-01"}).status_code == 404
    assert client.get("/qgis/seamless-sm.qgs", params={"date": "<day>"}).status_code == 422


@pytest.mark.slow
def test_qgis_opens_the_project_and_draws_a_daily_file_as_the_page_does(
    client: httpx.Client, varied: Site, tmp_path: Path
) -> None:
    project, style = tmp_path / "p.qgs", tmp_path / "flag.qml"
    project.write_bytes(client.get("/qgis/seamless-sm.qgs", params={"date": str(varied.date(5))}).content)
    style.write_bytes(client.get("/qgis/flag.qml").content)
    found = _run_qgis(project, varied.day_file(5), "flag", style)
    layers = client.get("/api/archive").json()["layers"]
    assert found == {
        **{"read": True, "crs": "EPSG:4326", "styled": True},
        "layers": [[f"seamless_{layer}", number == 0, True] for number, layer in enumerate(layers)],
    }
    flags = cf.values(varied.day_file(5), "flag")
    wanted = np.array([[int(colours.FLAGS[flag][n : n + 2], 16) for n in (1, 3, 5)] for flag in flags.ravel()])
    drawn = (imread(tmp_path / "file.png")[..., :3] * 255).round()
    np.testing.assert_array_equal(drawn, wanted.reshape(*flags.shape, 3))
    soil = cf.values(varied.day_file(5), "soil_moisture")
    scale = colours.SCALES["soil_moisture"]
    step = ((soil - scale.low) / (scale.high - scale.low) * (colours.STEPS - 1)).round()
    is_land = np.isfinite(soil)
    hexes = [scale.colours[int(n)] for n in step[is_land].clip(0, colours.STEPS - 1)]
    wanted = np.array([[int(text[n : n + 2], 16) for n in (1, 3, 5)] for text in hexes])
    tiles = (imread(tmp_path / "project.png")[..., :3] * 255).round()[is_land]
    assert (np.abs(tiles - wanted).max(1) <= 4).mean() > 0.95, "QGIS resamples tiles: cells at coasts may differ"
