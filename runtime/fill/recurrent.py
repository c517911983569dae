"""Recurrent networks: day T from the state of the day before, its own observations and its rain (SGD-SM 2.0).

Tiles do not depend on each other: shares of them may be computed apart, and are joined to the day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.common.events import Progress
from runtime.common.grid import Floats, Grid
from runtime.engines.base import Engine, Staged
from runtime.errors import BundleError
from runtime.fill.result import NEVER, Filled, compose
from runtime.fill.state import State
from runtime.fill.tiling import Tile, Tiling, batches
from runtime.manifest import Manifest

_LONGEST = np.iinfo(np.int16).max
_ALL = slice(None)


@dataclass(frozen=True)
class ComputedTiles:
    """Tiles of a day in a row, as a network has computed them."""

    filled: Floats
    """Soil moisture of their cores, m3 m-3, shape (tiles, core, core)."""
    reached: Floats
    """1 where that is based on data, else 0; the same shape."""
    tensors: dict[str, NDArray[np.float32]]
    """Their state after the day; see `State.tensors`."""

    @classmethod
    def joined(cls, parts: Sequence[ComputedTiles]) -> ComputedTiles:
        """Return several in a row as one."""
        return cls(
            np.concatenate([part.filled for part in parts]),
            np.concatenate([part.reached for part in parts]),
            {name: np.concatenate([part.tensors[name] for part in parts]) for name in parts[0].tensors},
        )


def land_tiles(manifest: Manifest, grid: Grid) -> list[Tile]:
    """Return the tiles that hold land; all of them run every day, gap or not, because their state must advance."""
    return Tiling.of(grid, manifest.tile_core, manifest.halo).tiles(grid.land)


def shares_of_tiles(manifest: Manifest, grid: Grid, wanted: int) -> list[slice]:
    """Divide the land tiles into shares of whole batches, so that each tile is computed as if there were one share.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    grid : Grid
        The grid.
    wanted : int
        Number of shares; there are fewer if there are fewer batches.

    Returns
    -------
    list of slice
        The shares, in the order of `land_tiles`; at least one.
    """
    tiles = len(land_tiles(manifest, grid))
    batch_count = -(-tiles // manifest.batch)
    shares = max(1, min(wanted, batch_count))
    bounds = [batch_count * number // shares * manifest.batch for number in range(shares)]
    return [slice(first, end) for first, end in zip(bounds, [*bounds[1:], tiles], strict=True)]


def compute_tiles(
    engine: Engine | Staged,
    manifest: Manifest,
    grid: Grid,
    observed: Floats,
    precipitation: Floats,
    tensors: dict[str, NDArray[np.float32]],
    share: slice = _ALL,
    progress: Progress | None = None,
) -> ComputedTiles:
    """Compute a share of a day's tiles.

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
    tensors : dict of float32 arrays
        The state of these tiles after the day before; it is not changed.
    share : slice
        The tiles, by their number among the land tiles; see `shares_of_tiles`.
    progress : callable, optional
        Called with the number of tiles done and of all tiles.

    Returns
    -------
    ComputedTiles
        The tiles.

    Raises
    ------
    BundleError
        The engine's graphs are those of a window network.
    """
    if isinstance(engine, Staged):
        raise BundleError(f"bundle {manifest.name}: a network with a memory has no stages; export it again")
    tiling = Tiling.of(grid, manifest.tile_core, manifest.halo)
    tiles = land_tiles(manifest, grid)[share]
    sm, rain = tiling.pad(observed, np.nan, tiles), tiling.pad(precipitation, np.nan, tiles)
    land = tiling.pad(grid.land.astype(np.float32), 0.0, tiles)
    memory = engine.load_state(tensors)
    none = np.zeros((0, *tiling.core), np.float32)
    filled, reached, done = [none], [none], 0
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
        filled.append(tiling.cores(out["filled"]).copy())
        reached.append(tiling.cores(out["reached"]).copy())
        done += len(batch)
        if progress:
            progress(done, len(tiles))
    return ComputedTiles(np.concatenate(filled), np.concatenate(reached), memory.after())


def days_since(before: NDArray[np.int16], observed: Floats) -> NDArray[np.int16]:
    """Return the days since each cell was last observed, from those of the day before; see `State`."""
    aged = np.where(before == NEVER, NEVER, np.minimum(before, _LONGEST - 1) + 1)
    return np.where(np.isnan(observed), aged, 0).astype(np.int16)


def compose_tiles(
    manifest: Manifest,
    grid: Grid,
    observed: Floats,
    computed: ComputedTiles,
    since: NDArray[np.int16],
    share: slice = _ALL,
) -> Filled:
    """Return the filled day; with a share of the tiles, the cells of other tiles count as not reached.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    grid : Grid
        The grid of the fields.
    observed : float32 array, shape (rows, cols)
        Soil moisture, m3 m-3, NaN for a gap.
    computed : ComputedTiles
        The tiles.
    since : int16 array, shape (rows, cols)
        Days since each cell was last observed; see `days_since`.
    share : slice
        The tiles, by their number among the land tiles.

    Returns
    -------
    Filled
        The filled day.
    """
    tiling, tiles = Tiling.of(grid, manifest.tile_core, manifest.halo), land_tiles(manifest, grid)[share]
    filled, reached = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    tiling.paste(filled, tiles, computed.filled)
    tiling.paste(reached, tiles, computed.reached)
    uncertainty = manifest.errors.lookup(since, grid.latitudes) if manifest.errors else None
    return compose(grid, observed, filled, reached, since, since != NEVER, uncertainty)


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
        Soil moisture, m3 m-3; see `compute_tiles`.
    precipitation : float32 array, shape (rows, cols)
        Rain, mm/day; see `compute_tiles`.
    state : State
        The state after the day before; it is not changed.
    progress : callable, optional
        See `compute_tiles`.

    Returns
    -------
    filled : Filled
        The filled day.
    state : State
        The state after it.

    Raises
    ------
    BundleError
        As by `compute_tiles`.
    """
    tiles = compute_tiles(engine, manifest, grid, observed, precipitation, state.tensors, progress=progress)
    since = days_since(state.days_since_observation, observed)
    return compose_tiles(manifest, grid, observed, tiles, since), State(tiles.tensors, since)
