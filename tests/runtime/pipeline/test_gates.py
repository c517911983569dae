import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from runtime.common.grid import Grid
from runtime.config import Policy
from runtime.errors import ResultRefused
from runtime.fill.result import Filled, Flag, compose
from runtime.fill.statistics import DayStatistics, seam_ratio
from runtime.pipeline.gates import check_plausible, check_sound

DAY = dt.date(2020, 4, 1)
GRID = Grid(90, -180, np.ones((8, 8), bool), 22.5)


def _filled(predicted: np.ndarray) -> Filled:
    observed = np.full(GRID.shape, np.nan, np.float32)
    observed[0] = 0.3
    since = np.zeros(GRID.shape, np.int16)
    reached = np.ones(GRID.shape, np.float32)
    reached[7] = 0
    return compose(GRID, observed, predicted.astype(np.float32), reached, since, np.zeros(GRID.shape, bool))


def test_a_sound_day_passes() -> None:
    check_sound(_filled(np.full(GRID.shape, 0.2)), DAY)


def test_values_are_cut_to_what_soil_can_hold() -> None:
    filled = _filled(np.linspace(-1, 2, 64).reshape(8, 8))
    assert np.nanmin(filled.soil_moisture) == 0
    assert np.nanmax(filled.soil_moisture) == 1
    assert np.isnan(filled.soil_moisture[7]).all()


def test_nan_from_the_network_is_refused() -> None:
    predicted = np.full(GRID.shape, 0.2)
    predicted[3, 3] = np.nan
    with pytest.raises(ResultRefused, match="1 cells have no value that should have one"):
        check_sound(_filled(predicted), DAY)


def test_a_changed_observation_is_refused() -> None:
    filled = _filled(np.full(GRID.shape, 0.2))
    changed = filled.soil_moisture.copy()
    changed[0, 0] = 0.31
    with pytest.raises(ResultRefused, match="observed cells were changed"):
        check_sound(replace(filled, soil_moisture=changed), DAY)


def test_seams_are_measured_between_filled_cells_only() -> None:
    rng = np.random.default_rng(0)
    smooth = rng.normal(0.3, 0.01, (40, 40)).astype(np.float32)
    flag = np.full((40, 40), Flag.FILLED_FROM_NEIGHBOURS, np.int8)
    since = np.zeros((40, 40), np.int16)
    even = Filled(smooth, smooth * np.nan, flag, since)
    assert seam_ratio(even, (10, 10)) == pytest.approx(1, abs=0.2)
    steps = smooth + 0.1 * (np.indices((40, 40)) // 10).sum(0) % 0.2
    assert seam_ratio(replace(even, soil_moisture=steps.astype(np.float32)), (10, 10)) > 5
    observed = replace(even, soil_moisture=steps.astype(np.float32), flag=np.zeros((40, 40), np.int8))
    assert np.isnan(seam_ratio(observed, (10, 10)))


def test_a_region_is_one_by_its_area_not_by_its_cells() -> None:
    """The land mean of the globe moves less from day to day than that of a region of as many, smaller cells."""
    filled, day = _filled(np.full(GRID.shape, 0.2)), DayStatistics(50_000, 20_000, 0, 0.4, None)
    check_plausible(day, filled.cut, [0.2], Policy(), DAY, 9008.0)
    with pytest.raises(ResultRefused, match="the land mean is 0.400 m3 m-3 where 0.200 is usual"):
        check_plausible(day, filled.cut, [0.2], Policy(), DAY, Grid.globe().cell_size)
