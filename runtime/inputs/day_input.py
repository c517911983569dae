"""What there is for one day of one variable: nothing, a file to be fetched, a field, or a file that was refused."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.archive.record import RecordedInput
from runtime.inputs.feeds.base import Granule
from runtime.inputs.listing import FeedListing


@dataclass(frozen=True)
class ListedFile:
    """A file that a feed offers."""

    listing: FeedListing
    granule: Granule
    key: str
    """Identifies this version of the file, and how it is read."""


class DayInput:
    """Base of the six cases below."""

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


@dataclass(frozen=True)
class Absent(DayInput):
    """The feed has no file for the day."""


@dataclass(frozen=True)
class Rejected(DayInput):
    """An operator decided that the file is not used."""


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
