"""Filling planned days on a cluster: tasks are sent in blocks, and what they stage is published in date order."""

from __future__ import annotations

import itertools
import logging
import shutil
import statistics
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from runtime.backfill.cluster import worker_count
from runtime.backfill.staging import Staging
from runtime.backfill.task import program_digest
from runtime.backfill.work import ChainOfDays, SeparateDays, Task, TaskMaker, Work, chosen_engine
from runtime.common import digest
from runtime.errors import InputRefused, InputsMissing, ResultRefused, SeamlessError
from runtime.pipeline.context import RunContext
from runtime.pipeline.plan import PlannedDay
from runtime.pipeline.publishing import FilledDay, Publisher

if TYPE_CHECKING:
    from distributed import Client, Future

_TRIES = 3
"""How often a staged day that is damaged is computed again."""
_SLOW = 3.0
"""A block that takes so many times the usual is computed by a second worker as well, when there is no other work."""
_KNOWN = 3
"""Number of blocks from which on the usual time is known."""
_LOOK_S = 1.0
_WITHOUT_WORKERS_S = 300.0

logger = logging.getLogger(__name__)


@dataclass
class _Block:
    """Some days in a row that are computed together."""

    days: Sequence[PlannedDay]
    tasks: Sequence[Task | SeamlessError]
    """For each day its task, or why it has none: one of its inputs cannot be had."""
    futures: list[Future[Any]] = field(default_factory=list)
    sent: float = field(default_factory=time.monotonic)

    @property
    def made(self) -> list[Task]:
        """The tasks of the days that have one."""
        return [task for task in self.tasks if not isinstance(task, SeamlessError)]


@dataclass
class ClusterFill:
    """Fills days on a cluster; the days of a run, and of all its chunks, go through one of them."""

    client: Client
    block: int
    """Days in a row that are computed together: a worker reads the days around them once."""
    threads: int
    """Threads that a worker computes with."""
    workers: int = 1
    """Number of workers that are to come."""
    _took: list[float] = field(default_factory=list)
    """Seconds of the blocks that are done."""

    def __call__(self, days: Sequence[PlannedDay], run: RunContext) -> Generator[FilledDay, None, None]:
        """Fill planned days and publish them in order; see `runtime.pipeline.day.fill_days`."""
        return _Filling(self, run).fill(days)


