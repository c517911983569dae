"""What has to be filled, and why: a day is stale when anything it was made from has changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from runtime.archive.publish import published_file_fault
from runtime.archive.record import DayRecord, Decision, RecordedInput
from runtime.archive.rows import DayRow
from runtime.bundle import Bundle
from runtime.common import digest
from runtime.common.clock import DAY, days_between
from runtime.common.vocabulary import TODAY, ImergRun, InputRole, ProblemKind, Tier
from runtime.config import SoilMoistureFeed
from runtime.inputs.day_input import Absent, DayInput, Merged, Pending, Ready, Refused, Rejected, Unknown, to_be_fetched
from runtime.inputs.inbox import CONTEXT
from runtime.pipeline.chain import ALGORITHM_VERSION, Chain, ChainLink, lost_inputs
from runtime.pipeline.context import RunContext
from runtime.pipeline.models import model_warning
from runtime.pipeline.newest import NewestInputs
from runtime.pipeline.selection import DaySelection


class Action(StrEnum):
    """What a run does with a day."""

    CURRENT = "current"
    FILL = "fill"
    WAIT = "wait"
    """Its soil moisture is not published upstream yet; no feed may have any input of it or of a later day."""
    REFUSED = "refused"
    """Its soil-moisture file is damaged, wrong or implausible."""
    OUTAGE = "outage"
    """Too many days in a row without soil moisture, or no observation that reaches the day."""

    @property
    def problem(self) -> ProblemKind | None:
        """The problem that the catalog keeps for such a day; None if it has none."""
        return _PROBLEMS.get(self)


_PROBLEMS = {
    Action.WAIT: ProblemKind.WAIT,
    Action.REFUSED: ProblemKind.REFUSED,
    Action.OUTAGE: ProblemKind.OUTAGE,
}


@dataclass(frozen=True, kw_only=True)
class PlannedDay:
    """One day, what is to be done about it and why, and everything that filling it needs."""

    date: dt.date
    action: Action
    reason: str
    tier: Tier
    inputs: Mapping[InputRole, DayInput] = field(repr=False)
    """Everything the network reads, in its order."""
    decision: Decision | None
    """The operator's decision about the day's soil moisture."""
    fingerprint: str
    """Digest of everything that determines the published values."""
    published: DayRow | None = field(repr=False)
    """The day as it is published now; None if it is not."""
    feed: SoilMoistureFeed = field(repr=False)
    """The feed of the day's soil moisture: the one that has the file, or else the first that covers the day."""
    bundle: Bundle = field(repr=False)
    """The network that fills the day: the feed's own, or that of all feeds."""
    link: ChainLink | None = field(default=None, repr=False)
    """The day's link of the chain; None for a window network."""
    replay: tuple[ChainLink, ...] = field(default=(), repr=False)
    """Days before it that the plan does not fill and whose states are not on disk: computed again first, in order."""

    @property
    def soil_moisture(self) -> list[DayInput]:
        """The soil moisture of the days of the window, in order."""
        return [day_input for role, day_input in self.inputs.items() if role.is_soil_moisture]

    @property
    def precipitation(self) -> list[DayInput]:
        """The rain of the days of the window, in order; empty if the network reads no rain."""
        return [day_input for role, day_input in self.inputs.items() if role.is_precipitation]

    @property
    def model_warning(self) -> str | None:
        """What to know about the filled values: that the bundle was never judged on this product; None if it was."""
        return model_warning(self.bundle, self.feed)

    @property
    def warnings(self) -> list[str]:
        """What to know about the filled values, and what is wrong with files and what is done instead."""
        listed = [(day_input, file) for day_input in self.inputs.values() for file in day_input.files if file.listed]
        found = [file for day_input, file in listed if day_input is not self.inputs[TODAY] or file is not day_input]
        absent = [file.reason for file in found if isinstance(file, Refused | Unknown)]
        replaced = [
            f"{each.instead_of}; {each.file.granule.name} is used instead"
            for _, each in listed
            if isinstance(each, Ready) and each.instead_of
        ]
        of_model = [self.model_warning] if self.model_warning else []
        return of_model + [f"{reason}; treated as absent" for reason in absent] + replaced

    @property
    def reads(self) -> list[DayInput]:
        """Every input that filling the day reads, those of its replay included."""
        replayed = [day_input for link in self.replay for day_input in (link.soil_moisture, link.precipitation)]
        return [*self.inputs.values(), *replayed]

    @property
    def to_be_fetched(self) -> list[Pending]:
        """The files that must be fetched before the day can be filled."""
        return to_be_fetched(self.reads)


def plan_days(run: RunContext, selection: DaySelection) -> list[PlannedDay]:
    """Compare what each selected day would be made from with what it was made from.

    Parameters
    ----------
    run : RunContext
        The run; nothing of it is changed, but new files that need no fetching are read.
    selection : DaySelection
        The days.
    """
    if not selection.dates:
        return []
    planner = _Planner(run, selection.redo_from, NewestInputs(run, selection.dates[0]))
    return planner.plan(selection.dates)


