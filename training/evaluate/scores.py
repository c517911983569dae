"""Scores of filled values against observations, for all cells and for classes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pytesmo import metrics

from runtime.common.grid import Bools, Floats


@dataclass(frozen=True)
class Score:
    """How far estimates are from observations; all values in m3 m-3 except R and n."""

    r: float
    """Pearson correlation."""
    rmse: float
    """Root mean square error."""
    ubrmse: float
    """Root mean square error without the bias."""
    mae: float
    """Mean absolute error."""
    bias: float
    """Mean of estimate minus observation."""
    n: int
    """Number of pairs."""

    @classmethod
    def of(cls, estimate: NDArray[np.floating], observed: NDArray[np.floating]) -> Score:
        """Compare estimates with observations.

        Parameters
        ----------
        estimate, observed : float array
            Arrays of the same length without NaN, m3 m-3.

        Returns
        -------
        Score
            The score; R is NaN for fewer than 3 pairs or if one array is constant, everything is NaN without pairs.
        """
        x, y = np.asarray(estimate, np.float64).ravel(), np.asarray(observed, np.float64).ravel()
        nan = float("nan")
        if not x.size:
            return cls(nan, nan, nan, nan, nan, 0)
        has_r = x.size > 2 and x.std() > 0 and y.std() > 0
        return cls(
            r=float(metrics.pearson_r(x, y)) if has_r else nan,
            rmse=float(metrics.rmsd(x, y)),
            ubrmse=float(metrics.ubrmsd(x, y)),
            mae=float(np.abs(x - y).mean()),
            bias=float(metrics.bias(x, y)),
            n=x.size,
        )


@dataclass
class Cells:
    """Hidden observations and the value of every filler for them; each array has one value per cell and day."""

    truth: Floats
    """The hidden observations, m3 m-3."""
    columns: dict[str, Floats]
    """Values that the cells can be divided into classes by: ``latitude``, ``age``, ``distance``, ``rain``,
    ``complete``."""
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

    def score(self, filler: str) -> Score:
        """Return the score of a filler."""
        return Score.of(self.fillers[filler], self.truth)

    def coverage(self, bundle: str) -> float:
        """Return the share of errors that are not larger than sigma."""
        inside = np.abs(self.fillers[bundle] - self.truth) <= self.sigma[bundle]
        return float(inside.mean()) if inside.size else float("nan")


EDGES: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "days since the last observation": ((1.5, 2.5, 3.5, 4.5), ("1", "2", "3", "4", "none before, only after")),
    "cells to the nearest observation of the day": ((1.5, 3.5, 7.5, 15.5), ("1", "2-3", "4-7", "8-15", "16 and more")),
    "latitude": (
        (-30, 0, 30, 45, 60),
        ("60 S - 30 S", "30 S - 0", "0 - 30 N", "30 N - 45 N", "45 N - 60 N", "north of 60 N"),
    ),
    "precipitation on the day": ((0.1, 1, 10), ("none", "0.1-1 mm", "1-10 mm", "10 mm and more")),
    "observed value": ((0.1, 0.2, 0.4, 0.985), ("below 0.1", "0.1-0.2", "0.2-0.4", "above 0.4", "saturated, 0.99")),
}
"""What cells are divided into classes by: the edges between the classes, and the names of the classes."""
_COLUMN = {
    "days since the last observation": "age",
    "cells to the nearest observation of the day": "distance",
    "latitude": "latitude",
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
        values = cells.truth if split == "observed value" else cells.columns[_COLUMN[split]]
        known = np.isfinite(values)
        group = np.searchsorted(edges, values, "right")
        for index, label in enumerate(labels):
            chosen = known & (group == index)
            if chosen.any():
                yield split, label, cells.only(chosen)


def thirds(values: Floats) -> list[Bools]:
    """Return three masks: the lowest, the middle and the highest third of the values."""
    low, high = np.quantile(values, (1 / 3, 2 / 3))
    return [values <= low, (values > low) & (values <= high), values > high]


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
