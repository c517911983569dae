"""A day in one call of the engine: as tile by tile within rounding, and chosen where the GPU's memory allows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.days import read_window
from runtime.bundle import Bundle, find_bundle, load_bundle
from runtime.common.grid import Floats, Grid
from runtime.engines import gpu
from runtime.engines.base import Engine, HostTileStates
from runtime.engines.gpu import Gpu
from runtime.engines.ort import PROVIDERS, OrtEngine
from runtime.engines.select import EngineSettings, open_engine
from runtime.fill.base import make_filler
from runtime.fill.result import Filled, Flag
from runtime.fill.whole_grid import bytes_of_call, choose_size, shape_of_call
from tests.support.networks import random_seamless_bundle


@dataclass
class _Recorder:
    """An engine that notes the shape of each call's land mask: tiles, rows and columns."""

    engine: Engine
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def carried(self) -> np.dtype[Any]:
        return self.engine.carried

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.shapes.append(inputs["land"].shape)
        return self.engine.run(inputs)

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> HostTileStates:
        return HostTileStates(self, state)


def _is_same(whole: Filled, tiled: Filled) -> bool:
    """Whether two filled days are equal but for rounding, of at most 1e-5 of the spread of their values."""
    assert whole.uncertainty is not None
    assert tiled.uncertainty is not None
    np.testing.assert_array_equal(whole.flag, tiled.flag)
    spread = float(np.nanstd(tiled.soil_moisture))
    assert spread > 0.01, "a constant field would pass any comparison"
    pairs = (whole.soil_moisture, tiled.soil_moisture), (whole.uncertainty, tiled.uncertainty)
    return all(float(np.nanmax(np.abs(one - other))) <= 1e-5 * spread for one, other in pairs)


