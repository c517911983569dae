"""One day as a worker computes it: plain values walk in, and a staged day, or why there is none, walks out."""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections.abc import Mapping, Sequence
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
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import InputRefused, InputsMissing, ResultRefused, SeamlessError
from runtime.fill.base import Filler, make_filler
from runtime.fill.result import Filled
from runtime.fill.state import State
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
        reading = reader_process().read(self.product, self.path, self.date, grid, self.band, self.orbit)
        if reading.digest != self.field_digest:
            raise InputRefused(f"{self.path}: has changed since the day was planned; {FETCH_AGAIN}")
        return InputField.of(reading)


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
    states: Path
    """Folder of a chain's snapshots."""


@dataclass(frozen=True)
class Network:
    """A network that a worker has opened."""

    bundle: Bundle
    engine: Engine | Staged
    filler: Filler


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
    return [worker_of(settings).compute(task) for task in tasks]


@functools.lru_cache(maxsize=1)
def worker_of(settings: WorkerSettings) -> Worker:
    """Return what this process keeps from task to task.

    Raises
    ------
    SeamlessError
        This process has another program than the publisher.
    """
    return Worker(settings)


class Worker:
    """What a worker keeps from task to task: open networks, and the fields that it read last."""

    def __init__(self, settings: WorkerSettings) -> None:
        if settings.program != program_digest():
            raise SeamlessError(
                "the worker has another version of this program than the publisher; install the same one on both"
            )
        self.settings = settings
        self.staging = Staging(settings.staging)
        self.left: dict[int, tuple[Path, State]] = {}
        """By share of the tiles: the state that its last day left, and the file that has it; see `links`."""
        self._networks: dict[Path, Network] = {}
        self._read = functools.lru_cache(_CACHED_FIELDS)(self._read_source)

    def compute(self, task: DayTask) -> SeamlessError | None:
        """Compute a day; return why it is not staged."""
        if self.staging.has(task.description.record.fingerprint):
            return None
        began = time.monotonic()
        try:
            fields = self.fields(task.soil_moisture, task.precipitation, task.bundle, task.description.record.model_id)
        except InputRefused as refusal:
            return refusal
        phases = {"read": time.monotonic() - began}
        began = time.monotonic()
        network = self.network(task.bundle, task.description.record.model_id)
        filled, _ = compute_day(network.filler, fields, None)
        phases["infer"] = time.monotonic() - began
        return self.stage(task.description, network, filled, fields, phases)

    def stage(
        self,
        description: DayDescription,
        network: Network,
        filled: Filled,
        fields: DayFields,
        phases: Mapping[str, float],
    ) -> SeamlessError | None:
        """Check a filled day and write it into the staging folder; return why not, if no observation reaches it."""
        date, began, unsound = description.record.date, time.monotonic(), None
        try:
            check_reached(filled, date)
        except InputsMissing as missing:
            return missing
        day = compose_day(description, self.settings.grid, network.bundle, filled, fields)
        try:
            check_sound(filled, date)
        except ResultRefused as refusal:
            unsound = str(refusal)
        phases = {**phases, "check": time.monotonic() - began}
        layout = LAYOUTS[self.settings.layout]
        self.staging.add(day, layout, filled.cut, network.filler.engine_name, phases, unsound)
        return None

    def network(self, folder: Path, model_id: str) -> Network:
        """Return a network, opened by the engine.

        Raises
        ------
        SeamlessError
            The folder holds another network than where the days are planned.
        """
        if folder not in self._networks:
            bundle = load_bundle(folder)
            if bundle.model_id != model_id:
                raise SeamlessError(f"{folder}: is another network on the worker than where the days are planned")
            settings = self.settings
            engine = open_engine(bundle, settings.engine)
            filler = make_filler(engine, bundle.manifest, settings.grid, whole_grid=settings.engine.whole_grid)
            self._networks[folder] = Network(bundle, engine, filler)
        return self._networks[folder]

    def fields(
        self, soil_moisture: Sequence[FieldSource], precipitation: Sequence[FieldSource], bundle: Path, model_id: str
    ) -> DayFields:
        """Read everything that a network reads for a day.

        Raises
        ------
        InputRefused
            A file cannot be read, or has changed since the day was planned.
        """
        return DayFields(
            soil_moisture=[self._read(source) for source in soil_moisture],
            precipitation=[self._read(source) for source in precipitation],
            today=self.network(bundle, model_id).bundle.manifest.window.index(0),
        )

    def _read_source(self, source: FieldSource) -> InputField:
        if source is None:
            empty: Floats = np.full(self.settings.grid.shape, np.nan, np.float32)
            return InputField(empty)
        return source.read(self.settings.grid)
