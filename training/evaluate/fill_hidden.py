"""Judge fillers by hidden observations: bundles and days walk in, what they filled walks out.

Days are filled in this process or by several; the figures are the same.
"""

from __future__ import annotations

import datetime as dt
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy import ndimage

from runtime.bundle import Bundle
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.vocabulary import Tier
from runtime.engines.select import EngineSettings
from runtime.fill.result import Filled
from runtime.fill.statistics import seam_ratio
from runtime.fill.window import days_since_observation
from training.evaluate.hidden import WEIGHTED_MEAN, WITHOUT_RAIN, BundleFiller, Gaps, fit_trees, gaps
from training.evaluate.kinds import KINDS, GapKind
from training.evaluate.references import TODAY, WINDOW, Trees, dct_pls, nearest_day, plain_mean, weighted_mean
from training.evaluate.scores import Cells
from training.evaluate.structure import Structure
from training.samples import TrainingArchive

_LOG = logging.getLogger(__name__)
Field = TypeVar("Field")
"""What a filler returns."""
PLAIN_MEAN, DCT_PLS, TREES = "plain mean", "DCT-PLS", "trees"
"""The references beside the weighted mean, in the words of the report."""


@dataclass(frozen=True)
class Hidden:
    """What an evaluation of hidden observations measured."""

    cells: dict[tuple[Tier, GapKind], Cells]
    """The hidden cells and their filled values, by tier and kind of gap."""
    structures: dict[tuple[Tier, GapKind], Structure]
    """Variogram and spectrum of the hidden and the filled values, by tier and kind of gap."""
    seams: dict[str, list[float]]
    """The seam figure of each day and tier with the first kind of gap, by bundle."""
    seconds: dict[str, list[float]]
    """Seconds that each filling of a day took, by filler. Trees fill the hidden cells only, all others all gaps."""


@dataclass(frozen=True)
class Judged:
    """What fills the days, and how observations are hidden."""

    bundles: Mapping[str, Bundle]
    """By name."""
    archive: TrainingArchive
    """The days."""
    engine: EngineSettings
    kinds: Sequence[GapKind] = KINDS
    dct_pls: bool = True
    """Whether DCT-PLS also fills the real gaps; a day takes most of a minute."""


def fill_hidden(
    judged: Judged, days: Mapping[Tier, Sequence[dt.date]], *, with_trees: bool = True, workers: int = 1
) -> Hidden:
    """Hide observations and fill them with every filler.

    Parameters
    ----------
    judged : Judged
        What fills the days.
    days : mapping
        The days of each tier, in order.
    with_trees : bool
        Whether trees also fill the gaps, fitted for each tier to the days before the first one evaluated.
    workers : int
        Number of processes. With 1 this process does it all.

    Returns
    -------
    Hidden
        The hidden cells and their filled values, and what was measured of the fields.
    """
    wanted = [
        (date, tier)
        for date in sorted({date for dates in days.values() for date in dates})
        for tier, dates in days.items()
        if date in dates
    ]
    found = Hidden({}, {}, {name: [] for name in judged.bundles}, {})
    cells: dict[tuple[Tier, GapKind], list[Cells]] = {}
    for parts in _fill_days(judged, days if with_trees else {}, wanted, workers):
        for part in parts:
            cells.setdefault((part.tier, part.kind), []).append(part.cells)
            found.structures.setdefault((part.tier, part.kind), Structure()).merge(part.structure)
            for name, seam in part.seams.items():
                found.seams[name].append(seam)
            for name, seconds in part.seconds.items():
                found.seconds.setdefault(name, []).append(seconds)
            _LOG.info("%s %s, %s: %d hidden cells", part.date, part.tier, part.kind, len(part.cells.truth))
    found.cells.update({key: Cells.joined(several) for key, several in cells.items()})
    return found


@dataclass(frozen=True)
class _Part:
    """A day of a tier with one kind of gap."""

    date: dt.date
    tier: Tier
    kind: GapKind
    cells: Cells
    structure: Structure
    seams: dict[str, float]
    seconds: dict[str, float]


def _fill_days(
    judged: Judged, fitted: Mapping[Tier, Sequence[dt.date]], wanted: Sequence[tuple[dt.date, Tier]], workers: int
) -> Iterator[list[_Part]]:
    """Fit trees for some tiers to the days before their first one, then fill all days, in order."""
    for tier, dates in fitted.items():
        _LOG.info("fitting trees, %s, to the days before %s", tier, dates[0])
    if workers == 1:
        filling = _Judging(judged)
        trees = {tier: filling.fit(tier, dates[0]) for tier, dates in fitted.items()}
        for date, tier in wanted:
            yield filling.fill(date, tier, trees.get(tier))
        return
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    sent = replace(
        judged,
        archive=replace(judged.archive),  # a new one has not mapped its arrays, which would be sent as a whole
        engine=replace(judged.engine, threads=threads),
    )
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=_prepare_process, initargs=(sent,)) as pool:
        fits = {tier: pool.submit(_fit_in_process, tier, dates[0]) for tier, dates in fitted.items()}
        trees = {tier: fit.result() for tier, fit in fits.items()}
        for filled in [pool.submit(_fill_in_process, date, tier, trees.get(tier)) for date, tier in wanted]:
            yield filled.result()


