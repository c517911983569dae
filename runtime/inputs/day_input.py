"""What there is for one day of one variable: nothing, a file to be fetched, a field, or a file that was refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from runtime.archive.record import RecordedInput, RecordedPart
from runtime.common import digest
from runtime.common.grid import Floats
from runtime.common.quality import ProductMarks
from runtime.inputs.feeds.base import Granule
from runtime.inputs.listing import FeedListing
from runtime.inputs.products.granule import Reading
from runtime.merge.combine import MergedField
from runtime.merge.store import DayPair


@dataclass(frozen=True)
class ListedFile:
    """A file that a feed offers."""

    listing: FeedListing
    granule: Granule
    key: str
    """Identifies this version of the file, and how it is read."""


class DayInput:
    """Base of the seven cases below."""

    @property
    def listed(self) -> ListedFile | None:
        """The file at the feed; None if it has none."""
        return None

    @property
    def identity(self) -> str | None:
        """What a fingerprint takes for this input; None if the day is filled without it.

        The digest of the field; of a file that is still to be fetched its location and version, which equal no field's.
        """
        return None

    @property
    def recorded(self) -> RecordedInput | None:
        """What a published file says of this input; None if the day is filled without it."""
        return None

    @property
    def subject(self) -> str:
        """What an operator's decision about this input refers to."""
        return self.identity or ""

    @property
    def name(self) -> str | None:
        """Name of the file, or of the files; None if the feed has none."""
        return self.listed.granule.name if self.listed else None

    @property
    def files(self) -> tuple[DayInput, ...]:
        """What each sensor has for the day: this input alone, unless it is merged."""
        return (self,)

    @property
    def read(self) -> tuple[DayInput, ...]:
        """Everything that must be read for this input: `files`, and what a transfer is fitted on."""
        return self.files

    @property
    def is_complete(self) -> bool:
        """Whether every sensor that could have seen the day has a file."""
        return self.identity is not None

    @property
    def is_interim(self) -> bool:
        """Whether a file that is used will be replaced by another one."""
        return self.identity is not None and self.listed is not None and self.listed.granule.is_interim

    def has_lost(self, was: RecordedInput) -> bool:
        """Whether a file that a published day was made from is gone from the feed."""
        return self.identity is None


@dataclass(frozen=True)
class Absent(DayInput):
    """The feed has no file for the day."""


@dataclass(frozen=True)
class Rejected(DayInput):
    """An operator decided that the file is not used."""

    def has_lost(self, was: RecordedInput) -> bool:
        """Return False: it was taken away on purpose."""
        return False


@dataclass(frozen=True)
class Unknown(DayInput):
    """The feed does not answer, or the file could not be fetched."""

    reason: str
    file: ListedFile | None = None

    @property
    def listed(self) -> ListedFile | None:
        """The file that could not be fetched; None if the feed does not answer."""
        return self.file


@dataclass(frozen=True)
class Refused(DayInput):
    """The file is damaged, wrong or implausible."""

    file: ListedFile
    reason: str
    sha256: str

    @property
    def listed(self) -> ListedFile:
        """The refused file."""
        return self.file

    @property
    def subject(self) -> str:
        """The file's sha256: it has no field that a decision could refer to."""
        return self.sha256


@dataclass(frozen=True)
class Pending(DayInput):
    """The feed has the file; it is still to be fetched and read."""

    file: ListedFile

    @property
    def listed(self) -> ListedFile:
        """The file at the feed."""
        return self.file

    @property
    def identity(self) -> str:
        """Location and version of the file."""
        return f"pending {self.file.granule.location} {self.file.granule.version}"


@dataclass(frozen=True)
class Ready(DayInput):
    """The file was read and holds a field."""

    file: ListedFile
    field_digest: str
    sha256: str
    coverage: float | None
    """Share of the file's cells that have a value; None where it is not measured."""
    instead_of: str | None = None
    """Why a newer file of the same day was refused; None if this one was the first choice."""

    @property
    def listed(self) -> ListedFile:
        """The file at the feed."""
        return self.file

    @property
    def identity(self) -> str:
        """Digest of the field."""
        return self.field_digest

    @property
    def recorded(self) -> RecordedInput:
        """Name, field and run of the file."""
        granule = self.file.granule
        return RecordedInput(granule.name, self.field_digest, granule.run)


