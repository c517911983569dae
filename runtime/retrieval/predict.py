"""Run the network of a retrieval over examples, a batch at a time; the next batches are read while one is computed."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict, deque
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
from runtime.retrieval.tfrecord import BadRecord, read_records

T = TypeVar("T")
MOST_READERS = 8
"""Files that are read side by side, on any machine; each takes a core, and 60 MB."""


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
    """Yield the value of each example of some files, in order.

    As many files are read side by side as there are cores, at most `MOST_READERS`; of each, one batch is in memory, and
    the values of those that are not yet at their turn.

    Parameters
    ----------
    engine : Engine
        The network.
    manifest : RetrievalManifest
        Its inputs and its output.
    shards : sequence of Path
        TFRecord files.
    most : int, optional
        Number of records after which to stop, those that cannot be used included. The files are then read one after the
        other.
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
    read, total = [0] * len(shards), sum(shard.stat().st_size for shard in shards if shard.exists())

    def batches_of(number: int) -> Iterator[list[Sample | BadRecord]]:
        records = read_records(shards[number], lambda done: read.__setitem__(number, done))
        return _batches(samples_of(records, manifest), manifest.batch)

    def computed() -> Iterator[tuple[int, list[Retrieval | BadRecord]]]:
        readers = min(MOST_READERS, len(os.sched_getaffinity(0))) if most is None else 1
        for number, batch in _read_by_turns(map(batches_of, range(len(shards))), readers):
            samples = [item for item in batch if not isinstance(item, BadRecord)]
            values = iter(compute(engine, manifest, samples) if samples else ())
            yield (
                number,
                [item if isinstance(item, BadRecord) else Retrieval(item.place, next(values)) for item in batch],
            )
            if progress:
                progress(sum(read), total)

    return itertools.islice(_in_turn(computed()), most)


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def _read_by_turns(sources: Iterator[Iterator[list[T]]], threads: int) -> Iterator[tuple[int, list[T]]]:
    """Yield the lists of several sources with the source's number, an empty one at its end.

    Each of the sources that are open has a thread, and makes its next list while the others' are used. They take turns,
    so the order is always the same.
    """
    closed = enumerate(sources)
    with ThreadPoolExecutor(threads) as pool:
        opened: deque[tuple[int, Iterator[list[T]], Future[list[T]]]] = deque()

        def go_on(number: int, source: Iterator[list[T]]) -> None:
            opened.append((number, source, pool.submit(next, source, [])))

        for number, source in itertools.islice(closed, threads):
            go_on(number, source)
        while opened:
            number, source, coming = opened.popleft()
            found = coming.result()
            for following in [(number, source)] if found else itertools.islice(closed, 1):
                go_on(*following)
            yield number, found


def _in_turn(lists: Iterator[tuple[int, list[T]]]) -> Iterator[T]:
    """Yield the items of numbered sources, those of the first one first; a source ends with an empty list."""
    turn, early, ended = 0, defaultdict[int, list[T]](list), set[int]()
    for number, found in lists:
        early[number] += found
        if not found:
            ended.add(number)
        while True:
            yield from early.pop(turn, ())
            if turn not in ended:
                break
            turn += 1
