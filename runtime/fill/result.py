"""The two kinds of filling, and what both give back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats, Grid

VALID_RANGE = (0.0, 1.0)
"""Volumetric soil moisture is a share of the soil's volume, m3 m-3."""

_SLACK = 0.05

NEVER = -1
"""`days_since_observation` of a cell without any observation."""


class Flag(IntEnum):
    """Where a cell's value comes from (CF flag_values; the meanings are the lower-case names)."""

    OBSERVED = 0
    OBSERVED_OFF_LAND_MASK = 1
    FILLED_FROM_NEIGHBOURS = 2
    FILLED_FROM_OTHER_DAYS = 3
    NOT_REACHED = 4
    NOT_LAND = 5


@dataclass(frozen=True)
class Filled:
    """A filled day; every field has the grid's shape."""

    soil_moisture: Floats
    """m3 m-3; NaN off land and where nothing reached."""
    observed: Floats
    """m3 m-3; NaN where the sensor gave nothing."""
    flag: NDArray[np.int8]
    """`Flag` values."""
    days_since_observation: NDArray[np.int16]
    """0 where observed on the day itself; `NEVER` where not known."""
    uncertainty: Floats | None = None
    """m3 m-3, on filled cells, else NaN; None where the bundle says nothing about its errors."""
    cut: int = 0
    """Filled cells whose value was more than `_SLACK` outside the physical range before it was cut to it."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of cells of each flag."""
        return {flag.name.lower(): int((self.flag == flag).sum()) for flag in Flag}


def compose(
    grid: Grid,
    observed: Floats,
    predicted: Floats,
    reached: Floats,
    days_since: NDArray[np.int16],
    seen_elsewhere: NDArray[np.bool_],
    uncertainty: Floats | None = None,
) -> Filled:
    """Put observation and network together; observed cells are never changed.

    Parameters
    ----------
    observed : m3 m-3, NaN for a gap
    predicted : m3 m-3, the network's day; values beyond `VALID_RANGE` are cut to it
    reached : 1 where the network's value rests on data
    days_since : days since the last observation, 0 today, `NEVER` without one
    seen_elsewhere : the cell itself was seen on another day the network looked at, or carries in its memory
    uncertainty : m3 m-3, kept on filled cells only
    """
    is_observed = ~np.isnan(observed)
    filled = grid.land & ~is_observed & (reached > 0)
    values = np.where(is_observed, observed, np.where(filled, predicted.clip(*VALID_RANGE), np.float32(np.nan)))
    flag = np.select(
        [is_observed & grid.land, is_observed, filled & seen_elsewhere, filled, grid.land],
        [
            Flag.OBSERVED,
            Flag.OBSERVED_OFF_LAND_MASK,
            Flag.FILLED_FROM_OTHER_DAYS,
            Flag.FILLED_FROM_NEIGHBOURS,
            Flag.NOT_REACHED,
        ],
        Flag.NOT_LAND,
    )
    cut = int((filled & (np.abs(predicted - predicted.clip(*VALID_RANGE)) > _SLACK)).sum())
    if uncertainty is not None:
        uncertainty = np.where(filled, uncertainty, np.float32(np.nan)).astype(np.float32)
    return Filled(values.astype(np.float32), observed, flag.astype(np.int8), days_since, uncertainty, cut)
