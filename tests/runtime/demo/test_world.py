import datetime as dt
import itertools

import numpy as np
import pytest

from runtime.common.grid import Grid
from runtime.demo.world import World, swath

START = dt.date(2020, 4, 1)


def test_a_seed_is_a_world(grid: Grid) -> None:
    first, again, other = (list(World(grid, seed).days(START, 3)) for seed in (5, 5, 6))
    for day, same, another in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(day.observed, same.observed)
        np.testing.assert_array_equal(day.rain, same.rain)
        assert not np.array_equal(day.rain, another.rain)


def test_soil_is_wetted_by_rain_and_dries_without(globe: Grid) -> None:
    grid = globe.box(10, -10, 40, 10)
    days = list(World(grid, 5).days(START, 6))
    for before, after in itertools.pairwise(days):
        change = after.truth - before.truth
        wet, dry = grid.land & (after.rain > 5), grid.land & (after.rain == 0)
        assert (change[dry] <= 1e-6).all()
        assert change[wet].mean() > 0.02
        assert np.nanmin(after.truth) > 0
        assert np.nanmax(after.truth) < 0.8


@pytest.mark.slow
def test_swaths_leave_what_amsr2_leaves(globe: Grid) -> None:
    """Gaps between swaths at the equator, none at 60 degrees; every cell within three days; a 16-day cycle."""
    seen = swath(globe, START)
    equator, north = seen[355:365].mean(), seen[110:130].mean()
    assert 0.4 < equator < 0.75
    assert north > 0.95
    three = np.any([swath(globe, START + dt.timedelta(n)) for n in range(3)], axis=0)
    assert three[60:660].mean() > 0.97
    assert (swath(globe, START + dt.timedelta(16)) == seen).mean() > 0.99


def test_observations_are_rounded_truth_with_noise_and_holes(globe: Grid) -> None:
    grid = Grid(90.0, -180.0, globe.land[::4, ::4].copy(), 1.0)
    (day,) = World(grid, 3).days(dt.date(2020, 1, 15), 1)
    seen = ~np.isnan(day.observed)
    error = day.observed[seen] - day.truth[seen]
    assert abs(error.mean()) < 0.005
    assert 0.02 < error.std() < 0.03
    np.testing.assert_allclose(day.observed[seen] * 100, np.rint(day.observed[seen] * 100), atol=1e-4)
    assert not seen[grid.land & (day.temperature < 273.15)].any()
    assert 0.2 < seen[grid.land].mean() < 0.6
