"""Run the network of a retrieval over examples: some files are read, and some batches computed, at the same time."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import numpy as np

from runtime.bundle import RetrievalBundle
from runtime.common.events import Progress
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, choose_engine, open_engine
from runtime.errors import BundleError, SeamlessError
from runtime.manifest import RetrievalManifest
from runtime.retrieval.sample import Place, Sample, samples_of
from runtime.retrieval.tfrecord import BadRecord, Record, read_records

T = TypeVar("T")
MOST_SIDE_BY_SIDE = 8
"""Files that are read, and batches that are computed, side by side on any machine; each takes some 200 MB."""


@dataclass(frozen=True)
class Retrieval:
    """What a network says about one example."""

    place: Place
    value: float
    """In the unit and the range of the bundle's output."""


def open_retrieval_engines(bundle: RetrievalBundle, settings: EngineSettings) -> list[Engine]:
    """Open the engines of a retrieval, and try one of them on a made-up example.

    On a CPU there is one for each core, at most `MOST_SIDE_BY_SIDE`, and they share the cores: a small network leaves
    cores waiting. On a GPU there is one.

    Raises
    ------
    ConfigError
        The engine cannot run on this machine.
    BundleError
        The graph does not do what its manifest says.
    """
    number = 1
    if choose_engine(bundle, settings).engine in ("cpu", "openvino"):
        threads = settings.threads or len(os.sched_getaffinity(0))
        number = min(MOST_SIDE_BY_SIDE, threads)
        settings = replace(settings, threads=threads // number)
    with ThreadPoolExecutor(number) as pool:
        opened = pool.map(open_engine, [bundle] * number, [settings] * number)
        engines = [each for each in opened if not isinstance(each, Staged)]  # none has stages
    nothing = Place("", 0.0, 0.0, None, None)
    inputs = {each.name: np.zeros(each.shape, np.float32) for each in bundle.manifest.inputs}
    try:
        compute(engines[0], bundle.manifest, [Sample(nothing, inputs)])
    except SeamlessError:
        raise
    except Exception as error:  # each engine has errors of its own
        reason = " ".join(str(error).split())
        raise BundleError(
            f"{bundle.path}: the network does not do what its manifest says ({type(error).__name__}: {reason[:200]}); "
            "export the bundle again"
        ) from error
    return engines


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
    engines: Sequence[Engine],
    manifest: RetrievalManifest,
    shards: Sequence[Path],
    most: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Retrieval | BadRecord]:
    """Yield the value of each example of some files, in order.

    As many files are read side by side as there are cores, at most `MOST_SIDE_BY_SIDE`. In memory are two batches of
    each, two for each engine, and the values of files that are not yet at their turn, 0.4 kB an example.

    Parameters
    ----------
    engines : sequence of Engine
        The network, as often as batches are computed at the same time.
    manifest : RetrievalManifest
        Its inputs and its output.
    shards : sequence of Path
        TFRecord files.
    most : int, optional
        Number of records after which to stop, those that cannot be used included. The files are then read one after the
        other, and no more records than these.
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
    sizes = [shard.stat().st_size if shard.exists() else 0 for shard in shards]
    read = [0] * len(shards)
    readers = min(MOST_SIDE_BY_SIDE, len(os.sched_getaffinity(0)))
    idle: SimpleQueue[Engine] = SimpleQueue()
    for engine in engines:
        idle.put(engine)

    def records_of(number: int) -> Iterator[Record | BadRecord]:
        yield from read_records(shards[number], lambda done: read.__setitem__(number, done))
        read[number] = sizes[number]  # also where a damaged file was left before its end

    def batches_of(records: Iterator[Record | BadRecord]) -> Iterator[list[Sample | BadRecord]]:
        return _batches(samples_of(records, manifest), manifest.batch)

    def retrieved(batch: list[Sample | BadRecord]) -> list[Retrieval | BadRecord]:
        samples = [item for item in batch if not isinstance(item, BadRecord)]
        engine = idle.get()
        try:
            values = iter(compute(engine, manifest, samples) if samples else ())
        finally:
            idle.put(engine)
        return [item if isinstance(item, BadRecord) else Retrieval(item.place, next(values)) for item in batch]

    def computed() -> Iterator[tuple[int, list[Retrieval | BadRecord]]]:
        coming: deque[tuple[int, Future[list[Retrieval | BadRecord]]]] = deque()
        files = map(records_of, range(len(shards)))
        sources = [*files] if most is None else [itertools.islice(itertools.chain.from_iterable(files), most)]
        with ThreadPoolExecutor(len(engines)) as pool:
            for number, batch in _read_by_turns(map(batches_of, sources), readers):
                coming.append((number, pool.submit(retrieved, batch)))
                if progress:
                    progress(sum(read), sum(sizes))
                if len(coming) > len(engines):
                    yield _with_number(coming.popleft())
            while coming:
                yield _with_number(coming.popleft())

    return _in_turn(computed())


def _with_number(numbered: tuple[int, Future[T]]) -> tuple[int, T]:
    return numbered[0], numbered[1].result()


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
