"""Simple fillers, such as means over the window, that a network has to beat."""

from __future__ import annotations

import numpy as np

from runtime.common.grid import Floats
from runtime.fill.window import days_since_observation


def mean_over_days(frames: Floats) -> Floats:
    """Return the mean of the observations of each cell over several days, NaN without any; shape (rows, cols)."""
    count = (~np.isnan(frames)).sum(0)
    return np.where(count, np.nansum(frames, 0) / np.maximum(count, 1), np.nan).astype(np.float32)


def simple_fillers(frames: Floats, window: tuple[int, ...]) -> dict[str, Floats]:
    """Fill day T with simple methods.

    Parameters
    ----------
    frames : float32 array, shape (T, rows, cols)
        Soil moisture of the window's days, m3 m-3, NaN for a gap.
    window : tuple of int
        The window's days relative to day T, ascending. The names of the methods are for four days before and after.

    Returns
    -------
    dict of str to float32 array, shape (rows, cols)
        The filled field of each method, m3 m-3, NaN where the method has no value.
    """
    past = frames[[offset < 0 for offset in window]]
    since = days_since_observation(past, tuple(offset for offset in window if offset < 0))
    index = np.where(since > 0, len(past) - since, 0)
    last = np.take_along_axis(past, index[None].astype(np.intp), 0)[0]
    return {
        "mean of nine days": mean_over_days(frames),
        "mean of past four days": mean_over_days(past),
        "last value": last,
    }
