"""The published files of SGD-SM as input: their observed values are filled anew, and the papers stay cited."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset

from runtime.archive.record import DayRecord
from runtime.archive.sgdsm import FILL, SgdSmLayout
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.config import load_config
from runtime.inputs.products.read import read_field
from runtime.pipeline.run import fill_archive
from tests.conftest import BOX, DAYS, START

DIVIDED_BY_ZERO = np.iinfo(np.int64).min


def _write(folder: Path, date: dt.date, observed: np.ndarray, grid: Grid, globe: Grid) -> Path:
    """Write a file as the published program does: the globe in 64-bit whole percent, north first."""
    path = folder / f"{date:%Y}" / f"LPRM_AMSR2_{date:%Y%m%d}.nc"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.full(globe.shape, DIVIDED_BY_ZERO)
    row, col = globe.cell(grid.latitudes[0], grid.longitudes[0]) or (0, 0)
    percent = np.floor(np.nan_to_num(observed) * 100 + 1e-4).astype(np.int64)
    rows, cols = grid.shape
    whole[row : row + rows, col : col + cols] = np.where(np.isnan(observed), -32767, percent)
    with Dataset(path, "w") as file:
        file.setncatts({"date": f"{date:%Y%m%d}", "reference": "SGD-SM"})
        for name, units, values in (
            ("Latitude", "degree_north", globe.latitudes),
            ("Longitude", "degree_east", globe.longitudes),
        ):
            file.createDimension(name, values.size)
            axis = file.createVariable(name, "f4", (name,))
            axis.units = units
            axis[:] = values
        for name in ("original_sm_c1", "reconstructed_sm_c1"):
            variable = file.createVariable(name, "i8", ("Latitude", "Longitude"), fill_value=-32767, compression="zlib")
            variable.setncatts({"units": "percent", "scale_factor": 1.0, "add_offset": 0.0})
            variable.set_auto_maskandscale(False)
            variable[:] = whole
    return path


def test_observed_values_are_read_and_a_division_by_zero_is_a_gap(tmp_path: Path, grid: Grid, globe: Grid) -> None:
    observed = np.full(grid.shape, np.nan, np.float32)
    observed[10:20, 10:30] = 0.29
    path = _write(tmp_path, dt.date(2013, 1, 5), observed, grid, globe)
    field = read_field(PRODUCTS["sgd-sm"], path, dt.date(2013, 1, 5), grid).field
    np.testing.assert_allclose(field, observed, atol=1e-6)
    assert (
        np.isnan(read_field(PRODUCTS["sgd-sm"], path, dt.date(2013, 1, 5), globe).field).sum() == globe.land.size - 200
    )


def test_no_number_in_a_published_file_is_a_gap(tmp_path: Path) -> None:
    """Where a program has written floating-point numbers."""
    path = tmp_path / "SGD-SM_20130105.nc"
    with Dataset(path, "w") as file:
        file.createDimension("lat", 1)
        file.createDimension("lon", 4)
        for name in ("original_sm_c1", "reconstructed_sm_c1"):
            file.createVariable(name, "f4", ("lat", "lon"))[:] = [[np.nan, np.inf, 29, -1]]
    for values in SgdSmLayout().read(path, ["soil_moisture", "soil_moisture_observed"]).values():
        assert values.tolist() == [[FILL, FILL, 2900, FILL]]


@pytest.mark.slow
def test_published_files_become_an_archive_that_cites_the_papers(
    tmp_path: Path, grid: Grid, globe: Grid, world_days: list
) -> None:
    for day in world_days:
        _write(tmp_path / "SGD-SM", day.date, day.observed, grid, globe)
    file = tmp_path / "seamless-sm.toml"
    file.write_text(
        f'[archive]\nstart = {START}\n[grid]\nbox = {list(BOX)}\n[model]\nbundle = "seamless-2"\n'
        '[[feeds.soil_moisture]]\npath = "SGD-SM"\nproduct = "sgd-sm"\n[feeds.precipitation]\nkind = "none"\n'
    )
    settings = load_config(file, environment={})
    date = START + dt.timedelta(DAYS - 1)
    outcome = fill_archive(settings, DateRange(date, date), date, RunEvents())
    assert outcome.exit_code == 0, outcome.message
    published = next(settings.archive.path.rglob(f"*{date:%Y%m%d}.nc"))
    with Dataset(published) as read:
        stored = np.ma.filled(read["soil_moisture_observed"][0], np.nan)
        filled = np.ma.filled(read["soil_moisture"][0], np.nan)
        assert "doi:10.5194/essd-13-1385-2021" in read.references
        assert "doi:10.5194/essd-14-4473-2022" in read.references
    seen = np.isfinite(stored)
    assert 0 < np.nanmax(world_days[-1].observed[seen] - stored[seen]) <= 0.0101
    assert np.isfinite(filled).sum() > seen.sum()
    names = [item.name for item in DayRecord.from_file(published).inputs.values() if item]
    assert f"LPRM_AMSR2_{date:%Y%m%d}.nc" in names
