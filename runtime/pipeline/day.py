"""One day, as a transaction: gather -> fill -> check -> publish."""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from runtime.archive.catalog import Catalog, DayRow
from runtime.archive.cube import SLAB
from runtime.archive.derived import update_derived
from runtime.archive.layout import LAYOUTS, Layout
from runtime.archive.publish import WrittenDay, publish_day, write_day
from runtime.archive.record import DayRecord, PublishedDay
from runtime.bundle import Bundle, find_bundle, load_bundle
from runtime.common import digest
from runtime.common.atomic import write_guard
from runtime.common.events import Progress
from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.config import Config, SoilMoistureFeed
from runtime.engines.base import Engine, Staged
from runtime.engines.select import choose_engine, open_engine
from runtime.errors import BundleError, InputsMissing, ResultRefused, StateChainBroken
from runtime.fill.recurrent import fill_recurrent, land_tiles
from runtime.fill.result import Filled
from runtime.fill.state import State, StateStore
from runtime.fill.statistics import DayStatistics, day_statistics
from runtime.fill.window import fill_window
from runtime.inputs.inbox import DayInput, Inbox
from runtime.pipeline.gates import MEAN_DAYS, check_plausible, check_sound
from runtime.pipeline.plan import DAY, ChainLink, PlannedDay, Planner

Say = Callable[[str], None]


LAYOUT_VERSION = 2
"""Raised by hand when a published file gets other content from the same fields."""


def _silent(_: str) -> None:
    pass


