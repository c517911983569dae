"""Add the readings of ISMN to examples, as the authors' script ``combine_ismn_data.py`` does."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime.retrieval.example import Example, ExampleError
from runtime.retrieval.sample import read_place
from runtime.retrieval.schema import LABEL, OLDER_LABEL
from runtime.retrieval.tfrecord import BadRecord, read_records, record_writer

logger = logging.getLogger(__name__)

BUFFER = dt.timedelta(minutes=3)
"""How far a reading may be from the time of an example."""
_DEPTH, _VARIABLE = "0.05", "soil_moisture"


class LookupFailure(Exception):
    """ISMN has no such network, station, sensor or reading."""


class ValueFailure(Exception):
    """ISMN has several readings, or one that is no number."""


@dataclass(frozen=True)
class CombineCounts:
    """What became of the examples of some shards."""

    done: int = 0
    """Examples written: they had a label, or got one."""
    lookup_failures: int = 0
    """Examples left out because ISMN has no reading for them."""
    value_failures: int = 0
    """Examples left out because ISMN has several readings, or one that is no number."""
    refused: int = 0
    """Records that cannot be read."""

    def __add__(self, other: CombineCounts) -> CombineCounts:
        mine, its = vars(self), vars(other)
        return CombineCounts(**{name: mine[name] + its[name] for name in mine})


def matches(sensor_name: str, station: str) -> bool:
    """Return whether a station is meant: each part of the name between ``_`` is in it, with or without its hyphens."""
    return all(part in station or part in station.replace("-", "") for part in sensor_name.split("_"))


class IsmnReadings:
    """The readings at 5 cm of the stations of an ISMN archive.

    Parameters
    ----------
    path : Path
        A zip or a folder, as ISMN provides it.

    Raises
    ------
    ValueError
        It holds no station.
    """

    def __init__(self, path: Path) -> None:
        from ismn.interface import ISMN_Interface

        if not path.exists():
            raise ValueError(f"{path} does not exist; give an ISMN zip or folder")
        self._data = ISMN_Interface(path)
        if not list(self._data.networks):
            raise ValueError(f"{path} holds no ISMN station")

    @functools.lru_cache(maxsize=64)  # noqa: B019  # an object lives as long as the program
    def _series(self, network: str, name: str) -> Any:
        """Return the readings of the first sensor at 5 cm of the first station that is meant."""
        if network not in self._data.networks:
            raise LookupFailure(f"no network {network}")
        stations = self._data[network].stations
        station = next((each for each in stations if matches(name, each)), None)
        if station is None:
            raise LookupFailure(f"no station {name} in {network}")
        sensors = stations[station].sensors
        key = next((each for each in sensors if _DEPTH in each and _VARIABLE in each), None)
        if key is None:
            raise LookupFailure(f"no sensor of soil moisture at {_DEPTH} m at {network} {station}")
        return sensors[key].read_data()[_VARIABLE]

    def at(self, sensor: str, moment: dt.datetime) -> float:
        """Return the only reading within `BUFFER` of a moment.

        Parameters
        ----------
        sensor : str
            ``NETWORK__STATION__TYPE``.
        moment : datetime
            UTC.

        Returns
        -------
        float
            Soil moisture, m3 m-3.

        Raises
        ------
        LookupFailure
            There is no network, station or sensor of that name, or no reading at that time.
        ValueFailure
            There are several readings, or it is no number.
        """
        parts = sensor.split("__")
        if len(parts) != 3:
            raise LookupFailure(f"{sensor!r} is not NETWORK__STATION__TYPE")
        series = self._series(*parts[:2])
        begin, end = ((moment + shift).replace(tzinfo=None, microsecond=0) for shift in (-BUFFER, BUFFER))
        found = np.asarray(series[begin:end], float)
        if not found.size:
            raise LookupFailure(f"{sensor} has no reading within 3 minutes of {moment:%Y-%m-%d %H:%M:%S}")
        if found.size > 1 or math.isnan(found[0]):
            raise ValueFailure(f"{sensor} has {found.size} readings within 3 minutes of {moment:%Y-%m-%d %H:%M:%S}")
        return float(found[0])


def combine_shard(shard: Path, out: Path, readings: IsmnReadings) -> CombineCounts:
    """Write a shard with labels; an example without one in ISMN is left out, all others keep all their fields.

    Parameters
    ----------
    shard : Path
        The file to read.
    out : Path
        The file to write, completely or not at all.
    readings : IsmnReadings
        The readings.

    Returns
    -------
    CombineCounts
        What became of its examples.
    """
    counts = CombineCounts()
    with record_writer(out) as write:
        for record in read_records(shard):
            try:
                if isinstance(record, BadRecord):
                    raise ExampleError(record.reason)
                example = Example.parse(record.data)
                write(record.data if _has_label(example) else _labelled(example, readings))
                counts += CombineCounts(done=1)
            except (LookupFailure, ValueFailure, ExampleError) as error:
                logger.warning(f"{shard}: record {record.number}: left out, {error}")
                counts += CombineCounts(
                    lookup_failures=isinstance(error, LookupFailure),
                    value_failures=isinstance(error, ValueFailure),
                    refused=isinstance(error, ExampleError),
                )
    return counts


def _has_label(example: Example) -> bool:
    return example.has(LABEL) or example.has(OLDER_LABEL)


def _labelled(example: Example, readings: IsmnReadings) -> bytes:
    place = read_place(example)
    if place.time is None:
        raise LookupFailure(f"{place.sensor}: the example has no time")
    return example.with_label(LABEL, readings.at(place.sensor, place.time))


def combine_shards(
    shards: Sequence[Path], ismn: Path, out: Path, workers: int, done: Callable[[Path, CombineCounts], None]
) -> CombineCounts:
    """Combine shards, several at a time; a shard that is in `out` already stays as it is.

    Parameters
    ----------
    shards : sequence of Path
        TFRecord files.
    ismn : Path
        A zip or a folder, as ISMN provides it.
    out : Path
        Folder of the result, whose files have the names of the shards.
    workers : int
        Number of processes.
    done : callable
        Called with each shard that is written, and what became of its examples.

    Returns
    -------
    CombineCounts
        What became of the examples of the shards that were written now.

    Raises
    ------
    ValueError
        Two shards have one name, `out` is the folder of a shard, or there is no ISMN station.
    """
    names = {shard.name for shard in shards}
    if len(names) < len(shards) or any(shard.parent.resolve() == out.resolve() for shard in shards):
        raise ValueError(f"{out}: give a folder of its own, and shards with different names")
    left = [shard for shard in shards if not (out / shard.name).exists()]
    total = CombineCounts()
    if workers <= 1 or len(left) <= 1:
        readings = IsmnReadings(ismn)
        for shard in left:
            counts = combine_shard(shard, out / shard.name, readings)
            done(shard, counts)
            total += counts
        return total
    IsmnReadings(ismn)  # its table of contents is written once, before several processes read it
    with ProcessPoolExecutor(workers, initializer=_open_readings, initargs=(ismn,)) as pool:
        for shard, counts in zip(left, pool.map(_combine_in_worker, left, [out] * len(left)), strict=True):
            done(shard, counts)
            total += counts
    return total


_of_worker: list[IsmnReadings] = []


def _open_readings(ismn: Path) -> None:
    _of_worker[:] = [IsmnReadings(ismn)]


def _combine_in_worker(shard: Path, out: Path) -> CombineCounts:
    return combine_shard(shard, out / shard.name, _of_worker[0])
