"""Artificial gaps: cells that are hidden from a filler to measure its error."""

from __future__ import annotations

import numpy as np

from runtime.common.grid import Bools


def strips(
    rng: np.random.Generator,
    shape: tuple[int, int],
    share: tuple[float, float] = (0.3, 0.3),
    period: tuple[float, float] = (40, 110),
) -> Bools:
    """Return the cells of slanted parallel strips, similar to the gaps between swaths.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of random numbers.
    shape : (int, int)
        Rows and columns.
    share : (float, float)
        Smallest and largest share of the area in strips.
    period : (float, float)
        Smallest and largest distance from strip to strip, cells.

    Returns
    -------
    bool array, shape (rows, cols)
        True in the strips.
    """
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    distance, slant = rng.uniform(*period), rng.uniform(-0.4, 0.4)
    return np.asarray((cols + slant * rows + rng.uniform(0, distance)) % distance < rng.uniform(*share) * distance)