@dataclass(frozen=True)
class TransferUse:
    """The transfer that the days of a period use, and what it is fitted on."""

    period: dt.date
    """First day that it is used for."""
    key: str
    """Digest of the fields that it is fitted on; of a file still to be fetched, of its location and version."""
    inputs: Mapping[tuple[str, dt.date], DayInput] = field(repr=False)
    """The fields, by sensor and day; empty for one that is kept and stands, though some of its files are gone."""
    pairs: Mapping[str, tuple[DayPair, ...]] = field(default_factory=dict, repr=False)
    """Which of them are compared, by sensor."""


@dataclass(frozen=True)
class SensorPart:
    """What one sensor has for a day."""

    sensor: str
    bit: int
    """Its bit in ``soil_moisture_source``."""
    day_input: DayInput


@dataclass(frozen=True)
class Merged(DayInput):
    """Several sensors together, or one that is mapped to another; at least one has a file that can be used."""

    sensors: tuple[SensorPart, ...]
    """The sensors that are used on the day, also those without a file."""
    transfer: TransferUse | None
    """None if nothing is mapped."""

    @property
    def usable(self) -> list[SensorPart]:
        """The sensors whose file can be used."""
        return [part for part in self.sensors if part.day_input.identity is not None]

    @property
    def listed(self) -> ListedFile | None:
        """The file of the first sensor that has one which can be used."""
        return self.usable[0].day_input.listed

    @cached_property
    def identity(self) -> str:
        """Digest of what is merged: the fields, and the transfer."""
        parts = [[part.sensor, part.bit, part.day_input.identity] for part in self.sensors]
        return digest.of_values(_MERGE_VERSION, parts, self.transfer and self.transfer.key)

    @property
    def recorded(self) -> RecordedInput:
        """Name and field of each sensor's file, and the transfer."""
        known = [(part, part.day_input.recorded) for part in self.sensors]
        parts = tuple(RecordedPart(part.sensor, item.name, item.field_digest) for part, item in known if item)
        name = ", ".join(part.name for part in parts)
        return RecordedInput(name, self.identity, parts=parts, transfer=self.transfer.key if self.transfer else None)

    @property
    def subject(self) -> str:
        """Digest of the files, whatever the transfer."""
        return digest.of_values([[part.sensor, part.day_input.subject] for part in self.sensors])

    @property
    def name(self) -> str:
        """The names of the files that are used."""
        return ", ".join(part.day_input.name or "" for part in self.usable)

    @property
    def files(self) -> tuple[DayInput, ...]:
        """What each sensor has for the day."""
        return tuple(part.day_input for part in self.sensors)

    @property
    def read(self) -> tuple[DayInput, ...]:
        """The files of all sensors, and those that the transfer is fitted on."""
        return (*self.files, *(self.transfer.inputs.values() if self.transfer else ()))

    @property
    def is_complete(self) -> bool:
        """Whether every sensor that is used on the day has a file."""
        return len(self.usable) == len(self.sensors)

    @property
    def is_interim(self) -> bool:
        """Whether the file of any sensor will be replaced by another one."""
        return any(part.day_input.is_interim for part in self.sensors)

    def has_lost(self, was: RecordedInput) -> bool:
        """Whether a file that a published day was made from is gone from its feed."""
        gone = {part.sensor for part in self.sensors if part.day_input.identity is None}
        return any(part.sensor in gone for part in was.parts)


@dataclass(frozen=True)
class InputField:
    """The field of an input."""

    values: Floats
    """The grid's shape; m3 m-3 or mm/day, NaN where there is no value."""
    merged: MergedField | None = None
    """The same with its errors and sources, if it was made of several sensors."""
    marks: ProductMarks | None = None
    """What the file says of its values; None if it says nothing, and for a field of several sensors."""

    @classmethod
    def of(cls, reading: Reading) -> InputField:
        """Return what one file holds."""
        return cls(reading.field, marks=reading.marks)


def to_be_fetched(day_inputs: Iterable[DayInput]) -> list[Pending]:
    """Return the inputs whose file is still to be fetched, each file once."""
    parts = {id(each): each for day_input in day_inputs for each in day_input.read}
    return list({each.file.key: each for each in parts.values() if isinstance(each, Pending)}.values())


_MERGE_VERSION = 1
"""Raised by hand when the code merges the same fields to other values."""
