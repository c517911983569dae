"""SMAP, JAXA and SMOS, in files made after the products' documents; each test is an oddity of the files."""

import datetime as dt
from pathlib import Path

import h5py
import numpy as np
import pytest
from netCDF4 import Dataset

from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.errors import InputRefused
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from runtime.inputs.products.read import read_field
from tests.support.sensors import write_jaxa, write_smap, write_smos

DAY = dt.date(2021, 4, 1)
LAND = (-30.0, 60.0)
"""Longitudes with values in these files."""


def smooth(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """A field that changes little within a cell, seen in a stripe."""
    values = 0.25 + 0.15 * np.sin(np.radians(2 * lat)) * np.cos(np.radians(lon))
    return np.where((lon > LAND[0]) & (lon < LAND[1]) & (np.abs(lat) < 70), values, np.nan)


def wetter(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return smooth(lat, lon) + 0.1


def seen_everywhere(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return np.full(lat.shape, 0.3)


def expected(grid: Grid) -> np.ndarray:
    lat, lon = np.meshgrid(grid.latitudes, grid.longitudes, indexing="ij")
    return smooth(lat, lon)


def inside(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Cells away from the edge of the stripe."""
    lat, lon = np.meshgrid(grid.latitudes, grid.longitudes, indexing="ij")
    return (lon > LAND[0] + 1) & (lon < LAND[1] - 1) & (np.abs(lat) < 68)


def assert_is_smooth(field: np.ndarray, grid: Grid, plus: float = 0.0, within: float = 0.004) -> None:
    here = inside(field, grid)
    assert np.isfinite(field[here]).all()
    assert np.abs(field[here] - expected(grid)[here] - plus).max() < within
    lat, lon = np.meshgrid(grid.latitudes, grid.longitudes, indexing="ij")
    assert np.isnan(field[(lon < LAND[0] - 1) | (lon > LAND[1] + 1) | (np.abs(lat) > 72)]).all()


# SMAP


@pytest.fixture(scope="module")
def smap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_smap(tmp_path_factory.mktemp("smap"), DAY, smooth, wetter)


@pytest.mark.parametrize(("orbit", "plus"), [("descending", 0.0), ("ascending", 0.1)])
def test_each_half_orbit_of_smap_is_read_by_its_own_names(orbit: str, plus: float, smap: Path, globe: Grid) -> None:
    """The evening's names end in _pm; coordinates in the file are -9999 where nothing was seen, and are not read."""
    reading = read_field(PRODUCTS["smap-l3"], smap, DAY, globe, orbit=orbit)
    assert_is_smooth(reading.field, globe, plus)
    assert reading.coverage == pytest.approx(90 / 360 * np.sin(np.radians(70)), abs=0.002)  # cells of equal area


@pytest.mark.slow
def test_smap_at_9_km(tmp_path: Path, globe: Grid) -> None:
    path = write_smap(tmp_path, DAY, smooth, wetter, cell_km=9)
    assert PRODUCTS["smap-l3-enhanced"].pattern.match(path.name)
    assert not PRODUCTS["smap-l3"].pattern.match(path.name)
    assert_is_smooth(read_field(PRODUCTS["smap-l3-enhanced"], path, DAY, globe).field, globe, within=0.001)
    with pytest.raises(InputRefused, match="wrong grid: has 1624 x 3856 cells, EASE-Grid 2.0 36 km has 406 x 964"):
        read_field(PRODUCTS["smap-l3"], path, DAY, globe)


def test_what_smap_does_not_recommend_is_left_out(tmp_path: Path, globe: Grid) -> None:
    path = write_smap(tmp_path, DAY, smooth, wetter, not_recommended=lambda lat, lon: lat)
    field = read_field(PRODUCTS["smap-l3"], path, DAY, globe).field
    assert np.isnan(field[globe.latitudes > 0.5]).all()
    assert np.isfinite(field[globe.latitudes < -0.5]).any()


def test_values_outside_the_valid_range_of_smap_are_left_out(tmp_path: Path, globe: Grid) -> None:
    path = write_smap(tmp_path, DAY, lambda lat, lon: np.where(lat > 0, 0.01, smooth(lat, lon)), wetter)
    field = read_field(PRODUCTS["smap-l3"], path, DAY, globe).field
    assert np.isnan(field[globe.latitudes > 0.5]).all()
    assert np.isfinite(field[globe.latitudes < -0.5]).any()


@pytest.mark.parametrize("has_seconds", [True, False])
def test_smap_times_tell_the_day_also_where_some_are_stars(has_seconds: bool, tmp_path: Path, globe: Grid) -> None:
    options = {"broken_times": True, "has_seconds": has_seconds}
    good = write_smap(tmp_path, DAY, smooth, wetter, **options)
    assert_is_smooth(read_field(PRODUCTS["smap-l3"], good, DAY, globe).field, globe)
    wrong = write_smap(tmp_path, DAY, smooth, wetter, scanned=DAY + dt.timedelta(3), **options)
    with pytest.raises(InputRefused, match="was scanned on 2021-04-04, not on 2021-04-01 as its name says"):
        read_field(PRODUCTS["smap-l3"], wrong, DAY, globe)


def test_the_highest_counter_of_a_smap_day_counts(tmp_path: Path) -> None:
    for name in (
        "SMAP_L3_SM_P_20210401_R19240_001.h5",
        "SMAP_L3_SM_P_20210401_R18290_002.h5",
        "SMAP_L3_SM_P_20210402_R19240_001.h5",
        "SMAP_L3_SM_P_E_20210401_R19240_003.h5",
    ):
        (tmp_path / name).touch()
    for orbit in ("descending", "ascending"):
        found = FolderFeed(str(tmp_path), GranuleFilter(PRODUCTS["smap-l3"], orbit)).granules()
        assert {day: granules[0].name[-10:] for day, granules in found.items()} == {
            DAY: "290_002.h5",
            DAY + dt.timedelta(1): "240_001.h5",
        }


def test_a_smap_file_without_the_group_is_refused_in_one_line(tmp_path: Path, globe: Grid) -> None:
    path = write_smap(tmp_path, DAY, smooth, wetter)
    with h5py.File(path, "a") as file:
        del file["Soil_Moisture_Retrieval_Data_AM"]
    with pytest.raises(InputRefused, match="has no variable Soil_Moisture_Retrieval_Data_AM/soil_moisture") as caught:
        read_field(PRODUCTS["smap-l3"], path, DAY, globe)
    assert "\n" not in str(caught.value)
    assert_is_smooth(read_field(PRODUCTS["smap-l3"], path, DAY, globe, orbit="ascending").field, globe, 0.1)


# JAXA


def test_jaxa_at_a_quarter_degree_is_taken_cell_by_cell(tmp_path: Path, globe: Grid) -> None:
    path = write_jaxa(tmp_path, DAY, smooth)
    field = read_field(PRODUCTS["jaxa-amsr2-l"], path, DAY, globe).field
    lat, lon = np.meshgrid(globe.latitudes, globe.longitudes, indexing="ij")
    np.testing.assert_allclose(field, np.round(smooth(lat, lon) * 1000) / 1000, atol=1e-6)


def test_jaxa_at_a_tenth_of_a_degree_is_averaged(tmp_path: Path, globe: Grid) -> None:
    path = write_jaxa(tmp_path, DAY, smooth, letter="H", step=0.1)
    assert_is_smooth(read_field(PRODUCTS["jaxa-amsr2-h"], path, DAY, globe).field, globe, within=0.001)


def test_an_odd_scale_of_jaxa_is_the_files_own(tmp_path: Path, globe: Grid) -> None:
    path = write_jaxa(tmp_path, DAY, smooth, scale=0.01)
    assert_is_smooth(read_field(PRODUCTS["jaxa-amsr2-l"], path, DAY, globe).field, globe, within=0.0002)
    with h5py.File(path, "a") as file:
        del file["Geophysical Data"].attrs["SCALE FACTOR"]
    with pytest.raises(InputRefused, match="has no attribute SCALE FACTOR"):
        read_field(PRODUCTS["jaxa-amsr2-l"], path, DAY, globe)


def test_another_resolution_than_its_name_says_is_refused(tmp_path: Path, globe: Grid) -> None:
    path = write_jaxa(tmp_path, DAY, smooth, letter="L", step=0.1)
    with pytest.raises(InputRefused, match="wrong grid: has 1800 x 3600 cells, 0.25 degree has 720 x 1440"):
        read_field(PRODUCTS["jaxa-amsr2-l"], path, DAY, globe)


def test_months_among_days_are_not_recognised(tmp_path: Path) -> None:
    for period in ("01D", "01M"):
        write_jaxa(tmp_path, DAY, seen_everywhere, period=period)
    write_jaxa(tmp_path, DAY, seen_everywhere, orbit="A")
    ((granule,),) = FolderFeed(str(tmp_path), GranuleFilter(PRODUCTS["jaxa-amsr2-l"], "descending")).granules().values()
    assert "_01D_EQMD_" in granule.name


def test_jaxa_times_that_are_no_minutes_of_a_day_are_refused(tmp_path: Path, globe: Grid) -> None:
    path = write_jaxa(tmp_path, DAY, smooth, minutes=4000)
    with pytest.raises(InputRefused, match="Time Information is 4000, wanted minutes of a day"):
        read_field(PRODUCTS["jaxa-amsr2-l"], path, DAY, globe)


# SMOS


@pytest.mark.parametrize("south_first", [False, True])
def test_the_order_of_rows_of_smos_is_found(south_first: bool, tmp_path: Path, globe: Grid) -> None:
    path = write_smos(tmp_path, DAY, smooth, south_first=south_first)
    assert_is_smooth(read_field(PRODUCTS["smos-catds"], path, DAY, globe).field, globe)


def test_the_published_quality_rule_of_smos(tmp_path: Path, globe: Grid) -> None:
    """0 <= value <= 1, DQX <= 0.1, RFI probability <= 0.5, bit 0 of the science flags clear."""

    def beyond(low: float, bad: float, good: float):
        return lambda lat, lon: np.where((lat > low) & (lat < low + 10), bad, good)

    path = write_smos(
        tmp_path,
        DAY,
        lambda lat, lon: np.where((lat > 40) & (lat < 50), 1.2, smooth(lat, lon)),
        dqx=beyond(20, 0.11, 0.1),
        rfi=beyond(0, 0.6, 0.5),
        flagged=beyond(-20, 1, 0),
    )
    field = read_field(PRODUCTS["smos-catds"], path, DAY, globe).field
    stripe = (globe.longitudes > LAND[0] + 1) & (globe.longitudes < LAND[1] - 1)
    for low in (40, 20, 0, -20):
        rows = (globe.latitudes > low + 0.5) & (globe.latitudes < low + 9.5)
        assert np.isnan(field[np.ix_(rows, stripe)]).all(), low
        rows = (globe.latitudes > low + 10.5) & (globe.latitudes < low + 19.5)
        assert np.isfinite(field[np.ix_(rows, stripe)]).all(), low


@pytest.mark.parametrize(("code", "orbit"), [("CLF31", "A"), ("CLF31", "D"), ("CLF3S", "A"), ("CLF3S", "D")])
def test_both_codes_of_smos_are_recognised(code: str, orbit: str, tmp_path: Path) -> None:
    path = write_smos(tmp_path, DAY, seen_everywhere, code=code, orbit=orbit)
    match = PRODUCTS["smos-catds"].pattern.match(path.name)
    assert match
    assert match["orbit"] == orbit


def test_smos_on_another_grid_is_refused(tmp_path: Path, globe: Grid) -> None:
    path = write_smos(tmp_path, DAY, smooth)
    with Dataset(path, "a") as file:
        file["lat"][:] = np.linspace(89, -89, 584)
    with pytest.raises(InputRefused, match="its latitudes are not those of EASE-Grid 2.0 25 km"):
        read_field(PRODUCTS["smos-catds"], path, DAY, globe)


def test_a_region_is_read_as_a_part_of_the_globe(smap: Path, globe: Grid, grid: Grid) -> None:
    whole = read_field(PRODUCTS["smap-l3"], smap, DAY, globe).field
    part = read_field(PRODUCTS["smap-l3"], smap, DAY, grid).field
    rows = np.searchsorted(-globe.latitudes, -grid.latitudes)
    cols = np.searchsorted(globe.longitudes, grid.longitudes)
    np.testing.assert_allclose(part, whole[np.ix_(rows, cols)], atol=1e-6)
