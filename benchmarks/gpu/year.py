"""Days in a row as the daily job does them: plan, read, fill, check and publish; and what a year of them takes."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from unittest import mock

from benchmarks.gpu.context import DATE, SMALL, WINDOW, Context
from benchmarks.gpu.programs import shipped
from benchmarks.gpu.rows import Row, not_run
from benchmarks.gpu.torch_engine import TorchEngine, Way
from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.bundle import AnyBundle
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.config import load_config
from runtime.engines.base import Engine
from runtime.engines.select import EngineSettings, unavailable_reason
from runtime.pipeline import models
from runtime.pipeline.run import fill_archive

BUNDLE = "seamless-2"
_DAYS = 17
"""Most days that are filled: those of the window of `DATE`."""


def measure_year(context: Context) -> Iterator[Row]:
    """Yield a row for the engine that ``auto`` takes, and one for PyTorch in its place.

    The runtime does not use PyTorch. On a GPU for which no engine of the runtime can be installed, this says what the
    GPU would give with reading and writing around it.
    """
    seconds = context.left / 2
    yield from _fill(context, "runtime, auto", seconds)
    if context.device == "cuda" and (reason := unavailable_reason("cuda")):
        yield not_run("runtime, cuda", reason)
    network = shipped(BUNDLE)
    assert network.model is not None
    way = Way("CUDA graphs", "bf16", graphs=True) if context.device == "cuda" else Way("eager")
    engine = TorchEngine.of(network.model, context.device, way)

    def instead(bundle: AnyBundle, setup: EngineSettings) -> Engine:
        return engine

    with mock.patch.object(models, "open_engine", instead):
        yield from _fill(context, f"{way.label}, in place of the runtime's engine", context.left)


def _fill(context: Context, name: str, seconds: float) -> Iterator[Row]:
    """Fill two days, then as many as fit into so many seconds, and yield what the latter took."""
    ends = time.monotonic() + seconds
    settings = {
        "archive.path": context.scratch / f"archive-{name.partition(',')[0].replace(' ', '-')}",
        "archive.start": DATE + dt.timedelta(WINDOW[0]),
        "archive.cube": "false",
        "model.bundle": BUNDLE,
        "paths.engines": context.scratch / "engines",
        "feeds.soil_moisture.0.path": context.days(),
        "feeds.soil_moisture.0.band": "x",
    }
    if context.small:
        settings["grid.box"] = list(SMALL)
    config = load_config(None, [f"{key}={value}" for key, value in settings.items()], environment={})
    first = DATE + dt.timedelta(WINDOW[0])
    last = first + dt.timedelta(_DAYS - 1)

    def fill(start: dt.date, days: int) -> float:
        started = time.perf_counter()
        outcome = fill_archive(config, DateRange(start, start + dt.timedelta(days - 1)), last, RunEvents())
        if outcome.error:
            raise outcome.error
        return time.perf_counter() - started

    each = fill(first, 2) / 2  # the engine is opened, the files of the window are read
    count = min(_DAYS - 2, int((ends - time.monotonic()) * 0.8 / each))
    if count < 1:
        yield not_run(name, f"two days took {2 * each:.0f} s, and no time was left for more")
        return
    a_day = fill(first + dt.timedelta(2), count) / count
    with Catalog.open(ArchivePaths.of(config).catalog, read_only=True) as catalog:
        revisions = catalog.revisions()[-count:]
    phases = {
        f"{phase}, s a day": sum(each.phases.get(phase, 0.0) for each in revisions) / count
        for phase in dict.fromkeys(phase for each in revisions for phase in each.phases)
    }
    yield {
        "program": name,
        "engine": revisions[-1].engine,
        "days": float(count),
        "s a day": a_day,
        "a year, minutes": 365 * a_day / 60,
        **phases,
    }
