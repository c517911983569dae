"""The daily job: select days, plan them, fetch what they lack, fill them, and report how it ended."""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from runtime.archive.catalog import Catalog
from runtime.archive.clock_check import clock_fault
from runtime.archive.cube import SLAB
from runtime.archive.derived import update_derived
from runtime.archive.format import archive_format, days_of_other_format
from runtime.archive.lock import open_for_writing
from runtime.archive.record import Decision
from runtime.common.clock import DAY, DateRange, now, now_text
from runtime.common.events import RunEvents
from runtime.common.text import counted
from runtime.common.vocabulary import ImergRun, ProblemKind, Verdict
from runtime.config import Config
from runtime.errors import (
    FeedUnreachable,
    InputRefused,
    InputsMissing,
    ResultRefused,
    RunOverdue,
    SeamlessError,
    UsageError,
)
from runtime.inputs.day_input import Pending, Refused, to_be_fetched
from runtime.inputs.sensors_seen import silent_sensors
from runtime.mirror.update import mirror_published
from runtime.pipeline.context import RunContext
from runtime.pipeline.day import fill_days
from runtime.pipeline.plan import Action, PlannedDay, plan_days
from runtime.pipeline.publishing import FilledDay
from runtime.pipeline.selection import DaySelection, select_days, select_published, select_readers_of_rain

Fill = Callable[[Sequence[PlannedDay], RunContext], Generator[FilledDay, None, None]]
"""Fills planned days and publishes them in order; see `fill_days`."""


_CHUNK = 30


class FillWay(NamedTuple):
    """How the days of a run are filled."""

    fill: Fill = fill_days
    chunk: int | None = None
    """Days that are fetched, filled and pruned together: a record of years need not fit on the disk. None is 30."""


_IN_THIS_PROCESS = FillWay()

_MAX_INTERRUPTIONS = 3
"""A day whose inputs change each time they are read is given up after so many tries."""

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """How a run ended."""

    planned: dict[dt.date, PlannedDay]
    filled: list[dt.date] = field(default_factory=list)
    failed: dict[dt.date, ResultRefused] = field(default_factory=dict)
    """Days whose result a gate refused."""
    error: SeamlessError | None = None
    """Why the run did not do all that was asked for; None if it did."""

    @property
    def exit_code(self) -> int:
        """Exit code of the command; see `runtime.errors`."""
        return self.error.exit_code if self.error else 0

    @property
    def message(self) -> str:
        """Message of the error; empty without one."""
        return str(self.error) if self.error else ""

    def replace_plan(self, days: Sequence[PlannedDay]) -> None:
        """Take note of days that were planned again, with files fetched since."""
        self.planned |= {day.date: day for day in days}

    def end(self, error: SeamlessError | None) -> Outcome:
        """Take note how the run ended, and return the outcome."""
        self.error = error
        return self

    @property
    def unfinished(self) -> list[dt.date]:
        """The days that were to be filled and were neither filled nor refused."""
        done = {*self.filled, *self.failed}
        return [day.date for day in self.planned.values() if day.action is Action.FILL and day.date not in done]

    def filled_all(self, days: Sequence[PlannedDay]) -> bool:
        """Return whether all of these days were filled."""
        return {day.date for day in days} <= set(self.filled)

    def add(self, result: FilledDay) -> None:
        """Take note how filling a day ended."""
        date = result.day.date
        if result.error is None:
            self.filled.append(date)
        elif isinstance(result.error, ResultRefused):
            self.failed[date] = result.error
        else:  # an input has changed, or cannot be fetched again, or no observation reaches the day
            usual = Action.WAIT if isinstance(result.error, FeedUnreachable) else Action.OUTAGE
            action = Action.REFUSED if isinstance(result.error, InputRefused) else usual
            self.planned[date] = replace(result.day, action=action, reason=str(result.error))


@dataclass(frozen=True)
class OperatorDecision:
    """What an operator decides about the soil moisture of one day."""

    date: dt.date
    verdict: Verdict
    because: str


def fill_archive(
    config: Config,
    wanted: DateRange | None,
    today: dt.date,
    events: RunEvents,
    *,
    offline: bool = False,
    decision: OperatorDecision | None = None,
    way: FillWay = _IN_THIS_PROCESS,
) -> Outcome:
    """Fill every stale day of a range, in date order.

    Parameters
    ----------
    config : Config
        The configuration.
    wanted : DateRange or None
        The days; None for all that are due.
    today : date
        The current day, UTC.
    events : RunEvents
        Receives how the run goes.
    offline : bool
        Use only files that have been fetched.
    decision : OperatorDecision, optional
        Keep this decision in the catalog first.
    way : FillWay
        How the days are filled: one after the other in this process, or otherwise.

    Returns
    -------
    Outcome
        How the run ended; its `error` says why something that was asked for is not there.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    SeamlessError
        Configuration, credentials, bundle, state or archive are not usable; days already published stay.
    """
    with open_for_writing(config) as catalog:
        run = RunContext.open(config, catalog, today, events, offline=offline)
        if fault := clock_fault(catalog, now(), today, config):
            logger.warning(fault)
        selection = select_days(run, wanted, config.policy.max_refill_days)
        if decision:
            _decide(run, decision)
        outcome = _fill_selection(run, selection, way)
        return outcome.end(_judge(run, outcome, selection, is_due=wanted is None))


