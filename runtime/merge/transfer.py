"""Map the soil moisture of each sensor to that of a reference sensor, and say how large the error is that stays.

The mapping is quantile matching (as in the merging of ESA CCI soil moisture, doi:10.1016/j.rse.2012.03.014): the value
at a quantile of the sensor becomes the reference's value at the same quantile, on cells that both saw. The quantiles
are those of each cell's mean over the days that both saw it. Single values would not do: their errors widen both
distributions, so that the noisier sensor would be squeezed together, and wrong as soon as the soil is wetter or drier
than on the days of the fit. In the mean over some days little of the errors is left.

It is fitted in bands of latitude. A band needs no data to be known, holds for every cell on every day, and separates
what sensors see differently: cold and warm soil, vegetation, steppe. Differences between dry and wet cells of a band
need no classes of their own, since the mapping of a value depends on the value. Between the middles of two bands the
mapping passes gradually from one to the other, so that no edge shows in the field.

The errors come from triple collocation (doi:10.1029/1998JC900058) where three sensors saw the same cells: of sensors
with independent errors, ``mean((x - y) * (x - z))`` is the error variance of x. Where there are only two, each of them
gets half of the variance of their difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools, Floats
from runtime.fill.result import VALID_RANGE

BAND = 15.0
"""Height of a band of latitude, degrees."""

BANDS = round(180 / BAND)
"""Number of bands, numbered from the north pole."""

MIN_PAIRS = 200
"""Pairs of values that a mapping and an error need at least; a band with fewer takes those of all cells."""

UNMAPPED_ERROR = 0.1
"""Error of a sensor without a mapping, m3 m-3: sensors differ by that much before they are mapped, so that it has
little weight where another sensor saw the cell."""

REFERENCE_ERROR = 0.04
"""Error of the reference as long as it was compared with no other sensor, m3 m-3: what missions are designed for."""

_LEAST_ERROR = 0.01
"""No error is taken to be smaller, m3 m-3: it is the step of the retrievals in their files."""

_LEVELS = (np.arange(50) + 0.5) / 50
"""Quantiles at which a mapping is fitted; in between it is linear."""

_SLOPES = (0.2, 5.0)
"""Least and largest slope beyond them."""

_DIGITS = 6
"""Decimals that are kept, so that a transfer does not depend on the order of a sum."""

Doubles = NDArray[np.float64]
_Fitted = TypeVar("_Fitted")


class Basis(StrEnum):
    """What a sensor's mapping was fitted on."""

    REFERENCE = "reference"
    """It is the reference: nothing is mapped."""
    OVERLAP = "overlap"
    """Days on which both saw the same cells."""
    SEASONS = "seasons"
    """The same cells on the same days of different years: its error also contains how the years differ."""
    UNMAPPED = "unmapped"
    """There are too few pairs: values stay as they are."""


@dataclass(frozen=True)
class Curve:
    """The mapping of values in one band; rises nowhere less than 0."""

    source: tuple[float, ...]
    """Values of the sensor, ascending, m3 m-3; none for a mapping that changes nothing."""
    target: tuple[float, ...]
    """What they become, m3 m-3."""

    def apply(self, values: Floats) -> Doubles:
        """Return mapped values, m3 m-3; NaN stays NaN."""
        if not self.source:
            return values.astype(np.float64)
        inside = values.astype(np.float64).clip(self.source[0], self.source[-1])
        return np.asarray(np.interp(inside, self.source, self.target) + self._slope * (values - inside))

    @property
    def _slope(self) -> float:
        """How the mapping goes on beyond its ends: as it rises between them."""
        width = self.source[-1] - self.source[0]
        return float(np.clip((self.target[-1] - self.target[0]) / width, *_SLOPES)) if width > 0 else 1.0


