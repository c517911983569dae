"""What a backfill would cost: the plan, the bytes that are read, and a few days that are computed and thrown away."""

from __future__ import annotations

import datetime as dt
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.backfill.links import compute_links
from runtime.backfill.task import compute_tasks
from runtime.backfill.work import TaskMaker
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.config import Config
from runtime.inputs.day_input import Ready
from runtime.pipeline.context import RunContext
from runtime.pipeline.plan import Action, PlannedDay, plan_days
from runtime.pipeline.selection import select_days

_MEASURED = 3


@dataclass(frozen=True)
class Cost:
    """What a backfill would take."""

    days: int
    """Days to fill."""
    tasks: int
    """Blocks of days that workers compute."""
    to_fetch: int
    """Files that are not on this machine."""
    bytes_read: int
    """Size of the files that are."""
    seconds_per_day: float | None
    """What a worker of this machine takes for a day: the median of three; None if no day has all of its files."""


def estimate_cost(
    config: Config, wanted: DateRange, today: dt.date, events: RunEvents, block: int, *, offline: bool = False
) -> Cost:
    """Return what filling a range on a cluster would take; nothing is changed.

    Parameters and errors are those of `runtime.backfill.run.backfill_archive`.
    """
    with Catalog.open(ArchivePaths.of(config).catalog, read_only=True) as catalog:
        run = RunContext.open(config, catalog, today, events, offline=offline)
        days = [day for day in plan_days(run, select_days(run, wanted)) if day.action is Action.FILL]
        here = [day for day in days if not day.to_be_fetched]
        return Cost(
            days=len(days),
            tasks=-(-len(days) // block),
            to_fetch=len({pending.file.key for day in days for pending in day.to_be_fetched}),
            bytes_read=_bytes_read(days),
            seconds_per_day=_measure(run, here) if here else None,
        )


def _bytes_read(days: Sequence[PlannedDay]) -> int:
    read = [file.file for day in days for each in day.reads for file in each.files if isinstance(file, Ready)]
    paths = {Path(file.granule.location) for file in read if file.listing.feed.in_place}
    return sum(path.stat().st_size for path in paths if path.exists())


def _measure(run: RunContext, days: Sequence[PlannedDay]) -> float:
    """Return how long a worker computes a day, seconds; a first one, which opens the network, is not counted."""
    numbers = np.unique(np.linspace(0, len(days) - 1, _MEASURED + 1).astype(int))
    took = []
    with tempfile.TemporaryDirectory() as folder:
        maker = TaskMaker(run, Path(folder))
        settings = replace(maker.settings, states=Path(folder, "states"))
        for number in numbers:
            began = time.perf_counter()
            if run.models.carry_state:  # as if each were the first day of the chain
                compute_links(settings, [replace(maker.links(days[number])[-1], upstream=None)])
            else:
                compute_tasks(settings, [maker.task(days[number])])
            took.append(time.perf_counter() - began)
    return statistics.median(took[1:] or took)
