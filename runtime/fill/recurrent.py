"""Recurrent networks: day T from the state of the day before, its own observations and its rain (SGD-SM 2.0)."""

from __future__ import annotations

import numpy as np

from runtime.common.events import Progress
from runtime.common.grid import Floats, Grid
from runtime.engines.base import Engine, Staged
from runtime.errors import BundleError
from runtime.fill.result import NEVER, Filled, compose
from runtime.fill.state import State
from runtime.fill.tiling import Tile, Tiling, batches
from runtime.manifest import Manifest

_LONGEST = np.iinfo(np.int16).max


def land_tiles(manifest: Manifest, grid: Grid) -> list[Tile]:
    """Return the tiles that hold land; all of them run every day, gap or not, because their state must advance."""
    return Tiling.of(grid, manifest.tile_core, manifest.halo).tiles(grid.land)


def fill_recurrent(
    engine: Engine | Staged,
    manifest: Manifest,
    grid: Grid,
    observed: Floats,
    precipitation: Floats,
    state: State,
    progress: Progress | None = None,
) -> tuple[Filled, State]:
    """Fill a day, and return it with the state after it.

    Parameters
    ----------
    engine : Engine
        The network, opened by an engine.
    manifest : Manifest
        The bundle's manifest.
    grid : Grid
        The grid of the fields.
    observed : float32 array, shape (rows, cols)
        Soil moisture, m3 m-3, NaN for a gap; all NaN on a day without input.
    precipitation : float32 array, shape (rows, cols)
        Rain, mm/day, NaN for no estimate; all NaN on a day without rain data.
    state : State
        The state after the day before; it is not changed.
    progress : callable, optional
        Called with the number of tiles done and of all tiles.

    Returns
    -------
    filled : Filled
        The filled day.
    state : State
        The state after it.

    Raises
    ------
    BundleError
        The engine's graphs are those of a window network.
    """
    if isinstance(engine, Staged):
        raise BundleError(f"bundle {manifest.name}: a network with a memory has no stages; export it again")
    tiling = Tiling.of(grid, manifest.tile_core, manifest.halo)
    tiles = land_tiles(manifest, grid)
    sm, rain = tiling.pad(observed, np.nan), tiling.pad(precipitation, np.nan)
    land = tiling.pad(grid.land.astype(np.float32), 0.0)
    filled, reached = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    memory = engine.load_state(state.tensors)
    done = 0
    for batch in batches(tiles, manifest.batch):
        sm_tiles, rain_tiles = tiling.cut(sm, batch), tiling.cut(rain, batch)
        out = memory.run(
            {
                "sm": sm_tiles,
                "mask": (~np.isnan(sm_tiles)).astype(np.float32),
                "land": tiling.cut(land, batch),
                "precip": rain_tiles,
                "precip_mask": (~np.isnan(rain_tiles)).astype(np.float32),
            },
            slice(done, done + len(batch)),
        )
        tiling.paste(filled, batch, out["filled"])
        tiling.paste(reached, batch, out["reached"])
        done += len(batch)
        if progress:
            progress(done, len(tiles))

    before = state.days_since_observation
    aged = np.where(before == NEVER, NEVER, np.minimum(before, _LONGEST - 1) + 1)
    since = np.where(np.isnan(observed), aged, 0).astype(np.int16)
    uncertainty = manifest.errors.lookup(since, grid.latitudes) if manifest.errors else None
    return compose(grid, observed, filled, reached, since, before != NEVER, uncertainty), State(memory.after(), since)
