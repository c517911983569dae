"""Window networks: day T from the days around it (SGD-SM 1.0, and the project's own network)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.common.events import Progress
from runtime.common.grid import Floats, Grid
from runtime.engines.base import Engine, Staged
from runtime.fill.result import NEVER, Filled, compose
from runtime.fill.staged import predict_staged
from runtime.fill.tiling import Tiling, batches, cheapest_core, dilate
from runtime.manifest import Manifest

_MASK = {"sm": "mask", "precip": "precip_mask"}


class Prediction(NamedTuple):
    """The network's output on a day's land gaps; fields of shape (rows, cols), 0 everywhere else."""

    filled: Floats
    """m3 m-3."""
    reached: Floats
    sigma: Floats | None
    """m3 m-3; None where the bundle has none."""


def predict_window(
    engine: Engine | Staged,
    manifest: Manifest,
    grid: Grid,
    frames: Floats,
    rain: Floats | None = None,
    *,
    core: int | tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Run the network where day T has a land gap that an observation of the window can reach.

    Parameters
    ----------
    engine : Engine or Staged
        The network, opened by an engine.
    manifest : Manifest
        The bundle's manifest.
    grid : Grid
        The grid of the fields.
    frames : float32 array, shape (T, rows, cols)
        Soil moisture of the days of the window, m3 m-3, NaN for a gap; a missing day is all NaN.
    rain : float32 array, shape (T, rows, cols), optional
        Rain, mm/day, NaN for no estimate, for a bundle that takes rain; None is no estimate anywhere.
    core : int or (int, int), optional
        The tiles' core; by default the one that computes the fewest cells. The result does not depend on it.
    progress : callable, optional
        Called with the number of tiles done and of all tiles.
    """
    reachable = dilate(np.logical_or.reduce(~np.isnan(frames)), manifest.halo, grid.wraps)
    gaps = grid.land & np.isnan(frames[manifest.window.index(0)]) & reachable
    if isinstance(engine, Staged):
        return Prediction(*predict_staged(engine.stages, manifest.stages, grid, frames, gaps, progress=progress), None)
    core = core or cheapest_core(grid, gaps, manifest.tile_core, manifest.halo, manifest.stride)
    tiling = Tiling.of(grid, core, manifest.halo, manifest.stride)
    tiles = tiling.cover(gaps, manifest.stride)
    inputs = {"sm": frames}
    if manifest.takes_rain and rain is not None:
        inputs["precip"] = rain
    padded = {name: tiling.pad(field, np.nan, tiles) for name, field in inputs.items()}
    land = tiling.pad(grid.land.astype(np.float32), 0.0, tiles)
    names = ("filled", "reached", *(("sigma",) if manifest.gives_sigma else ()))
    fields = {name: np.zeros(grid.shape, np.float32) for name in names}
    done = 0
    for batch in batches(tiles, manifest.batch):
        cut = {name: tiling.cut(field, batch) for name, field in padded.items()}
        masks = {_MASK[name]: (~np.isnan(field)).astype(np.float32) for name, field in cut.items()}
        if manifest.takes_rain and rain is None:
            cut["precip"] = masks["precip_mask"] = np.zeros_like(cut["sm"])
        out = engine.run({**cut, **masks, "land": tiling.cut(land, batch)})
        for name, field in fields.items():
            tiling.paste(field, batch, out[name])
        done += len(batch)
        if progress:
            progress(done, len(tiles))
    for field in fields.values():
        field[~gaps] = 0
    return Prediction(fields["filled"], fields["reached"], fields.get("sigma"))


def days_since_observation(frames: Floats, window: tuple[int, ...]) -> NDArray[np.int16]:
    """Return days since the last observation at or before day T inside the window, `NEVER` without one.

    Parameters
    ----------
    frames : float32 array, shape (T, rows, cols)
        Soil moisture of the days of the window, NaN for a gap.
    window : tuple of int
        The days, relative to day T, in the order of `frames`.
    """
    since = np.full(frames.shape[1:], NEVER, np.int16)
    for offset, frame in zip(window, frames, strict=True):
        if offset <= 0:
            since[~np.isnan(frame)] = -offset
    return since


def fill_window(
    engine: Engine | Staged,
    manifest: Manifest,
    grid: Grid,
    frames: Floats,
    rain: Floats | None = None,
    progress: Progress | None = None,
    core: tuple[int, int] | None = None,
) -> Filled:
    """Fill day T from its window; parameters as in `predict_window`."""
    predicted = predict_window(engine, manifest, grid, frames, rain, core=core, progress=progress)
    today = manifest.window.index(0)
    seen = np.zeros(grid.shape, bool)
    for offset, frame in zip(manifest.window, frames, strict=True):
        if offset:
            seen |= ~np.isnan(frame)
    since = days_since_observation(frames, manifest.window)
    uncertainty = predicted.sigma
    if uncertainty is None and manifest.errors:
        uncertainty = manifest.errors.lookup(since, grid.latitudes)
    return compose(grid, frames[today], predicted.filled, predicted.reached, since, seen, uncertainty)
