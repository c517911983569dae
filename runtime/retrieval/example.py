"""A ``tf.train.Example``, read and written through protobuf, without TensorFlow.

The message declares the value of each field as bytes, which has the same form in a file: an example has about seventy
fields with 262,144 values, of which few are read, and a field that is not read is written again as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from runtime.retrieval.schema import IMAGE_SIZE, KNOWN_KINDS, ExampleField, ValueKind

_FIELD = descriptor_pb2.FieldDescriptorProto
_KIND_BY_NUMBER = dict(enumerate(ValueKind, start=1))
"""Number of the list in ``tf.train.Feature``."""


class ExampleError(Exception):
    """An example has a field that cannot be used, or has not one that is needed; the message says which and why."""


def _message_classes() -> dict[str, Any]:
    """Return the classes of the messages of tensorflow/core/example, by name."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="seamless_sm", syntax="proto3")

    def declare(message: str, *fields: tuple[str, int, bool, str]) -> None:
        declared = file.message_type.add(name=message)
        for number, (name, kind, repeated, of_type) in enumerate(fields, start=1):
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            declared.field.add(name=name, number=number, type=kind, label=label, type_name=of_type or None)

    declare("Entry", ("key", _FIELD.TYPE_BYTES, False, ""), ("value", _FIELD.TYPE_BYTES, False, ""))
    declare("Features", ("feature", _FIELD.TYPE_MESSAGE, True, ".seamless_sm.Entry"))
    declare("Example", ("features", _FIELD.TYPE_MESSAGE, False, ".seamless_sm.Features"))
    declare("BytesList", ("value", _FIELD.TYPE_BYTES, True, ""))
    declare("FloatList", ("value", _FIELD.TYPE_FLOAT, True, ""))
    declare("Int64List", ("value", _FIELD.TYPE_INT64, True, ""))
    lists = ("BytesList", "FloatList", "Int64List")
    kinds = zip(ValueKind, lists, strict=True)
    declare("Feature", *((str(kind), _FIELD.TYPE_MESSAGE, False, f".seamless_sm.{name}") for kind, name in kinds))
    feature = file.message_type[-1]
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("Entry", "Example", "Feature")
    return {n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"seamless_sm.{n}")) for n in names}


_MESSAGES = _message_classes()


