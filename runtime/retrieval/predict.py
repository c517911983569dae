"""Run the network of a retrieval over examples, a batch at a time; the next batch is read while one is computed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from runtime.bundle import RetrievalBundle
from runtime.common.events import Progress
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import BundleError, SeamlessError
from runtime.manifest import RetrievalManifest
from runtime.retrieval.sample import Place, Sample, samples_of
from runtime.retrieval.tfrecord import BadRecord, Record, read_records

T = TypeVar("T")


@dataclass(frozen=True)
class Retrieval:
    """What a network says about one example."""

    place: Place
    value: float
    """In the unit and the range of the bundle's output."""


def open_retrieval_engine(bundle: RetrievalBundle, settings: EngineSettings) -> Engine:
    """Open the engine of a retrieval, and try it on a made-up example.

    Raises
    ------
    ConfigError
        The engine cannot run on this machine.
    BundleError
        The graph does not do what its manifest says.
    """
    engine = open_engine(bundle, settings)
    assert not isinstance(engine, Staged)
    nothing = Place("", 0.0, 0.0, None, None)
    inputs = {each.name: np.zeros(each.shape, np.float32) for each in bundle.manifest.inputs}
    try:
        compute(engine, bundle.manifest, [Sample(nothing, inputs)])
    except SeamlessError:
        raise
    except Exception as error:  # each engine has errors of its own
        reason = " ".join(str(error).split())
        raise BundleError(
            f"{bundle.path}: the network does not do what its manifest says ({type(error).__name__}: {reason[:200]}); "
            "export the bundle again"
        ) from error
    return engine


def compute(engine: Engine, manifest: RetrievalManifest, batch: Sequence[Sample]) -> list[float]:
    """Return the value of each sample of a batch.

    Raises
    ------
    BundleError
        The network gives another number of values, or a value outside of its range.
    """
    inputs = {each.name: np.stack([sample.inputs[each.name] for sample in batch]) for each in manifest.inputs}
    output = manifest.output
    found = engine.run(inputs).get(output.name)
    if found is None or found.size != len(batch):
        raise BundleError(
            f"bundle {manifest.name}: the graph gives "
            + (f"no output {output.name}" if found is None else f"{found.size} values for {len(batch)} examples")
            + "; export the bundle again"
        )
    values = found.reshape(-1).astype(float)
    if not ((values >= output.minimum) & (values <= output.maximum)).all():  # NaN is in no range
        raise BundleError(
            f"bundle {manifest.name}: the network gives {values.min():g} to {values.max():g}, outside of its range "
            f"{output.minimum:g} to {output.maximum:g} {output.unit}"
        )
    return [float(value) for value in values]


def retrievals(
    engine: Engine,
    manifest: RetrievalManifest,
    shards: Sequence[Path],
    most: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Retrieval | BadRecord]:
    """Yield the value of each example of some files, in order; no more than two batches are in memory.

    Parameters
    ----------
    engine : Engine
        The network.
    manifest : RetrievalManifest
        Its inputs and its output.
    shards : sequence of Path
        TFRecord files.
    most : int, optional
        Number of records after which to stop, those that cannot be used included.
    progress : callable, optional
        Called with the number of bytes read, and those of all files.

    Yields
    ------
    Retrieval or BadRecord
        The value of an example, or why it has none.

    Raises
    ------
    BundleError
        The network gives something else than its manifest says.
    """
    records = itertools.islice(_records(shards, progress or (lambda _done, _total: None)), most)
    for batch in _one_ahead(_batches(samples_of(records, manifest), manifest.batch)):
        samples = [item for item in batch if not isinstance(item, BadRecord)]
        values = iter(compute(engine, manifest, samples) if samples else ())
        for item in batch:
            yield item if isinstance(item, BadRecord) else Retrieval(item.place, next(values))


def _records(shards: Sequence[Path], progress: Progress) -> Iterator[Record | BadRecord]:
    sizes = [shard.stat().st_size if shard.exists() else 0 for shard in shards]
    for number, shard in enumerate(shards):
        before = sum(sizes[:number])
        yield from read_records(shard, lambda read, before=before: progress(before + read, sum(sizes)))  # type: ignore[misc]


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def _one_ahead(items: Iterator[list[T]]) -> Iterator[list[T]]:
    """Yield the items; the next one is made in a thread meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        coming: Future[list[T]] = thread.submit(next, items, [])
        while item := coming.result():
            coming = thread.submit(next, items, [])
            yield item
