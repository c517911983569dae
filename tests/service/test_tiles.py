"""Tiles have the colours of the cells at their places, and programs of others find and read them."""

import datetime as dt
import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from owslib.wmts import WebMapTileService
from PIL import Image

from runtime.archive import cf
from runtime.common.grid import Grid
from runtime.fill.result import Flag
from runtime.output import colours
from service.maps import GAP, NOTHING, LayerName
from service.serve import listening
from service.tiles import MAX_ZOOM, SIZE, MapTile, MatrixSet, draw_tile, matrix_size, palette
from service.wmts import day_ranges
from tests.conftest import BOX, Site
from tests.service.conftest import MISSING, REFUSED, web

TILES = st.tuples(st.sampled_from(list(MatrixSet)), st.integers(0, MAX_ZOOM), st.floats(0, 1), st.floats(0, 1))


@pytest.fixture(scope="module")
def address(varied: Site) -> Iterator[str]:
    with web(varied) as app, listening(varied.config(), app) as address:
        yield address


def _rgba(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def _colours_of_flags(flags: np.ndarray) -> np.ndarray:
    found = np.zeros((*flags.shape, 4), np.uint8)
    for flag, colour in palette(LayerName.FLAG).items():
        found[flags == flag] = [*bytes.fromhex(colour[1:]), 255]
    return found


@settings(deadline=None)
@given(TILES)
def test_pixels_have_the_colours_of_their_cells(drawn: tuple[MatrixSet, int, float, float]) -> None:
    matrix_set, zoom, across, down = drawn
    cols, rows = matrix_size(matrix_set, zoom)
    tile = MapTile(matrix_set, zoom, min(int(across * cols), cols - 1), min(int(down * rows), rows - 1))
    grid = Grid(60, -30, np.ones((24, 40), bool), 5.0)
    cells = np.random.default_rng(1).integers(0, colours.STEPS, grid.shape).astype(np.uint8)
    found = _rgba(draw_tile(cells, grid, LayerName.SOIL_MOISTURE, tile))
    known = palette(LayerName.SOIL_MOISTURE)
    latitudes, longitudes = tile.places()
    for y, x in ((0, 0), (255, 255), (100, 31), (7, 200)):
        cell = grid.cell(float(latitudes[y]), float(longitudes[x]))
        if cell is None:
            assert found[y, x, 3] == 0
        else:
            assert tuple(found[y, x]) == (*bytes.fromhex(known[cells[cell]][1:]), 255)


def test_tiles_of_a_zoom_touch_each_other() -> None:
    for matrix_set, top in ((MatrixSet.DEGREES, 90), (MatrixSet.MERCATOR, 85.0511287798066)):
        cols, rows = matrix_size(matrix_set, 2)
        longitudes = np.concatenate([MapTile(matrix_set, 2, col, 0).places()[1] for col in range(cols)])
        np.testing.assert_allclose(np.diff(longitudes), 360 / cols / SIZE)
        latitudes = np.concatenate([MapTile(matrix_set, 2, 0, row).places()[0] for row in range(rows)])
        assert (np.diff(latitudes) < 0).all()
        np.testing.assert_allclose(latitudes, -latitudes[::-1], atol=1e-9)
        assert 0 < top - latitudes[0] < 180 / rows / SIZE


def test_what_has_no_value_is_grey_on_land_and_transparent_elsewhere() -> None:
    cells = np.array([[GAP, NOTHING]], np.uint8)
    found = _rgba(draw_tile(cells, Grid(90, -180, np.ones((1, 2), bool), 180.0), LayerName.SOIL_MOISTURE, _WORLD))
    assert tuple(found[5, 5]) == (*bytes.fromhex(colours.NO_VALUE[1:]), 255)
    assert found[5, -5, 3] == 0


_WORLD = MapTile(MatrixSet.MERCATOR, 0, 0, 0)


def test_days_without_a_gap_are_one_range() -> None:
    days = [dt.date(2020, 2, 28), dt.date(2020, 2, 29), dt.date(2020, 3, 1), dt.date(2020, 3, 5)]
    assert day_ranges(days) == ["2020-02-28/2020-03-01/P1D", "2020-03-05"]
    assert day_ranges([]) == []


def test_a_client_of_wmts_reads_a_tile(address: str, varied: Site, grid: Grid) -> None:
    server = WebMapTileService(f"{address}/wmts/1.0.0/WMTSCapabilities.xml")
    assert list(server.contents) == [layer for layer in LayerName if layer is not LayerName.SOIL_MOISTURE_ANOMALY]
    layer = server["flag"]
    assert layer.boundingBoxWGS84 == pytest.approx(BOX)
    days = {varied.date(number) for number in range(14)} - {varied.date(REFUSED), varied.date(MISSING)}
    assert layer.dimensions["Time"]["values"] == day_ranges(sorted(days))
    arguments = {"layer": "flag", "tilematrixset": "WorldCRS84Quad", "tilematrix": "4", "format": "image/png"}
    answer = server.gettile(**arguments, row=4, column=15, Time=str(varied.date(5)))
    found = _rgba(answer.read())
    expected = _colours_of_flags(cf.values(varied.day_file(5), "flag"))
    latitudes, longitudes = MapTile(MatrixSet.DEGREES, 4, 15, 4).places()
    for y, x in np.ndindex(256, 256):
        cell = grid.cell(float(latitudes[y]), float(longitudes[x]))
        colour = [0, 0, 0, 0] if cell is None else expected[cell].tolist()
        assert found[y, x, 3] == colour[3]
        assert colour[3] == 0 or found[y, x].tolist() == colour


def test_gdal_reads_the_map(address: str, varied: Site, grid: Grid) -> None:
    rasterio = pytest.importorskip("rasterio")
    source = f"WMTS:{address}/wmts/1.0.0/WMTSCapabilities.xml,layer=flag,tilematrixset=WorldCRS84Quad"
    with rasterio.open(source) as opened:
        window = opened.window(*BOX)
        found = opened.read(window=window, out_shape=(opened.count, *grid.shape))
    newest = cf.values(varied.day_file(13), "flag")
    same = (np.moveaxis(found, 0, -1) == _colours_of_flags(newest)).all(-1)
    assert same[newest != Flag.NOT_LAND].mean() > 0.97, "cells whose edge is in a pixel may be their neighbour"


def test_tiles_by_address(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        one = client.get("/tiles/soil_moisture/newest/WebMercatorQuad/3/4/2.png")
        assert (one.status_code, one.headers["content-type"]) == (200, "image/png")
        again = client.get(one.request.url, headers={"If-None-Match": one.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for path, code, text in (
            ("soil_moisture/newest/WebMercatorQuad/9/0/0", 404, "zooms are 0 to 8"),
            ("soil_moisture/newest/WebMercatorQuad/2/4/0", 404, "has no tile 2/4/0"),
            ("soil_moisture/newest/WebMercatorQuad/-1/0/0", 404, "has no tile"),
            ("soil_moisture/2019-01-01/WebMercatorQuad/2/1/0", 404, "2019-01-01 is not in the archive"),
            ("soil_moisture/yesterday/WebMercatorQuad/2/1/0", 422, "wanted a date"),
            ("soil/newest/WebMercatorQuad/2/1/0", 422, "Input should be"),
        ):
            answer = client.get(f"/tiles/{path}.png")
            assert (answer.status_code, text in answer.text) == (code, True), answer.text
