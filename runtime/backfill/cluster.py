"""Where a backfill is computed: a Dask cluster of this machine, of a batch system, or one that runs already."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runtime.errors import ConfigError, SeamlessError

if TYPE_CHECKING:
    from distributed import Client

BatchSystem = Literal["slurm", "pbs"]

_START_S = 120
"""Seconds in which the first worker must have come; a batch system may need longer and gets ten times as many."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterChoice:
    """The cluster to use; without a choice, one of this machine with a worker on each core."""

    workers: int | None = None
    """Number of workers."""
    scheduler: str | None = None
    """Address of a cluster that runs already, for example ``tcp://10.0.0.1:8786``."""
    batch: BatchSystem | None = None
    """Batch system that starts the workers. Queue, memory and time of a job are Dask's own settings."""

    threads: int | None = None
    """Threads that each worker computes with; without it, the workers of this machine share its cores, and others have
    one."""

    @property
    def threads_each(self) -> int:
        """Number of threads that a worker computes with."""
        if self.threads or self.scheduler or self.batch:
            return self.threads or 1
        return max(1, _cores() // (self.workers or _cores()))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@contextmanager
def open_cluster(choice: ClusterChoice) -> Iterator[Client]:
    """Yield a client of the chosen cluster; one that was started here ends with the block.

    Raises
    ------
    ConfigError
        Dask, or the package for the batch system, is not installed.
    SeamlessError
        The cluster does not answer, or no worker starts.
    """
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed; pip install 'seamless-sm[distributed]'") from error
    settings = {"distributed.comm.timeouts.connect": "10s", "distributed.logging.distributed": "error"}
    with dask.config.set(settings), ExitStack() as stack:
        try:
            client = stack.enter_context(Client(stack.enter_context(_cluster(choice)), timeout=10))
            client.wait_for_workers(1, timeout=_START_S * (10 if choice.batch else 1))
        except (OSError, TimeoutError) as error:
            where = choice.scheduler or choice.batch or "this machine"
            raise SeamlessError(
                f"the cluster of {where} does not answer ({error}); start it, then run again"
            ) from error
        logger.info(f"workers: {worker_count(client)}; Dask shows what they do at {client.dashboard_link}")
        yield client


@contextmanager
def _cluster(choice: ClusterChoice) -> Iterator[Any]:
    """Yield the address of a cluster, or the cluster that is started here."""
    if choice.scheduler:
        yield choice.scheduler
        return
    if choice.batch:
        with _batch_cluster(choice.batch) as cluster:
            cluster.scale(choice.workers or 1)
            yield cluster
        return
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=choice.workers or _cores(), threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
    ) as cluster:
        yield cluster


def _batch_cluster(batch: BatchSystem) -> Any:
    """Return a cluster whose workers are jobs, as Dask's own settings (``jobqueue.slurm``, ``jobqueue.pbs``) say."""
    try:
        dask_jobqueue: Any = importlib.import_module("dask_jobqueue")
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed; pip install dask-jobqueue") from error
    kinds = {"slurm": dask_jobqueue.SLURMCluster, "pbs": dask_jobqueue.PBSCluster}
    try:
        return kinds[batch](cores=1, processes=1)
    except ValueError as error:
        raise ConfigError(f"{batch}: {error}; set it in ~/.config/dask/jobqueue.yaml, see docs/backfill.md") from error


def worker_count(client: Client) -> int:
    """Return how many workers a cluster has; 0 also if it does not answer."""
    return len(client.scheduler_info(n_workers=-1).get("workers", {}))
