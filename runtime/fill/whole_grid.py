"""Compute a day in one call of the engine instead of tile by tile, where the memory of the GPU is large enough.

A GPU is faster in few large calls of one shape than in many calls of shapes that change with the gaps. The result is
the same but for rounding: sums of floats may depend on the size of a call.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from runtime.bundle import Bundle
from runtime.common.grid import Grid
from runtime.engines import gpu
from runtime.engines.select import EngineSettings, choose_engine
from runtime.fill.recurrent import land_tiles
from runtime.manifest import Manifest

_SHARE = 0.5
"""Largest share of a GPU's memory that the values of a call may take; weights and the library's work need the rest."""


def shape_of_call(manifest: Manifest, grid: Grid) -> tuple[int, int, int]:
    """Return tiles, rows and columns, halo included, of the call that computes a whole grid.

    For a window network it is one tile. A recurrent network accepts only one size of tiles: it takes all that hold
    land.
    """
    if manifest.carries_state:
        side = manifest.tile_core + 2 * manifest.halo
        return max(1, len(land_tiles(manifest, grid))), side, side
    rows, cols = (-(-size // manifest.stride) * manifest.stride + 2 * manifest.halo for size in grid.shape)
    return 1, rows, cols


def choose_size(settings: EngineSettings, bundles: Iterable[Bundle], grid: Grid) -> EngineSettings:
    """Decide whether days are computed in one call, if the settings leave it open.

    They are if the engine of each bundle is ``cuda`` and the values of a call take at most half of the GPU's memory.
    All of its memory counts, free or not: what else runs there must not change a published byte.

    Parameters
    ----------
    settings : EngineSettings
        The settings.
    bundles : iterable of Bundle
        The bundles of a run.
    grid : Grid
        The grid.

    Returns
    -------
    EngineSettings
        The settings with `EngineSettings.whole_grid` true or false.

    Raises
    ------
    ConfigError
        There is a GPU, but no engine can run.
    """
    if settings.whole_grid is not None:
        return settings
    device = gpu.find_gpu()
    fits = not isinstance(device, str) and all(
        choose_engine(bundle, settings).engine == "cuda"
        and bytes_of_call(bundle.manifest, grid) <= _SHARE * device.memory
        for bundle in bundles
    )
    return replace(settings, whole_grid=fits)


def bytes_of_call(manifest: Manifest, grid: Grid) -> float:
    """Return how many bytes the values of a call for a whole grid need in float32; infinity if it is not known."""
    if manifest.bytes_per_cell is None:
        return math.inf
    return manifest.bytes_per_cell * math.prod(shape_of_call(manifest, grid))
