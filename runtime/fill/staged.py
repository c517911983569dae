"""Compute a window network stage by stage instead of tile by tile.

Tile by tile, every layer is computed again over the halo of every tile, and over the sea. Here a stage (consecutive
layers) runs over the whole grid before the next one starts. Between stages, values are stored only for the land cells
from which a gap of day T can still be reached. The result is the same: off land every field of a partial convolution is
0, and the halo of a tile contains what was computed for its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.common.events import Progress
from runtime.common.grid import Bools, Floats, Grid
from runtime.engines.base import Engine
from runtime.errors import BundleError
from runtime.fill.tiling import Tile, Tiling, batches, dilate
from runtime.manifest import Stage

TILE = (8, 16)
"""Rows and columns of a tile: small enough to fit coasts and swaths."""
BATCH = 16
"""Tiles per call of an engine; always the same number, so that the engine prepares for one shape only."""


class _CellStore:
    """Values and masks between two stages, for some cells of the grid; for all other cells they are 0.

    Attributes
    ----------
    slots : int32 array, shape (rows, cols)
        Row of `values` and `valid` that belongs to a cell; 0 for a cell that is not stored.
    values : array, shape (slots, size)
        Frames x maps of each stored cell, one after the other; row 0 is 0.
    valid : float32 array, shape (slots, frames)
        Mask of each stored cell; row 0 is 0.
    """

    def __init__(self, stored: Bools, frames: int, size: int, dtype: np.dtype[Any]) -> None:
        self.slots = np.zeros(stored.shape, np.int32)
        self.slots[stored] = np.arange(1, np.count_nonzero(stored) + 1)
        self.values = np.zeros((np.count_nonzero(stored) + 1, size), dtype)
        self.valid = np.zeros((len(self.values), frames), np.float32)

    def get(self, slots: NDArray[np.int32], frames: int, maps: int) -> tuple[NDArray[Any], Floats]:
        """Return values, shape (..., frames, maps), and mask, shape (..., frames), of the cells with these slots."""
        values = self.values[:, : frames * maps][slots]
        return values.reshape(*slots.shape, frames, maps), self.valid[:, :frames][slots]

    def put(self, slots: NDArray[np.int32], values: NDArray[Any], valid: Floats) -> None:
        """Write values, shape (..., frames, maps), and mask, shape (..., frames), of the cells with these slots."""
        flat = values.reshape(slots.size, -1)
        self.values[:, : flat.shape[1]][slots.ravel()] = flat
        self.valid[:, : valid.shape[-1]][slots] = valid
        self.values[0], self.valid[0] = 0, 0


@dataclass(frozen=True)
class _ComputedBatch:
    """A computed batch that is written when no later tile needs the old values of its cells."""

    next_row: int
    """First row south of the batch."""
    slots: NDArray[np.int32]
    values: NDArray[Any]
    valid: Floats


def cells_needed(grid: Grid, gaps: Bools, stages: Sequence[Stage]) -> list[Bools]:
    """Return, for each stage, the land cells whose output can reach a gap through the later stages."""
    reach = [sum(stage.halo for stage in stages[number + 1 :]) for number in range(len(stages))]
    return [grid.land & dilate(gaps, cells, grid.wraps) for cells in reach]


def predict_staged(
    engines: Sequence[Engine],
    stages: Sequence[Stage],
    grid: Grid,
    frames: Floats,
    gaps: Bools,
    *,
    tile: tuple[int, int] = TILE,
    progress: Progress | None = None,
) -> tuple[Floats, Floats]:
    """Fill the gaps of day T with a network in stages.

    Parameters
    ----------
    engines : sequence of Engine
        One per stage, first stage first.
    stages : sequence of Stage
        The stages, as the bundle describes them.
    grid : Grid
        The grid.
    frames : float32 array, shape (T, rows, cols)
        Soil moisture, m3 m-3, NaN for a gap.
    gaps : bool array, shape (rows, cols)
        The land cells to fill.
    tile : (int, int)
        Rows and columns of a tile; the result does not depend on it.
    progress : callable, optional
        Called with the number of computed tiles and of all tiles.

    Returns
    -------
    filled : float32 array, shape (rows, cols)
        The network's soil moisture, m3 m-3; 0 outside the gaps.
    reached : float32 array, shape (rows, cols)
        1 where the value is based on data; 0 elsewhere and outside the gaps.
    """
    needs = cells_needed(grid, gaps, stages)
    covers = [Tiling(grid, tile, stage.halo).cover(need) for stage, need in zip(stages, needs, strict=True)]
    total, done = sum(len(cover) for cover in covers), 0
    land = grid.land.astype(np.float32)
    shape = len(frames), 1
    store = _CellStore(np.ones(grid.shape, bool), len(frames), len(frames), np.dtype(np.float32))
    store.values[1:] = frames.reshape(len(frames), -1).T
    store.valid[1:] = ~np.isnan(store.values[1:])
    but_last = stages[:-1]
    for number, (engine, stage, cover) in enumerate(zip(engines, stages, covers, strict=True)):
        source = store
        if stage is stages[-1]:
            store = _CellStore(gaps, 1, 1, np.dtype(np.float32))
        elif number == 0:  # all stages but the last write to this store, one after the other
            size = max(stage.frames * stage.maps for stage in but_last)
            store = _CellStore(needs[0], max(stage.frames for stage in but_last), size, engine.carried)
        tiling = Tiling(grid, tile, stage.halo)
        made = stage.frames, stage.maps
        for count in _run_stage(engine, tiling, tiling.pad(land, 0.0, cover), source, shape, store, made, cover):
            done += count
            if progress:
                progress(done, total)
        shape = made
    filled, reached = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    filled[gaps], reached[gaps] = store.values[1:, 0], store.valid[1:, 0]
    return filled, reached


def _run_stage(
    engine: Engine,
    tiling: Tiling,
    land: Floats,
    source: _CellStore,
    shape: tuple[int, int],
    target: _CellStore,
    made: tuple[int, int],
    cover: Sequence[Tile],
) -> Iterator[int]:
    """Run a stage over its tiles, and yield the number of tiles of each batch.

    It reads `source`, whose cells have `shape` (frames, maps), and writes `target`, whose cells have `made`. Both may
    be the same: a batch is written when no later tile reads its cells.
    """
    inputs = tiling.pad(source.slots, 0, cover)
    outputs = Tiling(tiling.grid, tiling.core, 0).pad(target.slots, 0, cover)
    waiting: deque[_ComputedBatch] = deque()
    for batch in batches(cover, BATCH):
        while waiting and waiting[0].next_row <= batch[0].row - tiling.halo:
            first = waiting.popleft()
            target.put(first.slots, first.values, first.valid)
        slots = _full_batch(tiling.cut(inputs, batch))
        values, valid = source.get(slots, *shape)
        out = engine.run({"x": values, "valid": valid, "land": _full_batch(tiling.cut(land, batch))})
        rows, cols = tiling.core
        if out["x_out"].shape != (BATCH, rows, cols, *made) or out["valid_out"].shape != (BATCH, rows, cols, made[0]):
            raise BundleError(
                f"a stage of the network gives {out['x_out'].shape}, and by the bundle's manifest "
                f"{(BATCH, rows, cols, *made)}; export the bundle again"
            )
        waiting.append(
            _ComputedBatch(
                next_row=batch[-1].row + rows,
                slots=np.stack([outputs[tile.row : tile.row + rows, tile.col : tile.col + cols] for tile in batch]),
                values=out["x_out"][: len(batch)].copy(),
                valid=out["valid_out"][: len(batch)].copy(),
            )
        )
        yield len(batch)
    for last in waiting:
        target.put(last.slots, last.values, last.valid)


def _full_batch(tiles: NDArray[Any]) -> NDArray[Any]:
    """Return the tiles, with tiles of zeros added up to `BATCH`."""
    return np.concatenate([tiles, np.zeros((BATCH - len(tiles), *tiles.shape[1:]), tiles.dtype)])
