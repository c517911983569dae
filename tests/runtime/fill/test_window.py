"""Window networks, as real ONNX graphs with random weights: the result must not depend on the tiles."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.onnx import export_bundle
from runtime.bundle import Bundle
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import PRODUCTS
from runtime.engines.ort import OrtEngine
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import ConfigError
from runtime.fill.result import NEVER, Flag
from runtime.fill.tiling import Tiling
from runtime.fill.window import fill_window, predict_window
from runtime.inputs.products.read import read_field
from runtime.manifest import ErrorTable
from tests.conftest import Site
from tests.support.networks import random_seamless_bundle
from training.checkpoint import Checkpoint
from training.models import build_network
from training.presets import load_preset


@pytest.fixture(scope="module")
def pooling_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A random `Seamless` whose correction is as large as what it corrects."""
    return random_seamless_bundle(tmp_path_factory)


@pytest.fixture(scope="module")
def wide_ring() -> tuple[Grid, Floats, Floats]:
    """Most of a globe, 96 x 200 cells, mostly land, with seventeen days with gaps, and rain with other gaps."""
    rng = np.random.default_rng(12)
    grid = Grid(90, -180, rng.random((96, 200)) < 0.9, 1.8)
    frames = rng.uniform(0.02, 0.6, (17, 96, 200)).astype(np.float32)
    for day, frame in enumerate(frames):
        frame[:, (np.arange(200) + 29 * day + 10) % 50 < 30] = np.nan
        frame[~grid.land] = np.nan
    rain = rng.exponential(5, frames.shape).astype(np.float32)
    rain[:, :, 60:90] = np.nan
    return grid, frames, rain


@pytest.mark.slow
@pytest.mark.parametrize("core", [24, 32, 48, (96, 40)])
def test_tiles_of_a_network_that_pools_equal_one_pass(
    core: int | tuple[int, int], pooling_bundle: Bundle, wide_ring: tuple[Grid, Floats, Floats]
) -> None:
    grid, frames, rain = wide_ring
    engine, manifest = OrtEngine(pooling_bundle.graph), pooling_bundle.manifest
    whole = predict_window(engine, manifest, grid, frames, rain, core=grid.shape)
    tiled = predict_window(engine, manifest, grid, frames, rain, core=core)
    gaps = grid.land & np.isnan(frames[12])
    np.testing.assert_array_equal(whole.reached[gaps], tiled.reached[gaps])
    assert gaps[:, [0, -1]].any(), "the comparison must cross the dateline"
    assert whole.sigma is not None
    assert tiled.sigma is not None
    for one, other in ((whole.filled, tiled.filled), (whole.sigma, tiled.sigma)):
        assert np.abs(one - other)[gaps].max() <= 1e-5 * _spread(one, whole.reached)


@pytest.mark.slow
@pytest.mark.parametrize("core", [24, (96, 40)])
def test_tiles_do_not_matter_either_where_the_stride_does_not_divide_the_globe(
    core: int | tuple[int, int], pooling_bundle: Bundle, wide_ring: tuple[Grid, Floats, Floats]
) -> None:
    """964 columns of 36 km are 120.5 times 8, as 196 are 24.5 times 8."""
    grid, frames, rain = wide_ring
    grid, frames, rain = Grid(90, -180, grid.land[:, :196], 360 / 196), frames[..., :196].copy(), rain[..., :196]
    engine, manifest = OrtEngine(pooling_bundle.graph), pooling_bundle.manifest
    whole = predict_window(engine, manifest, grid, frames, rain, core=(96, 200))
    tiled = predict_window(engine, manifest, grid, frames, rain, core=core)
    gaps = grid.land & np.isnan(frames[12])
    assert gaps[:, [0, -1]].any(), "the comparison must cross the dateline"
    np.testing.assert_array_equal(whole.reached[gaps], tiled.reached[gaps])
    assert np.abs(whole.filled - tiled.filled)[gaps].max() <= 1e-5 * _spread(whole.filled, whole.reached)
    frames[:, :, 0:4] += 0.1
    changed = predict_window(engine, manifest, grid, frames, rain, core=core).filled != tiled.filled
    assert changed[:, 190:].any(), "the last columns see the first ones"


@pytest.mark.slow
def test_tiles_off_the_stride_are_refused(pooling_bundle: Bundle, wide_ring: tuple[Grid, Floats, Floats]) -> None:
    grid, frames, _ = wide_ring
    engine, manifest = OrtEngine(pooling_bundle.graph), pooling_bundle.manifest
    with pytest.raises(ConfigError, match="must be a multiple of 8"):
        predict_window(engine, manifest, grid, frames, core=30)


