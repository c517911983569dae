"""How rough filled areas are beside observed ones: variogram and power spectrum of hidden and of filled values.

A best estimate is smoother than a noisy retrieval. The part of its structure that follows the hidden retrievals is
soil, and noise that they share with observed neighbours of the same day; the rest is not in the hidden values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats

LAGS = (1, 2, 4, 8, 16)
"""Distances of the variogram, cells from west to east."""
SEGMENT = 32
"""Cells of a row that a spectrum is computed over; all of them must be hidden land."""
OBSERVED = "observed"
"""Name of the hidden observations themselves."""


@dataclass
class Structure:
    """Variogram and spectrum of several fields, summed over days."""

    squares: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Sums of half the squared differences at each of `LAGS`, by name."""
    products: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Sums of half the products of the differences of a field and of the observations, at each of `LAGS`, by name."""
    pairs: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(LAGS)))
    power: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Sums of the power at 0 to 16 waves per `SEGMENT`, by name."""
    segments: int = 0

    def add(self, truth: Floats, filled: Mapping[str, Floats]) -> None:
        """Add a day.

        Parameters
        ----------
        truth : float32 array, shape (rows, cols)
            The hidden observations, m3 m-3, NaN elsewhere.
        filled : mapping
            The filled fields by name; only cells that all of them fill are used.
        """
        fields = {OBSERVED: truth, **filled}
        common = np.all([np.isfinite(values) for values in fields.values()], axis=0)
        for index, lag in enumerate(LAGS):
            both = common[:, lag:] & common[:, :-lag]
            self.pairs[index] += both.sum()
            steps = {name: (v[:, lag:] - v[:, :-lag])[both].astype(np.float64) for name, v in fields.items()}
            for name, step in steps.items():
                self.squares.setdefault(name, np.zeros(len(LAGS)))[index] += 0.5 * (step**2).sum()
                product = 0.5 * (step * steps[OBSERVED]).sum()
                self.products.setdefault(name, np.zeros(len(LAGS)))[index] += product
        for start in range(0, common.shape[1] - SEGMENT + 1, SEGMENT // 2):
            part = np.s_[common[:, start : start + SEGMENT].all(1), start : start + SEGMENT]
            self.segments += len(truth[part])
            for name, values in fields.items():
                rows = values[part].astype(np.float64)
                rows = (rows - rows.mean(1, keepdims=True)) * np.hanning(SEGMENT)
                power = (np.abs(np.fft.rfft(rows, axis=1)) ** 2).sum(0) / np.sum(np.hanning(SEGMENT) ** 2)
                self.power[name] = self.power.get(name, 0) + power

    def merge(self, other: Structure) -> None:
        """Add what another one has summed."""
        for mine, theirs in ((self.squares, other.squares), (self.products, other.products), (self.power, other.power)):
            for name, values in theirs.items():
                mine[name] = mine.get(name, 0) + values
        self.pairs += other.pairs
        self.segments += other.segments

    def variogram(self, name: str) -> list[float]:
        """Return half the mean squared difference at each of `LAGS`, (m3 m-3)^2; NaN without pairs."""
        with np.errstate(invalid="ignore"):
            return [float(value) for value in self.squares[name] / self.pairs]

    def shared(self, name: str) -> list[float]:
        """Return half the mean product of a field's differences and those of the observations, (m3 m-3)^2.

        This is the cross-variogram with the observations (Wackernagel 2003, Multivariate Geostatistics): the part of
        the field's structure that follows them. NaN without pairs.
        """
        with np.errstate(invalid="ignore"):
            return [float(value) for value in self.products[name] / self.pairs]

    def spectrum(self, name: str) -> list[float]:
        """Return the power at 1 to 16 waves per `SEGMENT`, (m3 m-3)^2; empty without a segment."""
        return [float(value) for value in self.power[name][1:] / self.segments] if self.segments else []