def _has_filled_cells_at_the_dateline(day: Filled) -> bool:
    made = np.isin(day.flag, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
    return bool(made[:, 0].any() and made[:, -1].any())


def _world(rows: int, cols: int, days: int) -> tuple[Grid, Floats, Floats]:
    """Return a globe, and days of soil moisture and of rain with gaps."""
    rng = np.random.default_rng(4)
    grid = Grid(90, -180, rng.random((rows, cols)) < 0.8, 360 / cols)
    frames = rng.uniform(0.02, 0.6, (days, rows, cols)).astype(np.float32)
    frames[rng.random(frames.shape) < 0.4] = np.nan
    for day, frame in enumerate(frames):
        frame[:, (np.arange(cols) + 17 * day) % cols < cols // 4] = np.nan
    frames[:, ~grid.land] = np.nan
    rain = rng.exponential(5, frames.shape).astype(np.float32)
    rain[:, :, cols // 3 : cols // 2] = np.nan
    return grid, frames, rain


def _compare(bundle: Bundle, grid: Grid, frames: Floats, rain: Floats | None) -> tuple[Filled, list[tuple[int, ...]]]:
    """Fill a day in tiles and in one call; return the day in tiles, and the shapes of its calls."""
    manifest = bundle.manifest
    tiles, one = _Recorder(OrtEngine(bundle.graph)), _Recorder(OrtEngine(bundle.graph))
    tiled, _ = make_filler(tiles, manifest, grid).fill(frames, rain, None)
    filler = make_filler(one, manifest, grid, whole_grid=True)
    assert _is_same(filler.fill(frames, rain, None)[0], tiled)
    assert one.shapes == [shape_of_call(manifest, grid)]
    assert filler.engine_name == f"{one.name} whole grid"
    return tiled, tiles.shapes


def test_a_network_of_plain_convolutions(small_bundle: Bundle, ring: tuple[Grid, Floats]) -> None:
    manifest = small_bundle.manifest.model_copy(
        update={"errors": load_bundle(find_bundle("sgdsm1-amsr2-x")).manifest.errors}
    )
    tiled, shapes = _compare(Bundle(small_bundle.path, manifest), *ring, None)
    assert len(shapes) > 1
    assert _has_filled_cells_at_the_dateline(tiled)


@pytest.mark.slow
@pytest.mark.parametrize("cols", [64, 68])
def test_a_network_that_pools(cols: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """68 columns are no multiple of 8, the network's stride: the call has 72."""
    bundle = random_seamless_bundle(tmp_path_factory)
    grid, frames, rain = _world(40, cols, 17)
    tiled, shapes = _compare(bundle, grid, frames, rain)
    assert len(shapes) > 1
    assert _has_filled_cells_at_the_dateline(tiled)
    halo = bundle.manifest.halo
    assert shape_of_call(bundle.manifest, grid) == (1, 40 + 2 * halo, -(-cols // 8) * 8 + 2 * halo)


def test_a_network_with_a_memory_takes_all_tiles_of_land_at_once() -> None:
    bundle = load_bundle(find_bundle("sgdsm2-amsr2-x"))
    grid, frames, rain = _world(120, 240, 3)
    few = bundle.manifest.model_copy(update={"batch": 7})
    engine = _Recorder(OrtEngine(bundle.graph))
    one, other = make_filler(engine, few, grid), make_filler(engine, few, grid, whole_grid=True)
    there = here = None
    for day in range(3):
        tiled, here = one.fill(frames[day : day + 1], rain[day : day + 1], here)
        whole, there = other.fill(frames[day : day + 1], rain[day : day + 1], there)
        assert _is_same(whole, tiled)
        assert here is not None
        assert there is not None
        for name, tensor in here.tensors.items():
            np.testing.assert_allclose(there.tensors[name], tensor, atol=1e-5 * max(1.0, float(np.abs(tensor).max())))
    assert engine.shapes == [(7, 40, 40), (7, 40, 40), (4, 40, 40), (18, 40, 40)] * 3


def test_a_network_with_stages_is_opened_whole(small_bundle: Bundle) -> None:
    assert isinstance(open_engine(small_bundle, EngineSettings("cpu", whole_grid=True)), OrtEngine)


def test_it_is_chosen_where_half_of_the_memory_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, open_, globe = load_bundle(find_bundle("seamless-2")), EngineSettings(whole_grid=None), Grid.globe()
    need = bytes_of_call(bundle.manifest, globe)
    assert need == bundle.manifest.bytes_per_cell * (720 + 128) * (1440 + 128)  # type: ignore[operator]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: list(PROVIDERS.values()))

    def chosen(memory: float, settings: EngineSettings = open_, bundle: Bundle = bundle) -> bool | None:
        monkeypatch.setattr(gpu, "find_gpu", lambda: Gpu("NVIDIA RTX A4000", (8, 6), int(memory)))
        return choose_size(settings, [bundle], globe).whole_grid

    assert (chosen(2 * need), chosen(2 * need - 2)) == (True, False)
    assert chosen(2 * need, EngineSettings("cpu", whole_grid=None)) is False
    assert chosen(2 * need, EngineSettings(whole_grid=False)) is False
    assert chosen(0, EngineSettings("cpu", whole_grid=True)) is True
    unknown = Bundle(bundle.path, bundle.manifest.model_copy(update={"bytes_per_cell": None}))
    assert chosen(1e15, bundle=unknown) is False
    monkeypatch.setattr(gpu, "find_gpu", lambda: "no GPU")
    assert choose_size(open_, [bundle], globe).whole_grid is False


@pytest.mark.slow
def test_the_default_bundle_on_a_real_globe(data: Path, globe: Grid) -> None:
    bundle = load_bundle(find_bundle("seamless-2"))
    frames = read_window(data / "lprm_april2015_x", dt.date(2015, 4, 13), globe, bundle.manifest.window)
    _, shapes = _compare(bundle, globe, frames, frames * np.float32(10))
    assert len(shapes) > 1