@pytest.mark.slow
def test_absent_rain_is_no_estimate_anywhere(pooling_bundle: Bundle, wide_ring: tuple[Grid, Floats, Floats]) -> None:
    grid, frames, rain = wide_ring
    engine, manifest = OrtEngine(pooling_bundle.graph), pooling_bundle.manifest
    absent = predict_window(engine, manifest, grid, frames)
    all_nan = predict_window(engine, manifest, grid, frames, np.full_like(rain, np.nan))
    np.testing.assert_array_equal(absent.filled, all_nan.filled)
    assert not np.allclose(absent.filled, predict_window(engine, manifest, grid, frames, rain).filled)


@pytest.mark.slow
def test_uncertainty_is_sigma_on_filled_cells(pooling_bundle: Bundle, wide_ring: tuple[Grid, Floats, Floats]) -> None:
    grid, frames, rain = wide_ring
    engine, manifest = OrtEngine(pooling_bundle.graph), pooling_bundle.manifest
    filled = fill_window(engine, manifest, grid, frames, rain)
    sigma = predict_window(engine, manifest, grid, frames, rain).sigma
    made = np.isin(filled.flag, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
    assert filled.uncertainty is not None
    assert sigma is not None
    np.testing.assert_array_equal(filled.uncertainty[made], sigma[made])
    assert np.isnan(filled.uncertainty[~made]).all()


def test_without_sigma_the_error_table_is_the_uncertainty(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    grid, frames = ring
    table = ErrorTable(
        days=(1, 2, 5), latitudes=(-90.0, 0.0, 90.0), rmse=((0.1, 0.2), (0.3, 0.4), (0.5, 0.6)), n=((1, 1),) * 3
    )
    manifest = small_bundle.manifest.model_copy(update={"errors": table})
    filled = fill_window(OrtEngine(small_bundle.graph), manifest, grid, frames)
    made = np.isin(filled.flag, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
    north = np.broadcast_to(grid.latitudes[:, None] > 0, grid.shape)
    assert filled.uncertainty is not None
    for since, expected in ((1, (0.1, 0.2)), (2, (0.3, 0.4)), (3, (0.5, 0.6)), (NEVER, (0.5, 0.6))):
        here = made & (filled.days_since_observation == since)
        for there, value in ((~north, expected[0]), (north, expected[1])):
            assert np.allclose(filled.uncertainty[here & there], value)
    assert np.isnan(filled.uncertainty[~made]).all()


def _spread(filled: Floats, reached: Floats) -> float:
    spread = float(filled[reached > 0].std())
    assert spread > 0.01, "a constant output would pass any comparison"
    return spread


@pytest.mark.parametrize("core", [7, 16, 25, (36, 24), (20, 72)])
def test_tiles_equal_one_pass_across_the_dateline(
    core: int | tuple[int, int], small_bundle: Bundle, ring: tuple[Grid, Floats]
) -> None:
    grid, frames = ring
    engine = OrtEngine(small_bundle.graph)
    whole, whole_reached, _ = predict_window(engine, small_bundle.manifest, grid, frames, core=grid.shape)
    tiled, reached, _ = predict_window(engine, small_bundle.manifest, grid, frames, core=core)
    gaps = grid.land & np.isnan(frames[4])
    np.testing.assert_array_equal(whole_reached[gaps], reached[gaps])
    here = gaps & (reached > 0)
    assert here[:, [0, -1]].any(), "the comparison must cross the dateline"
    assert np.abs(whole - tiled)[here].max() <= 1e-5 * _spread(whole, whole_reached)


def test_turning_the_globe_turns_the_result(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    grid, frames = ring
    turned = Grid(90, -180, np.roll(grid.land, 31, 1), 5.0)
    engine = OrtEngine(small_bundle.graph)
    straight, _, _ = predict_window(engine, small_bundle.manifest, grid, frames, core=grid.shape)
    rolled, _, _ = predict_window(engine, small_bundle.manifest, turned, np.roll(frames, 31, 2), core=grid.shape)
    np.testing.assert_allclose(np.roll(straight, 31, 1), rolled, atol=1e-5)


def test_what_is_reached_is_what_dilation_over_land_reaches(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    """Equation 3, five times: a value rests on data that is at most five steps over land away."""
    grid, frames = ring
    _, reached, _ = predict_window(OrtEngine(small_bundle.graph), small_bundle.manifest, grid, frames, core=grid.shape)
    mask = ~np.isnan(frames)
    for _ in range(5):
        grown = np.zeros_like(mask)
        padded = np.pad(mask, ((1, 1), (1, 1), (0, 0)))
        for d in range(3):
            for r in range(3):
                for c in (-1, 0, 1):
                    grown |= np.roll(padded, c, 2)[d : d + 9, r : r + 36]
        mask = grown & grid.land
    gaps = grid.land & np.isnan(frames[4])
    np.testing.assert_array_equal(reached > 0, mask[4] & gaps)
    assert (gaps & ~mask[4]).any(), "the hole in the middle is too wide to be reached"


def test_flags_days_and_observed_cells(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    grid, frames = ring
    frames = frames.copy()
    sea = np.argwhere(~grid.land)[0]
    frames[4, sea[0], sea[1]] = 0.33
    filled = fill_window(OrtEngine(small_bundle.graph), small_bundle.manifest, grid, frames)
    seen = ~np.isnan(frames[4])
    np.testing.assert_array_equal(filled.soil_moisture[seen], frames[4][seen])
    assert filled.flag[tuple(sea)] == Flag.OBSERVED_OFF_LAND_MASK
    assert (filled.flag[seen & grid.land] == Flag.OBSERVED).all()
    assert (filled.flag[~seen & ~grid.land] == Flag.NOT_LAND).all()
    elsewhere = (~np.isnan(np.delete(frames, 4, 0))).any(0)
    gap = grid.land & ~seen
    assert set(filled.flag[gap & elsewhere]) == {Flag.FILLED_FROM_OTHER_DAYS}
    assert set(filled.flag[gap & ~elsewhere]) == {Flag.FILLED_FROM_NEIGHBOURS, Flag.NOT_REACHED}
    np.testing.assert_array_equal(np.isnan(filled.soil_moisture[gap]), filled.flag[gap] == Flag.NOT_REACHED)
    assert np.isnan(filled.soil_moisture[~seen & ~grid.land]).all()
    assert np.nanmin(filled.soil_moisture) >= 0
    assert np.nanmax(filled.soil_moisture) <= 1
    since = filled.days_since_observation
    assert (since[seen] == 0).all()
    only_future = gap & np.isnan(frames[:5]).all(0)
    assert only_future.any()
    assert (since[only_future] == NEVER).all()
    yesterday = gap & ~np.isnan(frames[3])
    assert (since[yesterday] == 1).all()


def test_tiles_without_a_gap_are_not_run(small_bundle: Bundle) -> None:
    grid = Grid(90, -180, np.ones((32, 64), bool), 5.625)
    frames = np.full((9, 32, 64), 0.2, np.float32)
    frames[4, 20, 40] = np.nan
    calls: list[int] = []
    predict_window(
        OrtEngine(small_bundle.graph), small_bundle.manifest, grid, frames, progress=lambda done, of: calls.append(of)
    )
    assert calls == [1]
    assert len(Tiling.of(grid, 16, 5).tiles(grid.land)) == 8


@pytest.mark.parametrize("staged", [False, True])
def test_gaps_that_no_observation_reaches_are_not_computed(
    staged: bool, small_bundle: Bundle, ring: tuple[Grid, Floats]
) -> None:
    grid, frames = ring[0], ring[1].copy()
    frames[:, :, 20:60] = np.nan
    engine = open_engine(small_bundle, EngineSettings("cpu")) if staged else OrtEngine(small_bundle.graph)
    counts: list[int] = []
    part = predict_window(engine, small_bundle.manifest, grid, frames, progress=lambda done, of: counts.append(of))
    frames[0, ::3, 20:60:3] = 0.2  # no gap is far from an observation now
    predict_window(engine, small_bundle.manifest, grid, frames, progress=lambda done, of: counts.append(of))
    assert counts[0] < counts[-1]
    frames[0, :, 20:60] = np.nan
    whole = predict_window(OrtEngine(small_bundle.graph), small_bundle.manifest, grid, frames, core=grid.shape)
    np.testing.assert_array_equal(part.reached, whole.reached)
    here = part.reached > 0
    np.testing.assert_allclose(part.filled[here], whole.filled[here], atol=1e-5 * _spread(whole.filled, whole.reached))


@pytest.mark.slow
def test_tiles_equal_one_pass_on_a_real_globe(data: Path, globe: Grid, tmp_path: Path) -> None:
    """Tile cores 40, 160 and the whole globe at once, real gaps, a random compact network."""
    torch.manual_seed(0)
    preset = load_preset("stpcnn-compact")
    bundle, _ = export_bundle(Checkpoint(build_network(preset.model), preset), tmp_path / "b")
    files = sorted((data / "lprm_april2015_x").glob("*.nc4"))[7:16]
    days = [
        read_field(PRODUCTS["lprm-amsr2"], f, Site.date(0).replace(2015, 4, 8 + n), globe, "x").field
        for n, f in enumerate(files)
    ]
    frames = np.stack(days)
    engine = OrtEngine(bundle.graph)
    whole, whole_reached, _ = predict_window(engine, bundle.manifest, globe, frames, core=globe.shape)
    spread = _spread(whole, whole_reached)
    here = globe.land & np.isnan(frames[4]) & (whole_reached > 0)
    for core in (40, 160):
        tiled, reached, _ = predict_window(engine, bundle.manifest, globe, frames, core=core)
        np.testing.assert_array_equal(reached[here], whole_reached[here])
        worst = np.abs(whole - tiled)[here].max() / spread
        print(f"core {core}: largest difference {worst:.1e} of the spread {spread:.3f}")
        assert worst <= 1e-5
