"""Filling planned days: read, compute, check, publish, with reading and writing next to computing."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial

from runtime.archive.publish import WrittenDay, write_day
from runtime.archive.record import PublishedDay
from runtime.bundle import Bundle
from runtime.common.clock import DAY
from runtime.common.text import counted
from runtime.errors import InputRefused, InputsMissing, ResultRefused, RunOverdue, SeamlessError
from runtime.fill.result import Filled
from runtime.fill.state import State
from runtime.inputs.day_input import DayInput
from runtime.pipeline.chain import ChainLink, require_unchanged
from runtime.pipeline.compute import DayFields, compose_day, compute_day
from runtime.pipeline.context import RunContext
from runtime.pipeline.gates import check_reached, check_sound
from runtime.pipeline.plan import PlannedDay
from runtime.pipeline.publishing import FilledDay, Publisher

logger = logging.getLogger(__name__)


def fill_days(days: Sequence[PlannedDay], run: RunContext) -> Generator[FilledDay, None, None]:
    """Fill planned days in order and publish them; one that cannot be published does not stop the others.

    Once the time of the run is over, no other day is begun.

    While a day is computed, the file of the day before is written and the inputs of the next day are read.

    Parameters
    ----------
    days : sequence of PlannedDay
        Days whose action is `Action.FILL`, in date order, with nothing left to be fetched.
    run : RunContext
        The run that planned them.

    Yields
    ------
    FilledDay
        Each day, once it is published or refused.

    Raises
    ------
    StateChainBroken
        A state snapshot is damaged, or the inputs of a lost one have changed.
    ArchiveError
        The archive cannot be written; it is as it was after the last published day.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="files") as files:
        computation, publication = _Computation(run, files), _Publication(run, files)
        try:
            for day, following in itertools.zip_longest(days, days[1:]):
                run.warn_once(day.warnings)
                phases = _Phases()
                error: SeamlessError | None = None
                try:
                    filled, fields = computation.fill(day, following, phases)
                except RunOverdue:
                    break
                except (ResultRefused, InputsMissing, InputRefused) as failure:
                    error = failure
                yield from publication.finish()
                if error is None:
                    try:
                        publication.begin(day, filled, fields, phases)
                    except (ResultRefused, InputsMissing, InputRefused) as failure:
                        error = failure
                if error:
                    yield FilledDay(day, error)
            yield from publication.finish()
        finally:  # an error with one day must not lose the day before, which is computed
            publication.finish()


