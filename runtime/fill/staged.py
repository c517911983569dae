"""The window kind stage by stage: a stage's graphs and a window in, the network's day out.

Tile by tile, every layer is computed over the halo of every tile again, and over the sea. Here a group of layers (a
stage) runs over the whole grid before the next one starts, and what lies between is kept for the land cells that a gap
of day T can still see, and for no other. The value of a cell is the same: beyond its land every field of a partial
convolution is 0, and the halo of a tile holds what its neighbours have computed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import Stage
from runtime.common.events import Progress
from runtime.common.grid import Bools, Floats, Grid
from runtime.engines.base import Engine
from runtime.fill.tiling import Tile, Tiling, batches, dilate

TILE = (8, 16)
"""Rows and columns of cells that a stage computes at once: small enough to follow coasts and swaths."""
BATCH = 16
"""Tiles per call; always so many, so that an engine prepares for one shape."""


class _Sheet:
    """Frames and maps of the kept cells of a grid; of every other cell 0 (slot 0)."""

    def __init__(self, kept: Bools, frames: int, size: int, dtype: np.dtype[Any]) -> None:
        self.slots = np.zeros(kept.shape, np.int32)
        self.slots[kept] = np.arange(1, np.count_nonzero(kept) + 1)
        self.values = np.zeros((np.count_nonzero(kept) + 1, size), dtype)
        self.valid = np.zeros((len(self.values), frames), np.float32)

    def get(self, slots: NDArray[np.int32], frames: int, maps: int) -> tuple[NDArray[Any], Floats]:
        """Return values (..., frames, maps) and mask (..., frames) of cells."""
        values = self.values[:, : frames * maps][slots]
        return values.reshape(*slots.shape, frames, maps), self.valid[:, :frames][slots]

    def put(self, slots: NDArray[np.int32], values: NDArray[Any], valid: Floats) -> None:
        """Write values (..., frames, maps) and mask (..., frames) of cells."""
        flat = values.reshape(slots.size, -1)
        self.values[:, : flat.shape[1]][slots.ravel()] = flat
        self.valid[:, : valid.shape[-1]][slots] = valid
        self.values[0], self.valid[0] = 0, 0


@dataclass(frozen=True)
class _Computed:
    """A batch that waits until nobody reads the cells it will be written to."""

    below: int
    """First row south of it."""
    slots: NDArray[np.int32]
    values: NDArray[Any]
    valid: Floats


def cells_needed(grid: Grid, gaps: Bools, stages: Sequence[Stage]) -> list[Bools]:
    """Return, for each stage, the cells whose output can reach a gap: land within the halo of all later stages."""
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
    """Return the network's value (m3 m-3) and `reached` on every gap, (rows, cols), 0 elsewhere.

    Parameters
    ----------
    engines : one per stage, in order
    frames : (T, rows, cols), m3 m-3, NaN for a gap
    gaps : (rows, cols), the cells to fill; land
    tile : rows and columns per tile; the result does not depend on it
    """
    needs = cells_needed(grid, gaps, stages)
    covers = [Tiling(grid, tile, stage.halo).cover(need) for stage, need in zip(stages, needs, strict=True)]
    total, done = sum(len(cover) for cover in covers), 0
    land = grid.land.astype(np.float32)
    shape = len(frames), 1
    sheet = _Sheet(np.ones(grid.shape, bool), len(frames), len(frames), np.dtype(np.float32))
    sheet.values[1:] = frames.reshape(len(frames), -1).T
    sheet.valid[1:] = ~np.isnan(sheet.values[1:])
    between = stages[:-1]
    for number, (engine, stage, cover) in enumerate(zip(engines, stages, covers, strict=True)):
        source = sheet
        if stage is stages[-1]:
            sheet = _Sheet(gaps, 1, 1, np.dtype(np.float32))
        elif number == 0:  # what the stages between write over, each in turn
            size = max(stage.frames * stage.maps for stage in between)
            sheet = _Sheet(needs[0], max(stage.frames for stage in between), size, engine.carried)
        tiling = Tiling(grid, tile, stage.halo)
        for count in _run_stage(engine, tiling, tiling.pad(land, 0.0), source, shape, sheet, cover):
            done += count
            if progress:
                progress(done, total)
        shape = stage.frames, stage.maps
    filled, reached = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    filled[gaps], reached[gaps] = sheet.values[1:, 0], sheet.valid[1:, 0]
    return filled, reached


def _run_stage(
    engine: Engine,
    tiling: Tiling,
    land: Floats,
    source: _Sheet,
    shape: tuple[int, int],
    target: _Sheet,
    cover: Sequence[Tile],
) -> Iterator[int]:
    """Run a stage over its tiles, from `source`, whose cells have `shape` frames and maps, to `target`.

    Both may be the same: a batch is written when no later tile reads its cells.
    """
    inputs, outputs = tiling.pad(source.slots, 0), Tiling(tiling.grid, tiling.core, 0).pad(target.slots, 0)
    waiting: deque[_Computed] = deque()
    for batch in batches(cover, BATCH):
        while waiting and waiting[0].below <= batch[0].row - tiling.halo:
            first = waiting.popleft()
            target.put(first.slots, first.values, first.valid)
        slots = _fixed(tiling.cut(inputs, batch))
        values, valid = source.get(slots, *shape)
        out = engine.run({"x": values, "valid": valid, "land": _fixed(tiling.cut(land, batch))})
        here = np.stack([outputs[t.row : t.row + tiling.core[0], t.col : t.col + tiling.core[1]] for t in batch])
        waiting.append(
            _Computed(
                batch[-1].row + tiling.core[0],
                here,
                out["x_out"][: len(batch)].copy(),
                out["valid_out"][: len(batch)].copy(),
            )
        )
        yield len(batch)
    for last in waiting:
        target.put(last.slots, last.values, last.valid)


def _fixed(tiles: NDArray[Any]) -> NDArray[Any]:
    """Return a batch filled up to `BATCH` tiles with cells of nothing."""
    return np.concatenate([tiles, np.zeros((BATCH - len(tiles), *tiles.shape[1:]), tiles.dtype)])
