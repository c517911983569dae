import datetime as dt
import itertools
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from netCDF4 import Dataset

from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.demo.files import write_lprm
from runtime.demo.world import WorldDay
from runtime.errors import InputRefused
from runtime.inputs.products.read import read_field

GENUINE = "LPRM-AMSR2_L3_D_SOILM3_V001_20150401013507.nc4"
APRIL_FIRST = dt.date(2015, 4, 1)


def read(path: Path, date: dt.date, grid: Grid, band: str) -> Floats:
    return read_field(PRODUCTS["lprm-amsr2"], path, date, grid, band).field


@pytest.mark.parametrize("band", ["c1", "c2", "x"])
def test_genuine_granule_lies_on_land(band: str, data: Path, globe: Grid) -> None:
    field = read(data / "lprm" / GENUINE, APRIL_FIRST, globe, band)
    with Dataset(data / "masks" / "GLDASp4_landmask_025d.nc4") as file:
        gldas = np.zeros(globe.shape, bool)
        gldas[:600] = file["GLDAS_mask"][0].filled(0)[::-1] == 1
    seen = ~np.isnan(field)
    share = gldas[seen].mean()
    print(f"{band}: {seen.sum()} cells, {share:.2%} on GLDAS land")
    assert seen.sum() > 90_000
    assert share >= 0.98
    assert gldas[seen[:, ::-1]].mean() < 0.7, "a mirrored field would not lie on land"
    assert 0 <= np.nanmin(field) <= np.nanmax(field) <= 1


def test_values_are_the_files_values(data: Path, globe: Grid) -> None:
    with Dataset(data / "lprm" / GENUINE) as file:
        file.set_auto_maskandscale(False)
        raw = file["soil_moisture_c1"][:]
    field = read(data / "lprm" / GENUINE, APRIL_FIRST, globe, "c1")
    row, col = np.argwhere(~np.isnan(field))[1234]
    assert field[row, col] == np.float32(raw[col, row] * 0.01)
    assert (~np.isnan(field)).sum() == (raw != -32767).sum()


def test_x_band_of_rebuilt_file_equals_the_genuine_one(data: Path, globe: Grid) -> None:
    genuine = read(data / "lprm" / GENUINE, APRIL_FIRST, globe, "x")
    rebuilt = next((data / "lprm_april2015_x").glob("*_20150401*"))
    np.testing.assert_array_equal(genuine, read(rebuilt, APRIL_FIRST, globe, "x"))


def test_ascending_granules_have_the_variables_we_read(data: Path) -> None:
    tree = ElementTree.parse(next((data / "lprm").glob("*.dmr.xml")))
    names = {element.get("name") for element in tree.iter() if element.tag.endswith("Int16")}
    assert {f"soil_moisture_{band}" for band in PRODUCTS["lprm-amsr2"].bands} <= names


def test_the_made_up_world_reads_back(tmp_path: Path, grid: Grid, world_days: list[WorldDay]) -> None:
    day = world_days[0]
    field = read(write_lprm(tmp_path, day, grid), day.date, grid, "x")
    np.testing.assert_allclose(field, day.observed, atol=1e-6)


@pytest.mark.parametrize("order", [("Latitude", "Longitude"), ("lat", "lon")])
def test_axes_are_found_by_name_and_direction(tmp_path: Path, order: tuple[str, str], rng: np.random.Generator) -> None:
    """AMSR-E style: latitude first, south first, longitude 0..360."""
    grid = Grid(5.0, -5.0, np.ones((40, 40), bool))
    percent = rng.integers(1, 60, (40, 40)).astype(np.int16)
    path = tmp_path / "LPRM-AMSR_E_L3_D_SOILM3_V002_20080701.nc"
    longitudes = grid.longitudes % 360
    turn = np.argsort(longitudes)
    with Dataset(path, "w") as file:
        for name, values in zip(order, (grid.latitudes[::-1], longitudes[turn]), strict=True):
            file.createDimension(name, 40)
            file.createVariable(name, "f4", (name,))[:] = values
        variable = file.createVariable("soil_moisture_c", "i2", order, fill_value=-32767)
        variable.units = "percent"
        variable[:] = percent[::-1][:, turn]
    np.testing.assert_allclose(read(path, dt.date(2008, 7, 1), grid, "c"), percent / 100, atol=1e-6)


