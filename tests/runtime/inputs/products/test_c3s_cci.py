"""Genuine files of C3S and ESA CCI, all versions at hand, against what xarray reads without masking."""

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.errors import InputRefused
from runtime.inputs.products.granule import open_granule
from runtime.inputs.products.quality import refusals
from runtime.inputs.products.read import read_field

FILES = {
    "c3s/C3S-SOILMOISTURE-L3S-SSMV-COMBINED-DAILY-20140101000000-TCDR-v201801.0.0.nc": "c3s-combined",
    "c3s/C3S-SOILMOISTURE-L3S-SSMV-COMBINED-DAILY-20140102000000-TCDR-v201801.0.0.nc": "c3s-combined",
    "c3s/C3S-SOILMOISTURE-L3S-SSMV-PASSIVE-DAILY-20140101000000-TCDR-v201801.0.0.nc": "c3s-passive",
    "c3s/C3S-SOILMOISTURE-L3S-SSMV-PASSIVE-DAILY-20170701000000-ICDR-v201706.0.0.nc": "c3s-passive",
    "cci/ESACCI-SOILMOISTURE-L3S-SSMV-COMBINED-20140101000000-fv02.2.nc": "cci-combined",
    "cci/ESACCI-SOILMOISTURE-L3S-SSMV-COMBINED-20220101000000-fv08.1.nc": "cci-combined",
    "cci/ESACCI-SOILMOISTURE-L3S-SSMV-PASSIVE-20160606000000-fv05.2.nc": "cci-passive",
    "cci/ESACCI-SOILMOISTURE-L3S-SSMV-PASSIVE-20160607000000-fv05.2.nc": "cci-passive",
}
ACTIVE = "c3s/C3S-SOILMOISTURE-L3S-SSMS-ACTIVE-DAILY-20170701000000-ICDR-v201706.0.0.nc"


def day_of(name: str) -> dt.date:
    found = re.search(r"-(\d{8})000000-", name)
    assert found
    return dt.datetime.strptime(found[1], "%Y%m%d").date()


@pytest.mark.parametrize("name", FILES)
def test_values_are_those_of_xarray_without_masking(name: str, data: Path, globe: Grid) -> None:
    product = PRODUCTS[FILES[name]]
    assert product.pattern.match(Path(name).name)
    reading = read_field(product, data / name, day_of(name), globe)
    with xarray.open_dataset(data / name, mask_and_scale=False) as raw:
        assert raw.time.dt.round("s").dt.date.item() == day_of(name)
        stored, flags = raw.sm[0].values, raw.flag[0].values
        scale = np.float64(raw.sm.attrs.get("scale_factor", 1.0))
    observed = np.isfinite(reading.field)
    has_value = stored != -9999
    print(f"{name}: {observed.sum()} of {has_value.sum()} values, flags {np.unique(flags[observed])}")
    np.testing.assert_array_equal(observed, has_value)  # the producers have already left out what the flags refuse
    np.testing.assert_array_equal(reading.field[observed], (stored[observed] * scale).astype(np.float32))
    assert reading.coverage == observed.mean()
    assert set(np.unique(flags[observed])) <= {0, 64}  # 64 is an advice about barren ground


@pytest.mark.parametrize("name", FILES)
def test_flags_mean_what_the_file_says(name: str, data: Path) -> None:
    """The same number has another meaning in another version: 3 is "no convergence" in v02.2, two bits in v05.2."""
    product = PRODUCTS[FILES[name]]
    with open_granule(data / name) as file:
        found = {
            refusal.reason: int(refusal.cells.sum())
            for refusal in refusals(file, product, product.words(), (720, 1440), data / name)
        }
    with xarray.open_dataset(data / name, mask_and_scale=False) as raw:
        flags = raw.flag[0].values.astype(int)
        fill = raw.flag.attrs["_FillValue"]
    flags = flags[(flags != fill) & (flags >= 0)]
    if "fv02.2" in name:
        expected = {"snow": flags == 1, "dense": flags == 2, "no_convergence": flags == 3}
    else:
        expected = {"snow": flags & 1 > 0, "dense": flags & 2 > 0, "no_convergence": flags & 4 > 0}
    for word, cells in expected.items():
        assert sum(count for reason, count in found.items() if word in reason) == cells.sum(), word


def test_automatic_masking_would_hide_all_of_version_02_2(data: Path) -> None:
    """Its valid range is in unpacked units, its values are packed."""
    with Dataset(data / next(name for name in FILES if "fv02.2" in name)) as file:
        assert (~np.ma.getmaskarray(file["sm"][:])).sum() < 200  # those that are stored as 0 or 1


@pytest.mark.parametrize("product", ["c3s-combined", "c3s-passive", "cci-combined"])
def test_percent_of_saturation_is_refused_with_that_reason(product: str, data: Path, globe: Grid) -> None:
    with pytest.raises(InputRefused, match="is in percent, wanted m3 m-3; percent of saturation is not a volume"):
        read_field(PRODUCTS[product], data / ACTIVE, day_of(ACTIVE), globe)


def test_another_day_is_refused(data: Path, globe: Grid) -> None:
    name = next(name for name in FILES if "fv08.1" in name)
    with pytest.raises(InputRefused, match="holds 2022-01-01, not 2022-01-02 as its name says"):
        read_field(PRODUCTS["cci-combined"], data / name, dt.date(2022, 1, 2), globe)


def test_flags_that_lost_their_meanings_are_refused(data: Path, globe: Grid, tmp_path: Path) -> None:
    name = next(name for name in FILES if "fv08.1" in name)
    copy = tmp_path / Path(name).name
    copy.write_bytes((data / name).read_bytes())
    with Dataset(copy, "a") as file:
        file["flag"].flag_meanings = " ".join(f"meaning_{n}" for n in range(len(file["flag"].flag_values)))
    with pytest.raises(InputRefused, match="has none of the meanings snow_.*the product has changed"):
        read_field(PRODUCTS["cci-combined"], copy, day_of(name), globe)
