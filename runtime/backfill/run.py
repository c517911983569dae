"""The backfill: a range of days is planned and published here, and computed by the workers of a cluster."""

from __future__ import annotations

import datetime as dt
import shutil

from runtime.archive.paths import ArchivePaths
from runtime.backfill.cluster import ClusterChoice, open_cluster
from runtime.backfill.days import ClusterFill
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.config import Config
from runtime.pipeline.run import FillWay, Outcome, fill_archive

_NO_LIMIT = 1e6
"""Minutes that a backfill may take: `policy.max_run_minutes` is the daily job's."""

_LEAST_CHUNK = 120


def backfill_archive(
    config: Config,
    wanted: DateRange,
    today: dt.date,
    events: RunEvents,
    choice: ClusterChoice,
    *,
    block: int = 8,
    offline: bool = False,
) -> Outcome:
    """Fill the stale days of a range on a cluster; the archive gets the bytes that `fill_archive` gives.

    Killed at any point, it goes on when it is called again: days that are computed and not published are kept in the
    archive's folder ``.staging``.

    Parameters
    ----------
    config : Config
        The configuration.
    wanted : DateRange
        The days.
    today : date
        The current day, UTC.
    events : RunEvents
        Receives how the run goes.
    choice : ClusterChoice
        The cluster.
    block : int
        Days in a row that are computed at a time: by one worker, or tile by tile by all of them if the network carries
        a memory.
    offline : bool
        Use only files that have been fetched.

    Returns
    -------
    Outcome
        As of `fill_archive`.

    Raises
    ------
    ConfigError
        Dask is not installed.
    SeamlessError
        The cluster does not answer, or lost all its workers; days already published stay.
    """
    config = config.model_copy(update={"policy": config.policy.model_copy(update={"max_run_minutes": _NO_LIMIT})})
    with open_cluster(choice) as client:
        fill = ClusterFill(client, block, choice.threads_each, choice.workers or 1)
        chunk = max(_LEAST_CHUNK, 8 * block * (choice.workers or 1))
        outcome = fill_archive(config, wanted, today, events, offline=offline, way=FillWay(fill, chunk))
    if not outcome.unfinished:
        shutil.rmtree(ArchivePaths.of(config).staging, ignore_errors=True)
    return outcome
