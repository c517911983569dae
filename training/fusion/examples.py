"""Labelled examples as arrays on disk, so that training reads each shard once, and the split by station."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import GRAPH
from runtime.common import digest
from runtime.common.events import Track, untracked
from runtime.common.vocabulary import ModelKind
from runtime.manifest import NamedInput, RetrievalManifest, RetrievedOutput
from runtime.retrieval.sample import Sample, samples_of
from runtime.retrieval.tfrecord import BadRecord, read_records

logger = logging.getLogger(__name__)

_INDEX = "examples.json"
_LIMITS = np.iinfo(np.int16)


class Split(StrEnum):
    """What the examples of a station are used for."""

    TRAINING = "training"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class SplitRule:
    """Deals stations out to splits, each by its name and a seed: no other station changes where one comes."""

    seed: int = 0
    validation: float = 0.15
    """Share of the stations."""
    test: float = 0.15
    """Share of the stations."""

    def of(self, sensor: str) -> Split:
        """Return the split of a sensor, which all sensors of its station share."""
        draw = int(digest.of_values(self.seed, station_of(sensor))[:12], 16) / 16**12
        if draw < self.test:
            return Split.TEST
        return Split.VALIDATION if draw < self.test + self.validation else Split.TRAINING


def station_of(sensor: str) -> str:
    """Return network and station of a sensor ``NETWORK__STATION__TYPE``."""
    return "__".join(sensor.split("__")[:2])


@dataclass(frozen=True)
class PackedExamples:
    """The labelled examples of some shards."""

    arrays: dict[str, list[NDArray[np.generic]]]
    """Memory maps by name of the input, one for each shard: int16 images, float32 numbers."""
    sensors: list[str]
    """Of each example."""
    labels: NDArray[np.float32]
    """Soil moisture, m3 m-3."""

    def __len__(self) -> int:
        return len(self.sensors)

    def take(self, numbers: Sequence[int] | NDArray[np.intp]) -> dict[str, NDArray[np.float32]]:
        """Return the inputs of some examples, by name of the input."""
        first = np.cumsum([0, *(len(part) for part in next(iter(self.arrays.values())))])
        shards = np.searchsorted(first, numbers, "right") - 1
        return {
            name: np.stack([parts[s][n - first[s]] for n, s in zip(numbers, shards, strict=True)]).astype(np.float32)
            for name, parts in self.arrays.items()
        }

    def of_split(self, rule: SplitRule, split: Split) -> NDArray[np.intp]:
        """Return the numbers of the examples of a split."""
        return np.flatnonzero([rule.of(sensor) is split for sensor in self.sensors])


def pack(
    shards: Sequence[Path], inputs: Sequence[NamedInput], folder: Path, track: Track = untracked
) -> PackedExamples:
    """Read the labelled examples of shards into arrays on disk; shards that are packed already are not read again.

    Records that cannot be used are logged and left out.

    Parameters
    ----------
    shards : sequence of Path
        TFRecord files.
    inputs : sequence of NamedInput
        What to keep of each example.
    folder : Path
        Folder of the arrays, for shards and inputs of any kind.
    track : callable, optional
        Shows the progress over the shards.

    Returns
    -------
    PackedExamples
        The examples, in the order of the shards.

    Raises
    ------
    ValueError
        No example has a label.
    """
    # only the inputs of the manifest are used
    manifest = RetrievalManifest(
        name=GRAPH,
        version="0",
        kind=ModelKind.RETRIEVAL,
        batch=1,
        inputs=tuple(inputs),
        output=RetrievedOutput(name="x"),
    )
    settings = [each.model_dump(mode="json") for each in inputs]
    folders = []
    for shard in track(shards, "shards"):
        status = shard.stat()
        packed = folder / digest.of_values(shard.name, status.st_size, status.st_mtime_ns, settings)[:16]
        if not (packed / _INDEX).exists():
            _pack_shard(shard, manifest, packed)
        folders.append(packed)
    index = [json.loads((each / _INDEX).read_text()) for each in folders]
    used = [each for each, found in zip(folders, index, strict=True) if found["sensors"]]
    if not used:
        raise ValueError(
            f"no example of {len(shards)} files has a label; `python -m training combine` adds those of ISMN"
        )
    return PackedExamples(
        {each.name: [np.load(f / f"{each.name}.npy", mmap_mode="r") for f in used] for each in inputs},
        [sensor for found in index for sensor in found["sensors"]],
        np.array([label for found in index for label in found["labels"]], np.float32),
    )


def _pack_shard(shard: Path, manifest: RetrievalManifest, folder: Path) -> None:
    """Write the labelled examples of a shard, into a folder that is there completely or not at all."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    sensors: list[str] = []
    labels: list[float] = []
    kept: list[int] = []
    files = {each.name: (part / f"{each.name}.raw").open("wb") for each in manifest.inputs}
    for number, found in enumerate(samples_of(read_records(shard), manifest)):
        if isinstance(found, BadRecord):
            logger.warning(str(found))
        elif found.place.label is not None:
            for name, values in _stored(found).items():
                files[name].write(values.tobytes())
            sensors.append(found.place.sensor)
            labels.append(found.place.label)
            kept.append(number)
    for each in manifest.inputs:
        files[each.name].close()
        kind = np.dtype(np.int16 if len(each.shape) > 1 else np.float32)
        raw = part / f"{each.name}.raw"
        if sensors:
            values = np.memmap(raw, kind, "r", shape=(len(sensors), *each.shape))
            np.save(part / f"{each.name}.npy", values)
        raw.unlink()
    (part / _INDEX).write_text(json.dumps({"sensors": sensors, "labels": labels, "records": kept}))
    part.replace(folder)


def _stored(sample: Sample) -> dict[str, NDArray[np.generic]]:
    """Return the inputs as they are stored; values of images are integers, beyond 32,767 they are cut."""
    return {
        name: values.clip(_LIMITS.min, _LIMITS.max).astype(np.int16) if values.ndim > 1 else values
        for name, values in sample.inputs.items()
    }
