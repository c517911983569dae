"""Samples: patches of consecutive days from training archives, with a part of the observations hidden.

Sample number n depends on the seed and on n only. So a killed run can be resumed with the sample it would have drawn
next, and several processes can share one sequence of samples.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from runtime.common import digest
from runtime.common.grid import Bools, Floats
from runtime.demo.gaps import strips
from training.samples.archive import TrainingArchive
from training.samples.simulate import LARGEST, STEP, simulated

HIDDEN = (0.3, 0.7)
"""Smallest and largest share of a patch that is hidden, as published."""
_LEAST_HIDDEN = 0.05
"""Smallest share of the observed cells of a patch that the gaps of a near day must hide."""
_FACTORS = (0.6, 1.0)
"""Smallest and largest factor of `Choices.rescaled`; larger ones would take values to the retrieval's upper limit."""
_POROSITY, _DRYING_DAYS, _RAIN_DEPTH = 0.5, 5.0, 22.0
"""m3 m-3, days, mm; the middle of the values of the synthetic world."""


@dataclass(frozen=True)
class Geometry:
    """The size of a sample."""

    patch: int
    """Cells with labels, along each axis."""
    context: int
    """Cells around them, on every side."""
    days: int
    """Days per sample."""
    label: int | None
    """Index of the one day to fill; None if every day of the sequence is filled."""


Fraction = Annotated[float, Field(ge=0, le=1)]


