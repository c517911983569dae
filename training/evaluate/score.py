"""The score of estimates against observations."""

from __future__ import annotations

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
