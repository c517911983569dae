"""Headers that promise more than there is: each is refused before its values are read."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from netCDF4 import Dataset

from benchmarks.memory import peak_memory_of_process
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import WorldDay
from runtime.errors import InputRefused
from runtime.inputs.products.granule import Reading
from runtime.inputs.products.read import read_field
from tests.support.sensors import write_smap

Edit = Callable[[Path], None]
HUGE = 60_000


def read_soil_moisture(path: Path, date: dt.date, grid: Grid, band: str) -> Reading:
    return read_field(PRODUCTS["lprm-amsr2"], path, date, grid, band)


def read_precipitation(path: Path, date: dt.date, grid: Grid) -> Floats:
    return read_field(PRODUCTS["imerg"], path, date, grid).field


def _inflated(name: str) -> Edit:
    """Return an edit that puts 256 MiB of zeros into one chunk, which is 256 KiB of deflate."""

    def edit(path: Path) -> None:
        packer = zlib.compressobj(9)
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1 << 8)) + packer.flush()
        with h5py.File(path, "a") as file:
            file[name].id.write_direct_chunk((0,) * file[name].ndim, packed)

    return edit


def _wide_axis(name: str) -> Edit:
    def edit(path: Path) -> None:
        with Dataset(path, "a") as file:
            file.renameVariable(name, f"old_{name}")
            file.createDimension("huge", HUGE)
            file.createVariable(name, "f8", ("huge", "huge"), compression="zlib")

    return edit


def _many_scans(path: Path) -> None:
    with Dataset(path, "a") as file:
        file.renameVariable("scantime", "old_scantime")
        file.createDimension("huge", HUGE)
        file.createVariable("scantime", "f8", ("huge", "huge"), compression="zlib")


def _large_chunks(path: Path) -> None:
    with h5py.File(path, "a") as file:
        shape = file["scantime"].shape
        del file["scantime"]
        file.create_dataset("scantime", shape, "f8", chunks=(16_000, 16_000), maxshape=(None, None), compression=1)


def _text(path: Path) -> None:
    with Dataset(path, "a") as file:
        file.renameVariable("scantime", "old_scantime")
        file.createVariable("scantime", "S1", ("Longitude", "Latitude"))


BOMBS: dict[str, Edit] = {
    "a latitude of two dimensions": _wide_axis("Latitude"),
    "a longitude of two dimensions": _wide_axis("Longitude"),
    "many scan times": _many_scans,
    "large chunks of scan times": _large_chunks,
    "scan times that are text": _text,
    "deflated soil moisture": _inflated("soil_moisture_x"),
    "deflated scan times": _inflated("scantime"),
}


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_that_asks_for_much_memory_is_refused(
    bomb: str, tmp_path: Path, grid: Grid, world_days: list[WorldDay]
) -> None:
    path = write_lprm(tmp_path, world_days[0], grid)
    BOMBS[bomb](path)
    assert path.stat().st_size < 2 << 20
    with pytest.raises(InputRefused, match="fetch it again") as caught:
        read_soil_moisture(path, world_days[0].date, grid, "x")
    assert str(path) in str(caught.value)


def _large_rain_chunks(path: Path) -> None:
    with h5py.File(path, "a") as file:
        shape = file["precipitation"].shape
        del file["precipitation"]
        file.create_dataset(
            "precipitation", shape, "f4", chunks=(1, 16_000, 16_000), maxshape=(None,) * 3, compression=1
        )


@pytest.mark.parametrize("bomb", [_wide_axis("lat"), _wide_axis("lon"), _wide_axis("time"), _large_rain_chunks])
def test_a_small_file_of_rain_that_asks_for_much_memory_is_refused(
    bomb: Edit, tmp_path: Path, grid: Grid, world_days: list[WorldDay]
) -> None:
    path = write_imerg(tmp_path, world_days[0].date, world_days[0].rain, grid)
    bomb(path)
    before = peak_memory_of_process()
    with pytest.raises(InputRefused, match="fetch it again|check the feed's product"):
        read_precipitation(path, world_days[0].date, grid)
    assert peak_memory_of_process() - before < 256 << 20


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("name", ["precipitation", "precipitation_cnt"])
def test_deflated_rain_is_refused(name: str, tmp_path: Path, grid: Grid, world_days: list[WorldDay]) -> None:
    path = write_imerg(tmp_path, world_days[0].date, world_days[0].rain, grid)
    _inflated(name)(path)
    with pytest.raises(InputRefused, match="holds more than it declares"):
        read_precipitation(path, world_days[0].date, grid)


@pytest.mark.slow
def test_a_deflated_variable_in_a_group_is_refused(tmp_path: Path, grid: Grid) -> None:
    def seen(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
        return np.full(lat.shape, 0.3)

    date = dt.date(2021, 4, 1)
    path = write_smap(tmp_path, date, seen, seen)
    _inflated("Soil_Moisture_Retrieval_Data_AM/soil_moisture")(path)
    with pytest.raises(InputRefused, match="Soil_Moisture_Retrieval_Data_AM/soil_moisture holds more than it declares"):
        read_field(PRODUCTS["smap-l3"], path, date, grid)


_PEAK = """
import datetime as dt, sys
from pathlib import Path
from benchmarks.memory import peak_memory_of_process
from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.errors import InputRefused
from runtime.inputs.products.read import read_field
path, grid = Path(sys.argv[1]), Grid.globe().box(-10.0, 35.0, 10.0, 50.0)
before = peak_memory_of_process()
try:
    read_field(PRODUCTS["lprm-amsr2"], path, dt.date.fromisoformat(sys.argv[2]), grid, "x")
