import numpy as np
import pytest

from runtime.bundle import Bundle, find_bundle, load_bundle
from runtime.common.grid import Grid
from runtime.demo.world import WorldDay
from runtime.engines.ort import OrtEngine
from runtime.fill.recurrent import fill_recurrent, land_tiles
from runtime.fill.result import NEVER, Flag
from runtime.fill.state import State


@pytest.fixture(scope="module")
def loaded() -> Bundle:
    return load_bundle(find_bundle("sgdsm2-amsr2-x"))


def _cold(loaded: Bundle, grid: Grid) -> State:
    return State.cold(loaded.manifest, grid, len(land_tiles(loaded.manifest, grid)))


def test_every_land_tile_runs_and_memory_advances_without_input(loaded: Bundle, grid: Grid) -> None:
    engine, state = OrtEngine(loaded.graph), _cold(loaded, grid)
    nothing = np.full(grid.shape, np.nan, np.float32)
    seen: list[int] = []
    filled, after = fill_recurrent(
        engine, loaded.manifest, grid, nothing, nothing, state, lambda done, of: seen.append(done)
    )
    assert seen[-1] == 4
    assert (filled.flag[grid.land] == Flag.NOT_REACHED).all(), "nothing was ever observed"
    assert np.isnan(filled.soil_moisture).all()
    assert not np.array_equal(after.tensors["c"], state.tensors["c"])
    assert (after.days_since_observation == NEVER).all()
    assert (state.tensors["c"] == 0).all(), "the state handed in is not changed"


def test_a_tile_is_reached_once_it_has_been_seen(loaded: Bundle, grid: Grid, world_days: list[WorldDay]) -> None:
    engine, state = OrtEngine(loaded.graph), _cold(loaded, grid)
    nothing = np.full(grid.shape, np.nan, np.float32)
    day = world_days[1]
    filled, state = fill_recurrent(engine, loaded.manifest, grid, day.observed, day.rain, state)
    assert (filled.soil_moisture[~np.isnan(day.observed)] == day.observed[~np.isnan(day.observed)]).all()
    later, state = fill_recurrent(engine, loaded.manifest, grid, nothing, nothing, state)
    was_seen = ~np.isnan(day.observed)
    assert (state.days_since_observation[was_seen] == 1).all()
    assert (later.flag[was_seen & grid.land] == Flag.FILLED_FROM_OTHER_DAYS).all()
    others = grid.land & ~was_seen & np.isfinite(later.soil_moisture)
    assert others.any()
    assert (later.flag[others] == Flag.FILLED_FROM_NEIGHBOURS).all()


def test_rain_changes_the_result(loaded: Bundle, grid: Grid, world_days: list[WorldDay]) -> None:
    engine, day = OrtEngine(loaded.graph), world_days[0]
    nothing = np.full(grid.shape, np.nan, np.float32)
    with_rain, _ = fill_recurrent(engine, loaded.manifest, grid, day.observed, day.rain + 30, _cold(loaded, grid))
    without, _ = fill_recurrent(engine, loaded.manifest, grid, day.observed, nothing, _cold(loaded, grid))
    assert np.nanmax(np.abs(with_rain.soil_moisture - without.soil_moisture)) > 1e-3
