"""What is hidden in a sample: the real gaps of another place or day, or strips like those between swaths.

SGD-SM 1.0 (doi:10.5194/essd-13-1385-2021) hides masks of a pool: 10,000 real masks of 40 x 40 cells, 30-70 % of them
gaps. SGD-SM 2.0 (doi:10.5194/essd-14-4473-2022) has 30,000.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools
from runtime.demo.gaps import strips
from training.samples.choices import Choices, Geometry, SampleSource
from training.samples.places import Places, count_in_squares, inside_context, load_or_make

HIDDEN = (0.3, 0.7)
"""Smallest and largest share of a patch that is hidden, as published."""
_LEAST_HIDDEN = 0.05
"""Smallest share of the observed cells of a patch that the gaps of a near day must hide."""


@dataclass(frozen=True)
class MaskPool:
    """Numbered real masks of one source."""

    source: SampleSource
    """Where they come from."""
    geometry: Geometry
    """Size of a sample."""
    places: Places
    """Day, row and column of each mask, context included."""

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.places)

    def mask(self, number: int) -> Bools:
        """Return the gaps on land of a mask's patch and of the context around it, shape (size, size)."""
        day, row, col = (int(value) for value in self.places[number])
        return gaps_on_land(self.source, day, row, col, self.geometry.size)

    def shares(self) -> NDArray[np.float64]:
        """Return the hidden share of the patch, without its context, of every mask; shape (n,), in order."""
        edge, size = self.geometry.context, self.geometry.size
        core = np.s_[edge : size - edge, edge : size - edge]
        return np.array([self.mask(number)[core].mean() for number in range(len(self))])


def draw_pool(source: SampleSource, geometry: Geometry, number: int, seed: int) -> MaskPool:
    """Return masks drawn at random from all days and places of a source; no two are the same place and day.

    A mask comes from a patch without sea, so that each of its cells is an observation or a gap, and none of its edges a
    coast. The places are kept in the archive's folder: a second call reads them from there.

    Parameters
    ----------
    source : SampleSource
        The archive and its days.
    geometry : Geometry
        Size of a sample.
    number : int
        Number of masks.
    seed : int
        Seed of the draw.

    Returns
    -------
    MaskPool
        The masks; 30-70 % of the cells of each one's patch are gaps.

    Raises
    ------
    ValueError
        The source does not have that many.
    """
    key = [source.archive.source, (source.days.start, source.days.stop), vars(geometry), number, seed]
    places = load_or_make(source.archive.folder, "masks", key, lambda: _draw_places(source, geometry, number, seed))
    return MaskPool(source, geometry, places)


def draw_mask(
    rng: np.random.Generator,
    source: SampleSource,
    pool: MaskPool | None,
    place: tuple[int, int, int],
    geometry: Geometry,
    choices: Choices,
) -> Bools:
    """Return the cells to hide on a day, as often from each kind of mask as `choices` want.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of random numbers.
    source : SampleSource
        The archive and its days.
    pool : MaskPool or None
        The pool of the source, if `choices` want one.
    place : (int, int, int)
        Position of the day, row and column of the patch, context included.
    geometry : Geometry
        Size of a sample.
    choices : Choices
        How often which kind of mask is taken.

    Returns
    -------
    bool array, shape (size, size)
        True for a cell to hide. Gaps of another day or place; strips where those are too few or too many.
    """
    (day, row, col), size, archive, own = place, geometry.size, source.archive, source.days
    kind = rng.random()
    if kind < choices.real_masks:
        if pool is not None:
            return pool.mask(int(rng.integers(len(pool))))
        if choices.mask_days:
            others = [other for other in own if 0 < abs(other - day) <= choices.mask_days]
            near = np.array([(1.0 + 3.0 * (other == day + 1)) / abs(other - day) for other in others])
            other = int(rng.choice(others, p=near / near.sum())) if others else day
        else:
            other = int(rng.choice(own))
        gaps = ~archive.observed(other, row, col, size)
        if choices.mask_days:
            observed = archive.observed(day, row, col, size)
            if (gaps & observed).sum() > _LEAST_HIDDEN * observed.sum():
                return gaps
        elif HIDDEN[0] < gaps.mean() < HIDDEN[1]:
            return gaps
    elif kind < choices.real_masks + choices.foreign_masks:
        rows, cols = (int(rng.integers(whole - size + 1)) for whole in archive.grid.shape)
        gaps = gaps_on_land(source, int(rng.choice(own)), rows, cols, size)
        if gaps.mean() > _LEAST_HIDDEN:
            return gaps
    return strips(rng, (size, size), HIDDEN, choices.strip_period or (0.4 * size, 1.4 * size))


def gaps_on_land(source: SampleSource, day: int, row: int, col: int, size: int) -> Bools:
    """Return the land cells of a square without an observation on a day, shape (size, size)."""
    land = source.archive.grid.land[row : row + size, col : col + size]
    return ~source.archive.observed(day, row, col, size) & land


def _draw_places(source: SampleSource, geometry: Geometry, number: int, seed: int) -> Places:
    """Return as many places as wanted, all equally likely, of those where 30-70 % of an inland patch are gaps."""
    archive, cells = source.archive, geometry.patch**2
    rng = np.random.default_rng(seed)
    inland = inside_context(count_in_squares(archive.grid.land, geometry.patch), geometry) == cells
    places, keys, found = np.empty((0, 3), np.int32), np.empty(0), 0
    for day in source.days:
        observed = archive.observed(day) & archive.grid.land
        hidden = (cells - inside_context(count_in_squares(observed, geometry.patch), geometry)) / cells
        row, col = np.nonzero(inland & (hidden >= HIDDEN[0]) & (hidden <= HIDDEN[1]))
        found += len(row)
        # Each place has a random key; those with the smallest keys of all days are the pool.
        places = np.concatenate([places, np.stack([np.full(len(row), day), row, col], 1).astype(np.int32)])
        keys = np.concatenate([keys, rng.random(len(row))])
        first = np.argsort(keys)[:number]
        places, keys = places[first], keys[first]
    if found < number:
        raise ValueError(
            f"{archive.source}: only {found} of {number} masks: so many patches of {geometry.patch} cells without sea "
            f"have {HIDDEN[0]:.0%} to {HIDDEN[1]:.0%} gaps; lower samples.mask_pool, or give more days"
        )
    return places
