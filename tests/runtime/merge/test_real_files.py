"""Genuine files of three products on one day, merged: C3S PASSIVE and COMBINED, and COMBINED of ESA CCI v02.2.

They share sensors, so that nobody should merge them; they are the only genuine files of one day and grid at hand.
"""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
import xarray

from runtime.archive.verify import archive_faults
from runtime.common.clock import DAY, DateRange
from runtime.common.events import RunEvents, untracked
from runtime.common.grid import Floats
from runtime.config import load_config
from runtime.merge.transfer import REFERENCE_ERROR, UNMAPPED_ERROR
from runtime.pipeline.run import fill_archive

DAY_OF_ALL = dt.date(2014, 1, 1)
BOX = [-10.0, -10.0, 40.0, 30.0]
"""West, south, east and north: in January the north of the globe is frozen."""
FEEDS = {"c3s-passive": "c3s", "c3s-combined": "c3s", "cci-combined": "cci"}
PACKED = 6e-5
"""Half of a packed unit, and rounding, m3 m-3."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, data: Path) -> xarray.Dataset:
    """The published day."""
    folder = tmp_path_factory.mktemp("real")
    feeds = "".join(
        f'[[feeds.soil_moisture]]\nproduct = "{product}"\npath = "{data / place}"\n' for product, place in FEEDS.items()
    )
    (folder / "c.toml").write_text(
        f'[archive]\nstart = {DAY_OF_ALL}\n[grid]\nbox = {BOX}\n[model]\nengine = "cpu"\n{feeds}'
        '[merge]\nmode = "together"\n'
    )
    config = load_config(folder / "c.toml", environment={})
    outcome = fill_archive(config, DateRange(DAY_OF_ALL, DAY_OF_ALL), DAY_OF_ALL + 30 * DAY, RunEvents())
    assert outcome.filled == [DAY_OF_ALL], outcome.message
    assert archive_faults(config, untracked) == []
    return xarray.load_dataset(next(config.archive.path.glob("2014/*.nc"))).isel(time=0)


@pytest.fixture(scope="module")
def stored(day: xarray.Dataset, data: Path) -> list[Floats]:
    """What the files hold, m3 m-3, in the order of the feeds."""
    found = []
    for name in ("c3s/C3S*PASSIVE", "c3s/C3S*COMBINED", "cci/ESACCI*COMBINED"):
        with xarray.open_dataset(next(data.glob(f"{name}*-20140101*")), mask_and_scale=False) as file:
            values = file.sm[0].sel(lat=day.lat, lon=day.lon)
            scale = float(file.sm.attrs.get("scale_factor", 1))
            found.append(np.where(values == -9999, np.nan, values * scale).astype(np.float32))
    return found


def test_a_merged_day_has_cells_of_each_file(day: xarray.Dataset, stored: list[Floats]) -> None:
    source = day["soil_moisture_source"].values
    assert day["soil_moisture_source"].attrs["flag_meanings"].startswith("c3s_passive")
    for bit, values in enumerate(stored):
        np.testing.assert_array_equal(source & 1 << bit > 0, np.isfinite(values))
        assert (source == 1 << bit).sum() > 50, "cells that only this file has"
    assert (source == 7).sum() > 5000
    np.testing.assert_array_equal(source > 0, np.isfinite(day["soil_moisture_observed"]))


def test_every_published_observation_comes_from_the_files(day: xarray.Dataset, stored: list[Floats]) -> None:
    """No day before it has two of the files, so that nothing is mapped and errors are those of unknown sensors."""
    stack = np.stack(stored)
    count, published = np.isfinite(stack).sum(0), day["soil_moisture_observed"].values
    alone, several = count == 1, count > 1
    np.testing.assert_allclose(published[alone], np.nansum(stack, 0)[alone], atol=PACKED)
    errors = np.array([REFERENCE_ERROR, UNMAPPED_ERROR, UNMAPPED_ERROR])[:, None, None]
    weights = np.where(np.isfinite(stack), errors**-2, 0)
    mean = np.nansum(weights * np.nan_to_num(stack), 0)[several] / weights.sum(0)[several]
    np.testing.assert_allclose(published[several], mean, atol=PACKED)
    np.testing.assert_allclose(
        day["soil_moisture_uncertainty"].values[count > 0], weights.sum(0)[count > 0] ** -0.5, atol=PACKED
    )
    on_land = (count > 0) & (day["flag"].values == 0)
    np.testing.assert_array_equal(day["soil_moisture"].values[on_land], published[on_land])
