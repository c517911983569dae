"""What is computed on a cluster, for each kind of network: planned days walk in, tasks walk out and go to workers.

Days of a window network are computed apart from each other, in blocks of days in a row. Those of a network with a
memory are a chain: the tiles are shared out, each share walks through all days, and a third kind of task joins them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runtime.backfill.links import LinkTask, compute_links, compute_share, join_shares
from runtime.backfill.staging import Staging
from runtime.backfill.task import (
    DayTask,
    FieldFile,
    FieldSource,
    MergedFile,
    WorkerSettings,
    compute_tasks,
    program_digest,
)
from runtime.engines.select import EngineSettings, choose_engine
from runtime.errors import SeamlessError
from runtime.fill.recurrent import shares_of_tiles
from runtime.inputs.day_input import DayInput, Merged, Ready
from runtime.pipeline.chain import ChainLink, require_unchanged
from runtime.pipeline.context import RunContext
from runtime.pipeline.plan import PlannedDay
from runtime.pipeline.publishing import Publisher

if TYPE_CHECKING:
    from distributed import Client, Future

Task = DayTask | Sequence[LinkTask]
"""A day to compute; in a chain, after those that are replayed for it."""

_TRIES = 3
"""How often a block is computed again whose worker was lost."""


def chosen_engine(run: RunContext) -> EngineSettings:
    """Return the engine of all workers, which is chosen on this machine: bytes are the same with one engine only."""
    chosen = choose_engine(run.models.first, run.models.engine).engine
    return replace(run.models.engine, engine=chosen)


@dataclass(frozen=True)
class TaskMaker:
    """Makes the tasks of a run's days."""

    run: RunContext
    folder: Path
    """Folder for merged fields."""

    @property
    def settings(self) -> WorkerSettings:
        """What all workers need to know."""
        layout, states = self.run.config.archive.layout, self.run.states.folder.absolute()
        return WorkerSettings(program_digest(), self.run.grid, chosen_engine(self.run), layout, self.folder, states)

    def task(self, day: PlannedDay) -> DayTask:
        """Return a day as a worker computes it.

        Raises
        ------
        InputsMissing, InputRefused
            The file of an input is not on this machine and cannot be fetched, or is not what it was.
        """
        return DayTask(
            Publisher(self.run).describe(day),
            day.bundle.path.absolute(),
            [self._source(day_input) for day_input in day.soil_moisture],
            [self._source(day_input) for day_input in day.precipitation],
        )

    def links(self, day: PlannedDay) -> list[LinkTask]:
        """Return a day of a chain as workers compute it, after those that are replayed for it.

        Raises
        ------
        InputsMissing, InputRefused
            As by `task`.
        StateChainBroken
            The inputs of a day have changed whose state is gone.
        """
        for link in day.replay:
            require_unchanged(link, day.date, self.run.states)
        replayed = [self._link(link) for link in day.replay]
        assert day.link
        return [*replayed, replace(self._link(day.link), description=Publisher(self.run).describe(day))]

    def _link(self, link: ChainLink) -> LinkTask:
        bundle = self.run.models.first
        return LinkTask(
            date=link.date,
            state=link.state,
            upstream=link.upstream,
            bundle=bundle.path.absolute(),
            model_id=bundle.model_id,
            soil_moisture=self._source(link.soil_moisture),
            precipitation=self._source(link.precipitation),
            description=None,
        )

    def _source(self, day_input: DayInput) -> FieldSource:
        """Return where a worker finds the field of an input."""
        if isinstance(day_input, Merged):
            field = MergedFile(day_input.identity, self.folder / "merged" / f"{day_input.identity[:32]}.npz")
            merged = self.run.inbox.read(day_input).merged
            if merged:
                field.write(merged)
            return field
        if not isinstance(day_input, Ready):
            return None
        file = day_input.file
        path = self.run.inbox.store.local_path(file, day_input.sha256).absolute()
        wanted = file.listing.wanted
        return FieldFile(
            day_input.field_digest, path, wanted.product, file.granule.date, file.listing.band, wanted.orbit
        )


