"""An archive on EASE-Grid 2.0, filled from files of 0.25 and 0.1 degree with the default bundle."""

import csv
import subprocess
from pathlib import Path

import numpy as np
import pyproj
import pytest
import xarray
from netCDF4 import Dataset

from runtime.api import open_archive
from runtime.archive import cf
from runtime.archive.verify import archive_faults
from runtime.common.grid import Grid
from runtime.common.regrid import cell_edges, to_grid
from runtime.config import Config
from runtime.demo.files import write_lprm
from runtime.demo.world import World
from runtime.fill.result import Flag
from tests.conftest import DAYS, START, Runtime, Site, tool

BOX = (-9.0, 36.0, 9.0, 49.0)
POINT = (45.0, 2.0)


def _site(folder: Path, source: Path, box: str, rain: str) -> Site:
    (folder / "seamless-sm.toml").write_text(
        f'[archive]\nstart = {START}\n[grid]\nkind = "ease2"\ncell_km = 36\n{box}[model]\nengine = "cpu"\n'
        f'[[feeds.soil_moisture]]\nband = "x"\n[feeds.precipitation]\nkind = "{rain}"\n'
    )
    site = Site(folder, source, Config().model.bundle)
    site.bring()
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fortnight: Path) -> Site:
    """A fortnight of Spain and France."""
    site = _site(tmp_path_factory.mktemp("ease2"), fortnight, f"box = {list(BOX)}\n", "folder")
    assert site.fill(0, DAYS - 1).exit_code == 0
    return site


@pytest.fixture(scope="module")
def cells() -> Grid:
    return Grid.ease2(36).box(*BOX)


def _values(site: Site, name: str, day: int) -> np.ndarray:
    return cf.values(site.day_file(day), name)


def test_every_day_is_filled_and_the_archive_is_whole(site: Site, cells: Grid) -> None:
    assert archive_faults(site.config(), lambda items, _: items) == []
    for day in range(DAYS):
        assert np.isfinite(_values(site, "soil_moisture", day)[cells.land]).all()
        flag = _values(site, "flag", day)
        assert ((flag == Flag.NOT_LAND) <= ~cells.land).all()
        assert (flag == Flag.FILLED_FROM_OTHER_DAYS).any()


def test_observations_and_rain_are_averages_of_the_files(site: Site, cells: Grid) -> None:
    with Dataset(site.lprm(3)) as file:
        whole = Grid.of_axes(np.asarray(file["Latitude"][:], float), np.asarray(file["Longitude"][:], float))
        field = file["soil_moisture_x"][:].T.astype(np.float32).filled(np.nan) / 100
    expected = to_grid(field, whole.lat_edges, whole.lon_edges, cells)
    np.testing.assert_allclose(_values(site, "soil_moisture_observed", 3), expected, atol=6e-5)
    with Dataset(site.imerg(3)) as file:
        edges = [cell_edges(file[axis][:], site.imerg(3), axis) for axis in ("lat", "lon")]
        expected = to_grid(file["precipitation"][0].T.filled(np.nan), *edges, cells)
    np.testing.assert_allclose(_values(site, "precipitation", 3), expected, atol=0.011)
    assert expected.max() > 1


def test_xarray_and_the_cube_have_the_same_days_on_the_same_cells(site: Site, cells: Grid) -> None:
    with (
        xarray.open_mfdataset(sorted(site.archive.glob("2020/*.nc"))) as days,
        xarray.open_zarr(site.archive / "cube.zarr") as cube,
    ):
        for opened in (days, cube, open_archive(site.archive)):
            assert dict(opened.soil_moisture.sizes) == {"time": DAYS, "lat": cells.shape[0], "lon": cells.shape[1]}
            np.testing.assert_array_equal(opened.lat, cells.latitudes)
            np.testing.assert_array_equal(opened.lon, cells.longitudes)
        np.testing.assert_allclose(days.soil_moisture, cube.soil_moisture, atol=1e-6)


def test_cdo_reads_the_latitudes_of_the_rows(site: Site, cells: Grid) -> None:
    said = subprocess.run([tool("cdo"), "-s", "griddes", site.day_file(3)], capture_output=True, text=True, check=True)
    assert "gridtype  = lonlat" in said.stdout
    read = said.stdout.partition("yvals")[2].partition("=")[2].split()[: cells.shape[0]]
    np.testing.assert_allclose([float(text) for text in read], cells.latitudes, atol=1e-4)


