"""The job: plan a range of days, fetch what they lack, work the plan in order, and say how it ended."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from runtime.archive.catalog import Catalog
from runtime.archive.lock import hold_archive
from runtime.archive.publish import recover
from runtime.archive.record import Decision
from runtime.config import Config
from runtime.errors import FeedUnreachable, InputRefused, InputsMissing, ResultRefused, UsageError
from runtime.fill.statistics import DayStatistics
from runtime.inputs.feeds.base import Granule
from runtime.inputs.inbox import DayInput
from runtime.pipeline.day import Archivist
from runtime.pipeline.plan import DAY, Action, PlannedDay, Planner, days_between

_CHUNK = 30
"""Days that are fetched, filled and pruned together: a record of years need not fit on the disk."""

_KINDS = {Action.REFUSED: "refused", Action.OUTAGE: "outage", Action.WAIT: "wait"}


@dataclass(frozen=True)
class DateRange:
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

    planned: dict[dt.date, PlannedDay]
    filled: list[dt.date] = field(default_factory=list)
    failed: dict[dt.date, str] = field(default_factory=dict)
    """Days whose result a gate refused."""
    exit_code: int = 0
    message: str = ""
    """Why the exit code is not 0."""


class RunEvents:
    """Told how a run goes; the base class keeps silent."""

    def say(self, line: str) -> None:
        """Hear what a person should know: a warning, or what was recovered or replayed."""

    def on_read(self) -> None:
        """Hear that a file was read for the first time."""

    def on_fetch(self, files: int) -> None:
        """Hear how many files are going to be fetched."""

    def on_fetched(self, granule: Granule, size: int) -> None:
        """Hear that a file has come (bytes), or could not be had (0)."""

    def on_plan(self, archivist: Archivist, todo: list[PlannedDay]) -> None:
        """Hear which days are going to be filled."""

    def on_day(self, day: PlannedDay, figures: DayStatistics, seconds: float) -> None:
        """Hear that a day was published, and how long its reading, computing, checking and writing took."""


@dataclass(frozen=True)
class DaySelection:
    """The days a command looks at."""

    dates: list[dt.date]
    redo_from: dt.date | None
    """Published days before it stand as they are."""

    @classmethod
    def of(cls, archivist: Archivist, wanted: DateRange, max_refill_days: int | None = None) -> DaySelection:
        """Return the days of a range; without one, everything from the archive's start to today.

        Parameters
        ----------
        max_refill_days : int, optional
            Without a range: published days further back than this from the newest one are not looked at.

        Raises
        ------
        UsageError
            The range begins before the archive or reaches into the future.
        """
        start, today = archivist.start, archivist.today
        first, last = wanted.first or start, wanted.last or today
        if last > today:
            raise UsageError(f"{last} is in the future (today is {today}, UTC); give a past day or `--date today`")
        if first < start:
            raise UsageError(f"{first} is before the archive's first day, {start}; give a later day")
        published = archivist.catalog.span()
        if not wanted.is_today or not published or max_refill_days is None:
            return cls(days_between(first, last), wanted.first)
        redo_from = max(start, published[1] - max_refill_days * DAY)
        return cls(archivist.catalog.missing(start, redo_from - DAY) + days_between(redo_from, today), redo_from)

    @classmethod
    def reading(cls, archivist: Archivist, first: dt.date, last: dt.date) -> DaySelection:
        """Return the published days that read the rain of a range: its windows, or all that follow in a chain."""
        window = archivist.bundle.manifest.window
        published = archivist.catalog.span()
        newest = published[1] if published else archivist.today
        begin = max(archivist.start, first - window[-1] * DAY)
        end = newest if archivist.bundle.manifest.kind == "recurrent" else min(newest, last - window[0] * DAY)
        return cls(days_between(begin, end), begin)


def fill_archive(
    config: Config,
    wanted: DateRange,
    today: dt.date,
    listener: RunEvents,
    *,
    offline: bool = False,
    decision: tuple[str, str] | None = None,
    reprocess: bool = False,
) -> Outcome:
    """Fill every stale day of a range, in date order.

    Parameters
    ----------
    offline : use only what has been fetched
    decision : ``accept`` or ``reject``, and why: an operator's word on the soil moisture of the range's first day
    reprocess : let IMERG Final into the range, and re-do every published day that reads it

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    SeamlessError
        Configuration, credentials, bundle, state or archive are not usable; days already published stay.
    """
    with hold_archive(config.catalog_path.with_name("lock")) as killed, Catalog.open(config.catalog_path) as catalog:
        for line in recover(config.archive.path, catalog, killed=killed):
            listener.say(line)
        archivist = Archivist.open(config, catalog, today, listener.say, offline=offline)
        archivist.inbox.shelf.on_read = listener.on_read
        if reprocess and wanted.first and wanted.last:
            archivist.reprocessed = wanted.first, wanted.last
            scope = DaySelection.reading(archivist, wanted.first, wanted.last)
        else:
            scope = DaySelection.of(archivist, wanted, config.policy.max_refill_days)
        if decision and wanted.first:
            _decide(archivist, wanted.first, Decision(*decision, ""), listener)
        outcome = _work(archivist, scope, listener)
        if archivist.reprocessed and not any(
            _is_final(archivist, date) for date in days_between(*archivist.reprocessed)
        ):
            raise InputsMissing(f"IMERG Final is not there for {wanted.first} to {wanted.last}; check the feed")
        if archivist.bundle.manifest.kind == "recurrent":
            archivist.prune_states()
        _note(catalog, outcome)
        _judge(outcome, archivist, wanted)
        return outcome


def _work(archivist: Archivist, scope: DaySelection, listener: RunEvents) -> Outcome:
    """Plan, then fetch and fill what is stale, some days at a time."""
    planner = archivist.planner(scope.redo_from)
    outcome = Outcome({day.date: day for day in planner.plan(scope.dates)})
    todo = [day for day in outcome.planned.values() if day.action == Action.FILL]
    listener.on_plan(archivist, todo)
    if not todo:
        archivist.update_views()  # an earlier run may have been killed before it did
    for begin in range(0, len(todo), _CHUNK):
        chunk = todo[begin : begin + _CHUNK]
        lacking = _lacking(archivist, chunk)
        while lacking:
            listener.on_fetch(len(lacking))
            archivist.inbox.fetch(lacking, listener.on_fetched)
            planner = archivist.planner(scope.redo_from)
            chunk = planner.plan([day.date for day in chunk])
            lacking = _lacking(archivist, chunk)
        outcome.planned |= {day.date: day for day in chunk}
        stale = [day for day in chunk if day.action == Action.FILL]
        try:
            for day, following in itertools.zip_longest(stale, stale[1:]):
                _one(archivist, day, following, planner, outcome, listener)
        finally:
            archivist.finish()
        archivist.update_views()
        published = archivist.catalog.span()
        if published:
            oldest = min(published[1] - archivist.config.policy.max_refill_days * DAY, chunk[-1].date)
            needed_from = oldest + (archivist.bundle.manifest.window[0] - 1) * DAY
            archivist.inbox.shelf.prune(archivist.config.policy.inbox_gib, needed_from)
    return outcome


def _lacking(archivist: Archivist, chunk: Sequence[PlannedDay]) -> list[DayInput]:
    stale = [day for day in chunk if day.action == Action.FILL]
    return archivist.inbox.pending([arrival for day in stale for arrival in day.arrivals.values()])


def _one(
    archivist: Archivist,
    day: PlannedDay,
    following: PlannedDay | None,
    planner: Planner,
    outcome: Outcome,
    listener: RunEvents,
) -> None:
    def done(day: PlannedDay, figures: DayStatistics, seconds: float) -> None:
        outcome.filled.append(day.date)
        listener.on_day(day, figures, seconds)

    try:
        archivist.run(day, planner, done, following)
    except ResultRefused as refusal:
        outcome.failed[day.date] = str(refusal)
    except FeedUnreachable as error:  # an input that was pruned is needed again and cannot be had
        outcome.planned[day.date] = replace(day, action=Action.WAIT, reason=str(error))


def _decide(archivist: Archivist, date: dt.date, decision: Decision, listener: RunEvents) -> None:
    """Write down an operator's word on the file that is there now."""
    archivist.inbox.fetch(archivist.inbox.pending([archivist.inbox.raw(date)]), listener.on_fetched)
    raw = archivist.inbox.raw(date)
    if decision.verdict == "accept" and raw.refused:
        raise UsageError(f"{date} cannot be accepted, its file has no field: {raw.refused}; or --reject {date}")
    if decision.verdict == "reject" and raw.granule is None:
        raise UsageError(f"{date} has no soil-moisture file that could be rejected")
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    archivist.catalog.decide(date, Decision(decision.verdict, decision.because, raw.subject), now)
    archivist.inbox.forget()


