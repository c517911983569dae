"""What has to run, and why: a day is stale when anything it was made from has changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from runtime import digest
from runtime.archive.catalog import DayRow
from runtime.archive.record import Input, Record
from runtime.bundle import Bundle
from runtime.config import Policy
from runtime.inbox import Arrival, Inbox

ALGORITHM_VERSION = 1
"""Raised by hand when the code gives other values for the same inputs."""

DAY = dt.timedelta(days=1)
_RAIN = "precipitation"


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
class Link:
    """One day of a recurrent chain: what it read and the state it leaves."""

    soil_moisture: Arrival
    precipitation: Arrival
    state: str


@dataclass(frozen=True)
class PlannedDay:
    """One day, what is to be done about it and why."""

    date: dt.date
    action: Action
    reason: str
    record: Record
    """What the day will carry once it is filled."""
    soil_moisture: dict[int, Arrival] = field(repr=False)
    """By offset from the day."""
    precipitation: dict[int, Arrival] = field(default_factory=dict, repr=False)
    """By offset from the day; empty where the model takes no rain."""

    @property
    def warnings(self) -> list[str]:
        """Refused files that are treated as absent when this day is filled."""
        around = [a.refused for offset, a in self.soil_moisture.items() if offset and a.refused]
        return around + [a.refused for a in self.precipitation.values() if a.refused]


@dataclass
class Planner:
    """Compares what a day would be made from with what it was made from."""

    bundle: Bundle
    settings: str
    """Digest of the settings that change values."""
    policy: Policy
    inbox: Inbox
    rows: dict[dt.date, DayRow]
    start: dt.date
    """The archive's first day."""
    today: dt.date
    intact: Callable[[DayRow], str | None]
    """Says what is wrong with a row's published file, None if nothing."""
    chain: dict[dt.date, Link] = field(default_factory=dict)
    """Recurrent kind: the chain as it will be once the plan is done, from its first day."""

    @property
    def recurrent(self) -> bool:
        """Whether a memory is carried."""
        return self.bundle.manifest.kind == "recurrent"

    @cached_property
    def chain_start(self) -> dt.date:
        """The first day whose input enters the memory: the spin-up before `start`, as far as the feed has it."""
        span = self.inbox.span()
        oldest = span[0] if span else self.start
        return max(min(oldest, self.start), self.start - self.bundle.manifest.spin_up_days * DAY)

    def plan(self, first: dt.date, last: dt.date, redo_from: dt.date | None = None) -> list[PlannedDay]:
        """Plan the days from `first` to `last`.

        Parameters
        ----------
        first, last : date
            Both included.
        redo_from : date, optional
            Published days before it stand as they are, stale or not.
        """
        if self.recurrent:
            self._link(last, redo_from or self.chain_start)
        days = [self._day(first + n * DAY) for n in range((last - first).days + 1)]
        if redo_from is None:
            return days
        return [d for d in days if d.date >= redo_from or d.date not in self.rows]

    def _link(self, last: dt.date, redo_from: dt.date) -> None:
        """Walk the chain: each state's fingerprint from the one before and the day's inputs."""
        upstream: str | None = None
        date = self.chain_start
        while date <= last:
            soil, rain = self.inbox.soil_moisture(date), self.inbox.precipitation(date)
            old = self.rows[date].record if date in self.rows else None
            if (
                old
                and old.state_fingerprint
                and old.model_id == self.bundle.model_id
                and (date < redo_from or _gone(old, {"T": soil.input, _RAIN: rain.input}))
            ):
                upstream = old.state_fingerprint
            else:
                upstream = self.state_fingerprint(upstream, soil, rain)
            self.chain[date] = Link(soil, rain, upstream)
            date += DAY

    def state_fingerprint(self, upstream: str | None, soil: Arrival, rain: Arrival) -> str:
        """Return the fingerprint of the state a day leaves; `upstream` is None on a chain's first day."""
        return digest.of_values(
            ALGORITHM_VERSION, self.bundle.model_id, self.settings, upstream, soil.field, rain.field
        )

    def _day(self, date: dt.date) -> PlannedDay:
        manifest = self.bundle.manifest
        soil = {offset: self.inbox.soil_moisture(date + offset * DAY) for offset in manifest.window}
        days_of_rain = manifest.window if manifest.takes_rain else ()
        rain = {offset: self.inbox.precipitation(date + offset * DAY) for offset in days_of_rain}
        inputs: dict[str, Input | None] = {f"T{k:+d}" if k else "T": a.input for k, a in soil.items()}
        inputs |= {f"{_RAIN} T{k:+d}" if k else _RAIN: a.input for k, a in rain.items()}
        state = self.chain[date].state if self.recurrent else None
        tier = self._tier(date, inputs)
        read = state or [item and item.field for item in inputs.values()]
        record = Record(
            date=date,
            tier=tier,
            fingerprint=digest.of_values(ALGORITHM_VERSION, self.bundle.model_id, self.settings, tier, read),
            state_fingerprint=state,
            model=f"{manifest.name} {manifest.version}",
            model_id=self.bundle.model_id,
            settings=self.settings,
            inputs=inputs,
        )
        action, reason = self._verdict(date, soil[0], record)
        return PlannedDay(date, action, reason, record, soil, rain)

    def _tier(self, date: dt.date, inputs: dict[str, Input | None]) -> str:
        """Return ``consolidated`` once nothing that is missing will come."""
        if (self.today - date).days > self.bundle.manifest.window[-1] + self.policy.max_lag_days:
            return "consolidated"
        rain = [item for role, item in inputs.items() if role.startswith(_RAIN)]
        rain_is_final = self.inbox.precipitation_source is None or all(
            item and item.run == self.policy.consolidated_precipitation for item in rain
        )
        window_is_full = all(item for role, item in inputs.items() if not role.startswith(_RAIN))
        return "consolidated" if window_is_full and rain_is_final else "provisional"

    def _verdict(self, date: dt.date, soil: Arrival, record: Record) -> tuple[Action, str]:
        row = self.rows.get(date)
        if soil.refused:
            return Action.REFUSED, soil.refused
        if soil.input is None and row and row.record.inputs["T"]:
            damage = self.intact(row)
            if damage:
                return Action.WAIT, f"{damage}, and {row.record.inputs['T'].name} is gone from the feed; bring it back"
            return Action.CURRENT, "its input is gone from the feed; what is published stands"
        if soil.input is None:
            if (self.today - date).days <= self.policy.max_lag_days:
                return Action.WAIT, "soil moisture is not published yet"
            outage = self._outage(date)
            if outage > self.policy.max_outage_days:
                return Action.OUTAGE, (
                    f"no soil moisture for more than {self.policy.max_outage_days} days in a row; check the feed, "
                    "or raise policy.max_outage_days"
                )
        reason = _why(row, record, self.intact)
        return (Action.FILL, reason) if reason else (Action.CURRENT, "already current")

    def _outage(self, date: dt.date) -> int:
        """Return how many days in a row, up to this one, have no soil moisture."""
        days = 0
        while days <= self.policy.max_outage_days and self.inbox.soil_moisture(date - days * DAY).input is None:
            days += 1
        return days


def _why(row: DayRow | None, record: Record, intact: Callable[[DayRow], str | None]) -> str | None:
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
            continue
        if was is None:
            reasons.append(f"{role} arrived")
        elif new is None:
            continue
        elif was.run != new.run:
            reasons.append(f"IMERG {new.run} replaced {was.run}")
        else:
            reasons.append(f"{role} changed")
    if reasons:
        return ", ".join(reasons)
    if _gone(old, record.inputs):
        return None
    if old.tier != record.tier:
        return f"{old.tier} to {record.tier}"
    return "state upstream changed"


def _gone(old: Record, inputs: dict[str, Input | None]) -> list[str]:
    """Return the roles of inputs a published day had and the feeds no longer have; that alone re-does nothing."""
    return [role for role, now in inputs.items() if now is None and old.inputs.get(role)]
