"""Simulated soil moisture on real days: the gaps, level and spread of a patch of real days in, other values out.

A network that sees the same few real days many times learns their noise by heart. Simulated values never come twice,
and what was true is known. Departures from the level are rough where the spread is small and smooth where it is large,
as where snow melts; a part of them lasts from day to day. `python -m benchmarks.departures` compares them with real
ones.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import uniform_filter

from runtime.common.grid import Floats
from runtime.demo.world import smooth_noise

_SIZE = (512, 768)
"""Rows and columns of the fields of noise that patches are cut from."""
_FIELDS, _DAYS = 16, 64
"""Number of independent fields, and days of the lasting one."""
_ROUGH = {0.0: 0.12, 0.7: 0.3, 1.6: 0.3, 4.0: 0.28}
"""Length in cells and share of the variance of departures where the spread is small."""
_SMOOTH = {3.0: 0.2, 6.0: 0.4, 14.0: 0.4}
"""The same where the spread is large."""
_LASTING = {2.0: 0.25, 8.0: 0.4, 25.0: 0.35}
"""The same of the part that lasts from day to day."""
_UNEVEN = {1.5: 0.3, 5.0: 0.4, 15.0: 0.3}
"""The same of the logarithm of the spread's own changes in space and time."""
_KEPT = 0.7
"""Correlation of the lasting part from one day to the next."""
LARGEST = 0.99
"""m3 m-3, the largest value of a retrieval."""
STEP = 0.01
"""m3 m-3, the steps that retrievals come in."""
_LEAST_SPREAD = 0.004
"""m3 m-3."""


def simulated(days: Floats, gaps: Floats, rng: np.random.Generator) -> Floats:
    """Return simulated soil moisture with the gaps of real days.

    Parameters
    ----------
    days : float32 array, shape (days, H, W)
        Real soil moisture that gives level and spread of each cell, m3 m-3, NaN for a gap.
    gaps : float32 array, shape (T, H, W)
        Real soil moisture of the days to simulate; only its gaps are used.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    float32 array, shape (T, H, W)
        Simulated soil moisture, m3 m-3, NaN where `gaps` is.
    """
    count = len(gaps)
    level, spread = _level_and_spread(days)
    spread = spread * np.float32(np.exp(0.2 * rng.normal()))
    lasting = _cut(rng, _lasting(), spread.shape, count)
    lasting_share = rng.uniform(0.15, 0.45)
    tail = rng.uniform(0.3, 0.8)
    uneven = np.exp(tail * _cut(rng, _fields_of("uneven"), spread.shape)[0] - tail**2)
    rough_share = 1 / (1 + (spread / rng.uniform(0.035, 0.07)) ** 2)
    values = np.empty_like(gaps)
    for day in range(count):
        rough, smooth = (_cut(rng, _fields_of(kind), spread.shape)[0] for kind in ("rough", "smooth"))
        fast = np.sqrt(rough_share) * rough + np.sqrt(1 - rough_share) * smooth
        today = uneven * np.exp(0.5 * _cut(rng, _fields_of("uneven"), spread.shape)[0] - 0.25)
        departure = np.sqrt(lasting_share) * lasting[day] + np.sqrt(1 - lasting_share) * fast * today
        values[day] = level + spread * departure
    values = (np.rint(values.clip(0, LARGEST) / STEP) * STEP).astype(np.float32)
    return np.where(np.isnan(gaps), np.float32(np.nan), values)


def _level_and_spread(days: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each cell, the latter drawn towards that of its surroundings, m3 m-3."""
    seen = np.isfinite(days)
    count = seen.sum(0)
    values = np.nan_to_num(days)
    level = values.sum(0) / np.maximum(count, 1)
    variance = ((values - level) ** 2 * seen).sum(0) / np.maximum(count - 1, 1)
    known = (count >= 2).astype(np.float32)
    around = uniform_filter(variance * known, 15).clip(min=0) / uniform_filter(known, 15).clip(min=1e-3)
    spread = np.sqrt((count * known * variance + 4 * around) / (count + 4)) + _LEAST_SPREAD
    return level.astype(np.float32), spread.astype(np.float32)


def _cut(rng: np.random.Generator, fields: Floats, shape: tuple[int, ...], count: int = 1) -> Floats:
    """Return consecutive fields at a random place, mirrored at random; shape (count, H, W)."""
    first, row, col = (
        int(rng.integers(0, whole - part + 1)) for whole, part in zip(fields.shape, (count, *shape), strict=True)
    )
    cut = fields[first : first + count, row : row + shape[0], col : col + shape[1]]
    if rng.random() < 0.5:
        cut = cut[..., ::-1]
    return cut[..., ::-1, :] if rng.random() < 0.5 else cut


def _mixed(rng: np.random.Generator, lengths: dict[float, float]) -> Floats:
    """Return noise of several correlation lengths, with mean 0 and standard deviation 1."""
    parts = [np.sqrt(share) * smooth_noise(rng, _SIZE, length) for length, share in lengths.items()]
    return np.asarray(np.sum(parts, 0), np.float32)


@lru_cache
def _fields_of(kind: str) -> Floats:
    """Return independent fields of noise, the same in every process; shape (fields, rows, cols)."""
    lengths = {"rough": _ROUGH, "smooth": _SMOOTH, "uneven": _UNEVEN}[kind]
    rng = np.random.default_rng([len(kind), _FIELDS])
    return np.stack([_mixed(rng, lengths) for _ in range(_FIELDS)])


@lru_cache
def _lasting() -> Floats:
    """Return noise that changes slowly from day to day, the same in every process; shape (days, rows, cols)."""
    rng = np.random.default_rng(_DAYS)
    days = [_mixed(rng, _LASTING)]
    while len(days) < _DAYS:
        days.append(np.float32(_KEPT) * days[-1] + np.float32(np.sqrt(1 - _KEPT**2)) * _mixed(rng, _LASTING))
    return np.stack(days)
