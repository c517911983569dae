import numpy as np
import pyproj
import pytest

from runtime.common.ease2 import SHAPES, authalic, cell_km_of, cell_size, ease2_edges, ease2_latitudes
from runtime.common.grid import Grid

# from the user guide of the products: cell size, and upper left corner, m
DOCUMENTED = {36: (36032.22, 7314540.83), 25: (25025.26, 7307375.92), 9: (9008.055, 7314540.83)}
LEFT = -17367530.44


@pytest.mark.parametrize("cell_km", SHAPES)
def test_edges_are_those_of_epsg_6933_to_a_millimetre(cell_km: int) -> None:
    lat, lon = ease2_edges(cell_km)
    project = pyproj.Proj("EPSG:6933")
    size, top = DOCUMENTED[cell_km]
    rows, cols = SHAPES[cell_km]
    assert (lat.size, lon.size) == (rows + 1, cols + 1)
    assert cell_size(cell_km) == pytest.approx(size, abs=0.005)
    x, _ = project(lon, np.zeros_like(lon))
    _, y = project(np.zeros_like(lat), lat)
    np.testing.assert_allclose(x, LEFT + np.arange(cols + 1) * 2 * -LEFT / cols, atol=0.02)  # the corner has two digits
    np.testing.assert_allclose(y, -top + np.arange(rows + 1) * 2 * top / rows, atol=0.01)
    assert (np.abs(np.diff(x) - cell_size(cell_km)) < 1e-3).all()
    assert (np.abs(np.diff(y) - cell_size(cell_km)) < 1e-3).all()
    _, middle = project(np.zeros(rows), ease2_latitudes(cell_km))
    np.testing.assert_allclose(middle, (y[1:] + y[:-1]) / 2, atol=1e-3)


def test_the_area_function_gives_the_area_between_latitudes() -> None:
    """Compared with a polygon on the ellipsoid, whose sides follow the circles of latitude in small steps."""
    lon = np.linspace(0, 1, 2001)
    south, north = 59.0, 60.0
    area, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(
        np.concatenate([lon, lon[::-1]]), np.concatenate([np.full(lon.size, south), np.full(lon.size, north)])
    )
    radius, (low, high) = 6378137.0, authalic(np.array([south, north]))
    assert np.radians(1) * radius**2 * (high - low) / 2 == pytest.approx(area, rel=1e-6)


def test_a_regular_grid_is_no_ease_grid() -> None:
    assert {km: cell_km_of(360 / cols) for km, (_, cols) in SHAPES.items()} == {36: 36, 25: 25, 9: 9}
    assert cell_km_of(0.25) is None
    assert cell_km_of(0.1) is None
    assert Grid.globe().cell_km is None
