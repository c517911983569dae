import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset

from runtime.common.ease2 import SHAPES, authalic
from runtime.common.grid import Grid
from runtime.errors import ConfigError


def test_globe_is_north_first_west_first_and_wraps(globe: Grid) -> None:
    assert globe.shape == (720, 1440)
    assert (globe.latitudes[0], globe.longitudes[0]) == (89.875, -179.875)
    assert (globe.latitudes[-1], globe.longitudes[-1]) == (-89.875, 179.875)
    assert globe.wraps


def test_land_has_no_antarctica_and_hardly_any_greenland(globe: Grid) -> None:
    assert not globe.land[globe.latitudes < -60].any()
    assert globe.box(-50, 65, -30, 82).land.mean() < 0.01
    assert globe.box(-24, 63, -14, 67).land.any(), "Iceland is land"
    assert not globe.box(50.5, 41, 52, 42).land.any(), "the Caspian Sea is not"


def test_land_agrees_with_the_gldas_mask(globe: Grid, data: Path) -> None:
    with Dataset(data / "masks" / "GLDASp4_landmask_025d.nc4") as file:
        gldas = np.zeros(globe.shape, bool)
        gldas[:600] = file["GLDAS_mask"][0].filled(0)[::-1] == 1
    rows = (globe.latitudes > -60) & (globe.latitudes < 75)
    agreement = (globe.land == gldas)[rows].mean()
    print(f"agreement with GLDAS between 60 S and 75 N: {agreement:.4%}")
    assert agreement >= 0.97


def test_box_keeps_positions_and_land(globe: Grid) -> None:
    box = globe.box(-10, 35, 10, 50)
    assert box.shape == (60, 80)
    assert not box.wraps
    assert (box.latitudes[0], box.longitudes[0]) == (49.875, -9.875)
    rows, cols = np.isin(globe.latitudes, box.latitudes), np.isin(globe.longitudes, box.longitudes)
    np.testing.assert_array_equal(globe.land[np.ix_(rows, cols)], box.land)


def test_empty_box_says_what_a_box_is(globe: Grid) -> None:
    with pytest.raises(ConfigError, match=r"holds no cell.*west, south, east, north"):
        globe.box(10, 35, -10, 50)


def test_digest_tells_grids_apart(globe: Grid) -> None:
    land = globe.land.copy()
    assert Grid(90, -180, land).digest == globe.digest
    land[0, 0] = True
    assert Grid(90, -180, land).digest != globe.digest
    assert globe.box(-10, 35, 10, 50).digest != globe.box(-10, 35.25, 10, 50.25).digest


def test_published_archives_keep_their_grid(globe: Grid) -> None:
    """Another digest would make every day of every archive stale."""
    assert globe.digest == "0d625640daf6b07433afa7100e30c95d169f5bf629ebe9bf7ca39da059fa62f6"
    assert globe.box(-10, 35, 10, 50).digest == "e24aeaa98a03b253d410b7a744e02d2c8711bb33fa1b89d0b3509590cdf15411"


@pytest.mark.parametrize("cell_km", SHAPES)
def test_an_ease_grid_has_the_land_of_the_globe(cell_km: int, globe: Grid) -> None:
    grid = Grid.ease2(cell_km)
    assert grid.shape == SHAPES[cell_km]
    assert grid.wraps
    area = np.abs(np.diff(authalic(globe.lat_edges)))
    share = (globe.land.mean(1) * area).sum() / area.sum()
    covered = authalic(grid.lat_edges[:1])[0] / authalic(globe.lat_edges[:1])[0]
    assert grid.land.mean() * covered == pytest.approx(share, rel=0.01)
    assert grid.land[grid.cell(45, 2)]  # France
    assert not grid.land[grid.cell(45, -30)]  # the Atlantic


@pytest.mark.parametrize("box", [(-10, 35, 10, 50), (-180, -60, -150, 80), (2, 44, 2.4, 80), (-20, 45, 20, 45.4)])
@pytest.mark.parametrize("make", [Grid.globe, *(partial(Grid.ease2, km) for km in (36, 9))])
def test_a_box_is_found_again_by_its_cell_centres(make: Callable[[], Grid], box: tuple[float, ...]) -> None:
    """A column and a row of their own, too."""
    whole = make()
    part = whole.box(*box)
    assert not part.wraps
    rows, cols = np.isin(whole.latitudes, part.latitudes), np.isclose(whole.longitudes[:, None], part.longitudes).any(1)
    np.testing.assert_array_equal(whole.land[np.ix_(rows, cols)], part.land)
    found = Grid.of_axes(part.latitudes, part.longitudes)
    assert found.with_land().digest == part.digest
    assert found.cell_km == whole.cell_km
    assert found.cell_size == whole.cell_size


def test_a_point_is_in_the_cell_that_contains_it() -> None:
    grid = Grid.ease2(36).box(-10, 60, 10, 84)
    for row, latitude in enumerate(grid.latitudes):
        assert grid.cell(latitude, 2.0) == (row, int((2.0 - grid.west) / grid.step))
    for row, (north, south) in enumerate(itertools.pairwise(grid.lat_edges)):
        assert grid.cell(north - 1e-6, 2.0) == grid.cell(south + 1e-6, 2.0) == (row, grid.cell(70, 2.0)[1])
    assert grid.cell(grid.north, grid.west) == (0, 0)
    assert grid.cell(70, 358.0) == grid.cell(70, -2.0)
    assert grid.cell(grid.north + 0.01, 2.0) is None
    assert grid.cell(70, 11.0) is None


def test_the_lines_of_a_picture_show_the_row_at_their_latitude(globe: Grid) -> None:
    np.testing.assert_array_equal(globe.picture_rows(), np.arange(720))
    grid = Grid.ease2(36)
    rows = grid.picture_rows()
    assert set(rows) == set(range(406))
    assert np.diff(rows).min() == 0
    lines = np.linspace(grid.lat_edges[0], grid.lat_edges[-1], 2 * rows.size + 1)[1::2]
    assert ((grid.lat_edges[rows] >= lines) & (lines >= grid.lat_edges[rows + 1])).all()
