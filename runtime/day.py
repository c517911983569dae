"""One day, as a transaction: gather -> fill -> check -> publish."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from runtime import bundle as bundles
from runtime import checks, digest
from runtime.archive import LAYOUTS, Layout
from runtime.archive.catalog import Catalog, DayRow
from runtime.archive.publish import publish
from runtime.archive.record import PublishedDay
from runtime.bundle import Bundle
from runtime.config import Config
from runtime.engines import Engine, open_engine
from runtime.errors import BundleError, InputsMissing, StateChainBroken
from runtime.fill import Filled, Progress, recurrent, window
from runtime.grid import Grid
from runtime.inbox import Inbox
from runtime.plan import DAY, Link, PlannedDay, Planner
from runtime.products import PRODUCTS
from runtime.state import State, StateStore

Say = Callable[[str], None]


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
    _chain_state: tuple[str, State] | None = field(default=None, repr=False)

    @classmethod
    def open(cls, config: Config, catalog: Catalog, today: dt.date, say: Say = _silent) -> Archivist:
        """Open the bundle and the feeds of a configuration.

        Raises
        ------
        BundleError
            The bundle is damaged, or does not accept what the feeds bring.
        """
        bundle = bundles.load(bundles.find(config.model.bundle))
        for feed in config.feeds.soil_moisture:
            accepted = bundle.manifest
            if feed.product not in accepted.products or feed.band not in accepted.bands:
                raise BundleError(
                    f"bundle {accepted.name} accepts {', '.join(accepted.products)}, band {', '.join(accepted.bands)}, "
                    f"not {feed.product} in band {feed.band}; set feeds.soil_moisture or model.bundle"
                )
        grid = config.make_grid()
        return cls(config, bundle, grid, catalog, Inbox.of(config, grid, catalog), today, say)

    @cached_property
    def engine(self) -> Engine:
        """The configured engine, opened when the first day is filled."""
        return open_engine(self.config.model.engine, self.bundle)

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
        feeds = [(f.product, f.orbit, f.band) for f in self.config.feeds.soil_moisture]
        return digest.of_values(feeds, self.config.archive.layout, self.grid.digest)

    def planner(self) -> Planner:
        """Return a planner over the catalog as it stands.

        Raises
        ------
        InputsMissing
            The archive's start is not configured, nothing is published, and the feeds have nothing.
        """
        rows = self.catalog.days()
        oldest = [*(self.inbox.span() or ())[:1], *list(rows)[:1]]
        if not self.config.archive.start and not oldest:
            where = ", ".join(feed.path for feed in self.config.feeds.soil_moisture)
            raise InputsMissing(f"no soil-moisture file in {where}; put files there, or set feeds.soil_moisture")
        start = self.config.archive.start or min(oldest)
        return Planner(self.bundle, self.settings, self.config.policy, self.inbox, rows, start, self.today, self.damage)

    def damage(self, row: DayRow) -> str | None:
        """Return what is wrong with a published file, None if it is as it was published."""
        path = self.config.archive.path / row.path
        if not path.exists():
            return "published file missing"
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) != (row.size, row.mtime_ns) and digest.of_file(path) != row.sha256:
            return "published file altered"
        return None

    def run(self, day: PlannedDay, planner: Planner) -> Filled:
        """Fill one planned day and publish it.

        Raises
        ------
        ResultRefused
            The result did not pass its gate; the archive keeps what it had.
        StateChainBroken
            The state of the day before is damaged.
        ArchiveError
            The archive cannot be written; it is as it was.
        """
        started = time.monotonic()
        for warning in day.warnings:
            self.say(f"warning: {warning}; treated as absent")
        filled = self._recurrent(day, planner) if planner.recurrent else self._window(day)
        rain_absent = 0 in day.precipitation and day.precipitation[0].input is None
        feeds, granule = self.config.feeds.soil_moisture, day.soil_moisture[0].granule
        feed = next((f for f in feeds if granule and f.product == granule.product), feeds[0])
        publish(
            self.config.archive.path,
            self.layout,
            self.catalog,
            PublishedDay(
                day.record,
                self.grid,
                filled,
                self.bundle.manifest.kind,
                feed.band,
                PRODUCTS[feed.product].sensor,
                rain_absent,
            ),
            before=planner.rows.get(day.date),
            reason=day.reason,
            engine=self.engine.name,
            seconds=time.monotonic() - started,
        )
        return filled

    def _window(self, day: PlannedDay) -> Filled:
        frames = np.stack([self.inbox.values(arrival) for arrival in day.soil_moisture.values()])
        fallen = [self.inbox.values(arrival) for arrival in day.precipitation.values()]
        rain = np.stack(fallen) if fallen else None
        filled = window.fill(self.engine, self.bundle.manifest, self.grid, frames, rain, self.tile_progress)
        checks.result(filled, self.grid, day.date)
        return filled

    def _recurrent(self, day: PlannedDay, planner: Planner) -> Filled:
        before = self._state_before(day.date, planner)
        return self._advance(day.date, planner.chain[day.date], before)[0]

    def _advance(self, date: dt.date, link: Link, before: State) -> tuple[Filled, State]:
        """Fill one day of the chain and keep the state it leaves; a result that is refused leaves none."""
        soil, rain = self.inbox.values(link.soil_moisture), self.inbox.values(link.precipitation)
        filled, after = recurrent.fill(
            self.engine, self.bundle.manifest, self.grid, soil, rain, before, self.tile_progress
        )
        checks.result(filled, self.grid, date)
        self.states.save(date, link.state, after)
        self._chain_state = link.state, after
        return filled, after

    def _state_before(self, date: dt.date, planner: Planner) -> State:
        """Return the state after the day before: in hand, from its snapshot, or by replaying the days since one."""
        tiles = len(recurrent.land_tiles(self.bundle.manifest, self.grid))
        first = date
        state = None
        while state is None and first > planner.chain_start:
            link = planner.chain[first - DAY]
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
            link = planner.chain[first]
            if self._replayed(planner, first) != link.state:
                raise StateChainBroken(
                    f"{self.states.path(first, link.state)}: is gone, and its inputs have changed since; "
                    f"re-do the chain with `runtime fill --from {first} --to {date}`"
                )
            _, state = self._advance(first, link, state)
            first += DAY
        return state

    def _replayed(self, planner: Planner, date: dt.date) -> str:
        """Return the fingerprint that replaying a day gives now."""
        link = planner.chain[date]
        upstream = planner.chain[date - DAY].state if date > planner.chain_start else None
        return planner.state_fingerprint(upstream, link.soil_moisture, link.precipitation)
