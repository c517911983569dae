"""Scores of filled values against observations, for all cells and for classes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from runtime.common.grid import Bools, Floats
from training.evaluate.score import Score
from training.models.seamless import SIGMA_FLOOR


@dataclass
class Cells:
    """Hidden observations and the value of every filler for them; each array has one value per cell and day."""

    truth: Floats
    """The hidden observations, m3 m-3."""
    columns: dict[str, Floats]
    """Values that the cells can be divided into classes by: ``latitude``, ``age``, ``nearest``, ``distance``, ``rain``,
    ``wetness``."""
    fillers: dict[str, Floats]
    """Filled values by filler, m3 m-3."""
    sigma: dict[str, Floats]
    """Estimated errors by bundle, m3 m-3, for the bundles that give one."""

    @classmethod
    def joined(cls, parts: Sequence[Cells]) -> Cells:
        """Return the cells of several days as one, with the columns and fillers that all of them have."""

        def join(name: str) -> dict[str, Floats]:
            values = [getattr(part, name) for part in parts]
            shared = [key for key in values[0] if all(key in v for v in values)]
            return {key: np.concatenate([v[key] for v in values]) for key in shared}

        return cls(np.concatenate([p.truth for p in parts]), join("columns"), join("fillers"), join("sigma"))

    def only(self, chosen: Bools) -> Cells:
        """Return the cells that are True in `chosen`."""

        def pick(values: dict[str, Floats]) -> dict[str, Floats]:
            return {key: value[chosen] for key, value in values.items()}

        return Cells(self.truth[chosen], pick(self.columns), pick(self.fillers), pick(self.sigma))

    def common(self) -> Cells:
        """Return the cells that every filler has a value for."""
        return self.only(np.all([np.isfinite(values) for values in self.fillers.values()], axis=0))

    def refitted(self, bundle: str, factor: float, exponent: float) -> Cells:
        """Return the cells with ``factor * sigma ** exponent`` as the sigma of a bundle, m3 m-3, as an export does."""
        sigma = (factor * self.sigma[bundle] ** exponent).clip(SIGMA_FLOOR, 1)
        return replace(self, sigma={**self.sigma, bundle: sigma})

    def score(self, filler: str) -> Score:
        """Return the score of a filler."""
        return Score.of(self.fillers[filler], self.truth)

    def coverage(self, bundle: str) -> float:
        """Return the share of errors that are not larger than sigma."""
        inside = np.abs(self.fillers[bundle] - self.truth) <= self.sigma[bundle]
        return float(inside.mean()) if inside.size else float("nan")


EDGES: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "cells to the nearest observation of the day": ((3.01, 8.01, 15.01), ("1-3", "4-8", "9-15", "16 and more")),
    "days to the nearest other observation": ((1.5, 2.5, 4.5, 8.5), ("1", "2", "3-4", "5-8", "9-12")),
    "latitude": (
        (-20, 20, 45, 60),
        ("south of 20 S", "20 S - 20 N", "20 N - 45 N", "45 N - 60 N", "north of 60 N"),
    ),
    "wetness (weighted mean)": ((0.1, 0.2, 0.3, 0.45), ("below 0.1", "0.1-0.2", "0.2-0.3", "0.3-0.45", "above 0.45")),
    "precipitation on the day": ((0.1, 1, 10), ("none", "0.1-1 mm", "1-10 mm", "10 mm and more")),
}
"""What cells are divided into classes by: the edges between the classes, and the names of the classes. Wetness is that
of the weighted mean, which is known without the hidden value: classes of the hidden value itself would be biased."""
_COLUMN = {
    "cells to the nearest observation of the day": "distance",
    "days to the nearest other observation": "nearest",
    "latitude": "latitude",
    "wetness (weighted mean)": "wetness",
    "precipitation on the day": "rain",
}


def strata(cells: Cells) -> Iterator[tuple[str, str, Cells]]:
    """Divide cells into classes.

    Parameters
    ----------
    cells : Cells
        The cells.

    Yields
    ------
    split : str
        What the cells are divided by, a key of `EDGES`.
    label : str
        Name of the class.
    part : Cells
        The cells of the class; classes without cells are left out.
    """
    for split, (edges, labels) in EDGES.items():
        values = cells.columns[_COLUMN[split]]
        known = np.isfinite(values)
        group = np.searchsorted(edges, values, "right")
        for index, label in enumerate(labels):
            chosen = known & (group == index)
            if chosen.any():
                yield split, label, cells.only(chosen)


def crps(cells: Cells, bundle: str) -> float:
    """Return the mean continuous ranked probability score of filled value and sigma as a normal distribution, m3 m-3.

    Gneiting and Raftery 2007 (doi:10.1198/016214506000001437), equation 21. For a filler without sigma the score would
    be its mean absolute error.
    """
    sigma = cells.sigma[bundle].astype(np.float64)
    z = (cells.truth - cells.fillers[bundle]) / sigma
    return float((sigma * (z * (2 * ndtr(z) - 1) + 2 * _density(z) - 1 / np.sqrt(np.pi))).mean())


def probability_integral(cells: Cells, bundle: str, classes: int = 10) -> list[float]:
    """Return the shares of hidden values in equally probable classes of the filler's normal distribution.

    All are ``1 / classes`` for a perfect one; high ends mean tails heavier than a normal distribution's.
    """
    z = (cells.truth - cells.fillers[bundle]) / cells.sigma[bundle]
    counts = np.histogram(ndtr(z), np.linspace(0, 1, classes + 1))[0]
    return [float(share) for share in counts / max(counts.sum(), 1)]


def _density(z: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))


def nugget(frames: Floats, where: Bools, lags: int = 4) -> float:
    """Return the noise of one retrieval: the square root of the temporal variogram's nugget.

    The variogram is half the mean square difference of days `lag` apart. A straight line through it, extended to lag 0,
    gives the nugget.

    Parameters
    ----------
    frames : float32 array, shape (days, rows, cols)
        Soil moisture, m3 m-3, NaN for a gap.
    where : bool array, shape (rows, cols)
        The cells to use.
    lags : int
        Largest lag, in days.

    Returns
    -------
    float
        The noise, m3 m-3.
    """
    half = []
    for lag in range(1, lags + 1):
        square = (frames[lag:, where] - frames[:-lag, where]) ** 2
        half.append(0.5 * float(np.nanmean(square)))
    intercept = float(np.polynomial.Polynomial.fit(range(1, lags + 1), half, 1).convert().coef[0])
    return float(np.sqrt(max(intercept, 0.0)))