@dataclass(frozen=True)
class SensorTransfer:
    """The mapping of one sensor to the reference."""

    basis: Basis
    pairs: int
    """Pairs of values that it was fitted on."""
    curves: tuple[Curve, ...]
    """One per band."""
    errors: tuple[float, ...]
    """Error of a mapped value in each band, m3 m-3."""

    def apply(self, field: Floats, latitudes: Doubles) -> Floats:
        """Return a mapped field.

        Parameters
        ----------
        field : float32 array, shape (rows, cols)
            Soil moisture of the sensor, m3 m-3, NaN for a gap.
        latitudes : float64 array, shape (rows,)
            Of the rows, degrees north.

        Returns
        -------
        float32 array, shape (rows, cols)
            Soil moisture as the reference would have seen it, m3 m-3, NaN for a gap.
        """
        mapped = np.zeros(field.shape)
        for curve, weight in zip(self.curves, _band_weights(latitudes).T, strict=True):
            rows = np.flatnonzero(weight)
            mapped[rows] += weight[rows, None] * curve.apply(field[rows])
        return mapped.clip(*VALID_RANGE).astype(np.float32)

    def error(self, latitudes: Doubles) -> Doubles:
        """Return the error of mapped values at some latitudes, m3 m-3."""
        return np.asarray(_band_weights(latitudes) @ np.array(self.errors))

    def to_json(self) -> dict[str, Any]:
        """Return the mapping as its file has it."""
        curves = [[curve.source, curve.target] for curve in self.curves]
        return {"basis": self.basis, "pairs": self.pairs, "curves": curves, "errors": self.errors}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SensorTransfer:
        """Read a mapping as `to_json` writes it."""
        curves = tuple(Curve(tuple(source), tuple(target)) for source, target in values["curves"])
        return cls(Basis(values["basis"]), values["pairs"], curves, tuple(values["errors"]))


UNMAPPED = SensorTransfer(Basis.UNMAPPED, 0, (Curve((), ()),) * BANDS, (UNMAPPED_ERROR,) * BANDS)
"""The transfer of a sensor that could not be compared with the reference."""


