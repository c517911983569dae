"""The window kind: day T from the days around it (SGD-SM 1.0)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import Manifest
from runtime.engines import Engine
from runtime.fill import NEVER, Filled, Progress, compose
from runtime.grid import Floats, Grid
from runtime.tiles import Tiling, batches


def predict(
    engine: Engine,
    manifest: Manifest,
    grid: Grid,
    frames: Floats,
    *,
    core: int | tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> tuple[Floats, Floats]:
    """Run the network on every tile that has a land gap on day T.

    Parameters
    ----------
    frames : (T, rows, cols), m3 m-3, NaN for a gap; a day that is not there is all NaN
    core : the tiles' core if not the bundle's; the result does not depend on it

    Returns
    -------
    filled, reached : (rows, cols); 0 where no tile was needed
    """
    tiling = Tiling.of(grid, core or manifest.tile_core, manifest.halo)
    today = frames[manifest.window.index(0)]
    tiles = tiling.tiles(grid.land & np.isnan(today))
    padded, land = tiling.pad(frames, np.nan), tiling.pad(grid.land.astype(np.float32), 0.0)
    filled, reached = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    done = 0
    for batch in batches(tiles, manifest.batch):
        sm = tiling.cut(padded, batch)
        out = engine.run({"sm": sm, "mask": (~np.isnan(sm)).astype(np.float32), "land": tiling.cut(land, batch)})
        tiling.paste(filled, batch, out["filled"])
        tiling.paste(reached, batch, out["reached"])
        done += len(batch)
        if progress:
            progress(done, len(tiles))
    return filled, reached


def days_since_observation(frames: Floats, window: tuple[int, ...]) -> NDArray[np.int16]:
    """Return days since the last observation at or before day T inside the window, `NEVER` without one.

    Parameters
    ----------
    frames : (T, rows, cols), NaN for a gap, in the order of `window`
    """
    since = np.full(frames.shape[1:], NEVER, np.int16)
    for offset, frame in zip(window, frames, strict=True):
        if offset <= 0:
            since[~np.isnan(frame)] = -offset
    return since


def fill(engine: Engine, manifest: Manifest, grid: Grid, frames: Floats, progress: Progress | None = None) -> Filled:
    """Fill day T from its window, (T, rows, cols) in m3 m-3 with NaN for a gap."""
    predicted, reached = predict(engine, manifest, grid, frames, progress=progress)
    today = manifest.window.index(0)
    seen = np.asarray((~np.isnan(np.delete(frames, today, axis=0))).any(0))
    return compose(grid, frames[today], predicted, reached, days_since_observation(frames, manifest.window), seen)