def test_the_metadata_are_those_of_uneven_rows(site: Site, cells: Grid) -> None:
    with Dataset(site.day_file(3)) as file:
        assert file.geospatial_lat_resolution.endswith("degrees (36032.22 m in EPSG:6933)")
        low, _, high, *_ = file.geospatial_lat_resolution.split()
        assert float(low) == pytest.approx(-np.diff(cells.lat_edges).max(), abs=1e-6)
        assert float(high) == pytest.approx(-np.diff(cells.lat_edges).min(), abs=1e-6)
        assert file.geospatial_lon_resolution == "0.373443983 degrees"
        assert (file.geospatial_lat_min, file.geospatial_lat_max) == (cells.latitudes[-1], cells.latitudes[0])


def test_a_series_is_that_of_the_cell_around_the_point(site: Site, cells: Grid, runtime: Runtime) -> None:
    out = site.folder / "series.csv"
    point = ("--lat", str(POINT[0]), "--lon", str(POINT[1]))
    assert runtime("series", *point, "--out", out, "--config", site.file).exit_code == 0
    cell = cells.cell(*POINT)
    assert cell
    with out.open() as file:
        values = [float(row["soil_moisture (m3 m-3)"]) for row in csv.DictReader(file)]
    assert values == pytest.approx([float(_values(site, "soil_moisture", day)[cell]) for day in range(DAYS)], abs=1e-4)


@pytest.mark.slow
def test_maps_and_rasters_are_drawn(site: Site, cells: Grid, runtime: Runtime) -> None:
    rasterio = pytest.importorskip("rasterio")
    picture, folder, day = site.folder / "day.png", site.folder / "tif", str(site.date(3))
    assert runtime("show", "--date", day, "--out", picture, "--config", site.file).exit_code == 0
    assert picture.stat().st_size > 20_000
    wanted = ("--from", day, "--to", day, "--box", "-4", "40", "5", "48", "--config", site.file)
    assert runtime("export", "--format", "geotiff", "--out", folder, *wanted).exit_code == 0
    with rasterio.open(folder / f"soil_moisture_{site.date(3):%Y%m%d}.tif") as raster:
        assert raster.crs.to_epsg() == 6933
        value = next(raster.sample([pyproj.Proj("EPSG:6933")(POINT[1], POINT[0])]))[0] * raster.scales[0]
    assert value == pytest.approx(float(_values(site, "soil_moisture", 3)[cells.cell(*POINT)]), abs=1e-4)
    refused = runtime("export", "--format", "sgd-sm", "--out", site.folder / "sgd", *wanted)
    assert refused.exit_code == 2
    assert "--format sgd-sm has cells of 0.25 degree" in refused.stderr


def test_another_cell_size_is_another_archive(site: Site, runtime: Runtime) -> None:
    said = runtime("plan", "--set", "grid.cell_km=25", "--config", site.file)
    assert said.exit_code == 2
    assert "cells of 36 km (EASE-Grid 2.0)" in said.stderr
    assert "gives 49 x 70 cells of 25 km (EASE-Grid 2.0)" in said.stderr


@pytest.mark.slow
def test_a_fortnight_of_the_globe(tmp_path: Path) -> None:
    """The files have cells of 0.75 degree, so that they are made fast; their averages have those of 36 km."""
    world = Grid(90.0, -180.0, np.zeros((240, 480), bool), 0.75).with_land()
    for day in World(world, seed=7).days(START, DAYS):
        write_lprm(tmp_path / "made" / "lprm", day, world)
    folder = tmp_path / "globe"
    folder.mkdir()
    site = _site(folder, tmp_path / "made", "", "none")
    assert site.fill(0, DAYS - 1).exit_code == 0
    assert archive_faults(site.config(), lambda items, _: items) == []
    grid = Grid.ease2(36)
    filled = _values(site, "soil_moisture", 6)
    assert filled.shape == grid.shape
    seen = np.any([np.isfinite(_values(site, "soil_moisture_observed", day)) for day in range(6 + 5)], axis=0)
    assert np.isfinite(filled[grid.land & seen]).all(), "the rest is frozen, or forest"
    assert (grid.land & seen).sum() > 0.6 * grid.land.sum()
