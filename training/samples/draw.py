"""Samples: patches of consecutive days from training archives, with a part of the observations hidden.

Sample number n depends on the seed and on n only. So a killed run can be resumed with the sample it would have drawn
next, and several processes can share one sequence of samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats
from training.samples.choices import Choices, Geometry, SampleSource
from training.samples.masks import MaskPool, draw_mask, draw_pool
from training.samples.places import find_places
from training.samples.simulate import LARGEST, STEP, simulated

_FACTORS = (0.6, 1.0)
"""Smallest and largest factor of `Choices.rescaled`; larger ones would take values to the retrieval's upper limit."""
_POROSITY, _DRYING_DAYS, _RAIN_DEPTH = 0.5, 5.0, 22.0
"""m3 m-3, days, mm; the middle of the values of the synthetic world."""


@dataclass(frozen=True)
class Batch:
    """Samples for one step; every array is float32 and finite, and its first axis is the samples."""

    sm: Floats
    """(N, T, H, W), m3 m-3, the network's input; 0 where `mask` is 0."""
    mask: Floats
    """(N, T, H, W), 1 for an observation, else 0."""
    land: Floats
    """(N, H, W), 1 for land, else 0."""
    truth: Floats
    """(N, T', H', W'), m3 m-3, the labels; T' is 1 for the window kind."""
    labelled: Floats
    """(N, T', H', W'), 1 on land cells with a label."""
    hidden: Floats
    """(N, T', H', W'), 1 on labelled cells that are hidden from the network."""
    rain: Floats
    """(N, T, H, W), mm/day; 0 where `rain_mask` is 0."""
    rain_mask: Floats
    """(N, T, H, W), 1 for an estimate, else 0."""


class Samples:
    """An endless, numbered sequence of samples.

    Parameters
    ----------
    sources : sequence of SampleSource
        The training archives to draw from.
    geometry : Geometry
        Size of a sample.
    choices : Choices
        How samples are chosen, and what is hidden in them.
    seed : int
        Seed of the sequence.

    Raises
    ------
    ValueError
        A source has no patch with as many observations as `choices` want, or fewer masks, or `choices` ask for labels
        of the soil where every day of a sequence is filled.
    """

    def __init__(self, sources: Sequence[SampleSource], geometry: Geometry, choices: Choices, seed: int) -> None:
        if choices.soil and geometry.label is None:
            raise ValueError("samples.soil is for networks that fill one day of a window")
        self._sources, self._geometry, self._choices, self._seed = list(sources), geometry, choices, seed
        self._places = [find_places(source, geometry, choices) for source in sources]
        self._pools = [
            draw_pool(source, geometry, choices.mask_pool, seed) if choices.mask_pool else None for source in sources
        ]
        self._rainy = [number for number, source in enumerate(sources) if source.archive.has_rain]
        if choices.storms and not self._rainy:
            raise ValueError("samples.storms needs a source with rain; add one, a synthetic world for example")
        weights = np.array([source.weight for source in sources])
        self._shares = weights / weights.sum()

    def __len__(self) -> int:
        """Return how many different places samples can come from; this many samples are an epoch."""
        return sum(len(places) for places in self._places)

    @property
    def pools(self) -> list[MaskPool]:
        """The pools of real masks, one of each source; empty if the choices want none."""
        return [pool for pool in self._pools if pool is not None]

    def hidden_shares(self, count: int) -> NDArray[np.float64]:
        """Return which share of the labelled cells is hidden in the first samples.

        Parameters
        ----------
        count : int
            Number of samples.

        Returns
        -------
        float64 array, shape (n,)
            The share on each day with a label; days without a labelled cell are left out.
        """
        batches = (self.batch(number, 1) for number in range(count))
        counts = np.array([(b.hidden.sum((-2, -1)), b.labelled.sum((-2, -1))) for b in batches])
        hidden, labelled = counts.transpose(1, 0, 2, 3).reshape(2, -1)
        return np.asarray(hidden[labelled > 0] / labelled[labelled > 0])

    def sample(self, number: int) -> tuple[Floats, ...]:
        """Return sample `number`: the fields of a `Batch` without their first axis."""
        rng = np.random.default_rng([self._seed, number])
        source = int(rng.choice(len(self._sources), p=self._shares))
        first, row, col = self._draw_place(rng, source)
        return self._draw_sample(rng, source, first, row, col, self._is_simulated(rng, number))

    def batch(self, first: int, count: int) -> Batch:
        """Return the samples `first` to ``first + count - 1``."""
        return collate([self.sample(number) for number in range(first, first + count)])

    def _is_simulated(self, rng: np.random.Generator, number: int) -> bool:
        """Return whether a sample gets simulated values."""
        choices = self._choices
        if number < choices.simulated_first:
            return True
        over = choices.real_last and number >= choices.real_last
        return not over and choices.simulated > 0 and rng.random() < choices.simulated

    def _draw_place(self, rng: np.random.Generator, source: int) -> tuple[int, int, int]:
        """Return the first day, the row and the column of a random patch of a source."""
        places = self._places[source]
        first, row, col = (int(value) for value in places[rng.integers(len(places))])
        return first, row, col

    def _draw_rain(self, rng: np.random.Generator) -> Floats:
        """Return the rain of a random patch of an archive that has rain."""
        source = int(rng.choice(self._rainy))
        first, row, col = self._draw_place(rng, source)
        shape = self._geometry
        return self._sources[source].archive.rain(first, shape.days, row, col, shape.size)

    def _draw_sample(
        self, rng: np.random.Generator, source: int, first: int, row: int, col: int, is_simulated: bool
    ) -> tuple[Floats, ...]:
        """Return a patch of an archive with a random part of its observations hidden."""
        shape, choices, drawn_from = self._geometry, self._choices, self._sources[source]
        size, label, archive = shape.size, shape.label, drawn_from.archive
        own, days = drawn_from.days, range(first, first + shape.days)
        if label is not None and not archive.has_rain and rng.random() < choices.backwards:
            days = range(first + 2 * label, first + 2 * label - shape.days, -1)
        sm, rain = (
            read(min(days), shape.days, row, col, size)[:: days.step] for read in (archive.soil_moisture, archive.rain)
        )
        for index, day in enumerate(days):
            if day not in own:
                sm[index] = rain[index] = np.nan
        if is_simulated:
            real = archive.soil_moisture(own.start, len(own), row, col, size)
            sm = simulated(real, real[[(day - own.start) % len(own) for day in days]], rng)
        land = archive.grid.land[row : row + size, col : col + size]
        stormy = choices.storms > 0 and not archive.has_rain and rng.random() < choices.storms
        if stormy:
            rain = self._draw_rain(rng)
            sm = wetted(sm, rain)
        labels = list(range(shape.days)) if label is None else [label]
        factor = rng.uniform(*_FACTORS) if choices.rescaled and rng.random() < choices.rescaled else 1.0
        truth = sm[labels].copy()
        pool = self._pools[source]
        hidden = np.stack([draw_mask(rng, drawn_from, pool, (days[k], row, col), shape, choices) for k in labels])
        if choices.soil and label is not None:
            known = None if is_simulated else archive.truth(days[label], row, col, size)
            if known is None:
                hidden[:] = True
            else:
                truth = known[None]
        sm, truth = rescaled(sm, factor), rescaled(truth, factor)
        for index, cells in zip(labels, hidden, strict=True):
            sm[index][cells] = np.nan
        if label is not None:
            _drop_days(rng, sm, label, choices)
        if rng.random() < choices.drop_rain and not stormy:
            rain[:] = np.nan
        core = np.s_[..., shape.context : size - shape.context, shape.context : size - shape.context]
        labelled = (~np.isnan(truth) & land)[core]
        unseen = labelled & np.isnan(sm[labels])[core]
        values = [sm, ~np.isnan(sm), land, truth[core], labelled, unseen, rain, ~np.isnan(rain)]
        if rng.random() < choices.flipped:
            values = [value[..., ::-1] for value in values]
        if rng.random() < choices.flipped:
            values = [value[..., ::-1, :] for value in values]
        return tuple(np.nan_to_num(value.astype(np.float32)) for value in values)


