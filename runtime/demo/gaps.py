"""Made-up gaps: what is hidden from a filler to see how well it does."""

from __future__ import annotations

import numpy as np

from runtime.common.grid import Bools


def strips(
    rng: np.random.Generator,
    shape: tuple[int, int],
    share: tuple[float, float] = (0.3, 0.3),
    period: tuple[float, float] = (40, 110),
) -> Bools:
    """Return slanted parallel strips to hide, as the gaps between swaths are.

    Parameters
    ----------
    shape : rows and columns
    share : smallest and largest part of the area that is hidden
    period : smallest and largest distance from strip to strip, in cells
    """
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    distance, slant = rng.uniform(*period), rng.uniform(-0.4, 0.4)
    return np.asarray((cols + slant * rows + rng.uniform(0, distance)) % distance < rng.uniform(*share) * distance)
