"""A window network in stages gives the same result as in one pass, and computes only cells that can reach a gap."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.bundle import Bundle
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.vocabulary import EngineName
from runtime.engines.base import Arrays, Engine, HostTileStates, Staged
from runtime.engines.openvino import OpenVinoEngine
from runtime.engines.ort import OrtEngine
from runtime.engines.select import EngineSettings, open_engine
from runtime.fill.staged import BATCH, cells_needed, predict_staged
from runtime.fill.tiling import Tiling
from runtime.fill.window import Prediction, predict_window


def _one_pass(bundle: Bundle, grid: Grid, frames: Floats) -> Prediction:
    return predict_window(OrtEngine(bundle.graph), bundle.manifest, grid, frames, core=grid.shape)


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("engine", ["cpu", "openvino"])
@pytest.mark.parametrize("tile", [(8, 16), (3, 5), (36, 72), (2, 1)])
def test_stages_equal_one_pass(
    tile: tuple[int, int], engine: EngineName, small_bundle: Bundle, ring: tuple[Grid, Floats]
) -> None:
    grid, frames = ring
    opened = open_engine(small_bundle, EngineSettings(engine))
    assert isinstance(opened, Staged)
    assert [stage.halo for stage in small_bundle.manifest.stages] == [2, 2, 1]
    gaps = grid.land & np.isnan(frames[4])
    whole = _one_pass(small_bundle, grid, frames)
    filled, reached = predict_staged(opened.stages, small_bundle.manifest.stages, grid, frames, gaps, tile=tile)
    np.testing.assert_array_equal(whole.reached, reached)
    here = reached > 0
    assert here[:, [0, -1]].any(), "the comparison must cross the dateline"
    spread = float(whole.filled[here].std())
    assert spread > 0.01
    assert np.abs(whole.filled - filled)[here].max() <= 1e-5 * spread


def test_a_region_that_does_not_wrap(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    grid, frames = ring
    region = Grid(60, -100, grid.land[6:30, 16:50], 5.0)
    part = frames[:, 6:30, 16:50]
    opened = open_engine(small_bundle, EngineSettings("cpu"))
    whole = _one_pass(small_bundle, region, part)
    made = predict_window(opened, small_bundle.manifest, region, part)
    np.testing.assert_array_equal(whole.reached, made.reached)
    here = whole.reached > 0
    assert np.abs(whole.filled - made.filled)[here].max() <= 1e-5 * float(whole.filled[here].std())


def test_bfloat16_passes_from_stage_to_stage_as_it_is(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    """Passing bfloat16 bits between stages adds no error to that of one bfloat16 graph."""
    grid, frames = ring
    manifest = small_bundle.manifest
    last = len(manifest.stages) - 1
    engines = [
        OpenVinoEngine(small_bundle.path / stage.file, "bf16", ("x",) * (number > 0) + ("x_out",) * (number < last))
        for number, stage in enumerate(manifest.stages)
    ]
    assert {engine.carried for engine in engines} == {np.dtype(np.uint16)}
    exact = _one_pass(small_bundle, grid, frames)
    gaps = grid.land & np.isnan(frames[4])
    filled, reached = predict_staged(engines, manifest.stages, grid, frames, gaps)
    np.testing.assert_array_equal(exact.reached, reached)
    here = reached > 0
    error = np.abs(exact.filled - filled)[here] / float(exact.filled[here].std())
    assert 1e-4 < error.max() < 0.1, "bfloat16 keeps eight bits"


class _Counting:
    """An engine that counts tiles with land in them, and the cells it is given."""

    def __init__(self, real: Engine) -> None:
        self._real, self.tiles, self.calls = real, 0, 0
        self.name, self.carried = real.name, real.carried

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        self.calls += 1
        self.tiles += int(inputs["land"].any((1, 2)).sum())
        assert len(inputs["land"]) == BATCH, "one shape for every call"
        return self._real.run(inputs)

    def load_state(self, state: Arrays) -> HostTileStates:
        return HostTileStates(self, state)


def test_only_cells_that_a_gap_can_see_are_computed(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    """For one gap, the last stage computes one tile and the stages before it few; without a gap none is computed."""
    grid, frames = ring
    stages, frames = small_bundle.manifest.stages, frames.copy()
    frames[4] = np.where(np.isnan(frames[4]), 0.2, frames[4])
    frames[4, 20, 30] = np.nan
    gaps = grid.land & np.isnan(frames[4])
    gaps[20, 30] = True
    opened = open_engine(small_bundle, EngineSettings("cpu"))
    assert isinstance(opened, Staged)
    engines = [_Counting(engine) for engine in opened.stages]
    predict_staged(engines, stages, grid, frames, gaps, tile=(4, 4))
    assert [engine.tiles for engine in engines] == [4, 1, 1]
    assert engines[0].tiles == len(Tiling(grid, (4, 4), 2).cover(_square(grid, 20, 30, 3)))
    engines = [_Counting(engine) for engine in opened.stages]
    filled, reached = predict_staged(engines, stages, grid, frames, np.zeros(grid.shape, bool))
    assert [engine.calls for engine in engines] == [0, 0, 0]
    assert not filled.any()
    assert not reached.any()


def _square(grid: Grid, row: int, col: int, reach: int) -> Bools:
    cells = np.zeros(grid.shape, bool)
    cells[row - reach : row + reach + 1, col - reach : col + reach + 1] = True
    return cells & grid.land


def test_what_each_stage_needs(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    grid, _ = ring
    gaps = np.zeros(grid.shape, bool)
    gaps[10, 0] = True
    needs = cells_needed(grid, gaps, small_bundle.manifest.stages)
    for need, reach in zip(needs, (3, 1, 0), strict=True):
        wanted = np.roll(_square(Grid(90, -180, np.ones(grid.shape, bool), 5.0), 10, 20, reach), -20, 1) & grid.land
        np.testing.assert_array_equal(need, wanted if reach else gaps & grid.land)