@dataclass
class _Filling:
    cluster: ClusterFill
    run: RunContext
    _last_seen: float = field(default_factory=time.monotonic)
    """When there was a worker."""

    @cached_property
    def publisher(self) -> Publisher:
        return Publisher(self.run)

    @cached_property
    def work(self) -> Work:
        engine = chosen_engine(self.run)
        layout = self.run.config.archive.layout  # workers of a cluster that runs on keep what they know by this folder
        how = engine.engine, engine.precision, bool(engine.whole_grid)
        way = digest.of_values(program_digest(), *how, self.run.grid.digest, layout)
        maker = TaskMaker(self.run, self.run.paths.staging.absolute() / way[:16])
        kind = ChainOfDays if self.run.models.carry_state else SeparateDays
        workers = max(self.cluster.workers, worker_count(self.cluster.client))
        return kind(self.cluster.client, maker, self.cluster.threads, workers)

    @property
    def staging(self) -> Staging:
        return Staging(self.work.maker.folder)

    def fill(self, days: Sequence[PlannedDay]) -> Generator[FilledDay, None, None]:
        from distributed.client import ClosedClientError
        from distributed.comm.core import CommClosedError

        blocks, sent = self._blocks(days), deque[_Block]()
        try:
            while True:
                workers = self._workers()
                for block in itertools.islice(blocks, max(0, self.work.blocks_ahead(workers) - len(sent))):
                    self._send(block)
                    sent.append(block)
                if not sent:
                    return
                oldest = sent[0]
                if not self._wait(oldest):
                    self._hurry(sent, workers)
                    continue
                sent.popleft()
                yield from self._publish_block(oldest)
        except (CancelledError, ClosedClientError, CommClosedError) as error:
            raise SeamlessError(
                f"the scheduler of the cluster is gone ({error}); start it, then run again: it goes on where it was"
            ) from error
        finally:
            with suppress(ClosedClientError):
                self.cluster.client.cancel([future for block in sent for future in block.futures], force=True)

    def _workers(self) -> int:
        """Return the number of workers; those that are lost have some time to come back.

        Raises
        ------
        SeamlessError
            None is left.
        """
        found = worker_count(self.cluster.client)
        if found:
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > _WITHOUT_WORKERS_S:
            raise SeamlessError("the cluster has no workers left; start some, then run again: it goes on where it was")
        return max(1, found)

    # Sending

    def _blocks(self, days: Sequence[PlannedDay]) -> Iterator[_Block]:
        """Yield the days in blocks; they are prepared when a worker is about to need them."""
        for first in range(0, len(days), self.cluster.block):
            yield self._block(days[first : first + self.cluster.block])

    def _block(self, days: Sequence[PlannedDay]) -> _Block:
        return _Block(days, [self._task(day) for day in days])

    def _task(self, day: PlannedDay) -> Task | SeamlessError:
        self.run.warn_once(day.warnings)
        try:
            return self.work.task(day)
        except SeamlessError as error:
            return error

    def _send(self, block: _Block) -> None:
        if block.made:
            block.futures.append(self.work.send(block.made))

    # Waiting

    def _wait(self, block: _Block) -> bool:
        """Wait a moment for a block; return whether it is computed."""
        from distributed import wait

        if not block.futures:
            return True
        try:
            wait(block.futures, timeout=_LOOK_S, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return False
        self.cluster._took.append(time.monotonic() - block.sent)
        return True

    def _hurry(self, sent: Sequence[_Block], workers: int) -> None:
        """Let a second worker compute a block that takes long, if there is no other work for it."""
        if not self.work.may_repeat or len(sent) >= workers or len(self.cluster._took) < _KNOWN:
            return
        usual = statistics.median(self.cluster._took[-20:])
        for block in sent:
            if (
                len(block.futures) == 1
                and time.monotonic() - block.sent > _SLOW * usual
                and not block.futures[0].done()
            ):
                logger.info(f"{block.days[0].date}: takes long, a second worker computes it as well")
                self._send(block)

    # Publishing

    def _publish_block(self, block: _Block) -> Iterator[FilledDay]:
        results = iter(self._results(block))
        for day, task in zip(block.days, block.tasks, strict=True):
            if isinstance(task, SeamlessError):
                yield self._failed(day, task)
            else:
                error = next(results)
                yield self._failed(day, error) if error else self._publish(day, task)
        self.work.published(block.made)

    def _results(self, block: _Block) -> list[SeamlessError | None]:
        """Return for each day of a block why it is not staged."""
        from distributed import KilledWorker

        done = next((future for future in block.futures if future.done()), None)
        if done is None:
            return []
        try:
            found: list[SeamlessError | None] = done.result()
        except KilledWorker as error:
            raise SeamlessError(
                f"{block.days[0].date} to {block.days[-1].date}: each worker that computed these days was killed, "
                f"probably for want of memory ({error}); start fewer workers, then run again: it goes on where it was"
            ) from error
        self.cluster.client.cancel([each for each in block.futures if each is not done], force=True)
        return found

    def _failed(self, day: PlannedDay, error: SeamlessError) -> FilledDay:
        """Take note why a day is not computed; the catalog learns what became of a file that has changed."""
        if not isinstance(error, InputRefused | InputsMissing | ResultRefused):
            raise error
        try:
            for day_input in (*day.soil_moisture, *day.precipitation) if isinstance(error, InputRefused) else ():
                self.run.inbox.check(day_input)
        except (InputRefused, InputsMissing) as found:
            return FilledDay(day, found)
        return FilledDay(day, error)

    def _publish(self, day: PlannedDay, task: Task) -> FilledDay:
        """Judge a staged day and publish it; one that is damaged or gone is computed again."""
        for _ in range(_TRIES):
            found = self.staging.read(day.fingerprint)
            if found:
                break
            self.staging.drop(day.fingerprint)
            [error] = self.work.send_again(task).result()
            if error:
                return self._failed(day, error)
        else:
            raise SeamlessError(
                f"{self.staging.folder}: what workers write there does not arrive; is it a shared disk?"
            )
        staged, record = found
        try:
            if staged.unsound:
                raise ResultRefused(staged.unsound)
            self.publisher.judge(day, record, staged.cut)
        except ResultRefused as refusal:
            copy = partial(shutil.copyfile, self.staging.file(day.fingerprint, staged))
            kept = self.publisher.set_aside(day, refusal, copy)
            self.staging.drop(day.fingerprint)
            return FilledDay(day, kept)
        self.staging.move(day.fingerprint, self.run.paths.root)
        return self.publisher.publish(day, record, staged.written, staged.engine, staged.phases)