@dataclass
class _Planner:
    run: RunContext
    redo_from: dt.date | None
    newest: NewestInputs
    _rows: dict[dt.date, DayRow | None] = field(default_factory=dict)

    @cached_property
    def _chain(self) -> Chain | None:
        if not self.run.models.carry_state:
            return None
        return Chain(self.run, self.redo_from, self._row)

    def plan(self, dates: Sequence[dt.date]) -> list[PlannedDay]:
        begin = max(dates[0], self.redo_from or dates[0])
        before, after = self.run.models.window
        self.run.inbox.list_days(begin - CONTEXT, dates[-1] + after * DAY)
        margin = (after - before + 1) * DAY
        stored = self.run.catalog.days(begin - margin, dates[-1] + margin)
        self._rows |= {day: stored.get(day) for day in days_between(begin - margin, dates[-1] + margin)}
        planned = [self._day(date) for date in dates]
        if self._chain is None:
            return planned
        filled = {day.date for day in planned if day.action is Action.FILL}
        return [
            replace(day, replay=self._chain.replay(day.date, filled)) if day.date in filled else day for day in planned
        ]

    def _row(self, date: dt.date) -> DayRow | None:
        if date not in self._rows:
            self._rows[date] = self.run.catalog.days(date, date).get(date)
        return self._rows[date]

    def _day(self, date: dt.date) -> PlannedDay:
        inbox = self.run.inbox
        feed = self._feed(date, inbox.soil_moisture(date))
        bundle = self.run.models.of(feed)
        manifest = bundle.manifest
        inputs = {InputRole.soil_moisture(k): inbox.soil_moisture(date + k * DAY) for k in manifest.window}
        for k in manifest.window if manifest.takes_rain else ():
            inputs[InputRole.precipitation(k)] = inbox.precipitation(date + k * DAY)
        link = self._chain.link(date) if self._chain else None
        day = PlannedDay(
            date=date,
            action=Action.CURRENT,
            reason="already current",
            tier=self._tier(date, inputs),
            inputs=inputs,
            decision=inbox.decision(date),
            fingerprint="",
            published=self._row(date),
            feed=feed,
            bundle=bundle,
            link=link,
        )
        day = replace(day, fingerprint=self._fingerprint(day))
        action, reason = self._verdict(day)
        return replace(day, action=action, reason=reason)

    def _fingerprint(self, day: PlannedDay) -> str:
        # The names are part of the file; other bytes under the same name, with the same field, change nothing in it.
        names = [None if item.identity is None else item.name for item in day.inputs.values()]
        fields = day.link.state if day.link else [item.identity for item in day.inputs.values()]
        return digest.of_values(
            ALGORITHM_VERSION,
            day.bundle.model_id,
            self.run.settings_digest,
            day.tier,
            (fields, names),
            day.decision and day.decision.to_json(),
        )

    def _tier(self, date: dt.date, inputs: Mapping[InputRole, DayInput]) -> Tier:
        """Return the tier; older rain than normal will not arrive any more, nor will soil moisture older than newer."""
        if not self.run.inbox.holds_values(inputs[TODAY]):
            return Tier.NO_OBSERVATION
        if any(day_input.is_interim for day_input in inputs.values()):
            return Tier.PROVISIONAL
        policy, age = self.run.config.policy, (self.run.today - date).days
        rain = [
            day_input
            for role, day_input in inputs.items()
            if role.is_precipitation and age - role.offset <= policy.max_lag_days
        ]
        has_rain_feed = self.run.inbox.precipitation_feed is not None
        if has_rain_feed and not all(_is_at_least(day_input, policy.consolidated_precipitation) for day_input in rain):
            return Tier.PROVISIONAL
        is_full = all(
            day_input.is_complete
            or (not _is_still_to_come(day_input) and self.newest.is_missing_for_good(date + role.offset * DAY))
            for role, day_input in inputs.items()
            if role.is_soil_moisture
        )
        return Tier.CONSOLIDATED if is_full else Tier.PROVISIONAL

    def _feed(self, date: dt.date, soil_moisture: DayInput) -> SoilMoistureFeed:
        feeds, listed = self.run.config.feeds.soil_moisture, soil_moisture.listed
        listings = zip(feeds, self.run.inbox.soil_moisture_feeds, strict=True)
        if listed:
            return next(feed for feed, listing in listings if listing is listed.listing)
        return next((feed for feed, listing in listings if listing.wanted.covers(date)), feeds[0])

    def _verdict(self, day: PlannedDay) -> tuple[Action, str]:
        policy, soil_moisture = self.run.config.policy, day.inputs[TODAY]
        was = day.published.record.inputs[TODAY] if day.published else None
        if isinstance(soil_moisture, Refused):
            return Action.REFUSED, soil_moisture.reason
        if isinstance(soil_moisture, Unknown) and not was:
            return Action.WAIT, soil_moisture.reason
        is_gone = soil_moisture.identity is None and was is not None and soil_moisture.has_lost(was)
        if day.published and was and is_gone:
            its = self.run.other_format.get(day.date)
            fault = f"has {its}" if its else published_file_fault(self.run.paths.root, day.published)
            if fault:
                return Action.WAIT, f"{fault}, and {was.name} is gone from the feed; bring it back"
            return Action.CURRENT, "its input is gone from the feed; what is published stands"
        if isinstance(soil_moisture, Absent | Unknown):
            if (self.run.today - day.date).days <= policy.max_lag_days:
                return Action.WAIT, "soil moisture is not published yet"
            if self.newest.any is None or self.newest.any < day.date:
                return Action.WAIT, f"no feed has a file of this day or a later one{_remedy(day)}"
            if policy.max_outage_days == 0:
                return Action.OUTAGE, "no soil moisture, and policy.max_outage_days = 0 leaves such days out"
            if self._outage_length(day.date) > policy.max_outage_days:
                return Action.OUTAGE, (
                    f"no soil moisture for more than {policy.max_outage_days} days in a row; check the feed, "
                    "or raise policy.max_outage_days"
                )
        if day.tier is Tier.NO_OBSERVATION and not self._is_reached(day):
            return Action.OUTAGE, f"no observation reaches it{_remedy(day)}"
        reason = self._stale_reason(day)
        if reason is None:
            return Action.CURRENT, "already current"
        is_pending = bool(to_be_fetched(day.inputs.values()))
        return Action.FILL, f"{reason} (to be fetched)" if is_pending else reason

    def _is_reached(self, day: PlannedDay) -> bool:
        """Return whether the network reads any observation, in its window or through its state."""
        if self._chain:
            return self._chain.is_reached(day.date)
        return any(self.run.inbox.holds_values(day_input) for day_input in day.soil_moisture)

    def _outage_length(self, date: dt.date) -> int:
        """Return how many days in a row, up to this one, have no soil moisture; counted no further than needed."""
        days = 0
        while days <= self.run.config.policy.max_outage_days:
            if self.run.inbox.soil_moisture(date - days * DAY).identity is not None:
                break
            days += 1
        return days

    def _stale_reason(self, day: PlannedDay) -> str | None:
        """Return why a day must be filled; None if what is published is current."""
        if day.published is None:
            return "new"
        fault = published_file_fault(self.run.paths.root, day.published)
        if fault:
            return fault
        if day.date in self.run.other_format:
            return "grid or layout changed"
        old, model = day.published.record, day.bundle.manifest
        if old.fingerprint == day.fingerprint:
            return None
        if old.model_id != day.bundle.model_id:
            return f"model changed ({old.model} to {model.name} {model.version})"
        if old.settings_digest != self.run.settings_digest:
            return "settings changed"
        changes = [change for role in day.inputs if (change := _input_change(role, old, day.inputs[role]))]
        if changes:
            return ", ".join(changes)
        if old.decision != day.decision and day.decision:
            return f"{day.decision.verdict}ed by an operator: {day.decision.because}"
        if lost_inputs(old, day.inputs):
            return None
        if old.tier is not day.tier:
            return f"{old.tier} to {day.tier}"
        return "state upstream changed"


