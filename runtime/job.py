"""The job: plan a range of days, work the plan in order, and say how it ended."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from runtime.archive.catalog import Catalog
from runtime.archive.publish import lock, recover
from runtime.config import Config
from runtime.day import Archivist
from runtime.errors import InputRefused, InputsMissing, ResultRefused, UsageError
from runtime.fill import Filled
from runtime.plan import DAY, Action, PlannedDay, Planner


@dataclass(frozen=True)
class Range:
    """Days asked for; both None means: bring the archive up to date."""

    first: dt.date | None = None
    last: dt.date | None = None

    @property
    def is_today(self) -> bool:
        """Whether no day was named."""
        return self.first is None


@dataclass
class Outcome:
    """How a run ended."""

    planned: list[PlannedDay]
    filled: list[dt.date] = field(default_factory=list)
    failed: dict[dt.date, str] = field(default_factory=dict)
    """Days whose result a gate refused."""
    exit_code: int = 0
    message: str = ""
    """Why the exit code is not 0."""


def plan_range(planner: Planner, wanted: Range, max_refill_days: int | None = None) -> list[PlannedDay]:
    """Return the plan of a range; of everything from the archive's start to today without one.

    Parameters
    ----------
    max_refill_days : int, optional
        Without a range: published days further back than this from the newest one stand as they are.

    Raises
    ------
    UsageError
        The range begins before the archive or reaches into the future.
    """
    first, last = wanted.first or planner.start, wanted.last or planner.today
    if last > planner.today:
        raise UsageError(f"{last} is in the future (today is {planner.today}, UTC); give a past day or `--date today`")
    if first < planner.start:
        raise UsageError(f"{first} is before the archive's first day, {planner.start}; give a later day")
    redo_from = wanted.first
    if wanted.is_today and planner.rows and max_refill_days is not None:
        redo_from = max(planner.start, max(planner.rows) - max_refill_days * DAY)
    return planner.plan(first, last, redo_from)


class Listener:
    """Told how a run goes; the base class keeps silent."""

    def say(self, line: str) -> None:
        """Hear what a person should know: a warning, or what was recovered or replayed."""

    def on_read(self) -> None:
        """Hear that a file was read for the first time."""

    def on_plan(self, archivist: Archivist, todo: list[PlannedDay]) -> None:
        """Hear which days are going to be filled."""

    def on_day(self, day: PlannedDay, filled: Filled) -> None:
        """Hear that a day was published."""


def fill(config: Config, wanted: Range, today: dt.date, listener: Listener) -> Outcome:
    """Fill every stale day of a range, in date order.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    SeamlessError
        Configuration, bundle, state or archive are not usable; days already published stay.
    """
    with lock(config.catalog_path.with_name("lock")), Catalog.open(config.catalog_path) as catalog:
        for line in recover(config.archive.path, catalog):
            listener.say(line)
        archivist = Archivist.open(config, catalog, today, listener.say)
        archivist.inbox.on_read = listener.on_read
        planner = archivist.planner()
        planned = plan_range(planner, wanted, config.policy.max_refill_days)
        outcome = Outcome(planned)
        todo = [day for day in planned if day.action == Action.FILL]
        listener.on_plan(archivist, todo)
        for day in todo:
            try:
                filled = archivist.run(day, planner)
            except ResultRefused as refusal:
                outcome.failed[day.date] = str(refusal)
                continue
            outcome.filled.append(day.date)
            listener.on_day(day, filled)
        if todo and planner.recurrent:
            current = {d: r.record.state_fingerprint or "" for d, r in catalog.days().items()}
            archivist.states.prune(max(planner.chain), current)
        _judge(outcome, wanted, today, config.policy.max_lag_days)
        return outcome


def _judge(outcome: Outcome, wanted: Range, today: dt.date, max_lag_days: int) -> None:
    """Set the exit code: a refused result, then a refused input, then a missing one."""
    by_action = {action: [d for d in outcome.planned if d.action == action] for action in Action}
    if outcome.failed:
        outcome.exit_code, outcome.message = ResultRefused.exit_code, "; ".join(outcome.failed.values())
        return
    if by_action[Action.REFUSED]:
        worst = by_action[Action.REFUSED][-1]
        outcome.exit_code = InputRefused.exit_code
        outcome.message = f"{worst.date} is not published: {worst.reason}"
        return
    missing = by_action[Action.OUTAGE] + by_action[Action.WAIT]
    done = [d.date for d in outcome.planned if d.action in (Action.FILL, Action.CURRENT)]
    late = wanted.is_today and (today - max(done, default=dt.date.min)).days > max_lag_days
    if missing and (late or not wanted.is_today):
        outcome.exit_code = InputsMissing.exit_code
        outcome.message = f"{missing[0].date} is not filled: {missing[0].reason}"