except InputRefused:
    pass
print(peak_memory_of_process() - before)
"""


@pytest.mark.slow
def test_a_refused_file_takes_no_more_than_twice_the_memory_of_a_good_one(
    tmp_path: Path, grid: Grid, world_days: list[WorldDay]
) -> None:
    def peak(path: Path) -> int:
        command = [sys.executable, "-c", _PEAK, str(path), world_days[0].date.isoformat()]
        root = Path(__file__).parents[4]
        return int(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)

    good = peak(write_lprm(tmp_path, world_days[0], grid))
    for name, bomb in BOMBS.items():
        path = write_lprm(tmp_path, world_days[0], grid)
        bomb(path)
        assert peak(path) < 2 * good + (2 << 20), name  # one block of decompressed data, and what was compressed


# Values that are no numbers


def _all_nan(path: Path) -> None:
    """Give the soil moisture a float type, and NaN everywhere."""
    with h5py.File(path, "a") as file:
        old = file["soil_moisture_x"]
        shape, attributes = old.shape, dict(old.attrs)
        del file["soil_moisture_x"]
        data = file.create_dataset("soil_moisture_x", shape, "f4", fillvalue=-32767)
        data[...] = np.nan
        for key in ("units", "scale_factor", "add_offset"):
            data.attrs[key] = attributes[key]
        for axis, name in enumerate(("Longitude", "Latitude")):
            data.dims[axis].attach_scale(file[name])


def test_a_file_of_nan_is_refused_as_one_of_fill(tmp_path: Path, grid: Grid, world_days: list[WorldDay]) -> None:
    path = write_lprm(tmp_path, world_days[0], grid)
    _all_nan(path)
    with pytest.raises(InputRefused, match="is all fill or NaN"):
        read_soil_moisture(path, world_days[0].date, grid, "x")


@pytest.mark.parametrize("attribute", ["scale_factor", "add_offset"])
def test_a_scale_of_nan_is_refused(attribute: str, tmp_path: Path, grid: Grid, world_days: list[WorldDay]) -> None:
    path = write_lprm(tmp_path, world_days[0], grid)
    with Dataset(path, "a") as file:
        file["soil_moisture_x"].setncattr(attribute, np.nan)
    with pytest.raises(InputRefused, match="is all fill or NaN"):
        read_soil_moisture(path, world_days[0].date, grid, "x")


def test_nan_does_not_count_as_coverage(tmp_path: Path, grid: Grid, world_days: list[WorldDay]) -> None:
    path = write_lprm(tmp_path, world_days[0], grid)
    usual = read_soil_moisture(path, world_days[0].date, grid, "x").coverage
    _all_nan(path)
    with Dataset(path, "a") as file:
        file["soil_moisture_x"][:2, :2] = 30
    reading = read_soil_moisture(path, world_days[0].date, grid, "x")
    assert usual
    assert reading.coverage == 4 / grid.land.size < usual


def test_rain_of_nan_is_refused(tmp_path: Path, grid: Grid, world_days: list[WorldDay]) -> None:
    path = write_imerg(tmp_path, world_days[0].date, world_days[0].rain, grid)
    with Dataset(path, "a") as file:
        file["precipitation"][:] = np.nan
    with pytest.raises(InputRefused, match="no cell has an estimate"):
        read_precipitation(path, world_days[0].date, grid)
