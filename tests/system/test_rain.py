"""Rain is worth having: on the synthetic world, whose truth is known, with the shipped bundles."""

from collections.abc import Sequence

import numpy as np
import pytest

from runtime.bundle import find_bundle, load_bundle
from runtime.common.grid import Floats, Grid
from runtime.demo.world import World, WorldDay
from runtime.engines.select import EngineSettings, open_engine
from runtime.fill.recurrent import fill_recurrent, land_tiles
from runtime.fill.result import Filled, Flag
from runtime.fill.state import State
from runtime.fill.window import fill_window
from tests.conftest import START

DAYS = 16
FIRST = 6
"""Days before it only warm the memory up."""
STORM = 10.0
"""mm on the day."""


@pytest.fixture(scope="module")
def world(globe: Grid) -> tuple[Grid, list[WorldDay]]:
    """West Africa to Egypt and the Alps, of a world no bundle was trained on."""
    grid = globe.box(-10, 0, 40, 50)
    return grid, list(World(grid, seed=5).days(START, DAYS))


def _filled(name: str, grid: Grid, days: Sequence[WorldDay], with_rain: bool) -> list[Filled]:
    bundle = load_bundle(find_bundle(name))
    engine, manifest = open_engine(bundle, EngineSettings("cpu")), bundle.manifest
    nothing = np.full(grid.shape, np.nan, np.float32)
    rain = [day.rain if with_rain else nothing for day in days]
    if manifest.kind == "recurrent":
        state = State.cold(manifest, grid, len(land_tiles(manifest, grid)))
        made = []
        for day, fallen in zip(days, rain, strict=True):
            filled, state = fill_recurrent(engine, manifest, grid, day.observed, fallen, state)
            made.append(filled)
        return made[FIRST:]

    def frames(fields: Sequence[Floats], number: int) -> Floats:
        """The past four days and the day itself: its future is not there yet."""
        return np.stack([fields[number + k] if k <= 0 else nothing for k in manifest.window])

    observed = [day.observed for day in days]
    return [fill_window(engine, manifest, grid, frames(observed, n), frames(rain, n)) for n in range(FIRST, len(days))]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])
def test_with_rain_is_better_than_without_most_of_all_just_after_a_storm(
    name: str, world: tuple[Grid, list[WorldDay]]
) -> None:
    grid, days = world
    squares: dict[tuple[bool, bool], list[Floats]] = {}
    for with_rain in (True, False):
        for filled, day in zip(_filled(name, grid, days, with_rain), days[FIRST:], strict=True):
            made = np.isin(filled.flag, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
            for storm in (True, False):
                chosen = made & ((day.rain >= STORM) == storm)
                error = filled.soil_moisture[chosen] - day.truth[chosen]
                squares.setdefault((with_rain, storm), []).append(error**2)
    rmse = {key: float(np.sqrt(np.concatenate(parts).mean())) for key, parts in squares.items()}
    everywhere = {
        with_rain: float(np.sqrt(np.concatenate(squares[with_rain, True] + squares[with_rain, False]).mean()))
        for with_rain in (True, False)
    }
    n = sum(part.size for part in squares[True, True])
    print(f"{name}: with rain {everywhere[True]:.4f}, withheld {everywhere[False]:.4f}; ", end="")
    print(f"days of a storm {rmse[True, True]:.4f}, withheld {rmse[False, True]:.4f} (n {n})")
    assert n > 1000
    assert everywhere[True] < everywhere[False]
    assert rmse[True, True] < 0.9 * rmse[False, True]
    assert rmse[False, True] - rmse[True, True] > rmse[False, False] - rmse[True, False], "most of all after a storm"