def reprocess_archive(
    config: Config, rain: DateRange, today: dt.date, events: RunEvents, *, offline: bool = False
) -> Outcome:
    """Take IMERG Final for a range, and fill every published day again that reads this rain.

    Parameters and errors are those of `fill_archive`; `rain` is the range whose rain is replaced.

    Raises
    ------
    InputsMissing
        IMERG Final is not there for any day of the range.
    """
    with open_for_writing(config) as catalog:
        run = RunContext.open(config, catalog, today, events, offline=offline, reprocessed=rain)
        selection = select_readers_of_rain(run, rain)
        outcome = _fill_selection(run, selection)
        if run.limits.run.has_passed and outcome.unfinished:
            return outcome.end(_overdue(run, outcome, run.inbox.failures()))
        used = [found.listed for day in rain.days if (found := run.inbox.precipitation(day)).identity]
        if not any(file and file.granule.run == ImergRun.FINAL for file in used):
            raise InputsMissing(f"IMERG Final is not there for {rain}; check the feed")
        return outcome.end(_judge(run, outcome, selection, is_due=False))


def remake_archive(config: Config, today: dt.date, events: RunEvents, *, offline: bool = False) -> Outcome:
    """Make every published day again that does not have the configured grid and layout, or is stale.

    The archive gets that grid and layout when its first day is about to be made again. From then on readers leave out
    the days on another grid, and `archive_faults` names them. A run that is killed goes on when it is called again:
    days that were made again are current. If no day can be made, the archive keeps the grid and layout it had.

    Parameters and errors are those of `fill_archive`.
    """
    archive = config.archive.path
    with open_for_writing(config, change_format=True) as catalog:
        before = archive_format(archive, catalog)
        run = RunContext.open(config, catalog, today, events, offline=offline, change_format=True)
        try:
            selection = select_published(run)
            outcome = _fill_selection(run, selection)
            return outcome.end(_judge(run, outcome, selection, is_due=False))
        finally:
            others = len(days_of_other_format(archive, catalog, run.format))
            if not others and catalog.count():  # also where a run with other settings was killed before its first day
                catalog.write_format(run.format)
            elif before and others == catalog.count():
                catalog.write_format(before)


def _fill_selection(run: RunContext, selection: DaySelection, way: FillWay = _IN_THIS_PROCESS) -> Outcome:
    """Plan, then fetch and fill what is stale, some days at a time."""
    outcome = Outcome({day.date: day for day in plan_days(run, selection)})
    todo = [day for day in outcome.planned.values() if day.action is Action.FILL]
    run.events.fill_started(len(todo))
    if not todo:
        _update_derived(run)  # an earlier run may have been killed before it did
    is_outdated, interrupted, chunk_days = False, Counter[dt.date](), way.chunk or _CHUNK
    while todo and not run.limits.run.has_passed:
        planned, todo = todo[:chunk_days], todo[chunk_days:]
        chunk = _fetch_chunk(run, planned, selection, plan_again=is_outdated)
        outcome.replace_plan(chunk)
        if run.catalog.noted_format() != run.format:
            run.catalog.write_format(run.format)
        changed_at = _fill_chunk(run, chunk, outcome, way)
        if changed_at:
            interrupted[changed_at] += 1
            again = changed_at if interrupted[changed_at] < _MAX_INTERRUPTIONS else changed_at + DAY
            todo = [day for day in chunk if day.date >= again] + todo
            run.inbox.reset()
        # The states that later days start from were planned without the fetched fields, and with every day filled.
        is_outdated |= chunk is not planned or not outcome.filled_all(planned)
        _update_derived(run)
        _prune_inbox(run, chunk[-1].date)
    outcome.replace_plan([day for day in todo if day.date in interrupted])  # the time was over before their next try
    if run.models.carry_state:
        _prune_states(run)
    _note_problems(run.catalog, outcome)
    run.warn_once([*run.inbox.silent_feeds(), *silent_sensors(run.config, run.catalog).values()])
    if not run.inbox.offline:
        mirror_published(run.config, run.catalog)
    return outcome


def _fill_chunk(run: RunContext, chunk: Sequence[PlannedDay], outcome: Outcome, way: FillWay) -> dt.date | None:
    """Fill the stale days of a chunk; stop at a day one of whose inputs has changed since the plan, and return it."""
    with closing(way.fill([day for day in chunk if day.action is Action.FILL], run)) as results:
        for result in results:
            outcome.add(result)
            if isinstance(result.error, InputRefused):
                return result.day.date
    return None