@dataclass
class Work(ABC):
    """Makes tasks and sends them."""

    client: Client
    maker: TaskMaker
    threads: int
    """Threads that a worker computes with."""
    workers: int
    """Number of workers when the first task is sent."""

    @cached_property
    def settings(self) -> Any:
        """The settings of the workers, sent to each of them once."""
        settings = self.maker.settings
        engine = replace(settings.engine, threads=self.threads)
        return self.client.scatter(replace(settings, engine=engine), broadcast=True, hash=False)

    @abstractmethod
    def blocks_ahead(self, workers: int) -> int:
        """Return how many blocks may be sent before the oldest is published."""

    @abstractmethod
    def task(self, day: PlannedDay) -> Task:
        """Return the task of a day, in date order; errors as by `TaskMaker`."""

    @abstractmethod
    def send(self, tasks: Sequence[Any]) -> Future[Any]:
        """Let workers compute days; the result says for each why it is not staged."""

    @abstractmethod
    def send_again(self, task: Any) -> Future[Any]:
        """Let a worker compute a day whose staged files are damaged or gone; the days before it are published."""

    def published(self, tasks: Sequence[Any]) -> None:
        """Take note that the days of a block are published, or never will be."""
        return

    @property
    def may_repeat(self) -> bool:
        """Whether a second worker may compute a block that takes long."""
        return False


@dataclass
class SeparateDays(Work):
    """Days of a window network."""

    BLOCKS: ClassVar = 3
    """Blocks a worker that are sent before the oldest is published: enough work, and a bounded staging folder."""

    def blocks_ahead(self, workers: int) -> int:
        """Return some for each worker."""
        return self.BLOCKS * workers

    def task(self, day: PlannedDay) -> DayTask:
        """Return the task of a day."""
        return self.maker.task(day)

    def send(self, tasks: Sequence[DayTask]) -> Future[Any]:
        """Let one worker compute days in a row."""
        return self.client.submit(compute_tasks, self.settings, tasks, pure=False, retries=_TRIES)

    def send_again(self, task: DayTask) -> Future[Any]:
        """Let a worker compute a day."""
        return self.send([task])

    @property
    def may_repeat(self) -> bool:
        """Return True: the first result counts."""
        return True


@dataclass
class ChainOfDays(Work):
    """Days of a network with a memory."""

    _sent: tuple[str, Sequence[Future[Any]]] = ("", ())
    """The state that the last block leaves, and the tasks of its shares."""
    _broken: tuple[str, SeamlessError] | None = None
    """The state that cannot be computed, since an input cannot be had, and why."""

    BLOCKS: ClassVar = 4
    """Blocks that are sent before the oldest is published; all workers compute a block together."""

    @cached_property
    def shares(self) -> int:
        """Number of shares of the tiles."""
        models = self.maker.run.models
        wanted = 1 if models.engine.whole_grid else self.workers
        return len(shares_of_tiles(models.first.manifest, models.grid, wanted))

    def blocks_ahead(self, workers: int) -> int:
        """Return a few."""
        return self.BLOCKS

    def task(self, day: PlannedDay) -> list[LinkTask]:
        """Return the links of a day; the days after one that cannot be computed cannot be either."""
        assert day.link
        first = (*day.replay, day.link)[0]
        try:
            if self._broken and first.upstream == self._broken[0]:
                raise self._broken[1]
            return self.maker.links(day)
        except SeamlessError as error:
            self._broken = day.link.state, error
            raise

    def send(self, tasks: Sequence[Sequence[LinkTask]]) -> Future[Any]:
        """Let workers compute a share each, after the same share of the block before, and one join them."""
        links = [link for task in tasks for link in task]
        before: Sequence[Future[Any] | None] = [None] * self.shares
        if links[0].upstream == self._sent[0]:
            before = self._sent[1]
        computed = [
            self.client.submit(
                compute_share, self.settings, links, number, self.shares, each, pure=False, retries=_TRIES
            )
            for number, each in enumerate(before)
        ]
        self._sent = links[-1].state, computed
        return self.client.submit(join_shares, self.settings, links, self.shares, *computed, pure=False, retries=_TRIES)

    def send_again(self, task: Sequence[LinkTask]) -> Future[Any]:
        """Let a worker compute a day, all of its tiles."""
        return self.client.submit(compute_links, self.settings, task, pure=False, retries=_TRIES)

    def published(self, tasks: Sequence[Sequence[LinkTask]]) -> None:
        """Delete the tiles of days that are joined."""
        for task in tasks:
            for link in task:
                Staging(self.maker.folder).drop_tiles(link.state)