@dataclass
class Archivist:
    """Everything a run needs, opened once; the engine when it is first used."""

    config: Config
    bundle: Bundle
    grid: Grid
    catalog: Catalog
    inbox: Inbox
    today: dt.date
    say: Say = _silent
    """Told what a person should know."""
    tile_progress: Progress | None = None
    reprocessed: tuple[dt.date, dt.date] | None = None
    """Days whose rain may come from IMERG Final now; those published with it keep it."""
    _chain_state: tuple[str, State] | None = field(default=None, repr=False)
    _phases: dict[str, float] = field(default_factory=dict, repr=False)
    _unfinished: Callable[[], None] | None = field(default=None, repr=False)
    _beside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)
    """Reads and writes files while the engine computes."""

    @classmethod
    def open(
        cls, config: Config, catalog: Catalog, today: dt.date, say: Say = _silent, *, offline: bool = False
    ) -> Archivist:
        """Open the bundle and the feeds of a configuration.

        Raises
        ------
        BundleError
            The bundle is damaged, or does not accept what the feeds bring.
        """
        bundle = load_bundle(find_bundle(config.model.bundle))
        for feed in config.feeds.soil_moisture:
            accepted = bundle.manifest
            if feed.product not in accepted.products or feed.band not in accepted.bands:
                raise BundleError(
                    f"bundle {accepted.name} accepts {', '.join(accepted.products)}, band {', '.join(accepted.bands)}, "
                    f"not {feed.product} in band {feed.band}; set feeds.soil_moisture or model.bundle"
                )
        grid = config.make_grid()
        inbox = Inbox.of(config, grid, catalog, offline=offline)
        return cls(config, bundle, grid, catalog, inbox, today, say)

    @cached_property
    def engine(self) -> Engine | Staged:
        """The configured engine, opened when the first day is filled."""
        setup = self.config.engine_setup
        if setup.engine == "auto":
            chosen = choose_engine(self.bundle, setup)
            self.say(f"engine {chosen.engine}, {setup.precision} ({chosen.why})")
        return open_engine(self.bundle, setup)

    @property
    def layout(self) -> Layout:
        """The configured layout."""
        return LAYOUTS[self.config.archive.layout]

    @property
    def states(self) -> StateStore:
        """The snapshots of the configured model."""
        return StateStore(self.config.state_path, self.bundle.model_id)

    @cached_property
    def settings(self) -> str:
        """Digest of the settings that change a published value."""
        return digest.of_values(LAYOUT_VERSION, self.config.archive.layout, self.grid.digest)

    def planner(self, redo_from: dt.date | None = None) -> Planner:
        """Return a planner over the catalog as it stands; see `Planner.redo_from`.

        Raises
        ------
        InputsMissing
            The archive's start is not configured, nothing is published, and the feeds have nothing.
        """
        planner = Planner(
            self.bundle,
            self.settings,
            self.config.policy,
            self.inbox,
            self.catalog,
            self.start,
            self.today,
            self.damage,
            redo_from,
        )
        self.inbox.final = functools.partial(self._takes_final, planner)
        return planner

    @cached_property
    def start(self) -> dt.date:
        """The archive's first day."""
        if self.config.archive.start:
            return self.config.archive.start
        published, oldest = self.catalog.span(), self.inbox.oldest()
        if not published and not oldest:
            where = ", ".join(f.path if f.kind == "folder" else f.product for f in self.config.feeds.soil_moisture)
            raise InputsMissing(f"no soil-moisture file in {where}; put files there, or set feeds.soil_moisture")
        return min(day for day in (published and published[0], oldest) if day)

    def _takes_final(self, planner: Planner, date: dt.date) -> bool:
        """Whether a day's rain may be IMERG Final: it is being reprocessed, or is published with it."""
        if self.reprocessed and self.reprocessed[0] <= date <= self.reprocessed[1]:
            return True
        row = planner.row(date)
        rain = row and row.record.inputs.get("precipitation")
        return bool(rain and rain.run == "final")

    def damage(self, row: DayRow) -> str | None:
        """Return what is wrong with a published file, None if it is as it was published."""
        path = self.config.archive.path / row.path
        try:
            stat = path.stat()
        except FileNotFoundError:
            return "published file missing"
        if (stat.st_size, stat.st_mtime_ns) != (row.size, row.mtime_ns) and digest.of_file(path) != row.sha256:
            return "published file altered"
        return None

    def run(
        self,
        day: PlannedDay,
        planner: Planner,
        done: Callable[[PlannedDay, DayStatistics, float], None],
        following: PlannedDay | None = None,
    ) -> None:
        """Fill one planned day and begin to publish it; `finish`, or the next day, ends that.

        While a day is computed, the one before is written and the one after is read.

        Parameters
        ----------
        done : told the day, in numbers, and the seconds it took, when it is published
        following : the day that will be filled next

        Raises
        ------
        ResultRefused
            The result did not pass its gate; the archive keeps what it had.
        StateChainBroken
            The state of the day before is damaged.
        ArchiveError
            The archive cannot be written; it is as it was.
        """
        self._phases = {}
        for warning in day.warnings:
            self.say(f"warning: {warning}; treated as absent")
        try:
            filled = self._recurrent(day, planner, following) if planner.recurrent else self._window(day, following)
        finally:
            self.finish()
        with self._timed("check"):
            figures = day_statistics(filled, self.grid, self.bundle.manifest.tile_core)
        published = self._compose(day, filled, figures)
        try:
            with self._timed("check"):
                self._gate(day, filled, figures)
        except ResultRefused as refusal:
            raise ResultRefused(f"{refusal} (kept as {self._set_aside(published, str(refusal))})") from None
        writing = self._beside.submit(write_day, self.config.archive.path, self.layout, published)
        self._unfinished = functools.partial(
            self._publish, day, published.record, planner.row(day.date), writing, self._phases, done
        )

    def finish(self) -> None:
        """End the publication of the last day that was run.

        Raises
        ------
        ArchiveError
            The archive cannot be written; it is as it was.
        """
        publication, self._unfinished = self._unfinished, None
        if publication:
            publication()

    def update_views(self) -> None:
        """Bring cube and collection up to date with the published days.

        Raises
        ------
        ArchiveError
            They cannot be written; the daily files are as they were.
        """

        def track(slabs: Sequence[Any], what: str) -> Sequence[Any]:
            if len(slabs) > 1:
                self.say(f"{what}: up to {len(slabs) * SLAB} days are copied from the daily files")
            return slabs

        update_derived(self.config, self.catalog, self.grid, track)

    def _publish(
        self,
        day: PlannedDay,
        record: DayRecord,
        before: DayRow | None,
        writing: Future[WrittenDay],
        phases: dict[str, float],
        done: Callable[[PlannedDay, DayStatistics, float], None],
    ) -> None:
        written = writing.result()
        publish_day(
            self.config.archive.path,
            self.catalog,
            record,
            written,
            before=before,
            reason=day.reason,
            engine=self.engine.name,
            phases=phases,
            inputs={role: arrival.sha256 for role, arrival in day.arrivals.items() if arrival.sha256},
            keep_superseded=self.config.archive.keep_superseded,
        )
        for old in self._aside(day.date):
            old.unlink(missing_ok=True)
        if record.figures:
            done(day, record.figures, sum(phases.values()) + written.seconds)

    def _compose(self, day: PlannedDay, filled: Filled, figures: DayStatistics) -> PublishedDay:
        rain, feed = day.arrivals.get("precipitation"), self._feed_of(day)
        return PublishedDay(
            replace(day.record, figures=figures),
            self.grid,
            filled,
            self.bundle.manifest.kind,
            feed.band,
            PRODUCTS[feed.product].sensor,
            self.config.metadata,
            precipitation=self.inbox.values(rain) if rain and rain.input else None,
            precipitation_absent=rain is not None and rain.input is None,
        )

    def _gate(self, day: PlannedDay, filled: Filled, figures: DayStatistics) -> None:
        """Refuse a result without sense, and an implausible one that no operator has accepted."""
        check_sound(filled, day.date)
        if day.record.decision and day.record.decision.verdict == "accept":
            return
        before = self.catalog.days(day.date - MEAN_DAYS * DAY, day.date - DAY).values()
        means = [row.record.figures.land_mean for row in before if row.record.figures]
        check_plausible(filled, figures, [m for m in means if m is not None], self.config.policy, day.date)

    def _aside(self, date: dt.date) -> tuple[Path, Path]:
        """Return where a refused result is kept, and its reason."""
        path = self.config.archive.path / ".refused" / self.layout.relative_path(date).name
        return path, path.with_name(path.name + ".reason.txt")

    def _set_aside(self, day: PublishedDay, reason: str) -> Path:
        """Keep a refused result for somebody to look at."""
        path, why = self._aside(day.record.date)
        with write_guard(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.layout.write(path, day)
            why.write_text(reason + "\n")
        return path

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._phases[phase] = self._phases.get(phase, 0.0) + time.monotonic() - began

    def _feed_of(self, day: PlannedDay) -> SoilMoistureFeed:
        """Return the feed a day's soil moisture came from, or would have come from."""
        feeds = self.config.feeds.soil_moisture
        granule = day.arrivals["T"].granule
        if granule:
            return next(f for f in feeds if f.product == granule.product)
        sources = zip(feeds, self.inbox.soil_moisture_sources, strict=True)
        return next((feed for feed, source in sources if source.wanted.covers(day.date)), feeds[0])

    def _read_ahead(self, arrivals: Iterable[DayInput]) -> None:
        self._beside.submit(self.inbox.read_ahead, tuple(arrivals))

    def _window(self, day: PlannedDay, following: PlannedDay | None) -> Filled:
        with self._timed("read"):
            frames = np.stack([self.inbox.values(arrival) for arrival in day.soil_moisture])
            fallen = [self.inbox.values(arrival) for arrival in day.precipitation]
            rain = np.stack(fallen) if fallen else None
        self._read_ahead((*following.soil_moisture, *following.precipitation) if following else ())
        with self._timed("infer"):
            return fill_window(self.engine, self.bundle.manifest, self.grid, frames, rain, self.tile_progress)

    def _recurrent(self, day: PlannedDay, planner: Planner, following: PlannedDay | None) -> Filled:
        before = self._state_before(day.date, planner)
        if following:
            link = planner.link(following.date)
            self._read_ahead((link.soil_moisture, link.precipitation))
        return self._advance(planner.link(day.date), day.date, before)[0]

    def _advance(self, link: ChainLink, date: dt.date, before: State) -> tuple[Filled, State]:
        """Fill one day of the chain and keep the state it leaves; a result without sense leaves none."""
        with self._timed("read"):
            soil, rain = self.inbox.values(link.soil_moisture), self.inbox.values(link.precipitation)
        with self._timed("infer"):
            filled, after = fill_recurrent(
                self.engine, self.bundle.manifest, self.grid, soil, rain, before, self.tile_progress
            )
        check_sound(filled, date)
        with self._timed("state"):
            self.states.save(date, link.state, after)
        self._chain_state = link.state, after
        return filled, after

    def prune_states(self) -> None:
        """Delete snapshots that are superseded, and old ones but the first of each month."""
        published = self.catalog.span()
        if published:
            self.states.prune(published[1], self.catalog.state_fingerprints)

    def _state_before(self, date: dt.date, planner: Planner) -> State:
        """Return the state after the day before: in hand, from its snapshot, or by replaying the days since one."""
        tiles = len(land_tiles(self.bundle.manifest, self.grid))
        first = date
        state = None
        while state is None and first > planner.chain_start:
            link = planner.link(first - DAY)
            if self._chain_state and self._chain_state[0] == link.state:
                state = self._chain_state[1]
            elif self.states.has(first - DAY, link.state):
                state = self.states.load(first - DAY, link.state, self.bundle.manifest, self.grid, tiles)
            else:
                first -= DAY
        if state is None:
            state = State.cold(self.bundle.manifest, self.grid, tiles)
        if first < date:
            origin = "a cold start" if first == planner.chain_start else f"the state of {first - DAY}"
            self.say(f"{date}: replaying {(date - first).days} days from {origin}")
        while first < date:
            link = planner.link(first)
            if self._replayed(planner, first) != link.state:
                raise StateChainBroken(
                    f"{self.states.path(first, link.state)}: is gone, and its inputs have changed since; "
                    f"re-do the chain with `runtime fill --from {first} --to {date}`"
                )
            _, state = self._advance(link, first, state)
            first += DAY
        return state

    def _replayed(self, planner: Planner, date: dt.date) -> str:
        """Return the fingerprint that replaying a day gives now."""
        link = planner.link(date)
        upstream = planner.link(date - DAY).state if date > planner.chain_start else None
        return planner.state_fingerprint(upstream, link.soil_moisture, link.precipitation)
