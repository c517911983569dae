"""Samples: patches of consecutive days from records, with a part of what was observed hidden.

Sample number n is a function of the seed and n alone, so that a run can go on where it was killed, and several
processes can share one sequence of samples.
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

HIDDEN = (0.3, 0.7)
"""Share of a patch that is hidden, as published."""
_POROSITY, _DRYING_DAYS, _RAIN_DEPTH = 0.5, 5.0, 22.0
"""m3 m-3, days, mm; the middle of what the synthetic world has."""
_SATURATED = 0.99
"""m3 m-3, the largest value of a retrieval."""


@dataclass(frozen=True)
class Geometry:
    """What a sample of a network looks like."""

    patch: int
    """Cells with labels, per axis."""
    context: int
    """Cells around them, on every side."""
    days: int
    """Days per sample."""
    label: int | None
    """Index of the one day to fill; None for every day of the sequence."""


Fraction = Annotated[float, Field(ge=0, le=1)]


class Choices(BaseModel):
    """How samples are chosen and what is hidden in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_observed: Fraction = 0.3
    """Share of the patch that is observed land on day T; 1 takes complete land patches only, as published."""
    real_masks: Fraction = 0.5
    """Share of samples whose hidden cells are the gaps of another day; the rest have swath-like strips."""
    drop_future: Fraction = 0.0
    """Share of samples whose days after T are not there, as on the day itself."""
    drop_days: Fraction = 0.0
    """Share of samples of which one day beside T is not there."""
    drop_rain: Fraction = 0.0
    """Share of samples without rain data."""
    storms: Fraction = 0.0
    """Share of samples of a record without rain that get the rain of another record, and the wetness it brings. Without
    them a network takes rain as a sign that soil is not real, where only synthetic soil comes with rain."""


@dataclass(frozen=True)
class SampleSource:
    """A record, the days of it that may carry labels, and how often it is drawn from."""

    record: TrainingArchive
    first: dt.date | None = None
    last: dt.date | None = None
    weight: float = 1.0


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


class Samples:
    """An endless, numbered sequence of samples.

    Raises
    ------
    ValueError
        A source has no patch that is observed as asked.
    """

    def __init__(self, sources: Sequence[SampleSource], geometry: Geometry, choices: Choices, seed: int) -> None:
        self._sources, self._geometry, self._choices, self._seed = list(sources), geometry, choices, seed
        self._places = [_places(source, geometry, choices.min_observed) for source in sources]
        for source, places in zip(sources, self._places, strict=True):
            if not len(places):
                raise ValueError(
                    f"{source.record.source}: no patch of {geometry.patch} cells is {choices.min_observed:.0%} "
                    f"observed land on a day that may carry labels; lower samples.min_observed, or give more days"
                )
        self._rainy = [number for number, source in enumerate(sources) if source.record.has_rain]
        if choices.storms and not self._rainy:
            raise ValueError("samples.storms needs a source with rain; add one, a synthetic world for example")
        weights = np.array([source.weight for source in sources])
        self._shares = weights / weights.sum()

    def __len__(self) -> int:
        """Return how many different places there are; an epoch."""
        return sum(len(places) for places in self._places)

    def sample(self, number: int) -> tuple[Floats, ...]:
        """Return sample `number`, the fields of a `Batch` without their first axis."""
        rng = np.random.default_rng([self._seed, number])
        chosen = int(rng.choice(len(self._sources), p=self._shares))
        places = self._places[chosen]
        first, row, col = (int(v) for v in places[rng.integers(len(places))])
        return self._draw(rng, self._sources[chosen].record, first, row, col)

    def _rain_of_another(self, rng: np.random.Generator) -> Floats:
        number = int(rng.choice(self._rainy))
        first, row, col = (int(v) for v in self._places[number][rng.integers(len(self._places[number]))])
        shape = self._geometry
        return self._sources[number].record.rain(first, shape.days, row, col, shape.patch + 2 * shape.context)

    def batch(self, first: int, count: int) -> Batch:
        """Return `count` samples from number `first` on."""
        return collate([self.sample(number) for number in range(first, first + count)])

    def _draw(
        self, rng: np.random.Generator, record: TrainingArchive, first: int, row: int, col: int
    ) -> tuple[Floats, ...]:
        shape, choices = self._geometry, self._choices
        size, label = shape.patch + 2 * shape.context, shape.label
        sm = record.soil_moisture(first, shape.days, row, col, size)
        rain = record.rain(first, shape.days, row, col, size)
        land = record.grid.land[row : row + size, col : col + size]
        stormy = choices.storms > 0 and not record.has_rain and rng.random() < choices.storms
        if stormy:
            rain = self._rain_of_another(rng)
            sm = wetted(sm, rain)
        labels = list(range(shape.days)) if label is None else [label]
        truth = sm[labels].copy()
        hidden = np.stack([_hide(rng, record, row, col, size, choices.real_masks) for _ in labels])
        for index, hide in zip(labels, hidden, strict=True):
            sm[index][hide] = np.nan
        if label is not None and rng.random() < choices.drop_future:
            # Mostly the whole future, the day itself; sometimes its end, the days after.
            sm[label + 1 + (0 if rng.random() < 0.7 else rng.integers(1, shape.days - label - 1)) :] = np.nan
        if label is not None and rng.random() < choices.drop_days:
            sm[rng.choice([day for day in range(shape.days) if day != label])] = np.nan
        if rng.random() < choices.drop_rain and not stormy:
            rain[:] = np.nan
        core = np.s_[..., shape.context : size - shape.context, shape.context : size - shape.context]
        labelled = (~np.isnan(truth) & land)[core]
        values = [sm, ~np.isnan(sm), land, truth[core], labelled, labelled & hidden[core], rain, ~np.isnan(rain)]
        if rng.random() < 0.5:
            values = [value[..., ::-1] for value in values]
        if rng.random() < 0.5:
            values = [value[..., ::-1, :] for value in values]
        return tuple(np.nan_to_num(value.astype(np.float32)) for value in values)


