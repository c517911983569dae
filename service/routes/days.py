"""The days of the archive: a list, one day with its history, and the calendar."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter, HTTPException

from runtime.archive.record import DayRecord, Decision, RecordedInput
from runtime.archive.rows import DayRow, Problem
from runtime.common.clock import today
from runtime.config import Config
from runtime.inputs.sensors_seen import sensor_spans, sensors_of
from service.calendar import calendar_states
from service.models import (
    Calendar,
    DayDecision,
    DayDetail,
    DayFigures,
    DayProblem,
    DayRevision,
    DaySummary,
    InputFile,
    SensorPeriod,
)
from service.routes.parameters import Day, FirstDay, LastDay
from service.services import RequestServices, Services

router = APIRouter()

_MAX_DAYS = 3660
_DEFAULT_DAYS = 60


@router.get("/api/days")
def get_days(
    services: RequestServices,
    first: FirstDay = None,
    last: LastDay = None,
) -> list[DaySummary]:
    """The published days of a range, and those with a problem; the last sixty days unless a range is given."""
    end = last or today()
    begin = first or dt.date.fromordinal(max(1, end.toordinal() - _DEFAULT_DAYS))
    if begin > end:
        raise HTTPException(422, f"from {begin} is after to {end}")
    if (end - begin).days > _MAX_DAYS:
        raise HTTPException(422, f"{(end - begin).days} days are more than {_MAX_DAYS}; ask for fewer at a time")
    with services.open_catalog() as catalog:
        rows, problems = catalog.days(begin, end), catalog.problems()
    dates = sorted(rows.keys() | {date for date in problems if begin <= date <= end})
    return [_day_summary(date, rows.get(date), problems.get(date), services.config) for date in dates]


@router.get("/api/days/{date}")
def get_day(services: RequestServices, date: Day) -> DayDetail:
    """One day: what it was made from, and every time it was made."""
    with services.open_catalog() as catalog:
        row, problem = catalog.days(date, date).get(date), catalog.problems().get(date)
        revisions = catalog.revisions(date=date)
    if row is None and problem is None:
        raise HTTPException(404, f"{date} is not in the archive, and nothing is known of it")
    record = row.record if row else None
    return DayDetail(
        **dict(_day_summary(date, row, problem, services.config)),
        inputs=_input_files(record) if record else None,
        model=record.model if record else None,
        fingerprint=record.fingerprint if record else None,
        decision=_day_decision(record.decision) if record and record.decision else None,
        sha256=row.sha256 if row else None,
        revisions=[DayRevision.model_validate(revision.to_json()) for revision in revisions],
    )


@router.get("/api/calendar")
def get_calendar(services: RequestServices) -> Calendar:
    """Every day from the first to today, or to the end of the feeds: its state, and why it is not consolidated."""
    day = today()
    try:
        return services.calendar.get(lambda: _calendar(services, day), day)
    except FileNotFoundError:  # no run has made a catalog yet
        return _calendar(services, day)


def _calendar(services: Services, day: dt.date) -> Calendar:
    """Return the state of every day up to a day."""
    with services.open_catalog() as catalog:
        rows, problems = catalog.days(), catalog.problems()
    states = calendar_states(rows, problems, day, services.config.policy.max_lag_days)
    several = len(services.config.sensors) > 1
    spans = sensor_spans(rows, services.config) if several else []
    return Calendar(
        first=min(states, default=None),
        states="".join(state for state, _ in states.values()),
        reasons={date: reason for date, (_, reason) in states.items() if reason},
        sensors=[SensorPeriod(first=span.first, last=span.last, sensors=list(span.sensors)) for span in spans],
    )


def _day_summary(date: dt.date, row: DayRow | None, problem: Problem | None, config: Config) -> DaySummary:
    """Return the summary of a day that is published or has a problem."""
    tier = row.record.tier if row else None
    kind = problem.kind if problem else None
    state = tier or kind
    if state is None:
        raise ValueError(f"{date} is neither published nor has it a problem")
    statistics = row.record.statistics if row else None
    return DaySummary(
        date=date,
        state=state,
        tier=tier,
        revision=row.revision if row else None,
        path=row.path if row else None,
        problem=DayProblem.model_validate(problem) if problem else None,
        figures=DayFigures.model_validate(statistics) if statistics else None,
        sensors=sensors_of(row.record, config) if row else [],
    )


def _input_files(record: DayRecord) -> dict[str, InputFile | None]:
    """Return the files that a day was made from, by role; None for an input that was absent."""
    return {str(role): _input_file(item) if item else None for role, item in record.inputs.items()}


def _input_file(item: RecordedInput) -> InputFile:
    """Return one file that a day was made from."""
    return InputFile(
        name=item.name,
        field=item.field_digest,
        run=item.run,
        files={part.sensor: part.name for part in item.parts},
    )


def _day_decision(decision: Decision) -> DayDecision:
    """Return what an operator decided about a day."""
    return DayDecision(verdict=decision.verdict, because=decision.because, subject=decision.subject)
