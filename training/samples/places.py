"""The places that samples come from: patches and days with enough observed land.

SGD-SM 1.0 (doi:10.5194/essd-13-1385-2021) takes patches of 40 x 40 cells whose land is undamaged on the day to fill,
SGD-SM 2.0 (doi:10.5194/essd-14-4473-2022) patches whose land is on seven days in a row.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.common import digest
from runtime.common.grid import Bools
from training.samples.choices import Choices, Geometry, SampleSource

Places = NDArray[np.int32]
"""Shape (n, 3): the position of a day in the archive, and the row and column of a patch, context included."""


def find_places(source: SampleSource, geometry: Geometry, choices: Choices) -> Places:
    """Return every place that samples may come from: its first day, and where its patch is.

    The result is kept in the archive's folder: a second call reads it from there.

    Parameters
    ----------
    source : SampleSource
        The archive and its days.
    geometry : Geometry
        Size of a sample. Patches begin at every fourth part of their width.
    choices : Choices
        How much land of the patch must be observed, and on which days.

    Returns
    -------
    int32 array, shape (n, 3)
        First day of the sample, row and column of the patch, context included.

    Raises
    ------
    ValueError
        There is no such place.
    """
    days, middle = source.days, geometry.middle
    # of a sequence every day carries a label, of a window one does: its other days may be outside the source
    starts = range(days.start - middle, days.stop - middle)
    if geometry.label is None:
        starts = range(days.start, days.stop - geometry.days + 1)
    key = [source.archive.source, (days.start, days.stop), vars(geometry), choices.min_observed, choices.complete_days]
    places = load_or_make(source.archive.folder, "places", key, lambda: _find(source, geometry, choices, starts))
    if not len(places):
        raise ValueError(f"{source.archive.source}: {_why_none(source, geometry, choices)}")
    return places


def count_in_squares(cells: Bools, size: int) -> NDArray[np.int32]:
    """Return how many cells of every square are True.

    Parameters
    ----------
    cells : bool array, shape (H, W)
        The cells to count.
    size : int
        Cells along each axis of a square.

    Returns
    -------
    int32 array, shape (H - size + 1, W - size + 1)
        The count of the square whose upper left cell is there; empty if the squares are larger than the grid.
    """
    if min(cells.shape) < size:
        return np.empty((0, 0), np.int32)
    # Sums from the grid's corner to each cell: four of them give the count of any rectangle.
    total = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), np.int32)
    total[1:, 1:] = cells.cumsum(0, np.int32).cumsum(1, np.int32)
    return total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]


def inside_context(counts: NDArray[np.int32], geometry: Geometry, stride: int = 1) -> NDArray[np.int32]:
    """Return of the counts of all patches those of every `stride`-th patch whose context is on the grid."""
    edge = geometry.context
    rows, cols = counts.shape
    return counts[edge : max(rows - edge, 0) : stride, edge : max(cols - edge, 0) : stride]


def load_or_make(folder: Path, name: str, key: list[object], make: Callable[[], Places]) -> Places:
    """Return the places of a file in an archive's folder; make and write them if there is no file for this key."""
    file = folder / f"{name}-{digest.of_values(*key)[:16]}.npy"
    if not file.exists():
        places = make()
        part = file.with_suffix(f".{os.getpid()}.part")  # several processes may make the same file
        with part.open("wb") as opened:
            np.save(opened, places)
        part.replace(file)
    return np.asarray(np.load(file, mmap_mode="r"))


def _find(source: SampleSource, geometry: Geometry, choices: Choices, starts: range) -> Places:
    archive, patch = source.archive, geometry.patch
    stride = max(1, patch // 4)
    land = inside_context(count_in_squares(archive.grid.land, patch), geometry, stride)

    @lru_cache(maxsize=geometry.days)
    def observed(day: int) -> NDArray[np.int32]:
        return inside_context(count_in_squares(archive.observed(day) & archive.grid.land, patch), geometry, stride)

    parts = [np.empty((0, 3), np.int32)]
    for start in starts:
        middle = start + geometry.middle
        chosen = observed(middle) >= choices.min_observed * patch**2
        complete = {"none": (), "middle": (middle,), "all": range(start, start + geometry.days)}[choices.complete_days]
        for day in complete:
            chosen = chosen & (observed(day) == land if day in source.days else False)
        row, col = np.nonzero(chosen)
        parts.append(np.stack([np.full(len(row), start), row * stride, col * stride], 1).astype(np.int32))
    return np.concatenate(parts)


def _why_none(source: SampleSource, geometry: Geometry, choices: Choices) -> str:
    """Return why a source has no place, and what to do."""
    share = f"{choices.min_observed:.0%}"
    if choices.complete_days != "all":
        complete = " and has no gap on land" if choices.complete_days == "middle" else ""
        return (
            f"no patch of {geometry.patch} cells is {share} observed land{complete} on a day that may carry labels; "
            "lower samples.min_observed, or give more days"
        )
    found = len(find_places(source, geometry, choices.model_copy(update={"complete_days": "middle"})))
    return (
        f"0 of {found} places (patches of {geometry.patch} cells, at least {share} land, without a gap on land on the "
        f"middle day) are without a gap on all {geometry.days} days; give more days, or set samples.complete_days to "
        "'middle'"
    )
