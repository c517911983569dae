"""A filled day in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.common.grid import Floats, Grid
from runtime.fill.result import Filled, Flag


@dataclass(frozen=True)
class DayStatistics:
    """A day in numbers."""

    observed: int
    """Land cells with an observation."""
    filled: int
    not_reached: int
    land_mean: float | None
    """Mean soil moisture of the land cells that have a value, m3 m-3."""
    seam: float | None
    """Mean step between filled neighbours across tile edges over that inside tiles; 1: edges do not show."""
    seam_step: float | None = None
    """The difference of the two, m3 m-3."""

    @property
    def land(self) -> int:
        """Land cells."""
        return self.observed + self.filled + self.not_reached


def day_statistics(filled: Filled, grid: Grid, core: int) -> DayStatistics:
    """Return a day in numbers.

    Parameters
    ----------
    core : rows and columns of a tile
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
    """Return how much tile edges show: the mean step across them over that inside tiles; 1 is not at all.

    NaN where it cannot be said; see `steps`.
    """
    across, inside = edge_steps(filled, core)
    return across / inside if inside > 0 else float("nan")


def edge_steps(filled: Filled, core: tuple[int, int]) -> tuple[float, float]:
    """Return the mean step between filled neighbours across tile edges, and inside tiles, m3 m-3.

    NaN where there are no such neighbours.

    Parameters
    ----------
    core : rows and columns of a tile; tiles start at the grid's north-west corner
    """
    made = np.isin(filled.flag, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
    field = np.where(made, filled.soil_moisture, np.float32(np.nan))
    across: list[Floats] = []
    inside: list[Floats] = []
    for axis, size in enumerate(core):
        jumps = np.abs(np.diff(field, axis=axis))
        at_edge = np.arange(1, field.shape[axis]) % size == 0
        for jumped, chosen in ((across, at_edge), (inside, ~at_edge)):
            part = np.compress(chosen, jumps, axis)
            jumped.append(part[np.isfinite(part)])
    edge, within = np.concatenate(across), np.concatenate(inside)
    return (float(edge.mean()) if edge.size else float("nan"), float(within.mean()) if within.size else float("nan"))
