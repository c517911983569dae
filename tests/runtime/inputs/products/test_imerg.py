import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from netCDF4 import Dataset

from runtime.common.grid import Floats, Grid
from runtime.common.regrid import regrid
from runtime.common.sensors import IMERG_RUN_LETTERS, PRODUCTS
from runtime.common.vocabulary import ImergRun
from runtime.demo.files import imerg_name, write_imerg
from runtime.errors import InputRefused
from runtime.inputs.products.read import read_field

SMALL = Grid(46.0, 5.0, np.ones((8, 12), bool))
DAY = dt.date(2020, 4, 1)


def read_precipitation(path: Path, date: dt.date, grid: Grid) -> Floats:
    return read_field(PRODUCTS["imerg"], path, date, grid).field


def _fine_edges(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = grid.shape
    lat = np.linspace(grid.north - rows * grid.step, grid.north, round(rows * 2.5) + 1)
    lon = np.linspace(grid.west, grid.west + cols * grid.step, round(cols * 2.5) + 1)
    return lat, lon


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (20, 30), elements=st.floats(0, 400, width=32)))
def test_regridding_conserves_water(fine: np.ndarray) -> None:
    lat, lon = _fine_edges(SMALL)
    coarse = regrid(fine, lat, lon, SMALL)
    fine_area = np.diff(np.sin(np.radians(lat)))[:, None] * np.diff(lon)[None]
    half = SMALL.step / 2
    north = np.sin(np.radians(SMALL.latitudes + half)) - np.sin(np.radians(SMALL.latitudes - half))
    coarse_area = north[:, None] * SMALL.step
    np.testing.assert_allclose((coarse * coarse_area).sum(), (fine * fine_area).sum(), rtol=2e-5, atol=1e-6)


def test_a_cell_is_the_area_weighted_mean_of_what_it_overlaps() -> None:
    """At the equator a 0.25 degree cell takes 2.5 fine cells each way: 1, 1 and 0.5 of them."""
    grid = Grid(0.25, 0.0, np.ones((1, 1), bool))
    fine = np.zeros((5, 5), np.float32)
    fine[0, 0], fine[2, 2] = 10.0, 10.0
    edges = np.linspace(0, 0.5, 6)
    assert regrid(fine, edges, edges, grid)[0, 0] == pytest.approx(10 * (1 + 0.25) / 6.25, rel=1e-4)


def test_missing_cells_do_not_count_and_half_a_cell_is_needed() -> None:
    grid = Grid(0.5, 0.0, np.ones((1, 2), bool), step=0.5)
    fine = np.full((5, 10), 7.0, np.float32)
    fine[:3, :5] = np.nan
    fine[:1, 5:] = np.nan
    values = regrid(fine, np.linspace(0, 0.5, 6), np.linspace(0, 1, 11), grid)
    assert np.isnan(values[0, 0])
    assert values[0, 1] == pytest.approx(7.0)


@pytest.mark.parametrize("day", ["2023-05-31", "2023-06-01", "2023-06-02", "2023-06-15", "2023-06-16"])
def test_genuine_files_read(day: str, data: Path) -> None:
    path = data / "imerg" / f"{day}.nc4"
    with Dataset(path) as file:
        lat, lon = np.asarray(file["lat"][:], float), np.asarray(file["lon"][:], float)
        raw = np.asarray(file["precipitation"][0], float).T
    cell = Grid(round(lat[-1] + 0.05, 3), round(lon[0] - 0.05, 3), np.ones((1, 1), bool))
    value = read_precipitation(path, dt.date.fromisoformat(day), cell)[0, 0]
    weights = np.outer([0.5, 1, 1], [1, 1, 0.5])
    assert value == pytest.approx((raw[-3:] * weights).sum() / 6.25, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("version", ["V06", "V07B", "V07C"])
@pytest.mark.parametrize("run", ImergRun)
def test_names_and_versions(run: ImergRun, version: str, tmp_path: Path, rng: np.random.Generator) -> None:
    rain = rng.gamma(0.4, 9, SMALL.shape).astype(np.float32)
    path = write_imerg(tmp_path, DAY, rain, SMALL, run, version)
    match = PRODUCTS["imerg"].pattern.match(path.name)
    assert match
    assert IMERG_RUN_LETTERS[match["run"]] is run
    read = read_precipitation(path, DAY, SMALL)
    assert read.mean() == pytest.approx(rain.mean(), rel=0.1)
    assert np.isfinite(read).all()


def test_no_estimate_is_not_zero(tmp_path: Path) -> None:
    rain = np.full(SMALL.shape, 3.0, np.float32)
    rain[:4] = np.nan
    read = read_precipitation(write_imerg(tmp_path, DAY, rain, SMALL), DAY, SMALL)
    assert np.isnan(read[:3]).all()
    np.testing.assert_allclose(read[5:], 3.0, rtol=1e-5)


def test_a_file_without_any_estimate_is_refused(tmp_path: Path) -> None:
    path = write_imerg(tmp_path, DAY, np.full(SMALL.shape, np.nan, np.float32), SMALL)
    with pytest.raises(InputRefused, match=r"precipitation_cnt is 0 everywhere"):
        read_precipitation(path, DAY, SMALL)


def test_another_day_is_refused(tmp_path: Path) -> None:
    path = write_imerg(tmp_path, DAY, np.ones(SMALL.shape, np.float32), SMALL)
    other = path.rename(tmp_path / imerg_name(DAY + dt.timedelta(1)))
    with pytest.raises(InputRefused, match="holds 2020-04-01, not 2020-04-02"):
        read_precipitation(other, DAY + dt.timedelta(1), SMALL)


def test_a_file_that_does_not_cover_the_grid_is_refused(tmp_path: Path, globe: Grid) -> None:
    path = write_imerg(tmp_path, DAY, np.ones(SMALL.shape, np.float32), SMALL)
    with pytest.raises(InputRefused, match="wrong grid"):
        read_precipitation(path, DAY, globe)