@dataclass(frozen=True)
class Example:
    """One place and time: its fields by name."""

    fields: dict[str, memoryview]
    """The serialised ``tf.train.Feature`` of each."""
    data: bytes | memoryview
    """The whole serialised example, with all that is not known of it."""

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Example:
        """Read a serialised example.

        Raises
        ------
        ExampleError
            The bytes are no ``tf.train.Example``, or a field that the authors' scripts read has another type there.
        """
        entries = _entries(data) or _unusual_entries(data)  # of two with one name, a map takes the last
        example = cls({bytes(key).decode("utf-8", "backslashreplace"): value for key, value in entries}, data)
        if not example.fields:
            raise ExampleError("it is no tf.train.Example: it has no field")
        for name in KNOWN_KINDS.keys() & example.fields.keys():
            _require_kind(KNOWN_KINDS[name], example.fields[name])
        return example

    def text(self, field: ExampleField) -> str:
        """Return a field of one text."""
        (value,) = self._values(field, 1)
        return bytes(value).decode("utf-8", "backslashreplace")

    def number(self, field: ExampleField, default: float | None = None) -> float:
        """Return a field of one number; an absent one, or one without a value, is `default`, if there is one.

        Raises
        ------
        ExampleError
            The field is absent, has another type, or not one value.
        """
        if default is not None and not self.has(field.name):
            return default
        return float(self._numbers(field, 1)[0])

    def image(
        self, field: ExampleField, rows: int = IMAGE_SIZE, cols: int = IMAGE_SIZE, *, size: int = IMAGE_SIZE
    ) -> NDArray[Any]:
        """Return the middle of a field of one integer for each pixel.

        Parameters
        ----------
        field : ExampleField
            The field.
        rows, cols : int
            Size of the middle; at most `size`.
        size : int
            Rows and columns of the whole image.

        Returns
        -------
        integer array, shape (rows, cols)
            The values as they are stored.

        Raises
        ------
        ExampleError
            The field is absent, has another type, or another number of values.
        """
        top, left = (size - rows) // 2, (size - cols) // 2
        middle = (slice(top, top + rows), slice(left, left + cols))
        values = _packed_integers(self._feature(field), size, middle)
        if values is None:
            values = self._numbers(field, size * size).reshape(size, size)[middle]
        return values

    def has(self, name: str) -> bool:
        """Return whether there is a field with values of this name."""
        return name in self.fields and not _WITHOUT_VALUES.fullmatch(self.fields[name])

    def with_label(self, name: str, value: float) -> bytes:
        """Return the example, serialised, with one more field of one float32; all others stay as they are."""
        changed = _message("Example", self.data, _NO_EXAMPLE)
        changed.features.feature.add(key=name.encode(), value=feature_bytes(ValueKind.FLOAT, [value]))
        return bytes(changed.SerializeToString())

    def _feature(self, field: ExampleField) -> memoryview:
        """Return a serialised field of the right type."""
        if field.name not in self.fields:
            raise ExampleError(f"it has no field {field.name}")
        data = self.fields[field.name]
        _require_kind(field, data)
        return data

    def _numbers(self, field: ExampleField, count: int) -> NDArray[Any]:
        """Return the values of a field of numbers; there must be `count` of them."""
        values = np.asarray(self._values(field, count))
        if values.dtype.kind not in "if":
            raise ExampleError(f"field {field.name} is of the type {ValueKind.BYTES}, wanted numbers")
        return values

    def _values(self, field: ExampleField, count: int) -> Any:
        """Return the values of a field; there must be `count` of them."""
        feature = _message("Feature", self._feature(field), f"field {field.name} is no tf.train.Feature")
        kind = feature.WhichOneof("kind")
        if kind and field.kind and kind != field.kind:
            raise ExampleError(f"field {field.name} is of the type {kind}, wanted {field.kind}")
        values: Any = getattr(feature, kind).value if kind else ()
        if len(values) != count:
            shape = f", for {int(count**0.5)} x {int(count**0.5)} pixels" if count > 1 else ""
            raise ExampleError(f"field {field.name} has {len(values)} values, wanted {count}{shape}")
        return values


_NO_EXAMPLE = "it is no tf.train.Example: its form is wrong"


def _message(name: str, data: bytes | memoryview, otherwise: str) -> Any:
    """Return a message that protobuf reads; the last argument is the error's text."""
    message = _MESSAGES[name]()
    try:
        message.ParseFromString(bytes(data))
    except DecodeError as error:
        raise ExampleError(otherwise) from error
    return message


def _require_kind(field: ExampleField, data: memoryview) -> None:
    found = _KIND_BY_NUMBER.get(data[0] >> 3) if data else None
    if data and found is None:
        raise ExampleError(f"field {field.name} is no tf.train.Feature")
    if found and field.kind and found is not field.kind:
        raise ExampleError(f"field {field.name} is of the type {found}, wanted {field.kind}")


def image_bytes(values: NDArray[Any], block: int = 1) -> bytes:
    """Return the serialised feature of an image.

    Parameters
    ----------
    values : int array, any shape; shape (rows, cols) with `block`
        Values from 0 to 16,383.
    block : int
        Rows and columns of the square of pixels that have each value.

    Returns
    -------
    bytes
        As `feature_bytes` returns it, in less time.
    """
    rows = [values.ravel()] if block == 1 else [np.repeat(row, block) for row in values]
    packed = b"".join(_varints(row) * block for row in rows)
    chunk = feature_bytes(ValueKind.BYTES, [packed])  # a field of bytes has the form of a packed list
    return bytes([_PACKED]) + chunk[1:]


def _varints(values: NDArray[Any]) -> bytes:
    """Return integers from 0 to 16,383 as protobuf packs them."""
    values = values.astype(np.uint16)
    has_two = values >= 128
    ends = np.arange(values.size) + np.cumsum(has_two)
    packed = np.zeros(int(ends[-1]) + 1, np.uint8)
    packed[ends] = np.where(has_two, values >> 7, values)
    packed[ends[has_two] - 1] = values[has_two] & 127 | 128
    return packed.tobytes()


