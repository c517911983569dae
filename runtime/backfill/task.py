"""One day as a worker computes it: plain values walk in, and a staged day, or why there is none, walks out."""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import runtime
from runtime.archive.layout import LAYOUTS
from runtime.archive.record import DayDescription
from runtime.backfill.staging import Staging
from runtime.bundle import Bundle, load_bundle
from runtime.common import digest
from runtime.common.grid import Floats, Grid
from runtime.common.sensors import Product
from runtime.common.vocabulary import LayoutName
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import InputRefused, InputsMissing, ResultRefused, SeamlessError
from runtime.fill.base import Filler, make_filler
from runtime.inputs.day_input import InputField
from runtime.inputs.products.granule import FETCH_AGAIN
from runtime.inputs.reader_process import reader_process
from runtime.merge.combine import MergedField
from runtime.pipeline.compute import DayFields, compose_day, compute_day
from runtime.pipeline.gates import check_reached, check_sound

_CACHED_FIELDS = 32
"""Fields that a worker keeps in memory: those of a window, and a few more."""


@dataclass(frozen=True)
class FieldFile:
    """A file that holds the field of an input; two with the same field are equal."""

    field_digest: str
    path: Path = field(compare=False)
    product: Product = field(compare=False)
    date: dt.date = field(compare=False)
    band: str | None = field(compare=False)
    orbit: str | None = field(compare=False)

    def read(self, grid: Grid) -> InputField:
        """Read the field.

        Raises
        ------
        InputRefused
            The file cannot be read, or holds another field than when the day was planned.
        """
        values = reader_process().read(self.product, self.path, self.date, grid, self.band, self.orbit).field
        if digest.of_field(values) != self.field_digest:
            raise InputRefused(f"{self.path}: has changed since the day was planned; {FETCH_AGAIN}")
        return InputField(values)


@dataclass(frozen=True)
class MergedFile:
    """A merged field, which the publisher has written next to the staged days: transfers are fitted by it alone."""

    identity: str
    path: Path = field(compare=False)

    def write(self, merged: MergedField) -> None:
        """Write the field; one that is there already stays."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(".part")
            with part.open("wb") as file:
                np.savez(file, **vars(merged))
            part.replace(self.path)

    def read(self, grid: Grid) -> InputField:
        """Read the field."""
        with np.load(self.path) as arrays:
            merged = MergedField(**arrays)
        return InputField(merged.field, merged)


FieldSource = FieldFile | MergedFile | None
"""Where the field of an input is; None for an input without one."""


@dataclass(frozen=True)
class WorkerSettings:
    """What all days of a backfill share."""

    program: str
    """Digest of the program; see `program_digest`."""
    grid: Grid = field(compare=False)
    engine: EngineSettings
    layout: LayoutName
    staging: Path


@dataclass(frozen=True)
class DayTask:
    """A day to compute."""

    description: DayDescription
    bundle: Path
    """The network's folder."""
    soil_moisture: Sequence[FieldSource]
    precipitation: Sequence[FieldSource]


@functools.cache
def program_digest() -> str:
    """Return the digest of the program's own files: workers with another program may compute other values."""
    folder = Path(runtime.__file__).parent
    return digest.of_values(*((str(p.relative_to(folder)), digest.of_file(p)) for p in sorted(folder.rglob("*.py"))))


def compute_tasks(settings: WorkerSettings, tasks: Sequence[DayTask]) -> list[SeamlessError | None]:
    """Compute days that follow one another into the staging folder.

    Parameters
    ----------
    settings : WorkerSettings
        What all days share.
    tasks : sequence of DayTask
        The days; those that are staged already are left out.

    Returns
    -------
    list of SeamlessError or None
        For each day why it is not staged: an input has changed, or no observation reaches it.

    Raises
    ------
    SeamlessError
        This worker has another program or another network than the publisher, or cannot write.
    """
    return [_worker(settings).compute(task) for task in tasks]


@functools.lru_cache(maxsize=1)
def _worker(settings: WorkerSettings) -> _Worker:
    return _Worker(settings)


class _Worker:
    """What a worker keeps from task to task: open networks, and the fields that it read last."""

    def __init__(self, settings: WorkerSettings) -> None:
        if settings.program != program_digest():
            raise SeamlessError(
                "the worker has another version of this program than the publisher; install the same one on both"
            )
        self._settings = settings
        self._staging = Staging(settings.staging)
        self._fillers: dict[Path, tuple[Bundle, Filler]] = {}
        self._read = functools.lru_cache(_CACHED_FIELDS)(self._read_source)

    def compute(self, task: DayTask) -> SeamlessError | None:
        """Compute a day; return why it is not staged."""
        record, grid = task.description.record, self._settings.grid
        if self._staging.has(record.fingerprint):
            return None
        phases, began = {}, time.monotonic()
        try:
            fields = DayFields(
                soil_moisture=[self._read(source) for source in task.soil_moisture],
                precipitation=[self._read(source) for source in task.precipitation],
                today=self._filler(task).manifest.window.index(0),
            )
        except InputRefused as refusal:
            return refusal
        phases["read"], began = time.monotonic() - began, time.monotonic()
        bundle, filler = self._fillers[task.bundle]
        filled, _ = compute_day(filler, fields, None)
        phases["infer"], began = time.monotonic() - began, time.monotonic()
        try:
            check_reached(filled, record.date)
        except InputsMissing as missing:
            return missing
        day, unsound = compose_day(task.description, grid, bundle, filled, fields), None
        try:
            check_sound(filled, record.date)
        except ResultRefused as refusal:
            unsound = str(refusal)
        phases["check"] = time.monotonic() - began
        self._staging.add(day, LAYOUTS[self._settings.layout], filled.cut, filler.engine_name, phases, unsound)
        return None

    def _filler(self, task: DayTask) -> Bundle:
        if task.bundle not in self._fillers:
            bundle = load_bundle(task.bundle)
            if bundle.model_id != task.description.record.model_id:
                raise SeamlessError(f"{task.bundle}: is another network on the worker than where the days are planned")
            engine = open_engine(bundle, self._settings.engine)
            self._fillers[task.bundle] = bundle, make_filler(engine, bundle.manifest, self._settings.grid)
        return self._fillers[task.bundle][0]

    def _read_source(self, source: FieldSource) -> InputField:
        if source is None:
            empty: Floats = np.full(self._settings.grid.shape, np.nan, np.float32)
            return InputField(empty)
        return source.read(self._settings.grid)
