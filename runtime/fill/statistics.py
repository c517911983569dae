"""Describe a filled day in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.common.grid import Floats, Grid
from runtime.fill.result import Filled, Flag


@dataclass(frozen=True)
class DayStatistics:
    """A filled day in numbers."""

    observed: int
    """Land cells with an observation."""
    filled: int
    """Land cells with a filled value."""
    not_reached: int
    """Land cells without a value."""
    land_mean: float | None
    """Mean soil moisture of the land cells that have a value, m3 m-3."""
    seam: float | None
    """How much tile edges show; 1 means not at all.

    Mean difference between filled neighbours across tile edges, divided by the mean difference inside tiles.
    """
    seam_step: float | None = None
    """The first mean minus the second, m3 m-3."""

    @property
    def land(self) -> int:
        """Number of land cells."""
        return self.observed + self.filled + self.not_reached


def day_statistics(filled: Filled, grid: Grid, core: int) -> DayStatistics:
    """Describe a filled day in numbers.

    Parameters
    ----------
    filled : Filled
        The day.
    grid : Grid
        Its grid.
    core : int
        Rows and columns of a tile.

    Returns
    -------
    DayStatistics
        The numbers.
    """
    counts = filled.counts
    on_land = filled.soil_moisture[grid.land & np.isfinite(filled.soil_moisture)]
    across, inside = edge_steps(filled, (core, core))
    known = np.isfinite(across) and np.isfinite(inside)
    return DayStatistics(
        observed=counts["observed"],
        filled=counts["filled_from_neighbours"] + counts["filled_from_other_days"],
        not_reached=counts["not_reached"],
        land_mean=round(float(on_land.mean(dtype=float)), 6) if on_land.size else None,
        seam=round(across / inside, 4) if known and inside > 0 else None,
        seam_step=round(across - inside, 6) if known else None,
    )


def seam_ratio(filled: Filled, core: tuple[int, int]) -> float:
    """Return how much tile edges show; 1 means not at all.

    Parameters
    ----------
    filled : Filled
        The day.
    core : (int, int)
        Rows and columns of a tile.

    Returns
    -------
    float
        The first of `edge_steps` divided by the second; NaN if one of them is NaN or the second is 0.
    """
    across, inside = edge_steps(filled, core)
    return across / inside if inside > 0 else float("nan")


def edge_steps(filled: Filled, core: tuple[int, int]) -> tuple[float, float]:
    """Return the mean absolute difference between filled neighbours, across tile edges and inside tiles.

    Parameters
    ----------
    filled : Filled
        The day.
    core : (int, int)
        Rows and columns of a tile; tiles start at the grid's north-west corner.

    Returns
    -------
    across : float
        Mean difference across tile edges, m3 m-3; NaN if there are no such neighbours.
    inside : float
        Mean difference inside tiles, m3 m-3; NaN if there are no such neighbours.
    """
    is_filled = np.isin(filled.flag, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
    field = np.where(is_filled, filled.soil_moisture, np.float32(np.nan))
    across: list[Floats] = []
    inside: list[Floats] = []
    for axis, size in enumerate(core):
        steps = np.abs(np.diff(field, axis=axis))
        at_edge = np.arange(1, field.shape[axis]) % size == 0
        for collected, chosen in ((across, at_edge), (inside, ~at_edge)):
            part = np.compress(chosen, steps, axis)
            collected.append(part[np.isfinite(part)])
    return _mean_or_nan(np.concatenate(across)), _mean_or_nan(np.concatenate(inside))


def _mean_or_nan(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")
