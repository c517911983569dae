"""What has to run, and why: a day is stale when anything it was made from has changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from runtime.archive.catalog import Catalog, DayRow
from runtime.archive.record import DayRecord, RecordedInput
from runtime.bundle import Bundle
from runtime.common import digest
from runtime.config import Policy
from runtime.inputs.inbox import DayInput, Inbox

ALGORITHM_VERSION = 1
"""Raised by hand when the code gives other values for the same inputs."""

DAY = dt.timedelta(days=1)
_RAIN = "precipitation"
RUNS = ("early", "late", "final")
"""IMERG runs, the worst first."""
_CONTEXT = 40 * DAY
"""How far before the planned days feeds are listed: for gates, windows, and counting an outage back."""


class Action(StrEnum):
    """What the plan says about a day."""

    CURRENT = "current"
    FILL = "fill"
    WAIT = "wait"
    """Not published upstream yet."""
    REFUSED = "refused"
    """Its soil-moisture file is damaged, wrong or implausible."""
    OUTAGE = "outage"
    """Too many days in a row without soil moisture."""


@dataclass(frozen=True)
class ChainLink:
    """One day of a recurrent chain: what it read and the state it leaves."""

    soil_moisture: DayInput
    precipitation: DayInput
    state: str


@dataclass(frozen=True)
class PlannedDay:
    """One day, what is to be done about it and why."""

    date: dt.date
    action: Action
    reason: str
    record: DayRecord
    """What the day will carry once it is filled."""
    arrivals: dict[str, DayInput] = field(repr=False)
    """Everything it reads, by role: ``T-4`` .. ``T+4``, ``precipitation``, ``precipitation T+1``."""

    @property
    def soil_moisture(self) -> list[DayInput]:
        """The days of the window, in order."""
        return [arrival for role, arrival in self.arrivals.items() if role.startswith("T")]

    @property
    def precipitation(self) -> list[DayInput]:
        """The days of rain, in order; empty where the model takes none."""
        return [arrival for role, arrival in self.arrivals.items() if role.startswith(_RAIN)]

    @property
    def warnings(self) -> list[str]:
        """Refused files that are treated as absent when this day is filled."""
        around = [arrival for role, arrival in self.arrivals.items() if role != "T"]
        return [reason for a in around if (reason := a.refused or (a.granule and a.unknown))]


@dataclass
class Planner:
    """Compares what a day would be made from with what it was made from."""

    bundle: Bundle
    settings: str
    """Digest of the settings that change values."""
    policy: Policy
    inbox: Inbox
    catalog: Catalog
    start: dt.date
    """The archive's first day."""
    today: dt.date
    intact: Callable[[DayRow], str | None]
    """Says what is wrong with a row's published file, None if nothing."""
    redo_from: dt.date | None = None
    """Published days before it stand as they are, stale or not."""
    _chain: dict[dt.date, ChainLink] = field(default_factory=dict)
    _rows: dict[dt.date, DayRow | None] = field(default_factory=dict)

    @property
    def recurrent(self) -> bool:
        """Whether a memory is carried."""
        return self.bundle.manifest.kind == "recurrent"

    @cached_property
    def chain_start(self) -> dt.date:
        """The first day whose input enters the memory: the spin-up before `start`, as far as the feed has it."""
        spin_up = [self.start - n * DAY for n in range(self.bundle.manifest.spin_up_days + 1)]
        return min((day for day in spin_up if self.inbox.soil_moisture(day).granule), default=self.start)

    def row(self, date: dt.date) -> DayRow | None:
        """Return the published day, None if there is none."""
        if date not in self._rows:
            self._rows[date] = self.catalog.days(date, date).get(date)
        return self._rows[date]

    def plan(self, dates: Iterable[dt.date]) -> list[PlannedDay]:
        """Plan some days, given in order."""
        dates = list(dates)
        if not dates:
            return []
        window = self.bundle.manifest.window
        begin = max(dates[0], self.redo_from or dates[0])
        self.inbox.look(begin - _CONTEXT, dates[-1] + window[-1] * DAY)
        margin = (window[-1] - window[0] + 1) * DAY
        stored = self.catalog.days(begin - margin, dates[-1] + margin)
        self._rows |= {day: stored.get(day) for day in days_between(begin - margin, dates[-1] + margin)}
        return [self._day(date) for date in dates]

    def link(self, date: dt.date) -> ChainLink:
        """Return a day of the chain as it will be once the plan is done.

        Each state's fingerprint comes from the one before and the day's inputs; a published day that stands as it is
        begins the walk.
        """
        todo = []
        while date not in self._chain:
            standing = self._standing(date)
            if standing:
                self._chain[date] = standing
            else:
                todo.append(date)
                if date <= self.start and date <= self.chain_start:  # the latter asks the feeds
                    break
                date -= DAY
        for day in reversed(todo):
            before = self._chain.get(day - DAY)
            soil, rain = self.inbox.soil_moisture(day), self.inbox.precipitation(day)
            upstream = before.state if before else None
            self._chain[day] = ChainLink(soil, rain, self.state_fingerprint(upstream, soil, rain))
            date = day
        return self._chain[todo[0] if todo else date]

    def _standing(self, date: dt.date) -> ChainLink | None:
        """Return the link of a published day that is not to be re-done: it is too old, or its inputs are gone."""
        row = self.row(date)
        if row is None or not row.record.state_fingerprint or row.record.model_id != self.bundle.model_id:
            return None
        soil, rain = self.inbox.soil_moisture(date), self.inbox.precipitation(date)
        old = self.redo_from and date < self.redo_from
        if not old and not _gone(row.record, {"T": soil, _RAIN: rain}):
            return None
        return ChainLink(soil, rain, row.record.state_fingerprint)

    def state_fingerprint(self, upstream: str | None, soil: DayInput, rain: DayInput) -> str:
        """Return the fingerprint of the state a day leaves; `upstream` is None on a chain's first day."""
        return digest.of_values(
            ALGORITHM_VERSION, self.bundle.model_id, self.settings, upstream, soil.field, rain.field
        )

    def _day(self, date: dt.date) -> PlannedDay:
        manifest = self.bundle.manifest
        arrivals = {f"T{k:+d}" if k else "T": self.inbox.soil_moisture(date + k * DAY) for k in manifest.window}
        for k in manifest.window if manifest.takes_rain else ():
            arrivals[f"{_RAIN} T{k:+d}" if k else _RAIN] = self.inbox.precipitation(date + k * DAY)
        inputs = {role: a.input for role, a in arrivals.items()}
        state = self.link(date).state if self.recurrent else None
        decision = self.inbox.decision(date)
        tier = self._tier(date, inputs)
        # The file carries the names; other bytes under the same name, with the same field, change nothing in it.
        read = (state or [item and item.field for item in inputs.values()], [i and i.name for i in inputs.values()])
        record = DayRecord(
            date=date,
            tier=tier,
            fingerprint=digest.of_values(
                ALGORITHM_VERSION, self.bundle.model_id, self.settings, tier, read, decision and vars(decision)
            ),
            state_fingerprint=state,
            model=f"{manifest.name} {manifest.version}",
            model_id=self.bundle.model_id,
            settings=self.settings,
            inputs=inputs,
            decision=decision,
        )
        action, reason = self._verdict(date, arrivals, record)
        return PlannedDay(date, action, reason, record, arrivals)

    def _tier(self, date: dt.date, inputs: dict[str, RecordedInput | None]) -> str:
        """Return ``consolidated`` once nothing that is missing will come."""
        if (self.today - date).days > self.bundle.manifest.window[-1] + self.policy.max_lag_days:
            return "consolidated"
        enough = RUNS.index(self.policy.consolidated_precipitation)
        rain = [item for role, item in inputs.items() if role.startswith(_RAIN)]
        rain_is_final = self.inbox.precipitation_source is None or all(
            item and RUNS.index(item.run or "") >= enough for item in rain
        )
        window_is_full = all(item for role, item in inputs.items() if not role.startswith(_RAIN))
        return "consolidated" if window_is_full and rain_is_final else "provisional"

    def _verdict(self, date: dt.date, arrivals: dict[str, DayInput], record: DayRecord) -> tuple[Action, str]:
        row, soil = self.row(date), arrivals["T"]
        if soil.refused:
            return Action.REFUSED, soil.refused
        if soil.unknown and not (row and row.record.inputs["T"]):
            return Action.WAIT, soil.unknown
        if row and row.record.inputs["T"] and "T" in _gone(row.record, arrivals):
            damage = self.intact(row)
            if damage:
                return Action.WAIT, f"{damage}, and {row.record.inputs['T'].name} is gone from the feed; bring it back"
            return Action.CURRENT, "its input is gone from the feed; what is published stands"
        if soil.input is None and not soil.rejected:
            if (self.today - date).days <= self.policy.max_lag_days:
                return Action.WAIT, "soil moisture is not published yet"
            outage = self._outage(date)
            if outage > self.policy.max_outage_days:
                return Action.OUTAGE, (
                    f"no soil moisture for more than {self.policy.max_outage_days} days in a row; check the feed, "
                    "or raise policy.max_outage_days"
                )
        reason = _why(row, record, arrivals, self.intact)
        if reason and any(arrival.pending for arrival in arrivals.values()):
            reason += " (to be fetched)"
        return (Action.FILL, reason) if reason else (Action.CURRENT, "already current")

    def _outage(self, date: dt.date) -> int:
        """Return how many days in a row, up to this one, have no soil moisture."""
        days = 0
        while days <= self.policy.max_outage_days and self.inbox.soil_moisture(date - days * DAY).input is None:
            days += 1
        return days


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return the days from `first` to `last`, both included."""
    return [first + n * DAY for n in range((last - first).days + 1)]


def _why(
    row: DayRow | None, record: DayRecord, arrivals: dict[str, DayInput], intact: Callable[[DayRow], str | None]
) -> str | None:
    """Return why a day is stale, None if it is not."""
    if row is None:
        return "new"
    damage = intact(row)
    if damage:
        return damage
    old = row.record
    if old.fingerprint == record.fingerprint:
        return None
    if old.model_id != record.model_id:
        return f"model changed ({old.model} to {record.model})"
    if old.settings != record.settings:
        return "settings changed"
    reasons = []
    for role, new in record.inputs.items():
        was = old.inputs.get(role)
        if (was and was.field) == (new and new.field):
            if was and new and was.name != new.name:
                reasons.append(f"{role} renamed")
            continue
        if was is None:
            reasons.append(f"{role} arrived")
        elif new is None:
            if arrivals[role].rejected:
                reasons.append(f"{role} rejected by an operator")
        elif was.run != new.run:
            reasons.append(f"IMERG {new.run} replaced {was.run}")
        else:
            reasons.append(f"{role} changed")
    if reasons:
        return ", ".join(reasons)
    if old.decision != record.decision and record.decision:
        return f"{record.decision.verdict}ed by an operator: {record.decision.because}"
    if _gone(old, arrivals):
        return None
    if old.tier != record.tier:
        return f"{old.tier} to {record.tier}"
    return "state upstream changed"


def _gone(old: DayRecord, arrivals: dict[str, DayInput]) -> list[str]:
    """Return the roles of inputs a published day had and the feeds no longer have; that alone re-does nothing."""
    return [r for r, now in arrivals.items() if now.input is None and not now.rejected and old.inputs.get(r)]
