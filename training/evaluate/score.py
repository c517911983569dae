"""The score of estimates against observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pytesmo import metrics


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

    @classmethod
    def mean(cls, scores: Sequence[Score]) -> Score:
        """Return the mean of scores, each counted once.

        Parameters
        ----------
        scores : sequence of Score
            The scores; those without pairs do not count.

        Returns
        -------
        Score
            The means; `n` is the sum. R is the mean of those that are defined. Everything is NaN without pairs.
        """
        counted = [score for score in scores if score.n]
        if not counted:
            return cls.of(np.empty(0), np.empty(0))
        values = {name: [getattr(score, name) for score in counted] for name in vars(counted[0])}
        defined = {name: [value for value in of_name if np.isfinite(value)] for name, of_name in values.items()}
        means = {name: float(np.mean(of_name)) if of_name else float("nan") for name, of_name in defined.items()}
        return cls(**{**means, "n": sum(values["n"])})
