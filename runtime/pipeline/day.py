"""Filling planned days: read, compute, check, publish, with reading and writing next to computing."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from runtime.archive.publish import Making, WrittenDay, publish_day, write_day
from runtime.archive.record import DayRecord, PublishedDay
from runtime.bundle import Bundle
from runtime.common.atomic import write_guard
from runtime.common.clock import DAY
from runtime.common.events import DayReport
from runtime.common.text import counted
from runtime.common.vocabulary import RAIN_TODAY, TODAY, Verdict
from runtime.errors import InputRefused, InputsMissing, ResultRefused, RunOverdue, SeamlessError, StateChainBroken
from runtime.fill.result import Filled
from runtime.fill.state import State
from runtime.fill.statistics import DayStatistics, day_statistics
from runtime.inputs.day_input import DayInput, Merged, Ready, Refused
from runtime.merge.combine import add_input_errors
from runtime.pipeline.chain import ChainLink
from runtime.pipeline.context import RunContext
from runtime.pipeline.gates import MEAN_DAYS, check_plausible, check_reached, check_sound
from runtime.pipeline.plan import PlannedDay

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilledDay:
    """A planned day after it was filled: published, or not."""

    day: PlannedDay
    error: SeamlessError | None = None
    """Why it was not published: a gate refused the result, no observation reaches the day, or an input is gone or has
    changed; None if it was."""


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
                    filled = computation.fill(day, following, phases)
                except RunOverdue:
                    break
                except (ResultRefused, InputsMissing, InputRefused) as failure:
                    error = failure
                yield from publication.finish()
                if error is None:
                    try:
                        publication.begin(day, filled, phases)
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

    def fill(self, day: PlannedDay, following: PlannedDay | None, phases: _Phases) -> Filled:
        self._check_time()
        if day.link is None:
            return self._compute(day.bundle, day.soil_moisture, day.precipitation, None, phases, following)[0]
        replay = self._to_be_replayed(day.replay, day.link)
        self._not_left = (*replay, day.link)
        if replay:
            origin = "a cold start" if replay[0].upstream is None else f"the state of {replay[0].date - DAY}"
            logger.info(f"{day.date}: replaying {counted(len(replay), 'day')} from {origin}")
        state = self._state_before((*replay, day.link)[0])
        for link in replay:
            self._check_time()
            if link.replayed_state != link.state:
                raise StateChainBroken(
                    f"{self.run.states.path(link.date, link.state)}: is gone, and its inputs have changed since; "
                    f"re-do the chain with `runtime fill --from {link.date} --to {day.date}`"
                )
            state = self._advance(link, state, phases)[1]
        filled = self._advance(day.link, state, phases, following)[0]
        self._not_left = ()
        return filled

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

    def _compute(
        self,
        bundle: Bundle,
        soil_moisture: Sequence[DayInput],
        precipitation: Sequence[DayInput],
        state: State | None,
        phases: _Phases,
        following: PlannedDay | None = None,
    ) -> tuple[Filled, State | None]:
        inbox = self.run.inbox
        with phases.timed("read"):
            if self._preloading:
                self._preloading.result()
            frames = np.stack([inbox.read_field(day_input) for day_input in soil_moisture])
            rain = np.stack([inbox.read_field(each) for each in precipitation]) if precipitation else None
        if following:
            inputs = (*following.soil_moisture, *following.precipitation)
            self._preloading = self.files.submit(inbox.preload, inputs)
        with phases.timed("infer"):
            filled, after = self.run.models.filler(bundle).fill(frames, rain, state, self.run.events.tiles_done)
        today = inbox.read_merged(soil_moisture[bundle.manifest.window.index(0)])
        window = [merged for day_input in soil_moisture if (merged := inbox.read_merged(day_input))]
        return add_input_errors(filled, today, window), after

    def _advance(
        self, link: ChainLink, before: State | None, phases: _Phases, following: PlannedDay | None = None
    ) -> tuple[Filled, State | None]:
        """Compute one day of the chain and keep the state it leaves; a result that makes no sense leaves none."""
        bundle, inputs = self.run.models.first, ([link.soil_moisture], [link.precipitation])
        filled, after = self._compute(bundle, *inputs, before, phases, following)
        check_sound(filled, link.date)
        if after is not None:
            with phases.timed("state"):
                self.run.states.save(link.date, link.state, after)
            self._state = link.state, after
        return filled, after

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

    def begin(self, day: PlannedDay, filled: Filled, phases: _Phases) -> None:
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
            statistics = day_statistics(filled, self.run.grid, day.bundle.manifest.tile_core)
        published = self._compose(day, filled, statistics)
        try:
            with phases.timed("check"):
                self._check(day, filled, statistics)
        except ResultRefused as refusal:
            raise ResultRefused(f"{refusal} (kept as {self._set_aside(published, str(refusal))})") from None
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
        written = writing.result()
        making = Making(
            reason=day.reason,
            engine=self.run.models.filler(day.bundle).engine_name,
            phases=phases.seconds,
            inputs={role: found for role, day_input in day.inputs.items() if (found := _sha256(day_input))},
        )
        publish_day(
            self.run.paths.root,
            self.run.catalog,
            published.record,
            written,
            making,
            before=day.published,
            keep_superseded=self.run.config.archive.keep_superseded,
        )
        for refused in self._aside_paths(published):
            refused.unlink(missing_ok=True)
        if published.record.statistics:
            seconds = sum(phases.seconds.values()) + written.seconds
            self.run.events.day_published(_report(day, published.record.statistics, seconds))
        return [FilledDay(day)]

    def _compose(self, day: PlannedDay, filled: Filled, statistics: DayStatistics) -> PublishedDay:
        manifest, rain = day.bundle.manifest, day.inputs.get(RAIN_TODAY)
        record = DayRecord(
            date=day.date,
            tier=day.tier,
            fingerprint=day.fingerprint,
            state_fingerprint=day.link.state if day.link else None,
            model=f"{manifest.name} {manifest.version}",
            model_id=day.bundle.model_id,
            settings_digest=self.run.settings_digest,
            inputs={role: day_input.recorded for role, day_input in day.inputs.items()},
            decision=day.decision,
            statistics=statistics,
        )
        today, config = day.inputs[TODAY], self.run.config
        feeds = config.feeds.soil_moisture
        used = [part.sensor for part in today.usable] if isinstance(today, Merged) else [day.feed.sensor]
        products = [config.product(feed.product) for feed in feeds if feed.sensor in used]
        merged = self.run.inbox.read_merged(today)
        return PublishedDay(
            record=record,
            grid=self.run.grid,
            filled=filled,
            kind=manifest.kind,
            band=day.feed.band,
            sensor=", ".join(dict.fromkeys(product.sensor for product in products)),
            source=merged.source if merged else None,
            source_bits={part.sensor: part.bit for part in today.sensors} if isinstance(today, Merged) else {},
            metadata=config.metadata,
            model_warning=day.model_warning,
            precipitation=self.run.inbox.read_field(rain) if isinstance(rain, Ready) else None,
            precipitation_absent=rain is not None and not isinstance(rain, Ready),
        )

    def _check(self, day: PlannedDay, filled: Filled, statistics: DayStatistics) -> None:
        """Refuse a result that makes no sense, and an implausible one unless an operator accepted the day."""
        check_sound(filled, day.date)
        if day.decision and day.decision.verdict is Verdict.ACCEPT:
            return
        rows = self.run.catalog.days(day.date - MEAN_DAYS * DAY, day.date - DAY).values()
        means = [row.record.statistics.land_mean for row in rows if row.record.statistics]
        known = [mean for mean in means if mean is not None]
        check_plausible(filled, statistics, known, self.run.config.policy, day.date, self.run.grid.cell_size)

    def _aside_paths(self, published: PublishedDay) -> tuple[Path, Path]:
        """Return where a refused result is kept, and the file that says why."""
        path = self.run.paths.refused / self.run.layout.relative_path(published.record.date).name
        return path, path.with_name(path.name + ".reason.txt")

    def _set_aside(self, published: PublishedDay, reason: str) -> Path:
        """Keep a refused result, for an operator to look at; return its path."""
        path, reason_file = self._aside_paths(published)
        with write_guard(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.run.layout.write(path, published)
            reason_file.write_text(reason + "\n")
        return path


def _sha256(day_input: DayInput) -> str:
    """Return the sha256 of an input's files; empty if there are none."""
    return ", ".join(file.sha256 for file in day_input.files if isinstance(file, Ready | Refused) and file.sha256)


def _report(day: PlannedDay, statistics: DayStatistics, seconds: float) -> DayReport:
    return DayReport(
        date=day.date,
        tier=day.tier,
        reason=day.reason,
        observed=statistics.observed,
        filled=statistics.filled,
        not_reached=statistics.not_reached,
        seam=statistics.seam,
        seconds=seconds,
    )