def _is_final(archivist: Archivist, date: dt.date) -> bool:
    rain = archivist.inbox.precipitation(date).input
    return rain is not None and rain.run == "final"


def _note(catalog: Catalog, outcome: Outcome) -> None:
    """Keep in the catalog what is wrong with which day."""
    found = {d.date: (_KINDS[d.action], d.reason) for d in outcome.planned.values() if d.action in _KINDS}
    found |= {date: ("result refused", reason) for date, reason in outcome.failed.items()}
    fine = outcome.planned.keys() - found.keys()
    catalog.note_problems(found, fine, dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))


def _judge(outcome: Outcome, archivist: Archivist, wanted: DateRange) -> None:
    """Set the exit code: a refused result, a refused input, a feed that does not answer, a missing input."""
    planned = outcome.planned.values()
    refused = [day for day in planned if day.action == Action.REFUSED]
    missing = [day for day in planned if day.action in (Action.OUTAGE, Action.WAIT)]
    published = archivist.catalog.span()
    lag = (archivist.today - published[1]).days if published else None
    late = wanted.is_today and (lag is None or lag > archivist.config.policy.max_lag_days)
    unreachable = archivist.inbox.unreachable()
    if outcome.failed:
        outcome.exit_code, outcome.message = ResultRefused.exit_code, "; ".join(outcome.failed.values())
    elif refused:
        outcome.exit_code = InputRefused.exit_code
        outcome.message = f"{refused[-1].date} is not published: {refused[-1].reason}"
    elif unreachable:
        outcome.exit_code = InputsMissing.exit_code
        outcome.message = unreachable[0] + (f" (and {len(unreachable) - 1} more)" if len(unreachable) > 1 else "")
    elif missing and (late or not wanted.is_today):
        outcome.exit_code = InputsMissing.exit_code
        outcome.message = f"{missing[0].date} is not filled: {missing[0].reason}"


