"""Fetching input files without filling."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from runtime.archive.lock import open_for_writing
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.config import Config
from runtime.inputs.day_input import DayInput, Refused, to_be_fetched
from runtime.inputs.feeds.base import Granule
from runtime.pipeline.context import RunContext
from runtime.pipeline.plan import plan_days
from runtime.pipeline.selection import select_days


@dataclass(frozen=True)
class FetchResult:
    """What `fetch_inputs` did."""

    files: list[Granule]
    """Files that the feeds have and this machine had not."""
    failed: list[str]
    """Why feeds did not answer, and why files could not be fetched."""
    refused: list[str]
    """Why files were refused."""


def fetch_inputs(
    config: Config, wanted: DateRange | None, today: dt.date, events: RunEvents, *, dry_run: bool = False
) -> FetchResult:
    """Fetch the files of a range of days; those that are here already stay, refused ones are fetched once more.

    Parameters
    ----------
    config : Config
        The configuration.
    wanted : DateRange or None
        The days; None for all that bringing the archive up to date lacks.
    today : date
        The current day, UTC.
    events : RunEvents
        Receives how the run goes.
    dry_run : bool
        List the files, fetch none.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    LoginRefused
        The feed does not accept the credentials.
    """
    with open_for_writing(config) as catalog:
        run = RunContext.open(config, catalog, today, events, retry_refused=True)
        files: list[Granule] = []
        while True:
            inputs = _inputs_of(run, wanted)
            lacking = to_be_fetched(inputs)
            files += [pending.file.granule for pending in lacking]
            if not lacking or dry_run:
                break
            run.inbox.fetch(lacking)
        refused = [file.reason for day_input in inputs for file in day_input.files if isinstance(file, Refused)]
        return FetchResult(files, run.inbox.failures(), refused)


def _inputs_of(run: RunContext, wanted: DateRange | None) -> list[DayInput]:
    inbox = run.inbox
    if wanted is None:
        planned = plan_days(run, select_days(run, None, run.config.policy.max_refill_days))
        return [day_input for day in planned for day_input in day.reads]
    inbox.list_days(wanted.first, wanted.last)
    return [found for day in wanted.days for found in (inbox.raw_soil_moisture(day), inbox.precipitation(day))]
