"""The chain of a recurrent network: which state each day starts from and leaves, and which days must be replayed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property

from runtime.archive.record import DayRecord
from runtime.archive.rows import DayRow
from runtime.common import digest
from runtime.common.clock import DAY
from runtime.common.vocabulary import RAIN_TODAY, TODAY, InputRole
from runtime.errors import StateChainBroken
from runtime.fill.state import StateStore
from runtime.inputs.day_input import DayInput
from runtime.pipeline.context import RunContext

ALGORITHM_VERSION = 1
"""Raised by hand when the code gives other values for the same inputs."""


@dataclass(frozen=True)
class ChainLink:
    """One day of a recurrent chain: what it reads, the state it starts from and the state it leaves."""

    date: dt.date
    soil_moisture: DayInput
    precipitation: DayInput
    upstream: str | None
    """Fingerprint of the state it starts from; None on the first day of the chain."""
    state: str
    """Fingerprint of the state it leaves."""
    replayed_state: str
    """Fingerprint that a replay would leave now; not `state` if the inputs of a published day have changed since."""


@dataclass
class Chain:
    """The chain as one plan sees it."""

    run: RunContext
    redo_from: dt.date | None
    """Published days before this one stand as they are, stale or not."""
    row_of: Callable[[dt.date], DayRow | None]
    """Returns a day as it is published; None if it is not."""
    _states: dict[dt.date, str] = field(default_factory=dict)
    """Fingerprint of the state after each day, as it will be once the plan is done."""

    @cached_property
    def start(self) -> dt.date:
        """The first day whose input enters the state: the spin-up before the start, as far as the feed has files."""
        first, spin_up = self.run.start, self.run.models.first.manifest.spin_up_days
        days = [first - number * DAY for number in range(spin_up + 1)]
        return min((day for day in days if self.run.inbox.soil_moisture(day).listed), default=first)

    def link(self, date: dt.date) -> ChainLink:
        """Return a day of the chain, as it will be once the plan is done."""
        upstream = self.state_after(date - DAY) if date > self.start else None
        soil_moisture, rain = self.run.inbox.soil_moisture(date), self.run.inbox.precipitation(date)
        replayed = self._state_fingerprint(upstream, soil_moisture, rain)
        return ChainLink(date, soil_moisture, rain, upstream, self.state_after(date), replayed)

    def is_reached(self, date: dt.date) -> bool:
        """Return whether a day of the chain up to this one has an observation, or was published with one."""
        while date >= self.start:
            row = self.row_of(date)
            if self.run.inbox.holds_values(self.run.inbox.soil_moisture(date)) or (row and row.record.inputs[TODAY]):
                return True
            date -= DAY
        return False

    def state_after(self, date: dt.date) -> str:
        """Return the fingerprint of the state after a day, as it will be once the plan is done.

        Each fingerprint comes from the one before and the day's inputs; the walk begins at the chain's first day, or at
        a published day that stands as it is.
        """
        todo = []
        while date not in self._states:
            standing = self._standing_state(date)
            if standing:
                self._states[date] = standing
            else:
                todo.append(date)
                if date <= self.run.start and date <= self.start:  # the latter asks the feeds
                    break
                date -= DAY
        for day in reversed(todo):
            soil_moisture, rain = self.run.inbox.soil_moisture(day), self.run.inbox.precipitation(day)
            self._states[day] = self._state_fingerprint(self._states.get(day - DAY), soil_moisture, rain)
            date = day
        return self._states[todo[0] if todo else date]

    def _standing_state(self, date: dt.date) -> str | None:
        """Return the state of a published day that is not filled again: it is too old, or its inputs are gone.

        A state on another grid is none.
        """
        row = self.row_of(date)
        if row is None or not row.record.state_fingerprint or row.record.model_id != self.run.models.first.model_id:
            return None
        if date in self.run.other_format:
            return None
        is_old = self.redo_from is not None and date < self.redo_from
        inputs = {TODAY: self.run.inbox.soil_moisture(date), RAIN_TODAY: self.run.inbox.precipitation(date)}
        return row.record.state_fingerprint if is_old or lost_inputs(row.record, inputs) else None

    def _state_fingerprint(self, upstream: str | None, soil_moisture: DayInput, rain: DayInput) -> str:
        return digest.of_values(
            ALGORITHM_VERSION,
            self.run.models.first.model_id,
            self.run.settings_digest,
            upstream,
            soil_moisture.identity,
            rain.identity,
        )

    def replay(self, date: dt.date, filled: Set[dt.date]) -> tuple[ChainLink, ...]:
        """Return the days before a day whose states are not on disk, back to one that the same plan fills."""
        links: list[ChainLink] = []
        date -= DAY
        while date >= self.start and date not in filled:
            if self.run.states.has(date, self.state_after(date)):
                break
            links.append(self.link(date))
            date -= DAY
        return tuple(reversed(links))


def require_unchanged(link: ChainLink, wanted: dt.date, states: StateStore) -> None:
    """Refuse to replay a day whose inputs have changed: it would not leave the state that the next day was filled from.

    Raises
    ------
    StateChainBroken
        They have changed since its state was lost.
    """
    if link.replayed_state != link.state:
        raise StateChainBroken(
            f"{states.path(link.date, link.state)}: is gone, and its inputs have changed since; "
            f"re-do the chain with `runtime fill --from {link.date} --to {wanted}`"
        )


def lost_inputs(old: DayRecord, inputs: Mapping[InputRole, DayInput]) -> list[InputRole]:
    """Return the inputs that a published day had and the feeds no longer have; that alone makes no day stale."""
    return [role for role, day_input in inputs.items() if (was := old.inputs.get(role)) and day_input.has_lost(was)]
