"""What a published file says of itself, attribute by attribute (CF-1.11)."""

import json
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset

from runtime.common.quality import QualityBit
from runtime.fill.result import Flag
from tests.conftest import Site


@pytest.fixture
def path(recurrent_site: Site) -> Path:
    recurrent_site.fill(6, 6)
    return recurrent_site.day_file(6)


def test_axes(path: Path) -> None:
    with Dataset(path) as file:
        assert file.Conventions == "CF-1.11, ACDD-1.3"
        assert file.data_model == "NETCDF4"
        assert file.dimensions["time"].isunlimited()
        time, lat, lon = (file[name] for name in ("time", "lat", "lon"))
        assert (time.standard_name, time.axis, time.calendar, time.bounds) == ("time", "T", "standard", "time_bnds")
        assert time.units == "days since 2000-01-01"
        assert file["time_bnds"][0].tolist() == [time[0], time[0] + 1]
        assert (lat.standard_name, lat.units, lat.axis) == ("latitude", "degrees_north", "Y")
        assert (lon.standard_name, lon.units, lon.axis) == ("longitude", "degrees_east", "X")
        assert (np.diff(lat[:]) < 0).all()
        assert (np.diff(lon[:]) > 0).all()


@pytest.mark.parametrize("name", ["soil_moisture", "soil_moisture_observed"])
def test_soil_moisture(name: str, path: Path) -> None:
    with Dataset(path) as file:
        variable = file[name]
        assert variable.dimensions == ("time", "lat", "lon")
        assert variable.units == "m3 m-3"
        assert variable.standard_name == "volume_fraction_of_condensed_water_in_soil"
        for limit in (variable._FillValue, variable.valid_min, variable.valid_max):
            assert limit.dtype == variable.dtype
        values = variable[:]
        assert 0 <= values.min() <= values.max() <= 1
        assert (
            file["soil_moisture"].ancillary_variables
            == "flag quality_flag soil_moisture_uncertainty days_since_observation"
        )


def test_flags(path: Path) -> None:
    with Dataset(path) as file:
        flag, status = file["flag"], file["input_status"]
        assert flag.flag_values.dtype == flag.dtype
        assert flag.flag_meanings.split() == [f.name.lower() for f in Flag]
        assert set(np.unique(flag[:])) <= set(flag.flag_values)
        assert len(status.flag_masks) == len(status.flag_meanings.split()) == 3
        assert file["days_since_observation"].units == "day"


def test_quality(path: Path) -> None:
    with Dataset(path) as file:
        quality, judged = file["quality_flag"], file["quality_judged"]
        for variable in (quality, judged):
            assert variable.flag_masks.dtype == variable.dtype
            assert variable.flag_masks.tolist() == list(QualityBit)
            assert variable.flag_meanings.split() == [bit.name.lower() for bit in QualityBit]
        # It reads no other days, is the seventh of its chain, and its file has the temperature of the ground.
        assert judged[:].tolist() == [QualityBit.AT_LIMIT | QualityBit.FROZEN]
        values = file["soil_moisture"][:].filled(np.nan)
        assert np.isnan(values).any()
        np.testing.assert_array_equal(quality[:] > 0, (values == 0) | (values >= 0.6))


def test_lineage_and_no_clock(path: Path) -> None:
    with Dataset(path) as file:
        inputs = json.loads(file.inputs)
        assert set(inputs) == {"T", "precipitation"}
        assert set(inputs["T"]) == {"name", "field", "run"}
        assert file.tier == "consolidated"
        assert not {"date_created", "date_modified"} & set(file.ncattrs())
