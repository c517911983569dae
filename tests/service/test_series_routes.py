"""The series of a place and the mean over an area, as the service answers them."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import shapely
import xarray
from fastapi import HTTPException

import runtime
from runtime.archive.reader import Reader
from runtime.common.grid import Grid
from service.routes import series as routes
from tests.conftest import Site
from tests.service.conftest import asking

BASIN = {"type": "Polygon", "coordinates": [[[-1, 42], [3.1, 42.3], [3, 45.6], [0, 46], [-1, 42]]]}


@pytest.mark.parametrize("point", [(45.1, 2.2), (40.2, -5.1)])
def test_a_series_is_that_of_the_reader(client: httpx.Client, varied: Site, point: tuple[float, float]) -> None:
    lat, lon = point
    answer = client.get("/api/series", params={"lat": lat, "lon": lon}).json()
    series = Reader(varied.archive).series(lat, lon)
    assert answer["dates"] == [str(date) for date in series.dates]
    for name, values in series.values.items():
        np.testing.assert_allclose([np.nan if v is None else v for v in answer["values"][name]], values, atol=0.005)


def test_a_series_names_the_days_that_the_cube_lost(window_site: Site) -> None:
    window_site.fill(0, 3)
    point = {"lat": 45.1, "lon": 2.2}
    with asking(window_site) as client:
        whole = client.get("/api/series", params=point).json()
        (window_site.archive / "cube.zarr" / "soil_moisture" / "c" / "0" / "0" / "0").unlink()
        left = client.get("/api/series", params=point).json()
    assert (whole["not_from_cube"], whole["left_out"]) == ([], {})
    assert left["not_from_cube"] == left["dates"]
    assert left["values"] == whole["values"]


def test_a_series_as_csv(client: httpx.Client) -> None:
    answer = client.get("/api/series", params={"lat": 45.1, "lon": 2.2, "format": "csv", "from": "2020-04-03"})
    assert answer.headers["content-disposition"] == 'attachment; filename="soil_moisture_45.125_2.125.csv"'
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert rows[0]["date"] == "2020-04-03"
    assert float(rows[0]["soil_moisture (m3 m-3)"]) > 0


def _numbers(values: Iterable[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]


def _ask_area(client: httpx.Client, document: Any = BASIN, **parameters: str) -> httpx.Response:
    return client.post("/api/area", params=parameters, content=json.dumps(document))


def test_a_series_as_netcdf(client: httpx.Client, varied: Site, tmp_path: Path) -> None:
    answer = client.get("/api/series", params={"lat": 45.1, "lon": 2.2, "format": "nc"})
    (tmp_path / "place.nc").write_bytes(answer.content)
    with xarray.open_dataset(tmp_path / "place.nc") as place:
        wanted = Reader(varied.archive).series(45.1, 2.2).values
        np.testing.assert_allclose(place.soil_moisture, wanted["soil_moisture"], atol=1e-6)


def test_the_mean_over_an_area_is_that_of_the_archive(client: httpx.Client, varied: Site, tmp_path: Path) -> None:
    (tmp_path / "basin.geojson").write_text(json.dumps(BASIN))
    wanted = runtime.open_archive(varied.archive).seamless.area_mean(tmp_path / "basin.geojson").load()
    answer = _ask_area(client).json()
    assert answer["dates"] == wanted.time.dt.strftime("%Y-%m-%d").values.tolist()
    assert answer["km2"] == pytest.approx(float(wanted.area), abs=0.5)
    assert answer["values"].keys() == set(wanted.data_vars)
    for name, values in answer["values"].items():
        np.testing.assert_allclose(_numbers(values), wanted[name], atol=0.005 if name == "precipitation" else 5e-5)


def test_the_mean_over_an_area_as_files(client: httpx.Client, tmp_path: Path) -> None:
    whole = _ask_area(client).json()
    some = {"from": "2020-04-03", "to": "2020-04-05"}
    rows = list(csv.DictReader(_ask_area(client, format="csv", **some).text.splitlines()))
    assert [row["date"] for row in rows] == ["2020-04-03", "2020-04-04", "2020-04-05"]
    assert [float(row["soil_moisture (m3 m-3)"]) for row in rows] == whole["values"]["soil_moisture"][2:5]
    (tmp_path / "area.nc").write_bytes(_ask_area(client, format="nc", **some).content)
    with xarray.open_dataset(tmp_path / "area.nc") as area:
        np.testing.assert_allclose(area.soil_moisture, whole["values"]["soil_moisture"][2:5], atol=5e-5)
        assert area.attrs["time_coverage_end"] == "2020-04-05T23:59:59Z"


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        (b"", 422, "is not GeoJSON with polygons"),
        (b"\xff\x00", 422, "is not GeoJSON with polygons"),
        (b'"a text"', 422, "a JSON str has no geometry"),
        (b'{"type": "Polygon", "coordinates": [[[4e6, 3e6], [5e6, 3e6], [5e6, 4e6], [4e6, 3e6]]]}', 422, "YOUR_FILE"),
        (b"[" * 100_000, 422, "is not GeoJSON with polygons"),
        (b'{"type": "Point", "coordinates": [1, 2]}', 422, "wanted polygons only"),
        (b'{"type": "Polygon", "coordinates": [[[NaN, 0], [1, NaN], [1, 1], [NaN, 0]]]}', 422, "polygon"),
        (b'{"type": "Polygon", "coordinates": [[[1e999, 0], [1, 0], [1, 1], [1e999, 0]]]}', 422, "polygon"),
        (b'{"type": "Polygon", "coordinates": [[[50, 0], [51, 0], [51, 1], [50, 0]]]}', 422, "outside the archive"),
        (b'{"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, -90]]]}', 422, "too many"),
        (b" " * (1024 * 1024 + 1), 413, "more than"),
    ],
)
def test_areas_that_are_refused(client: httpx.Client, content: bytes, code: int, reason: str) -> None:
    answer = client.post("/api/area", content=content)
    assert answer.status_code == code, answer.text
    assert reason in answer.text


def test_days_of_an_area_that_are_refused(client: httpx.Client) -> None:
    assert _ask_area(client, **{"from": "2020-04-09", "to": "2020-04-01"}).status_code == 422
    assert _ask_area(client, **{"from": "2021-01-01"}).status_code == 404
    assert _ask_area(client, format="xls").status_code == 422


def test_an_area_on_both_sides_of_the_antimeridian_is_as_large_as_its_parts() -> None:
    islands: list[Any] = [
        [[[177, -19], [180, -19], [180, -16], [177, -16], [177, -19]]],
        [[[-180, -19], [-178, -19], [-178, -16], [-180, -16], [-180, -19]]],
    ]
    fiji = shapely.geometry.shape({"type": "MultiPolygon", "coordinates": islands})
    grid = Grid.globe()
    routes._require_little(fiji, grid, 20_000)
    with pytest.raises(HTTPException) as refused:
        routes._require_little(shapely.box(-180, -60, 180, 75), grid, 1)
    assert "choose a smaller one, or use `runtime series" in refused.value.detail
    with pytest.raises(HTTPException) as refused:
        routes._require_little(shapely.box(0, 0, 36, 36), grid, 300)
    assert "at most 128 days" in refused.value.detail


def test_an_area_with_a_long_outline_is_refused() -> None:
    comb = [(2 + x / 1000, 45 if x % 2 else 48) for x in range(2500)]
    with pytest.raises(HTTPException) as refused:
        routes._require_little(shapely.Polygon([*comb, (3, 40)]), Grid.globe(), 1)
    assert "outline is as long as some" in refused.value.detail


def test_only_some_areas_wait(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_more = threading.BoundedSemaphore(1)
    monkeypatch.setattr(routes, "_WAITING", nobody_more)
    with nobody_more:
        answer = _ask_area(client)
    assert (answer.status_code, "try again" in answer.text) == (503, True)
    assert _ask_area(client).status_code == 200


def test_a_second_area_waits_only_so_long(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_PATIENCE_S", 0.01)
    busy = threading.Lock()
    monkeypatch.setattr(routes, "_MEASURING", busy)
    with busy:
        answer = _ask_area(client)
    assert (answer.status_code, "try again" in answer.text) == (503, True)
    assert _ask_area(client).status_code == 200
