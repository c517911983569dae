"""The filled day: the result of both kinds of network, put together with the observations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats, Grid

VALID_RANGE = (0.0, 1.0)
"""Physical limits of volumetric soil moisture, m3 m-3: it is a share of the soil's volume."""

_SLACK = 0.05
"""How far a predicted value may be outside `VALID_RANGE` without being counted in `Filled.cut`, m3 m-3."""

NEVER = -1
"""Value of `days_since_observation` for a cell without any observation."""


class Flag(IntEnum):
    """Where the value of a cell comes from (CF flag_values; flag_meanings are the names in lower case)."""

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
    """Observed and filled values, m3 m-3; NaN off land and where no data reach."""
    observed: Floats
    """Observed values, m3 m-3; NaN for a gap."""
    flag: NDArray[np.int8]
    """Values of `Flag`."""
    days_since_observation: NDArray[np.int16]
    """0 where observed on day T itself; `NEVER` where not known."""
    uncertainty: Floats | None = None
    """Uncertainty of filled values, m3 m-3; NaN on all other cells. None if the bundle does not provide it."""
    cut: int = 0
    """Number of filled cells whose predicted value was more than 0.05 m3 m-3 outside `VALID_RANGE`."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of cells with each flag, by the flag's name in lower case."""
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
    """Put observations and the network's prediction together; observed cells are never changed.

    All arrays have the shape (rows, cols).

    Parameters
    ----------
    grid : Grid
        The grid of all arrays.
    observed : float32 array
        Soil moisture of day T, m3 m-3, NaN for a gap.
    predicted : float32 array
        Soil moisture of the network, m3 m-3; values outside `VALID_RANGE` are set to its limits.
    reached : float32 array
        1 where the prediction is based on data, else 0.
    days_since : int16 array
        Days since the last observation: 0 on day T itself, `NEVER` without one.
    seen_elsewhere : bool array
        True where the cell itself was observed on another day that the network read or carries in its state.
    uncertainty : float32 array, optional
        Uncertainty of the prediction, m3 m-3; used on filled cells only.

    Returns
    -------
    Filled
        The filled day.
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
    outside = int((filled & (np.abs(predicted - predicted.clip(*VALID_RANGE)) > _SLACK)).sum())
    if uncertainty is not None:
        uncertainty = np.where(filled, uncertainty, np.float32(np.nan)).astype(np.float32)
    return Filled(
        soil_moisture=values.astype(np.float32),
        observed=observed,
        flag=flag.astype(np.int8),
        days_since_observation=days_since,
        uncertainty=uncertainty,
        cut=outside,
    )