class Choices(BaseModel):
    """How samples are chosen, and what is hidden in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_observed: Fraction = 0.3
    """Smallest share of the patch that is observed land on day T; 1 takes complete land patches only, as published."""
    real_masks: Fraction = 0.5
    """Share of samples in which the gaps of another day are hidden; in the others, strips like those between swaths."""
    mask_days: int = Field(default=0, ge=0)
    """Largest distance in days of that other day, most often the next; 0 takes any day, if its gaps are 30-70 % of the
    patch, as published."""
    foreign_masks: Fraction = 0.0
    """Share of samples in which the gaps of any day at any place of the globe are hidden."""
    strip_period: tuple[float, float] | None = None
    """Smallest and largest distance from strip to strip, cells; unset: 0.4 to 1.4 times the patch, as published."""
    simulated: Fraction = 0.0
    """Share of samples with simulated values (`training.samples.simulate`) in place of the real ones."""
    simulated_first: int = Field(default=0, ge=0)
    """Number of samples at the beginning of the sequence that are all simulated."""
    real_last: int = Field(default=0, ge=0)
    """Number of the sample after which none is simulated; 0 is never."""
    backwards: Fraction = 0.0
    """Share of samples of an archive without rain in which the days run backwards, window kind only. Noise knows no
    direction of time, so this doubles the windows with a long past."""
    rescaled: Fraction = 0.0
    """Share of samples whose soil moisture is multiplied by a factor of 0.6 to 1: no value can be known by heart."""
    drop_future: Fraction = 0.0
    """Share of samples without some or all of the days after T, as in a fill on the day itself."""
    drop_days: Fraction = 0.0
    """Share of samples in which one day other than T is absent."""
    drop_rain: Fraction = 0.0
    """Share of samples without rain data."""
    soil: bool = False
    """Whether labels stand for the soil instead of that day's retrieval, window kind only: the truth in all gaps where
    the archive knows it, else retrievals of a day that is hidden as a whole, so that nothing tells their errors."""
    storms: Fraction = 0.0
    """Share of samples of an archive without rain that get the rain of another archive and the wetness that this rain
    brings. If only synthetic soil has rain, a network without such samples takes rain as a sign of synthetic soil."""


@dataclass(frozen=True)
class SampleSource:
    """A training archive, the days of it that are read, and how often samples are drawn from it."""

    archive: TrainingArchive
    first: dt.date | None = None
    """First day that is a label, an input or a mask; the archive's first if None."""
    last: dt.date | None = None
    """Last such day; the archive's last if None."""
    weight: float = 1.0
    """How often samples are drawn from this source, relative to the others."""


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
        A source has no patch with as many observations as `choices` want, or `choices` ask for labels of the soil where
        every day of a sequence is filled.
    """

    def __init__(self, sources: Sequence[SampleSource], geometry: Geometry, choices: Choices, seed: int) -> None:
        if choices.soil and geometry.label is None:
            raise ValueError("samples.soil is for networks that fill one day of a window")
        self._sources, self._geometry, self._choices, self._seed = list(sources), geometry, choices, seed
        self._days = [_days_of(source) for source in sources]
        self._places = [_find_places(source, geometry, choices.min_observed) for source in sources]
        for source, places in zip(sources, self._places, strict=True):
            if not len(places):
                raise ValueError(
                    f"{source.archive.source}: no patch of {geometry.patch} cells is {choices.min_observed:.0%} "
                    f"observed land on a day that may carry labels; lower samples.min_observed, or give more days"
                )
        self._rainy = [number for number, source in enumerate(sources) if source.archive.has_rain]
        if choices.storms and not self._rainy:
            raise ValueError("samples.storms needs a source with rain; add one, a synthetic world for example")
        weights = np.array([source.weight for source in sources])
        self._shares = weights / weights.sum()

    def __len__(self) -> int:
        """Return how many different places samples can come from; this many samples are an epoch."""
        return sum(len(places) for places in self._places)

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
        return self._sources[source].archive.rain(first, shape.days, row, col, shape.patch + 2 * shape.context)

    def _draw_sample(
        self, rng: np.random.Generator, source: int, first: int, row: int, col: int, is_simulated: bool
    ) -> tuple[Floats, ...]:
        """Return a patch of an archive with a random part of its observations hidden."""
        shape, choices, archive = self._geometry, self._choices, self._sources[source].archive
        size, label = shape.patch + 2 * shape.context, shape.label
        own, days = self._days[source], range(first, first + shape.days)
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
        hidden = np.stack([_cells_to_hide(rng, archive, own, days[k], row, col, size, choices) for k in labels])
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
        if rng.random() < 0.5:
            values = [value[..., ::-1] for value in values]
        if rng.random() < 0.5:
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


def _cells_to_hide(
    rng: np.random.Generator,
    archive: TrainingArchive,
    own: range,
    day: int,
    row: int,
    col: int,
    size: int,
    choices: Choices,
) -> Bools:
    """Return the cells to hide: the gaps of another day or place, or strips if those are too few or too many."""
    kind = rng.random()
    if kind < choices.real_masks:
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
        gaps = ~archive.observed(int(rng.choice(own)), rows, cols, size)
        gaps &= archive.grid.land[rows : rows + size, cols : cols + size]
        if gaps.mean() > _LEAST_HIDDEN:
            return gaps
    return strips(rng, (size, size), HIDDEN, choices.strip_period or (0.4 * size, 1.4 * size))


def _days_of(source: SampleSource) -> range:
    """Return the positions of the days that a source may be read on: no other one is input, label or mask."""
    archive = source.archive
    first = 0 if source.first is None else max(archive.index(source.first), 0)
    last = len(archive) - 1 if source.last is None else min(archive.index(source.last), len(archive) - 1)
    return range(first, last + 1)


def _find_places(source: SampleSource, geometry: Geometry, min_observed: float) -> NDArray[np.int32]:
    """Return (first day, row, column) of every patch that samples may come from.

    The result is kept in the archive's folder: a second call reads it from there.
    """
    archive, label = source.archive, geometry.label
    first, last = _days_of(source).start, _days_of(source).stop - 1
    if label is None:  # every day of the sequence carries labels
        starts, labelled = range(first, last - geometry.days + 2), geometry.days // 2
    else:
        starts, labelled = range(first - label, last - label + 1), label
    key = digest.of_values(archive.source, (starts.start, starts.stop), vars(geometry), min_observed)
    cached = archive.folder / f"places-{key[:16]}.npy"
    if cached.exists():
        return np.asarray(np.load(cached, mmap_mode="r"))
    parts = [np.empty((0, 3), np.int32)]
    for start in starts:
        row, col = _observed_patches(archive, start + labelled, geometry, min_observed)
        parts.append(np.stack([np.full(len(row), start), row, col], 1).astype(np.int32))
    places = np.concatenate(parts)
    part = cached.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, places)
    part.replace(cached)
    return places


def _observed_patches(
    archive: TrainingArchive, day: int, geometry: Geometry, min_observed: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of the patches, context included, with enough observed land on a day."""
    size, stride = geometry.patch + 2 * geometry.context, max(1, geometry.patch // 4)
    top = np.arange(0, archive.grid.shape[0] - size + 1, stride)[:, None] + geometry.context
    left = np.arange(0, archive.grid.shape[1] - size + 1, stride)[None] + geometry.context
    bottom, right = top + geometry.patch, left + geometry.patch
    # Sums from the grid's corner to each cell: four of them give the count of any rectangle.
    total = np.zeros((archive.grid.shape[0] + 1, archive.grid.shape[1] + 1), np.int32)
    total[1:, 1:] = (archive.observed(day) & archive.grid.land).cumsum(0, np.int32).cumsum(1, np.int32)
    count = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    row, col = np.nonzero(count >= min_observed * geometry.patch**2)
    return row * stride, col * stride