_FIRST, _SECOND = 1 << 3 | 2, 2 << 3 | 2
"""First bytes of the first and of the second field of a message, if it is a message, a text or a packed list."""
_PACKED = 3 << 3 | 2
"""First byte of a feature that is a list of integers."""
_LONGEST_LENGTH = 28
"""Bits of a length before its last byte."""
_LARGEST_LENGTH = 2**31 - 1
_WITHOUT_VALUES = re.compile(rb"|[\x0a\x12\x1a]\x00|[\x12\x1a]\x02\x0a\x00")
"""A feature with no list, with a list of no field, or with one of an empty packed field."""


def feature_bytes(kind: ValueKind, values: Iterable[Any]) -> bytes:
    """Return a serialised ``tf.train.Feature``."""
    feature = _MESSAGES["Feature"]()
    getattr(feature, kind).value.extend(values)
    return bytes(feature.SerializeToString())


def example_bytes(fields: dict[str, bytes]) -> bytes:
    """Return a serialised ``tf.train.Example`` with the given serialised features, in their order."""
    example = _MESSAGES["Example"]()
    for name, value in fields.items():
        example.features.feature.add(key=name.encode(), value=value)
    return bytes(example.SerializeToString())


def _length(data: memoryview, start: int) -> tuple[int, int]:
    """Return the length at a place, and where it ends; protobuf takes no longer ones than this."""
    value = shift = 0
    while True:
        byte = data[start]
        value |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128 and value <= _LARGEST_LENGTH:
            return value, start
        if shift > _LONGEST_LENGTH:
            raise ValueError("a length is too large")


def _parts(data: memoryview, *tags: int) -> list[memoryview]:
    """Return the fields of a message that has fields with these first bytes, in this order, and nothing else.

    Raises
    ------
    ValueError
        The message has another form, which protobuf then reads.
    """
    parts, start = [], 0
    try:
        for tag in tags:
            if data[start] != tag:
                raise ValueError
            size, start = _length(data, start + 1)
            parts.append(data[start : start + size])
            start += size
    except IndexError as error:
        raise ValueError from error
    if start != len(data):
        raise ValueError
    return parts


def _entries(data: bytes | memoryview) -> list[tuple[memoryview, memoryview]] | None:
    """Return names and values of the features of an example, without a copy; None if it has an unusual form.

    protobuf copies the whole example, 17 MB, before it reads anything.
    """
    entries = []
    try:
        (features,) = _parts(memoryview(data), _FIRST)
        start = 0
        while start < len(features):
            if features[start] != _FIRST:
                return None
            size, start = _length(features, start + 1)
            name, value = _parts(features[start : start + size], _FIRST, _SECOND)
            entries.append((name, value))
            start += size
    except (ValueError, IndexError):
        return None
    return entries if start == len(features) else None


def _unusual_entries(data: bytes | memoryview) -> list[tuple[memoryview, memoryview]]:
    """Return names and values of the features of an example, read by protobuf.

    Raises
    ------
    ExampleError
        The bytes are no ``tf.train.Example``.
    """
    message = _message("Example", data, _NO_EXAMPLE)
    return [(memoryview(entry.key), memoryview(entry.value)) for entry in message.features.feature]


def _packed_integers(data: memoryview, size: int, middle: tuple[slice, slice]) -> NDArray[np.integer[Any]] | None:
    """Return a part of an image that is one packed list of integers below 16,384, as an image normally is.

    protobuf makes a Python object of each of the 262,144 values of an image, which takes several times as long.

    Parameters
    ----------
    data : memoryview
        A serialised feature.
    size : int
        Rows and columns of the image.
    middle : tuple of two slices
        The wanted rows and columns.

    Returns
    -------
    integer array or None
        None if the feature is something else, which protobuf then reads.
    """
    try:
        (packed,) = _parts(data, _PACKED)
        (packed,) = _parts(packed, _FIRST)
    except ValueError:
        return None
    raw = np.frombuffer(packed, np.uint8)
    if not raw.size:
        return None
    if raw.size == size * size and raw.max() < 128:
        return raw.reshape(size, size)[middle]
    is_last = raw < 128
    if not is_last[-1] or not (is_last[1:] | is_last[:-1]).all():
        return None  # larger values are rare in images, and a number that is cut is protobuf's to refuse
    ends = np.flatnonzero(is_last)
    if ends.size != size * size:
        return None
    ends = ends.reshape(size, size)[middle]
    low, high = raw[ends - 1], raw[ends]
    return np.where(low >= 128, high.astype(np.uint16) << 7 | low & 127, high)
