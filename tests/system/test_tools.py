"""The archive through the programs hydrologists use: CDO, NCO, GDAL, xarray."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray

from runtime.archive import cf
from tests.conftest import Site, tool

FIRST, LAST = 4, 8


@pytest.fixture
def files(window_site: Site) -> list[Path]:
    window_site.fill(FIRST, LAST)
    return [window_site.day_file(day) for day in range(FIRST, LAST + 1)]


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "warning" not in done.stderr.lower(), done.stderr
    return done.stdout


def test_cdo_knows_grid_time_and_variables(files: list[Path]) -> None:
    said = _run(tool("cdo"), "-s", "sinfon", files[0])
    assert "soil_moisture_uncertainty" in said
    assert "lonlat" in said
    assert "points=4800 (80x60)" in said
    assert "2020-04-05 00:00:00" in said


def test_cdo_averages_over_the_days(files: list[Path], tmp_path: Path) -> None:
    _run(tool("cdo"), "-s", "-O", "timmean", "-select,name=soil_moisture", *files, tmp_path / "mean.nc")
    days = np.stack([cf.values(file, "soil_moisture") for file in files])
    seen = np.isfinite(days).any(0)
    with xarray.open_dataset(tmp_path / "mean.nc") as mean:
        np.testing.assert_allclose(mean.soil_moisture[0].values[seen], np.nanmean(days[:, seen], 0), atol=1e-4)
        assert np.isnan(mean.soil_moisture[0].values[~seen]).all()


def test_ncks_cuts_a_box(files: list[Path], tmp_path: Path) -> None:
    box = ("-d", "lat,40.0,42.0", "-d", "lon,0.0,3.0", "-v", "soil_moisture,flag")
    _run(tool("ncks"), "-O", *box, files[0], tmp_path / "box.nc")
    with xarray.open_dataset(tmp_path / "box.nc") as cut, xarray.open_dataset(files[0]) as whole:
        assert cut.soil_moisture.shape == (1, 8, 12)
        xarray.testing.assert_equal(cut.flag, whole.flag.sel(lat=slice(42, 40), lon=slice(0, 3)))


@pytest.mark.slow
def test_gdal_places_it_on_the_earth(files: list[Path]) -> None:
    said = _run(tool("gdalinfo"), f"NETCDF:{files[0]}:soil_moisture")
    assert "Origin = (-10.0" in said
    assert "Pixel Size = (0.25" in said
    assert 'GEOGCRS["' in said
    assert "NoData Value=-32767" in said


def test_gdal_reads_the_values(files: list[Path], tmp_path: Path) -> None:
    said = _run(tool("gdallocationinfo"), "-valonly", "-wgs84", f"NETCDF:{files[0]}:soil_moisture", "2.0", "45.1")
    row, col = int((50 - 45.1) / 0.25), int((2.0 + 10) / 0.25)
    assert float(said) * 1e-4 == pytest.approx(float(cf.values(files[0], "soil_moisture")[row, col]), abs=1e-4)


def test_xarray_opens_the_days_together_and_the_cube(files: list[Path]) -> None:
    with (
        xarray.open_mfdataset(files) as days,
        xarray.open_zarr(files[0].parents[1] / "cube.zarr") as cube,
    ):
        assert days.soil_moisture.dims == ("time", "lat", "lon")
        for name in ("soil_moisture", "soil_moisture_observed", "precipitation", "flag"):
            np.testing.assert_allclose(days[name].values, cube[name].values, atol=1e-6)
        assert (days.time.values == cube.time.values).all()
        assert days.soil_moisture.attrs["grid_mapping"] == "crs"
