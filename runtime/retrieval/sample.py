"""One example as a network reads it: its fields scaled and stacked to the inputs of the graph."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from runtime.common.grid import Floats
from runtime.manifest import NamedInput, RetrievalManifest
from runtime.retrieval.example import Example, ExampleError
from runtime.retrieval.schema import (
    FIELDS,
    IMAGE_SIZE,
    KNOWN_KINDS,
    LABEL,
    LATITUDE,
    LONGITUDE,
    OLDER_LABEL,
    SENSOR,
    TIMESTAMP,
    ExampleField,
)
from runtime.retrieval.tfrecord import BadRecord, Record

_NO_LABEL = 0.0
"""The authors' scripts take it for an absent label."""


@dataclass(frozen=True)
class Place:
    """Where and when an example is, and what was measured there."""

    sensor: str
    """Network, station and kind of sensor, joined by ``__``."""
    latitude: float
    """Degrees north; NaN if the example does not say it."""
    longitude: float
    """Degrees east; NaN if the example does not say it."""
    time: dt.datetime | None
    """UTC; the file has it as float32, in steps of 131 s. None if the example does not say it."""
    label: float | None
    """Soil moisture that was measured there, m3 m-3; None if the example has none."""


@dataclass(frozen=True)
class Sample:
    """An example as a network reads it."""

    place: Place
    inputs: Mapping[str, Floats]
    """Arrays by name of the graph's input, with its shape, without a batch axis."""


def read_place(example: Example) -> Place:
    """Return where and when an example is, and its label.

    Raises
    ------
    ExampleError
        It does not name its sensor, or one of the fields is not a single value of the right type.
    """
    latitude, longitude, milliseconds = (
        example.number(FIELDS[name], math.nan) for name in (LATITUDE, LONGITUDE, TIMESTAMP)
    )
    labels = (example.number(KNOWN_KINDS[name], _NO_LABEL) for name in (LABEL, OLDER_LABEL))
    label = next((value for value in labels if value != _NO_LABEL and math.isfinite(value)), None)
    return Place(example.text(FIELDS[SENSOR]), latitude, longitude, _moment(milliseconds), label)


def read_sample(example: Example, manifest: RetrievalManifest) -> Sample:
    """Return an example as a network reads it.

    Raises
    ------
    ExampleError
        A field that the network needs is absent, or has another type or number of values.
    """
    return Sample(read_place(example), {each.name: stack(example, each) for each in manifest.inputs})


def stack(example: Example, wanted: NamedInput) -> Floats:
    """Return one input of the graph, made from the fields of an example.

    Parameters
    ----------
    example : Example
        The example.
    wanted : NamedInput
        Which fields, in which order, shape and scaling.

    Returns
    -------
    float32 array, shape ``wanted.shape``
        The input; of images the middle rows and columns.

    Raises
    ------
    ExampleError
        A field is absent, or has another type or number of values.
    """
    stacked = np.empty(wanted.shape, np.float32)
    for place, source in enumerate(wanted.fields):
        field = FIELDS.get(source.name, ExampleField(source.name))
        if source.default is not None and not example.has(source.name):
            stacked[..., place] = source.default
        elif len(wanted.shape) == 1:
            stacked[place] = source.scaled(np.array(example.number(field)))
        else:
            stacked[..., place] = source.scaled(_middle(example, field, wanted))
    return stacked


def samples_of(records: Iterator[Record | BadRecord], manifest: RetrievalManifest) -> Iterator[Sample | BadRecord]:
    """Yield the records of files as a network reads them; a record that cannot be used stays in its place."""
    # no variable holds a record while the next one is read, so that its memory is used again
    return map(partial(_sample_of, manifest), records)


def _sample_of(manifest: RetrievalManifest, record: Record | BadRecord) -> Sample | BadRecord:
    if isinstance(record, BadRecord):
        return record
    try:
        return read_sample(Example.parse(record.data), manifest)
    except ExampleError as error:
        return BadRecord(record.file, record.number, str(error))


def _middle(example: Example, field: ExampleField, wanted: NamedInput) -> np.ndarray:
    rows, cols, _ = wanted.shape
    if max(rows, cols) > IMAGE_SIZE:
        raise ExampleError(f"input {wanted.name} of the network has {rows} x {cols} pixels, more than an image has")
    return example.image(field, rows, cols)


def _moment(milliseconds: float) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.year < dt.MAXYEAR else None