@dataclass(frozen=True)
class FetchResult:
    """What `fetch` did."""

    files: list[Granule]
    """Those the feeds have and this machine had not."""
    failed: list[str]
    refused: list[str]


def fetch_inputs(
    config: Config, wanted: DateRange, today: dt.date, listener: RunEvents, *, dry_run: bool = False
) -> FetchResult:
    """Fetch the files of a range of days; those that are here already stay, refused ones are fetched once more.

    Without a range: what bringing the archive up to date lacks.

    Raises
    ------
    ArchiveBusy
        Another run holds the archive.
    LoginRefused
        The feed wants other credentials.
    """
    with hold_archive(config.catalog_path.with_name("lock")) as killed, Catalog.open(config.catalog_path) as catalog:
        for line in recover(config.archive.path, catalog, killed=killed):
            listener.say(line)
        archivist = Archivist.open(config, catalog, today, listener.say)
        inbox = archivist.inbox
        inbox.shelf.on_read, inbox.retry_refused = listener.on_read, True
        files: list[Granule] = []
        while True:
            if wanted.first and wanted.last:
                inbox.look(wanted.first, wanted.last)
                days = days_between(wanted.first, wanted.last)
                arrivals = [found for day in days for found in (inbox.raw(day), inbox.precipitation(day))]
            else:
                scope = DaySelection.of(archivist, wanted, config.policy.max_refill_days)
                planned = archivist.planner(scope.redo_from).plan(scope.dates)
                arrivals = [arrival for day in planned for arrival in day.arrivals.values()]
            lacking = inbox.pending(arrivals)
            files += [arrival.granule for arrival in lacking if arrival.granule]
            if not lacking or dry_run:
                break
            listener.on_fetch(len(lacking))
            inbox.fetch(lacking, listener.on_fetched)
        return FetchResult(files, inbox.unreachable(), [a.refused for a in arrivals if a.refused])