def _remedy(day: PlannedDay) -> str:
    """Return what to do about a day that is published and would not be now; empty for any other."""
    if day.published is None:
        return ""
    return (
        "; it is published: to take it back, delete its file and run `runtime check --rebuild-catalog --rebuild-views`"
    )


def _is_still_to_come(day_input: DayInput) -> bool:
    """Whether a feed has a file that could not be fetched."""
    return any(isinstance(file, Unknown) and file.file is not None for file in day_input.files)


def _is_at_least(rain: DayInput, enough: ImergRun) -> bool:
    run = rain.listed.granule.run if rain.listed and rain.identity else None
    return run is not None and ImergRun(run).is_at_least(enough)


def _input_change(role: InputRole, old: DayRecord, new: DayInput) -> str | None:
    """Return how an input differs from the one that a published day was made from; None if that needs no fill."""
    was = old.inputs.get(role)
    if (was.field_digest if was else None) == new.identity:
        return f"{role} renamed" if was and was.name != new.name else None
    if was is None:
        return f"{role} arrived"
    if new.identity is None:
        return f"{role} rejected by an operator" if isinstance(new, Rejected) else None
    if isinstance(new, Merged):
        return _merge_change(role, was, new)
    run = new.listed.granule.run if new.listed else None
    return f"IMERG {run} replaced {was.run}" if was.run != run else f"{role} changed"


def _merge_change(role: InputRole, was: RecordedInput, new: Merged) -> str | None:
    """Return how the files of several sensors differ from those of a published day; None if some only are gone."""
    before = {part.sensor: part.field_digest for part in was.parts}
    now = {part.sensor: part.day_input.identity for part in new.usable}
    changes = [f"{role} of {name} arrived" for name in now if name not in before]
    changes += [f"{role} of {name} changed" for name in now if name in before and before[name] != now[name]]
    if not changes and was.transfer != (new.transfer and new.transfer.key):
        changes = [f"{role} is mapped by a transfer that was fitted again"]
    return ", ".join(changes) or None
