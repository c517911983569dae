"""Everything that a run uses: networks, grid, catalog, inbox and states, opened from a configuration."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from runtime.archive.catalog import Catalog
from runtime.archive.format import ArchiveFormat, days_of_other_format, require_format
from runtime.archive.layout import LAYOUTS, Layout
from runtime.archive.paths import ArchivePaths
from runtime.common import digest
from runtime.common.clock import DateRange
from runtime.common.deadline import TimeLimits
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.common.urls import without_secrets
from runtime.common.vocabulary import LayoutName
from runtime.config import Config
from runtime.engines.select import EngineSettings
from runtime.errors import FeedUnreachable, InputsMissing
from runtime.fill.state import StateStore
from runtime.inputs.inbox import Inbox
from runtime.pipeline.models import Models

LAYOUT_VERSIONS = {LayoutName.CF: 3, LayoutName.SGD_SM: 3}
"""Raised by hand when a published file of the layout gets other content from the same fields."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunContext:
    """What a run uses, opened once; the engine is opened when the first day is filled."""

    config: Config
    models: Models
    grid: Grid
    catalog: Catalog
    inbox: Inbox
    today: dt.date
    events: RunEvents
    limits: TimeLimits
    """When the run must have ended; it began when the context was opened."""
    _warned: set[str] = field(default_factory=set)
    """What was warned of already."""

    @classmethod
    def open(
        cls,
        config: Config,
        catalog: Catalog,
        today: dt.date,
        events: RunEvents,
        *,
        offline: bool = False,
        retry_refused: bool = False,
        reprocessed: DateRange | None = None,
        change_format: bool = False,
    ) -> RunContext:
        """Open the bundles and the feeds of a configuration.

        Parameters
        ----------
        config : Config
            The configuration.
        catalog : Catalog
            The archive's catalog; read-only for a run that only plans.
        today : date
            The current day, UTC.
        events : RunEvents
            Receives how the run goes.
        offline : bool
            Use only files that have been fetched.
        retry_refused : bool
            Fetch refused files again, however young they are.
        reprocessed : DateRange, optional
            Days whose rain may be IMERG Final.
        change_format : bool
            Also take an archive that has another grid or layout than the configured one.

        Raises
        ------
        BundleError
            A bundle is damaged, or does not accept the product or band of a feed.
        ConfigError
            The archive has another grid or layout than the configured one, or a network with a memory shall fill some
            of the days only.
        """
        limits = TimeLimits.start(config.policy.max_run_minutes, config.policy.max_file_minutes)
        grid = config.make_grid()
        models = Models.open(config, grid, EngineSettings.configured(config, ArchivePaths.of(config).engines))
        if not change_format:
            require_format(config.archive.path, catalog, ArchiveFormat.of(grid, config.archive.layout))
        inbox = Inbox.open(
            config, grid, catalog, events, limits, offline=offline, retry_refused=retry_refused, reprocessed=reprocessed
        )
        return cls(config, models, grid, catalog, inbox, today, events, limits)

    def warn_once(self, warnings: Iterable[str]) -> None:
        """Log what is wrong with files; each warning once in a run, however many days would read the file."""
        for warning in warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                logger.warning(warning)

    @cached_property
    def paths(self) -> ArchivePaths:
        """The archive's folders and files."""
        return ArchivePaths.of(self.config)

    @property
    def last_due(self) -> dt.date:
        """The newest day that the archive can have: today, or the last day a soil-moisture feed is used for."""
        return self.config.last_due(self.today)

    @property
    def layout(self) -> Layout:
        """How daily files are written."""
        return LAYOUTS[self.config.archive.layout]

    @cached_property
    def states(self) -> StateStore:
        """The state snapshots of a network with a memory."""
        return StateStore(self.paths.state, self.models.first.model_id)

    @cached_property
    def other_format(self) -> dict[dt.date, ArchiveFormat]:
        """The published days that have another grid or layout than the configured one: all of them are stale."""
        return days_of_other_format(self.paths.root, self.catalog, self.format)

    @property
    def format(self) -> ArchiveFormat:
        """The configured grid and layout."""
        return ArchiveFormat.of(self.grid, self.config.archive.layout)

    @cached_property
    def settings_digest(self) -> str:
        """Digest of the settings that change a published value."""
        layout = self.config.archive.layout
        return digest.of_values(LAYOUT_VERSIONS[layout], layout, self.grid.digest, *self.config.merge_settings)

    @cached_property
    def start(self) -> dt.date:
        """The archive's first day.

        Raises
        ------
        InputsMissing
            It is not configured, nothing is published, and the feeds have no file, or do not answer.
        """
        if self.config.archive.start:
            return self.config.archive.start
        published, oldest = self.catalog.first_and_newest(), self.inbox.oldest()
        unreachable = [listing.unreachable for listing in self.inbox.soil_moisture_feeds if listing.unreachable]
        if not published and not oldest and unreachable:
            raise FeedUnreachable(unreachable[0])
        if not published and not oldest:
            where = ", ".join(
                without_secrets(f.path) if f.kind == "folder" else f.product for f in self.config.feeds.soil_moisture
            )
            raise InputsMissing(f"no soil-moisture file in {where}; put files there, or set feeds.soil_moisture")
        return min(day for day in (published and published[0], oldest) if day)