@pytest.mark.parametrize(
    ("product", "name", "orbit"),
    [
        ("lprm-amsr2", "LPRM-AMSR2_L3_D_SOILM3_V001_20150401013507.nc4", "D"),
        ("lprm-amsr2", "LPRM-AMSR2_L3_A_SOILM3_V001_20121216010911.nc4", "A"),
        ("lprm-amsre", "LPRM-AMSR_E_L3_D_SOILM3_V002_20080701000000.nc4", "D"),
        ("lprm-amsre", "LPRM-AMSR_E_L3_A_SOILM3_V002_20080701.nc", "A"),
        ("lprm-windsat", "LPRM-WINDSAT_L3_NT_SOILM3_V001_20111010000000.nc4", "NT"),
    ],
)
def test_file_names(product: str, name: str, orbit: str) -> None:
    match = PRODUCTS[product].pattern.match(name)
    assert match
    assert match["orbit"] == orbit


def test_sensor_eras_follow_one_another_without_a_hole() -> None:
    eras = [PRODUCTS[name] for name in ("lprm-amsre", "lprm-windsat", "lprm-amsr2")]
    for before, after in itertools.pairwise(eras):
        assert before.end
        assert after.start == before.end + dt.timedelta(1)


Edit = Callable[[Dataset], None]


def _set(name: str, value: int) -> Edit:
    def edit(file: Dataset) -> None:
        file.set_auto_maskandscale(False)
        file[name][:] = value

    return edit


def _rename(file: Dataset) -> None:
    file.renameVariable("soil_moisture_x", "soil_moisture_ku")


def _another_day(file: Dataset) -> None:
    file.set_auto_maskandscale(False)
    scanned = file["scantime"][:]
    file["scantime"][:] = np.where(scanned > 0, scanned + 3 * 86400, 0)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_set("soil_moisture_x", -32767), "all fill"),
        (_set("soil_moisture_x", 500), "500 percent"),
        (_set("soil_moisture_x", -5), "-5"),
        (_rename, "no variable soil_moisture_x .*check the feed"),
        (_another_day, "was scanned on 2020-04-04, not on 2020-04-01"),
    ],
)
def test_wrong_content_is_refused(
    edit: Edit, message: str, tmp_path: Path, grid: Grid, world_days: list[WorldDay]
) -> None:
    path = write_lprm(tmp_path, world_days[0], grid)
    with Dataset(path, "a") as file:
        edit(file)
    with pytest.raises(InputRefused, match=message) as caught:
        read(path, world_days[0].date, grid, "x")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Please log in</html>", "web page"),
        (b'{"error": "not found"}', "web page or an error message"),
        (b"", "not a NetCDF file"),
        (None, "cut short"),
    ],
)
def test_wrong_files_are_refused(
    content: bytes | None, message: str, tmp_path: Path, grid: Grid, world_days: list[WorldDay]
) -> None:
    path = write_lprm(tmp_path, world_days[0], grid)
    path.write_bytes(path.read_bytes()[:-4000] if content is None else content)
    with pytest.raises(InputRefused, match=message):
        read(path, world_days[0].date, grid, "x")


def test_another_grid_is_refused(tmp_path: Path, grid: Grid, globe: Grid, world_days: list[WorldDay]) -> None:
    path = write_lprm(tmp_path, world_days[0], grid)
    with pytest.raises(InputRefused, match=r"wrong grid.*60 cells from 35.125 to 49.875, wanted 720"):
        read(path, world_days[0].date, globe, "x")
