"""What files say of their own cells: LPRM's temperature, optical depth and mask, the flags of ESA CCI and C3S."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.archive.reader import fields_of
from runtime.common import digest
from runtime.common.grid import Grid
from runtime.common.quality import OF_PRODUCT, QualityBit
from runtime.common.sensors import PRODUCTS, Product, declare
from runtime.errors import InputRefused
from runtime.fill.result import Flag
from runtime.inputs.products.granule import Reading
from runtime.inputs.products.read import read_field
from tests.conftest import Site
from tests.runtime.inputs.products.test_c3s_cci import FILES, day_of
from tests.runtime.inputs.products.test_lprm import APRIL_FIRST, GENUINE
from tests.support.marks import mark_lprm

LPRM = PRODUCTS["lprm-amsr2"]


def read(site: Site, day: int = 3) -> Reading:
    return read_field(LPRM, site.lprm(day), site.date(day), site.config().make_grid(), "x")


def test_a_file_without_the_variables_says_nothing(data: Path, globe: Grid) -> None:
    rebuilt = next((data / "lprm_april2015_x").glob("*_20150401*"))  # it has soil moisture alone
    reading = read_field(LPRM, rebuilt, APRIL_FIRST, globe, "x")
    assert reading.marks is None
    assert reading.digest == digest.of_field(reading.field)


def test_each_rule_gives_its_bit_and_changes_no_value(window_site: Site) -> None:
    plain = read(window_site)
    shape = plain.field.shape
    mark_lprm(window_site.lprm(3), ts={(0, 0): 271.0, (1, 1): 273.2}, opt_depth_x={(2, 2): 0.81, (3, 3): 0.8})
    some = read(window_site)
    assert some.marks
    assert some.marks.judged == QualityBit.FROZEN | QualityBit.DENSE_VEGETATION
    expected = np.zeros(shape, np.uint8)
    expected[0, 0], expected[2, 2] = QualityBit.FROZEN, QualityBit.DENSE_VEGETATION
    np.testing.assert_array_equal(some.marks.bits, expected)
    mark_lprm(window_site.lprm(3), mask={(0, 0): 256, (4, 4): 256, (5, 5): 4, (6, 6): 0b1110000, (7, 7): 512})
    every = read(window_site)
    assert every.marks
    assert every.marks.judged == OF_PRODUCT
    expected[4, 4], expected[5, 5] = QualityBit.FROZEN, QualityBit.SENSOR_FLAG
    np.testing.assert_array_equal(every.marks.bits, expected)
    np.testing.assert_array_equal(every.field, plain.field)
    assert len({plain.digest, some.digest, every.digest}) == 3


def test_a_variable_of_another_shape_is_refused(window_site: Site) -> None:
    with Dataset(window_site.lprm(3), "a") as file:
        file.createDimension("other", 7)
        file.createVariable("mask", "i2", ("Longitude", "other"))[:] = 0
    with pytest.raises(InputRefused, match="mask"):
        read(window_site)


def test_larger_cells_are_marked_if_half_of_them_is(data: Path, globe: Grid) -> None:
    fine = read_field(LPRM, data / "lprm" / GENUINE, APRIL_FIRST, globe, "x").marks
    coarse = read_field(
        LPRM, data / "lprm" / GENUINE, APRIL_FIRST, Grid(90, -180, np.ones((360, 720), bool), 0.5), "x"
    ).marks
    assert fine
    assert coarse
    for bit in OF_PRODUCT:
        blocks = ((fine.bits & bit) > 0).reshape(360, 2, 720, 2).mean((1, 3))
        clear = blocks != 0.5  # of two rows, one is a little larger
        np.testing.assert_array_equal(((coarse.bits & bit) > 0)[clear], (blocks > 0.5)[clear])


def test_the_genuine_granule(data: Path, globe: Grid) -> None:
    reading = read_field(LPRM, data / "lprm" / GENUINE, APRIL_FIRST, globe, "x")
    with Dataset(data / "lprm" / GENUINE) as file:
        ts, mask, depth = (file[name][:].filled(np.nan).T for name in ("ts", "mask", "opt_depth_x"))
    assert reading.marks
    assert reading.marks.judged == OF_PRODUCT
    found = {bit: (reading.marks.bits & bit) > 0 for bit in OF_PRODUCT}
    np.testing.assert_array_equal(found[QualityBit.FROZEN], (ts < 273.15) | (mask.astype(int) & 256 > 0))
    np.testing.assert_array_equal(found[QualityBit.DENSE_VEGETATION], depth > 0.8)
    np.testing.assert_array_equal(found[QualityBit.SENSOR_FLAG], mask.astype(int) & 0b1110 > 0)
    assert found[QualityBit.FROZEN][np.isnan(reading.field)].sum() > 150_000, "it marks land without a value, too"


@pytest.mark.parametrize("name", [name for name in FILES if "TCDR" in name or "fv05" in name])
def test_flags_of_esa_cci_mark_what_they_leave_out(name: str, data: Path, globe: Grid) -> None:
    reading = read_field(PRODUCTS[FILES[name]], data / name, day_of(name), globe)
    with xarray.open_dataset(data / name, mask_and_scale=False) as raw:
        flags = raw.flag[0].values
    assert reading.marks
    frozen, dense = ((reading.marks.bits & bit) > 0 for bit in (QualityBit.FROZEN, QualityBit.DENSE_VEGETATION))
    assert (frozen | dense).any()
    assert not (frozen | dense)[np.isfinite(reading.field)].any()
    single = flags < 8  # the bits of larger numbers differ between versions; 127 is no flag
    np.testing.assert_array_equal(frozen[single], flags[single] & 1 > 0)
    np.testing.assert_array_equal(dense[single], flags[single] & 2 > 0)


def test_flags_without_the_meaning_judge_nothing(data: Path, globe: Grid) -> None:
    name = next(name for name in FILES if "PASSIVE-DAILY-20170701" in name)  # its flags do not mention snow
    marks = read_field(PRODUCTS[FILES[name]], data / name, dt.date(2017, 7, 1), globe).marks
    assert marks
    assert marks.judged == QualityBit.DENSE_VEGETATION | QualityBit.SENSOR_FLAG


def test_a_users_declaration_may_have_marks_of_its_own() -> None:
    table = {"extends": "smap-l3", "marks": [{"bit": "frozen", "variable": "surface_flag", "clear_bits": [8]}]}
    product = Product.model_validate(declare({"mine": table}, PRODUCTS)["mine"])
    assert [mark.bit for mark in product.marks] == ["frozen"]
    table["marks"] = [{"bit": "wet", "variable": "surface_flag", "clear_bits": [8]}]
    with pytest.raises(ValueError, match="'sensor_flag', 'frozen' or 'dense_vegetation'"):
        Product.model_validate(declare({"mine": table}, PRODUCTS)["mine"])


def test_marks_are_published_and_other_marks_make_days_stale(window_site: Site) -> None:
    window_site.fill(3, 3)
    before = fields_of(window_site.day_file(3), ("soil_moisture", "flag", "quality_flag"))
    filled = np.argwhere(before["flag"] == Flag.FILLED_FROM_OTHER_DAYS)[0]
    mark_lprm(window_site.lprm(3), mask={tuple(filled): 256})
    assert window_site.fill(3, 3).filled == [window_site.date(3)]
    after = fields_of(window_site.day_file(3), ("soil_moisture", "flag", "quality_flag"))
    np.testing.assert_array_equal(after["soil_moisture"], before["soil_moisture"])
    assert np.argwhere(after["quality_flag"] != before["quality_flag"]).tolist() == [filled.tolist()]
    assert int(after["quality_flag"][tuple(filled)]) & QualityBit.FROZEN
    assert window_site.fill(3, 3).filled == []
