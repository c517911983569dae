"""Training samples: patches of consecutive days, with a part of what was observed hidden."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.feeds.folder import FolderFeed
from runtime.grid import Bools, Floats, Grid
from runtime.products import imerg, lprm

MIN_OBSERVED = 0.3
"""Share of a patch that must be observed on day T."""


@dataclass(frozen=True)
class DayStack:
    """Consecutive days of soil moisture and rain, all on one grid."""

    grid: Grid
    first: dt.date
    sm: Floats
    """(days, rows, cols), m3 m-3, NaN for a gap or an absent day."""
    rain: Floats
    """(days, rows, cols), mm/day, NaN for no estimate."""

    @classmethod
    def read(cls, folder: Path, grid: Grid, band: str = "x") -> DayStack:
        """Read every LPRM AMSR2 and IMERG file below a folder.

        Raises
        ------
        ValueError
            The folder has no soil-moisture file.
        InputRefused
            A file is damaged.
        """
        soil = FolderFeed(str(folder), "lprm-amsr2", folder, orbit="descending").granules()
        rain = FolderFeed(str(folder), "imerg", folder, runs=("final", "late", "early")).granules()
        if not soil:
            raise ValueError(f"{folder} holds no LPRM AMSR2 file; `python -m training world` makes some")
        first = min(soil)
        days = (max(soil) - first).days + 1
        stacks = [np.full((days, *grid.shape), np.nan, np.float32) for _ in range(2)]
        for index in range(days):
            date = first + dt.timedelta(index)
            if date in soil:
                stacks[0][index] = lprm.read(Path(soil[date][0].location), date, grid, band)
            if date in rain:
                stacks[1][index] = imerg.read(Path(rain[date][0].location), date, grid)
        return cls(grid, first, *stacks)


@dataclass(frozen=True)
class Batch:
    """Samples for one step; every array is float32, finite, and has the samples as first axis."""

    sm: Floats
    """(N, T, H, W), what the network sees; 0 where `mask` is 0."""
    mask: Floats
    land: Floats
    """(N, H, W)."""
    truth: Floats
    """(N, T', H', W'), the labels; T' is 1 for the window kind."""
    labelled: Floats
    hidden: Floats
    rain: Floats
    """(N, T, H, W), mm/day; 0 where `rain_mask` is 0."""
    rain_mask: Floats


def strip(rng: np.random.Generator, size: int) -> Bools:
    """Return a slanted strip of a patch, 30-70 % of its width: the gap between two swaths."""
    row, col = np.mgrid[:size, :size] / size
    slant = rng.uniform(-0.35, 0.35)
    width = rng.uniform(0.3, 0.7)
    offset = rng.uniform(-0.3, 1.0)
    across = col + slant * row
    return np.asarray((across > offset) & (across < offset + width))


class Sampler:
    """Draws random samples from stacks of days.

    Parameters
    ----------
    stacks : sequence of DayStack
    patch : int
        Cells filled per axis.
    halo : int
        Cells of context on every side.
    days : int
        Days per sample.
    label : int, optional
        Index of the one day to fill; None for every day of the sequence.
    drop_future : float
        Probability that the days after the labelled one are not there, as on the day itself.
    drop_rain : float
        Probability that a sample has no rain data.
    """

    def __init__(
        self,
        stacks: Sequence[DayStack],
        *,
        patch: int,
        halo: int,
        days: int,
        label: int | None,
        seed: int,
        drop_future: float = 0.3,
        drop_rain: float = 0.2,
    ) -> None:
        self._stacks = list(stacks)
        self._patch, self._halo, self._days, self._label = patch, halo, days, label
        self._drop_future, self._drop_rain = drop_future, drop_rain
        self._rng = np.random.default_rng(seed)
        self._places = [place for number in range(len(self._stacks)) for place in self._find(number)]
        if not self._places:
            raise ValueError(f"no {days} days in a row of the training data observe {MIN_OBSERVED:.0%} of any patch")

    def _find(self, number: int) -> list[tuple[int, int, int, int]]:
        """Return (stack, first day, row, column) of every patch worth drawing."""
        stack = self._stacks[number]
        size, stride = self._patch + 2 * self._halo, self._patch // 4
        places = []
        for first in range(stack.sm.shape[0] - self._days + 1):
            valid = ~np.isnan(stack.sm[first + (self._label or self._days // 2)]) & stack.grid.land
            total = np.zeros((valid.shape[0] + 1, valid.shape[1] + 1))
            total[1:, 1:] = valid.cumsum(0).cumsum(1)
            for row in range(0, valid.shape[0] - size + 1, stride):
                top, bottom = row + self._halo, row + self._halo + self._patch
                for col in range(0, valid.shape[1] - size + 1, stride):
                    left, right = col + self._halo, col + self._halo + self._patch
                    count = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
                    if count >= MIN_OBSERVED * self._patch**2:
                        places.append((number, first, row, col))
        return places

    def _hide(self, number: int, row: int, col: int, size: int) -> Bools:
        """Return cells to hide: a slanted strip, or the gaps another day has here."""
        if self._rng.random() < 0.5:
            return strip(self._rng, size)
        sm = self._stacks[number].sm
        other = np.isnan(sm[self._rng.integers(len(sm)), row : row + size, col : col + size])
        return other if 0.2 < other.mean() < 0.8 else strip(self._rng, size)

    def draw(self, count: int) -> Batch:
        """Return `count` random samples."""
        samples = [self._one(*self._places[index]) for index in self._rng.integers(len(self._places), size=count)]
        return Batch(*(np.stack(parts).astype(np.float32) for parts in zip(*samples, strict=True)))

    def _one(self, number: int, first: int, row: int, col: int) -> tuple[NDArray[np.generic], ...]:
        stack, size = self._stacks[number], self._patch + 2 * self._halo
        here = np.s_[first : first + self._days, row : row + size, col : col + size]
        sm, rain = stack.sm[here].copy(), stack.rain[here].copy()
        land = stack.grid.land[row : row + size, col : col + size]
        labels = range(self._days) if self._label is None else [self._label]
        truth = sm[list(labels)].copy()
        hidden = np.stack([self._hide(number, row, col, size) for _ in labels])
        for index, hide in zip(labels, hidden, strict=True):
            sm[index][hide] = np.nan
        if self._label is not None and self._rng.random() < self._drop_future:
            sm[self._label + 1 + self._rng.integers(self._days - self._label - 1) :] = np.nan
        if self._rng.random() < self._drop_rain:
            rain[:] = np.nan
        core = np.s_[..., self._halo : size - self._halo, self._halo : size - self._halo]
        labelled = (~np.isnan(truth) & land)[core]
        fields = [sm, ~np.isnan(sm), land, truth[core], labelled, labelled & hidden[core], rain, ~np.isnan(rain)]
        if self._rng.random() < 0.5:
            fields = [field[..., ::-1] for field in fields]
        if self._rng.random() < 0.5:
            fields = [field[..., ::-1, :] for field in fields]
        return tuple(np.nan_to_num(field) if field.dtype == np.float32 else field for field in fields)