@dataclass(frozen=True)
class Matchups:
    """Values of several sensors that are taken to have seen the same soil."""

    values: Floats
    """Shape (matchups, sensors), m3 m-3, NaN where a sensor has none; the reference is the first sensor."""
    bands: NDArray[np.int64]
    """Shape (matchups,): the band of each."""
    cells: NDArray[np.int64]
    """Shape (matchups,): number of the cell of each."""

    @classmethod
    def of_fields(cls, fields: Sequence[Floats | None], latitudes: Doubles, stride: int = 1) -> Matchups:
        """Return the cells that at least two sensors saw.

        Parameters
        ----------
        fields : sequence of float32 array, shape (rows, cols), or None
            One per sensor, the reference first, m3 m-3, NaN for a gap; None for a sensor without a field.
        latitudes : float64 array, shape (rows,)
            Of the rows, degrees north.
        stride : int
            Take one cell of so many.
        """
        shape = next(field.shape for field in fields if field is not None)
        cells = np.arange(0, shape[0] * shape[1], stride)
        gap = np.full(cells.size, np.nan, np.float32)
        values = np.stack([gap if field is None else field.ravel()[cells] for field in fields], axis=1)
        bands = band_of_latitude(latitudes)[cells // shape[1]]
        seen = np.isfinite(values).sum(axis=1) > 1
        return cls(values[seen], bands[seen], cells[seen])

    @classmethod
    def join(cls, parts: Sequence[Matchups], sensors: int) -> Matchups:
        """Return all matchups of several parts."""
        every = [cls(np.empty((0, sensors), np.float32), np.empty(0, np.int64), np.empty(0, np.int64)), *parts]
        return cls(
            np.concatenate([part.values for part in every]),
            np.concatenate([part.bands for part in every]),
            np.concatenate([part.cells for part in every]),
        )


def band_of_latitude(latitudes: Doubles) -> NDArray[np.int64]:
    """Return the band of each latitude."""
    return np.asarray(((90 - latitudes) // BAND).clip(0, BANDS - 1), np.int64)


def band_name(band: int) -> str:
    """Return a band's edges in words, such as ``30 to 45 N``."""
    north, south = 90 - BAND * band, 90 - BAND * (band + 1)
    return f"{south:g} to {north:g} N" if south >= 0 else f"{abs(north):g} to {-south:g} S"


def fit_transfer(matchups: Matchups, sensors: Sequence[str], bases: Mapping[str, Basis]) -> dict[str, SensorTransfer]:
    """Fit the mapping of each sensor to the first one.

    Parameters
    ----------
    matchups : Matchups
        What the sensors saw; one column for each.
    sensors : sequence of str
        Their names, the reference first.
    bases : mapping of str to Basis
        What the matchups of each sensor are.

    Returns
    -------
    dict of str to SensorTransfer
        By name; `UNMAPPED` for a sensor with less than `MIN_PAIRS` pairs.
    """
    curves: list[tuple[Curve, ...]] = [UNMAPPED.curves]
    pairs = [0]
    mapped = np.full(matchups.values.shape, np.nan)
    mapped[:, 0] = matchups.values[:, 0]
    for column in range(1, len(sensors)):
        both = np.isfinite(matchups.values[:, 0]) & np.isfinite(matchups.values[:, column])
        pairs.append(int(both.sum()))
        curves.append(UNMAPPED.curves)
        if pairs[column] < MIN_PAIRS:
            continue
        curves[column] = _fit_bands(matchups, both, column)
        seen = np.isfinite(matchups.values[:, column])
        for band, curve in enumerate(curves[column]):
            own = seen & (matchups.bands == band)
            mapped[own, column] = curve.apply(matchups.values[own, column])
    found = {}
    for column, (name, own_curves, count) in enumerate(zip(sensors, curves, pairs, strict=True)):
        if column and count < MIN_PAIRS:
            found[name] = UNMAPPED
            continue
        basis = bases[name] if column else Basis.REFERENCE
        found[name] = SensorTransfer(basis, count, own_curves, _errors(mapped, matchups.bands, column))
    return found


def _fit_bands(matchups: Matchups, both: Bools, column: int) -> tuple[Curve, ...]:
    """Fit the mapping of a sensor in each band, on the matchups that it and the reference have."""
    values, cells = matchups.values[both].astype(np.float64), matchups.cells[both]
    return _by_band(matchups.bands[both], lambda own: _fit_curve(values[own, 0], values[own, column], cells[own]))


def _fit_curve(reference: Doubles, sensor: Doubles, cells: NDArray[np.int64]) -> Curve:
    """Match the quantiles of the means of cells; equal quantiles of the sensor become one point."""
    _, cell = np.unique(cells, return_inverse=True)
    days = np.bincount(cell)
    means, wanted = np.bincount(cell, sensor) / days, np.quantile(np.bincount(cell, reference) / days, _LEVELS)
    source, place = np.unique(np.quantile(means, _LEVELS).round(_DIGITS), return_inverse=True)
    target = np.bincount(place, wanted) / np.bincount(place)
    return Curve(tuple(source.tolist()), tuple(target.round(_DIGITS).tolist()))


def _by_band(bands: NDArray[np.int64], fit: Callable[[Bools], _Fitted]) -> tuple[_Fitted, ...]:
    """Return what `fit` gives for the matchups of each band; for a band with too few, what it gives for all of them."""
    general = fit(np.ones(bands.shape, bool))
    own = [bands == band for band in range(BANDS)]
    return tuple(fit(mine) if mine.sum() >= MIN_PAIRS else general for mine in own)


def _errors(mapped: Doubles, bands: NDArray[np.int64], column: int) -> tuple[float, ...]:
    """Return the error of a sensor in each band, m3 m-3."""
    products = _error_products(mapped, column)
    known = np.isfinite(products)
    if known.sum() < MIN_PAIRS:
        return (REFERENCE_ERROR,) * BANDS
    products, bands = products[known], bands[known]
    return _by_band(bands, lambda own: _error(products[own]))


def _error(products: Doubles) -> float:
    return round(float(np.sqrt(max(float(products.mean()), _LEAST_ERROR**2))), _DIGITS)


def _error_products(mapped: Doubles, column: int) -> Doubles:
    """Return of each sample a value whose mean is the error variance of a sensor; NaN where there is none.

    Triple collocation with every two other sensors, if that gives enough matchups; else half the squared difference.
    """
    own, others = mapped[:, column], [other for other in range(mapped.shape[1]) if other != column]
    triples = [(own - mapped[:, a]) * (own - mapped[:, b]) for a, b in itertools.combinations(others, 2)]
    found = _mean_of_known(triples)
    if np.isfinite(found).sum() < MIN_PAIRS:
        compared = others if column == 0 else [0]
        found = _mean_of_known([(own - mapped[:, other]) ** 2 / 2 for other in compared])
    return found


def _mean_of_known(columns: Sequence[Doubles]) -> Doubles:
    """Return the mean of the values that are known in each row; NaN in rows without any."""
    if not columns:
        return np.empty(0)
    stack = np.stack(columns)
    known = np.isfinite(stack)
    count = known.sum(axis=0)
    return np.asarray(np.where(count, np.where(known, stack, 0).sum(axis=0) / np.maximum(count, 1), np.nan))


def _band_weights(latitudes: Doubles) -> Doubles:
    """Return the weight of each band at some latitudes, shape (latitudes, bands): 1 in the middle of a band."""
    place = ((90 - np.asarray(latitudes)) / BAND - 0.5).clip(0, BANDS - 1)
    return np.asarray((1 - np.abs(place[:, None] - np.arange(BANDS)[None])).clip(0))