def _fetch_chunk(
    run: RunContext, chunk: Sequence[PlannedDay], selection: DaySelection, *, plan_again: bool
) -> Sequence[PlannedDay]:
    """Fetch what the stale days of a chunk lack, and return the chunk as it is planned with that."""
    dates = DaySelection([day.date for day in chunk], selection.redo_from)
    while True:
        lacking = _lacking(chunk)
        if not lacking and not plan_again:
            return chunk
        run.inbox.fetch(lacking)
        chunk, plan_again = plan_days(run, dates), False


def _lacking(days: Sequence[PlannedDay]) -> list[Pending]:
    return to_be_fetched(each for day in days if day.action is Action.FILL for each in day.to_be_fetched)


def _update_derived(run: RunContext) -> None:
    """Bring cube, climatology and STAC documents up to date with the published days."""

    def track(slabs: Sequence[object], title: str) -> Sequence[object]:
        if len(slabs) > 1:
            logger.info(f"{title}: up to {len(slabs) * SLAB} days are copied from the daily files")
        return slabs

    update_derived(run.config, run.catalog, run.grid, track)


def _prune_inbox(run: RunContext, filled_to: dt.date) -> None:
    """Delete fetched files beyond the budget that no plain `fill` will read again."""
    published, policy = run.catalog.first_and_newest(), run.config.policy
    if published:
        oldest = min(published[1] - policy.max_refill_days * DAY, filled_to)
        needed_from = oldest + (run.models.window[0] - 1) * DAY
        if run.config.maps_sensors:
            needed_from -= (run.config.merge.fit_days + run.config.merge.settle_days) * DAY
        run.inbox.store.prune(policy.inbox_gib, needed_from)


def _prune_states(run: RunContext) -> None:
    """Delete snapshots that are superseded, and old ones but the first of each month."""
    published = run.catalog.first_and_newest()
    if published:
        run.states.prune(published[1], run.catalog.state_fingerprints)


def _decide(run: RunContext, decision: OperatorDecision) -> None:
    """Keep an operator's decision about the file that is there now."""
    date, inbox = decision.date, run.inbox
    inbox.fetch(to_be_fetched([inbox.raw_soil_moisture(date)]))
    raw = inbox.raw_soil_moisture(date)
    if decision.verdict is Verdict.ACCEPT and isinstance(raw, Refused):
        raise UsageError(f"{date} cannot be accepted, its file has no field: {raw.reason}; or --reject {date}")
    if decision.verdict is Verdict.REJECT and raw.listed is None:
        raise UsageError(f"{date} has no soil-moisture file that could be rejected")
    run.catalog.decide(date, Decision(decision.verdict, decision.because, raw.subject), now_text())
    inbox.reset()


def _note_problems(catalog: Catalog, outcome: Outcome) -> None:
    """Keep in the catalog what is wrong with which day."""
    planned = outcome.planned.values()
    found = {day.date: (day.action.problem, day.reason) for day in planned if day.action.problem}
    found |= {date: (ProblemKind.RESULT_REFUSED, str(refusal)) for date, refusal in outcome.failed.items()}
    catalog.note_problems(found, outcome.planned.keys() - found.keys(), now_text())


def _judge(run: RunContext, outcome: Outcome, selection: DaySelection, *, is_due: bool) -> SeamlessError | None:
    """Return why a run did not do what was asked for: a refused result, a refused input, a feed, a missing input."""
    planned = outcome.planned.values()
    refused = [day for day in planned if day.action is Action.REFUSED]
    missing = [day for day in planned if day.action in (Action.OUTAGE, Action.WAIT)]
    published = run.catalog.first_and_newest()
    lag = (run.last_due - published[1]).days if published else None
    is_late = is_due and (lag is None or lag > run.config.policy.max_lag_days)
    failures = run.inbox.failures()
    if run.limits.run.has_passed and outcome.unfinished:
        return _overdue(run, outcome, failures)
    if outcome.failed:
        return ResultRefused("; ".join(map(str, outcome.failed.values())))
    if refused:
        others = f"; `runtime plan` lists {counted(len(refused) - 1, 'other refused day')}" if refused[1:] else ""
        return InputRefused(f"{refused[-1].date} is not published: {refused[-1].reason}{others}")
    if failures:
        return FeedUnreachable(failures[0] + (f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""))
    if selection.ended:
        return InputsMissing(selection.ended)
    if missing and (is_late or not is_due):
        return InputsMissing(f"{missing[0].date} is not filled: {missing[0].reason}")
    return None


def _overdue(run: RunContext, outcome: Outcome, failures: Sequence[str]) -> SeamlessError:
    """Return what a run ends with whose time was over: a feed that did not answer is the likely cause."""
    message = (
        f"the run ended after {run.limits.run.limit} with {counted(len(outcome.unfinished), 'day')} still to fill; "
        "what is published stays, and the next run goes on"
    )
    return FeedUnreachable(f"{message}; {failures[0]}") if failures else RunOverdue(message)
