"""The transfers that an archive has been made with, one file each: whole or not there, and verified when read."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.common import digest
from runtime.common.atomic import move_into_place, part_file
from runtime.errors import ArchiveError
from runtime.merge.transfer import SensorTransfer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class DayPair:
    """Two fields that are compared: a sensor's, and the reference's of the same day or of the same day of a year."""

    date: dt.date
    """Day of the sensor's field."""
    reference_date: dt.date
    field: str
    """Digest of the sensor's field."""
    reference_field: str
    """Digest of the reference's field."""

    def to_json(self) -> list[str]:
        """Return the pair as files and keys have it."""
        return [str(self.date), str(self.reference_date), self.field, self.reference_field]

    @classmethod
    def from_json(cls, values: Sequence[str]) -> DayPair:
        """Read a pair as `to_json` writes it."""
        return cls(dt.date.fromisoformat(values[0]), dt.date.fromisoformat(values[1]), values[2], values[3])


@dataclass(frozen=True)
class KeptTransfer:
    """The mapping of every sensor to the reference, as it was fitted for a period."""

    period: dt.date
    """First day that it is used for."""
    key: str
    """Digest of what it was fitted on."""
    pairs: Mapping[str, tuple[DayPair, ...]]
    """What each sensor's mapping was fitted on."""
    sensors: Mapping[str, SensorTransfer]
    """By name, the reference first."""

    def to_json(self) -> dict[str, Any]:
        """Return the transfer as its file has it."""
        return {
            "period": str(self.period),
            "key": self.key,
            "pairs": {name: [pair.to_json() for pair in pairs] for name, pairs in self.pairs.items()},
            "sensors": {name: sensor.to_json() for name, sensor in self.sensors.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> KeptTransfer:
        """Read a transfer as `to_json` writes it."""
        return cls(
            period=dt.date.fromisoformat(values["period"]),
            key=values["key"],
            pairs={name: tuple(map(DayPair.from_json, pairs)) for name, pairs in values["pairs"].items()},
            sensors={name: SensorTransfer.from_json(sensor) for name, sensor in values["sensors"].items()},
        )


@dataclass(frozen=True)
class TransferStore:
    """The folder with the transfers of an archive."""

    folder: Path

    def path(self, period: dt.date, key: str) -> Path:
        """Return the file of a transfer."""
        return self.folder / f"{period:%Y%m%d}-{key[:16]}.json"

    def of_period(self, period: dt.date) -> list[KeptTransfer]:
        """Return the sound transfers of a period."""
        return self._sound(f"{period:%Y%m%d}-*.json")

    def of_key(self, key: str) -> KeptTransfer | None:
        """Return a sound transfer that was fitted on the same, for whatever period; None if there is none."""
        return next(iter(self._sound(f"*-{key[:16]}.json")), None)

    def save(self, kept: KeptTransfer) -> None:
        """Write a transfer, whole or not at all.

        Raises
        ------
        ArchiveError
            The folder cannot be written.
        """
        path, content = self.path(kept.period, kept.key), kept.to_json()
        with part_file(path) as part:
            part.write_text(json.dumps({"digest": digest.of_values(content), **content}, indent=1) + "\n")
        move_into_place(path)

    def faults(self) -> list[str]:
        """Return what is wrong with the files, one line each."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                read_transfer(path)
            except ArchiveError as error:
                found.append(str(error))
        return found

    def _sound(self, pattern: str) -> list[KeptTransfer]:
        found = []
        for path in sorted(self.folder.glob(pattern)):
            try:
                found.append(read_transfer(path))
            except ArchiveError as error:
                logger.warning(str(error))
        return found


def read_transfer(path: Path) -> KeptTransfer:
    """Read a transfer and compare it with the digest that it carries.

    Raises
    ------
    ArchiveError
        It is damaged.
    """
    cure = "delete it, `runtime fill` fits it again"
    try:
        content = json.loads(path.read_text())
        wanted = content.pop("digest")
        if digest.of_values(content) != wanted:
            raise ArchiveError(f"{path}: the transfer is damaged (its digest does not match); {cure}")
        return KeptTransfer.from_json(content)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{path}: the transfer is damaged ({error}); {cure}") from error
