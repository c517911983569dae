from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset

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