def wetted(sm: Floats, rain: Floats) -> Floats:
    """Return soil moisture as it would be had this rain fallen as well: each storm fills pores, and dries off.

    The bucket of `runtime.demo.world`, with one porosity and one drying time for all soils.

    Parameters
    ----------
    sm : (T, H, W), m3 m-3, NaN for a gap
    rain : (T, H, W), mm/day, NaN counts as none
    """
    seen = np.isfinite(sm)
    usual = np.where(seen, sm, 0).sum(0) / np.maximum(seen.sum(0), 1)
    extra = np.zeros(sm.shape[1:])
    out = sm.copy()
    for day, fallen in enumerate(np.nan_to_num(rain)):
        extra *= np.exp(-1 / _DRYING_DAYS)
        room = (_POROSITY - np.where(seen[day], sm[day], usual) - extra).clip(min=0)
        extra += room * (1 - np.exp(-fallen / _RAIN_DEPTH))
        out[day] += extra.astype(np.float32)
    return out.clip(max=_SATURATED)


def collate(samples: Sequence[tuple[Floats, ...]]) -> Batch:
    """Return samples as a batch."""
    return Batch(**{f.name: np.stack(v) for f, v in zip(fields(Batch), zip(*samples, strict=True), strict=True)})


def _hide(rng: np.random.Generator, record: TrainingArchive, row: int, col: int, size: int, real_masks: float) -> Bools:
    """Return cells to hide: the gaps another day has here, or swath-like strips where those do not fit."""
    if rng.random() < real_masks:
        gaps = ~record.observed(int(rng.integers(len(record))), row, col, size)
        if HIDDEN[0] < gaps.mean() < HIDDEN[1]:
            return gaps
    return strips(rng, (size, size), HIDDEN, (0.4 * size, 1.4 * size))


def _places(source: SampleSource, geometry: Geometry, min_observed: float) -> NDArray[np.int32]:
    """Return (first day, row, column) of every patch that may be drawn; kept beside the record once it was found."""
    record = source.record
    label = geometry.label
    first = 0 if source.first is None else record.index(source.first)
    last = len(record) - 1 if source.last is None else record.index(source.last)
    if label is None:  # every day of the sequence carries labels
        starts, look = range(max(first, 0), min(last, len(record) - 1) - geometry.days + 2), geometry.days // 2
    else:
        starts, look = range(max(first, 0) - label, min(last, len(record) - 1) - label + 1), label
    key = digest.of_values(record.source, (starts.start, starts.stop), vars(geometry), min_observed)
    kept = record.folder / f"places-{key[:16]}.npy"
    if kept.exists():
        return np.asarray(np.load(kept, mmap_mode="r"))
    size, stride = geometry.patch + 2 * geometry.context, max(1, geometry.patch // 4)
    rows = np.arange(0, record.grid.shape[0] - size + 1, stride)[:, None] + geometry.context
    cols = np.arange(0, record.grid.shape[1] - size + 1, stride)[None] + geometry.context
    found = [np.empty((0, 3), np.int32)]
    for start in starts:
        total = np.zeros((record.grid.shape[0] + 1, record.grid.shape[1] + 1), np.int32)
        total[1:, 1:] = (record.observed(start + look) & record.grid.land).cumsum(0, np.int32).cumsum(1, np.int32)
        bottom, right = rows + geometry.patch, cols + geometry.patch
        count = total[bottom, right] - total[rows, right] - total[bottom, cols] + total[rows, cols]
        row, col = np.nonzero(count >= min_observed * geometry.patch**2)
        found.append(np.stack([np.full(len(row), start), row * stride, col * stride], 1).astype(np.int32))
    places = np.concatenate(found)
    part = kept.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, places)
    part.replace(kept)
    return places
