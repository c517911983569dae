"""The fillers that a network is compared with: a weighted mean, penalised least squares, and gradient-boosted trees.

Frames go in, with what is hidden taken out; the filled day comes out. All of them see the same window as the network.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from runtime.common.grid import Bools, Floats
from runtime.demo.baselines import mean_over_days
from training.models.seamless import SATURATED

if TYPE_CHECKING:
    from lightgbm import LGBMRegressor

WINDOW = tuple(range(-12, 5))
"""The days that references and the evaluation read, relative to day T."""
TODAY = WINDOW.index(0)
"""Position of day T in the window."""
NEAR_DAYS = 4
"""Days from day T within which another observation of a cell counts as near."""
DECAY_DAYS = 2.0
"""Days after which an observation has 1/e of its weight in the weighted mean."""
_SMOOTHING, _TOLERANCE = 0.43, 0.005
"""Smoothing parameter of DCT-PLS, without a unit: what generalised cross-validation finds (`smoothn` without `smooth`)
for the days around 6 April 2015, X band. And the relative change at which the iteration ends."""
DCT_PLS_SETTINGS = f"a smoothing parameter of {_SMOOTHING} and a tolerance of {_TOLERANCE:.1%}"
"""How DCT-PLS is run, in words."""
_ROWS = 900_000
"""Hidden cells that the trees are fitted to."""
_TREES = 500
"""Number of trees."""


def weighted_mean(frames: Floats) -> Floats:
    """Fill day T with the mean of the window, weighted by ``exp(-|days| / 2)``.

    Parameters
    ----------
    frames : float32 array, shape (17, rows, cols)
        Soil moisture of the days of `WINDOW`, m3 m-3, NaN for a gap.

    Returns
    -------
    float32 array, shape (rows, cols)
        Soil moisture of day T, m3 m-3; NaN where no day of the window has an observation.
    """
    return _weighted(frames, DECAY_DAYS)[0]


def _weighted(frames: Floats, decay: float) -> tuple[Floats, Floats]:
    """Return the weighted mean, and the sum of the weights of the observations."""
    weights = np.exp(-np.abs(np.array(WINDOW)) / decay).astype(np.float32)[:, None, None]
    weight = (np.isfinite(frames) * weights).sum(0)
    total = (np.nan_to_num(frames) * weights).sum(0)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.float32(np.nan)), weight


def plain_mean(frames: Floats) -> Floats:
    """Fill day T with the mean of the four days on either side; parameters and result as of `weighted_mean`."""
    near = frames[[k for k, offset in enumerate(WINDOW) if abs(offset) <= NEAR_DAYS]]
    return mean_over_days(near)


def nearest_day(frames: Floats) -> NDArray[np.int16]:
    """Return how many days from day T the nearest observation of each cell is, on another day.

    Parameters
    ----------
    frames : float32 array, shape (17, rows, cols)
        Soil moisture of the days of `WINDOW`, m3 m-3, NaN for a gap.

    Returns
    -------
    int16 array, shape (rows, cols)
        Days, whether before or after; 99 without any in the window.
    """
    nearest = np.full(frames.shape[1:], 99, np.int16)
    for offset, frame in sorted(zip(WINDOW, frames, strict=True), key=lambda item: -abs(item[0])):
        if offset:
            nearest[np.isfinite(frame)] = abs(offset)
    return nearest


def dct_pls(frames: Floats, land: Bools) -> Floats:
    """Fill day T by penalised least squares on cosines (Garcia 2010), the method of ESA CCI SM GAPFILLED.

    It reads the four days on either side; `DCT_PLS_SETTINGS` says how it is run.

    Parameters
    ----------
    frames : float32 array, shape (17, rows, cols)
        Soil moisture of the days of `WINDOW`, m3 m-3, NaN for a gap.
    land : bool array, shape (rows, cols)
        True on land; rows and columns without land are left out of the computation.

    Returns
    -------
    float32 array, shape (rows, cols)
        Soil moisture of day T, m3 m-3, NaN on rows and columns without land.
    """
    from pytesmo.interpolate.dctpls import smoothn

    near = np.abs(np.array(WINDOW)) <= NEAR_DAYS
    rows, cols = np.flatnonzero(land.any(1)), np.flatnonzero(land.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    with fft.set_workers(os.cpu_count() or 1):
        smooth = smoothn(frames[(near, *box)].astype(np.float64), smooth=_SMOOTHING, smoothOrder=2, TolZ=_TOLERANCE)[0]
    day = np.full(land.shape, np.nan, np.float32)
    day[box] = smooth[NEAR_DAYS].clip(0, 1)
    return day


class Trees:
    """Gradient-boosted trees on hand-made features of one cell and its surroundings, fitted in a minute.

    The strongest simple filler known for these data. It corrects the weighted mean; its features are the values of all
    days, means over boxes of several sizes on near days, the residuals of the day's observations from the weighted mean
    around the cell, and the spread, count and age of the observations.

    Parameters
    ----------
    regressor : LGBMRegressor
        The fitted trees.
    latitudes : float64 array, shape (rows,)
        Cell centres, degrees north.
    """

    def __init__(self, regressor: LGBMRegressor, latitudes: NDArray[np.float64]) -> None:
        self._regressor, self._latitudes = regressor, latitudes

    @classmethod
    def fit(cls, days: Iterator[tuple[Floats, Floats]], latitudes: NDArray[np.float64], seed: int = 0) -> Trees:
        """Fit the trees.

        Parameters
        ----------
        days : iterator of (frames, truth)
            The frames of a window, shape (17, rows, cols), without what is hidden; and the hidden observations of day
            T, shape (rows, cols), NaN elsewhere. All m3 m-3.
        latitudes : float64 array, shape (rows,)
            Cell centres, degrees north.
        seed : int
            Seed of the choice of cells.

        Returns
        -------
        Trees
            The fitted trees.

        Raises
        ------
        ValueError
            No cell is hidden.
        """
        from lightgbm import LGBMRegressor

        features, targets = [], []
        for frames, truth in days:
            where = np.isfinite(truth)
            values, prior = _features(frames, latitudes, where)
            features.append(values)
            targets.append(truth[where] - prior)
        if not sum(map(len, targets)):
            raise ValueError("no hidden cell to fit the trees to; give more days before the evaluated ones")
        x, y = np.concatenate(features), np.concatenate(targets)
        keep = np.random.default_rng(seed).permutation(len(x))[:_ROWS]
        regressor = LGBMRegressor(
            n_estimators=_TREES,
            num_leaves=127,
            learning_rate=0.05,
            min_child_samples=min(200, max(1, len(keep) // 50)),
            subsample=0.7,
            subsample_freq=1,
            colsample_bytree=0.5,
            reg_lambda=5,
            random_state=seed,
            verbose=-1,
        )
        return cls(regressor.fit(x[keep], y[keep]), latitudes)

    def fill(self, frames: Floats, wanted: Bools) -> Floats:
        """Fill cells of day T.

        Parameters
        ----------
        frames : float32 array, shape (17, rows, cols)
            Soil moisture of the days of `WINDOW`, m3 m-3, NaN for a gap.
        wanted : bool array, shape (rows, cols)
            The cells to fill.

        Returns
        -------
        float32 array, shape (rows, cols)
            Soil moisture of day T, m3 m-3; NaN where not wanted, or where no day of the window has an observation.
        """
        where = wanted & np.isfinite(frames).any(0)
        day = np.full(wanted.shape, np.nan, np.float32)
        if where.any():
            features, prior = _features(frames, self._latitudes, where)
            day[where] = prior + np.asarray(self._regressor.predict(features))
        return day


def _features(frames: Floats, latitudes: NDArray[np.float64], where: Bools) -> tuple[Floats, Floats]:
    """Return the features of some cells, shape (cells, features), and their weighted mean, m3 m-3."""
    prior = _weighted(frames, DECAY_DAYS)[0]
    columns = [np.asarray(c[where], np.float32) for c in _feature_fields(frames, latitudes, prior)]
    return np.stack(columns, 1), prior[where]


def _feature_fields(frames: Floats, latitudes: NDArray[np.float64], prior: Floats) -> Iterator[Floats]:
    """Yield the features as fields, NaN for a feature that a cell does not have."""
    today = frames[TODAY]
    yield np.broadcast_to(np.asarray(latitudes, np.float32)[:, None], today.shape)
    for decay in (1.0, DECAY_DAYS, 4.0):
        yield from _weighted(frames, decay)
    for size in (3, 7, 15, 31):
        yield from _box_mean(today - prior, size)
    for offset, frame in zip(WINDOW, frames, strict=True):
        yield frame
        if abs(offset) <= NEAR_DAYS:
            yield _box_mean(frame, 3)[0]
            yield _box_mean(frame, 9)[0]
            yield _box_mean(frame - prior, 9)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # cells without any observation
        yield np.nanstd(frames, 0)
        yield np.nanmax(frames, 0)
        yield np.nanmin(frames, 0)
    yield (frames > SATURATED).sum(0, dtype=np.float32)
    yield np.isfinite(frames).sum(0, dtype=np.float32)
    yield _box_mean(prior, 3)[0]
    yield _box_mean(prior, 9)[0]
    yield ndimage.distance_transform_edt(np.isnan(today)).astype(np.float32)


def _box_mean(field: Floats, size: int) -> tuple[Floats, Floats]:
    """Return the mean of the observed cells in a box around each cell, NaN without any, and their share of the box."""
    seen = np.isfinite(field)
    edges = ("nearest", "wrap")
    total = ndimage.uniform_filter(np.where(seen, field, 0).astype(np.float64), size, mode=edges)
    share = ndimage.uniform_filter(seen.astype(np.float64), size, mode=edges)
    near = share > 0.5 / size**2
    mean = np.where(near, total / np.where(near, share, 1), np.nan)
    return mean.astype(np.float32), share.astype(np.float32)