def rescaled(sm: Floats, factor: float) -> Floats:
    """Return soil moisture times a factor; values at the retrieval's upper limit stay there."""
    return np.where(sm < LARGEST - STEP / 2, sm * np.float32(factor), sm)


def wetted(sm: Floats, rain: Floats) -> Floats:
    """Return the soil moisture that this rain would have caused: each storm fills pores, which then dry.

    This is the bucket model of `runtime.demo.world`, with one porosity and one drying time for all soils.

    Parameters
    ----------
    sm : float32 array, shape (T, H, W)
        Soil moisture, m3 m-3, NaN for a gap.
    rain : float32 array, shape (T, H, W)
        Precipitation, mm/day; NaN counts as no rain.

    Returns
    -------
    float32 array, shape (T, H, W)
        Soil moisture, m3 m-3, NaN for a gap.
    """
    seen = np.isfinite(sm)
    mean = np.where(seen, sm, 0).sum(0) / np.maximum(seen.sum(0), 1)
    extra = np.zeros(sm.shape[1:])
    wet = sm.copy()
    for day, amount in enumerate(np.nan_to_num(rain)):
        extra *= np.exp(-1 / _DRYING_DAYS)
        room = (_POROSITY - np.where(seen[day], sm[day], mean) - extra).clip(min=0)
        extra += room * (1 - np.exp(-amount / _RAIN_DEPTH))
        wet[day] += extra.astype(np.float32)
    return wet.clip(max=LARGEST)


def collate(samples: Sequence[tuple[Floats, ...]]) -> Batch:
    """Return samples as a batch."""
    return Batch(**{f.name: np.stack(v) for f, v in zip(fields(Batch), zip(*samples, strict=True), strict=True)})


def _drop_days(rng: np.random.Generator, sm: Floats, label: int, choices: Choices) -> None:
    """Set days other than the labelled one to gaps, in place, as often as `choices` want."""
    days = len(sm)
    if rng.random() < choices.drop_future:
        # Mostly all days after T, as on the day itself; sometimes only the last ones, as on the days after.
        sm[label + 1 + (0 if rng.random() < 0.7 else rng.integers(1, days - label - 1)) :] = np.nan
    if rng.random() < choices.drop_days:
        sm[rng.choice([day for day in range(days) if day != label])] = np.nan