@dataclass
class _Phases:
    """Seconds that each phase of a day took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.monotonic() - began


@dataclass
class _Computation:
    """Computes days one after the other; a recurrent network's state goes from each to the next."""

    run: RunContext
    files: ThreadPoolExecutor
    _preloading: Future[None] | None = None
    _state: tuple[str, State] | None = None
    """The last state, and its fingerprint."""
    _not_left: tuple[ChainLink, ...] = ()
    """Links of the last days in a row that were tried and not computed to the end."""

    def fill(self, day: PlannedDay, following: PlannedDay | None, phases: _Phases) -> tuple[Filled, DayFields]:
        self._check_time()
        if day.link is None:
            fields = self._read(day.bundle, day.soil_moisture, day.precipitation, phases, following)
            return self._compute(day.bundle, fields, None, phases)[0], fields
        replay = self._to_be_replayed(day.replay, day.link)
        self._not_left = (*replay, day.link)
        if replay:
            origin = "a cold start" if replay[0].upstream is None else f"the state of {replay[0].date - DAY}"
            logger.info(f"{day.date}: replaying {counted(len(replay), 'day')} from {origin}")
        state = self._state_before((*replay, day.link)[0])
        for link in replay:
            self._check_time()
            require_unchanged(link, day.date, self.run.states)
            state = self._advance(link, state, phases)[2]
        filled, fields, _ = self._advance(day.link, state, phases, following)
        self._not_left = ()
        return filled, fields

    def _check_time(self) -> None:
        if self.run.limits.run.has_passed:
            raise RunOverdue

    def _to_be_replayed(self, planned: tuple[ChainLink, ...], link: ChainLink) -> tuple[ChainLink, ...]:
        """Return the days to compute again before a day: those planned, and the days before them that left no state."""
        replay = [*planned, link]
        for before in reversed(self._not_left):
            if before.date != replay[0].date - DAY or self.run.states.has(before.date, before.state):
                break
            replay.insert(0, before)
        return tuple(replay[:-1])

    def _read(
        self,
        bundle: Bundle,
        soil_moisture: Sequence[DayInput],
        precipitation: Sequence[DayInput],
        phases: _Phases,
        following: PlannedDay | None = None,
    ) -> DayFields:
        """Read the fields of a day, then begin to read those of the following one."""
        inbox = self.run.inbox
        with phases.timed("read"):
            if self._preloading:
                self._preloading.result()
            fields = DayFields(
                soil_moisture=[inbox.read(each) for each in soil_moisture],
                precipitation=[inbox.read(each) for each in precipitation],
                today=bundle.manifest.window.index(0),
            )
        if following:
            inputs = (*following.soil_moisture, *following.precipitation)
            self._preloading = self.files.submit(inbox.preload, inputs)
        return fields

    def _compute(
        self, bundle: Bundle, fields: DayFields, state: State | None, phases: _Phases
    ) -> tuple[Filled, State | None]:
        with phases.timed("infer"):
            return compute_day(self.run.models.filler(bundle), fields, state, self.run.events.tiles_done)

    def _advance(
        self, link: ChainLink, before: State | None, phases: _Phases, following: PlannedDay | None = None
    ) -> tuple[Filled, DayFields, State | None]:
        """Compute one day of the chain and keep the state it leaves; a result that makes no sense leaves none."""
        bundle = self.run.models.first
        fields = self._read(bundle, [link.soil_moisture], [link.precipitation], phases, following)
        filled, after = self._compute(bundle, fields, before, phases)
        check_sound(filled, link.date)
        if after is not None:
            with phases.timed("state"):
                self.run.states.save(link.date, link.state, after)
            self._state = link.state, after
        return filled, fields, after

    def _state_before(self, link: ChainLink) -> State | None:
        """Return the state that a day of the chain starts from: at hand, or from its snapshot."""
        initial = self.run.models.filler(self.run.models.first).initial_state()
        if link.upstream is None:
            return initial
        if self._state and self._state[0] == link.upstream:
            return self._state[1]
        return self.run.states.load(link.date - DAY, link.upstream, like=initial)


@dataclass
class _Publication:
    """Publishes computed days: a day is checked and written at once, and published once the next is computed."""

    run: RunContext
    files: ThreadPoolExecutor
    _unfinished: tuple[PlannedDay, PublishedDay, Future[WrittenDay], _Phases] | None = None

    @cached_property
    def _publisher(self) -> Publisher:
        return Publisher(self.run)

    def begin(self, day: PlannedDay, filled: Filled, fields: DayFields, phases: _Phases) -> None:
        """Check a filled day and begin to write its file.

        Raises
        ------
        ResultRefused
            It did not pass its gate; the result is kept aside.
        InputsMissing
            No observation reaches it.
        """
        check_reached(filled, day.date)
        with phases.timed("check"):
            published = compose_day(self._publisher.describe(day), self.run.grid, day.bundle, filled, fields)
            try:
                check_sound(filled, day.date)
                self._publisher.judge(day, published.record, filled.cut)
            except ResultRefused as refusal:
                write = partial(self.run.layout.write, day=published)
                raise self._publisher.set_aside(day, refusal, write) from None
        writing = self.files.submit(write_day, self.run.paths.root, self.run.layout, published)
        self._unfinished = day, published, writing, phases

    def finish(self) -> list[FilledDay]:
        """Publish the day that was begun last, if it is not published yet; return it.

        Raises
        ------
        ArchiveError
            The archive cannot be written; it is as it was.
        """
        if self._unfinished is None:
            return []
        (day, published, writing, phases), self._unfinished = self._unfinished, None
        engine = self.run.models.filler(day.bundle).engine_name
        return [self._publisher.publish(day, published.record, writing.result(), engine, phases.seconds)]