_JUDGING: list[_Judging] = []
"""What a process of its own has opened."""


def _prepare_process(judged: Judged) -> None:
    _JUDGING.append(_Judging(judged))


def _fit_in_process(tier: Tier, before: dt.date) -> Trees:
    return _JUDGING[0].fit(tier, before)


def _fill_in_process(date: dt.date, tier: Tier, trees: Trees | None) -> list[_Part]:
    return _JUDGING[0].fill(date, tier, trees)


class _Judging:
    """Everything that fills a day, opened once for many."""

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        self._fillers = [
            BundleFiller(name, bundle, judged.archive, judged.engine) for name, bundle in judged.bundles.items()
        ]

    def fit(self, tier: Tier, before: dt.date) -> Trees:
        """Fit trees to the days before a date."""
        return fit_trees(self._judged.archive, tier, before)

    def fill(self, date: dt.date, tier: Tier, trees: Trees | None) -> list[_Part]:
        """Hide observations of a day and fill them with every filler."""
        archive, kinds, parts = self._judged.archive, self._judged.kinds, []
        for kind in kinds:
            hidden, seconds, structure = gaps(archive, date, tier, kind), dict[str, float](), Structure()
            filled = dict(_timed(_fill_with_bundles(self._fillers, hidden, archive.has_rain), seconds))
            with_dct = self._judged.dct_pls and kind == GapKind.REAL
            references = dict(_timed(_fill_with_references(hidden, archive.grid.land, trees, with_dct), seconds))
            structure.add(hidden.truth, {name: day.soil_moisture for name, day in filled.items()} | references)
            cells = _collect(hidden, archive.grid, filled, references)
            seams = self._seams(filled) if kind == kinds[0] else {}
            parts.append(_Part(date, tier, kind, cells, structure, seams, seconds))
        return parts

    def _seams(self, filled: Mapping[str, Filled]) -> dict[str, float]:
        cores = {filler.name: filler.bundle.manifest.tile_core for filler in self._fillers}
        return {name: seam_ratio(filled[name], (core, core)) for name, core in cores.items()}


def _timed(fields: Iterator[tuple[str, Field]], seconds: dict[str, float]) -> Iterator[tuple[str, Field]]:
    """Yield names and fields, and note how long each of them took."""
    while True:
        start = time.perf_counter()
        named = next(fields, None)
        if named is None:
            return
        seconds[named[0]] = time.perf_counter() - start
        yield named


def _fill_with_bundles(fillers: Sequence[BundleFiller], hidden: Gaps, has_rain: bool) -> Iterator[tuple[str, Filled]]:
    """Yield the name and a day filled by every bundle, and also without rain by those that take rain."""
    for filler in fillers:
        yield filler.name, filler.fill(hidden)
        if filler.takes_rain and has_rain:
            yield filler.name + WITHOUT_RAIN, filler.fill(hidden, with_rain=False)


def _fill_with_references(
    hidden: Gaps, land: Bools, trees: Trees | None, with_dct_pls: bool
) -> Iterator[tuple[str, Floats]]:
    """Yield the name and the field of every filler that is no bundle."""
    yield WEIGHTED_MEAN, weighted_mean(hidden.frames)
    yield PLAIN_MEAN, plain_mean(hidden.frames)
    if trees:
        yield TREES, trees.fill(hidden.frames, np.isfinite(hidden.truth))
    if with_dct_pls:
        yield DCT_PLS, dct_pls(hidden.frames, land)


def _collect(hidden: Gaps, grid: Grid, filled: dict[str, Filled], references: dict[str, Floats]) -> Cells:
    """Return the hidden cells of a day with the values of all fillers."""
    where = np.isfinite(hidden.truth)
    age = days_since_observation(hidden.frames, WINDOW)
    columns = {
        "latitude": np.broadcast_to(grid.latitudes[:, None], grid.shape),
        "age": np.where(age < 0, 99, age),
        "nearest": nearest_day(hidden.frames),
        "distance": ndimage.distance_transform_edt(np.isnan(hidden.frames[TODAY])),
        "rain": hidden.rain[TODAY],
        "wetness": references[WEIGHTED_MEAN],
    }
    return Cells(
        hidden.truth[where],
        {name: np.asarray(values[where], np.float32) for name, values in columns.items()},
        {
            **{name: day.soil_moisture[where] for name, day in filled.items()},
            **{name: values[where] for name, values in references.items()},
        },
        {name: day.uncertainty[where] for name, day in filled.items() if day.uncertainty is not None},
    )
