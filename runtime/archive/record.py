"""What a day was made from: the part a published file carries, and a catalog can be rebuilt from."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import open_dataset
from runtime.common.vocabulary import RAIN_TODAY, ImergRun, InputRole, Tier, Verdict
from runtime.errors import ArchiveError
from runtime.fill.quality import DayQuality
from runtime.fill.result import Filled
from runtime.fill.statistics import DayStatistics

if TYPE_CHECKING:
    from runtime.config import Metadata


@dataclass(frozen=True)
class RecordedPart:
    """The file of one sensor among those that an input was merged of."""

    sensor: str
    """See `runtime.config.SoilMoistureFeed.sensor`."""
    name: str
    """The file's name."""
    field_digest: str
    """Digest of the field on the grid."""


@dataclass(frozen=True)
class RecordedInput:
    """One input of a day, known by the digest of its field: another file with the same field changes nothing."""

    name: str
    """The file's name."""
    field_digest: str
    """Digest of the field on the grid; see `runtime.common.digest.of_field`."""
    run: ImergRun | None = None
    """The IMERG run; None for soil moisture."""
    parts: tuple[RecordedPart, ...] = ()
    """The sensors' files that it was merged of; empty for a file that was used as it is."""
    transfer: str | None = None
    """Digest of what the transfer between the sensors was fitted on; None without one."""

    def to_json(self) -> dict[str, Any]:
        """Return the input as published files write it."""
        values = {"name": self.name, "field": self.field_digest, "run": self.run}
        if not self.parts:
            return values
        parts = [{"sensor": part.sensor, "name": part.name, "field": part.field_digest} for part in self.parts]
        return {**values, "transfer": self.transfer, "sensors": parts}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RecordedInput:
        """Read an input as `to_json` writes it."""
        run = values.get("run")
        parts = tuple(RecordedPart(part["sensor"], part["name"], part["field"]) for part in values.get("sensors", ()))
        known = None if run is None else ImergRun(run)
        return cls(str(values["name"]), str(values["field"]), known, parts, values.get("transfer"))


@dataclass(frozen=True)
class Decision:
    """What an operator decided about a day's soil moisture."""

    verdict: Verdict
    because: str
    """The reason, in the operator's words."""
    subject: str
    """Digest of the field it is about; the file's sha256 if it has no field. Another field is judged anew."""

    def to_json(self) -> dict[str, str]:
        """Return the decision as published files and fingerprints write it."""
        return {"verdict": self.verdict, "because": self.because, "subject": self.subject}

    @classmethod
    def from_json(cls, values: Mapping[str, str]) -> Decision:
        """Read a decision as `to_json` writes it."""
        return cls(Verdict(values["verdict"]), values["because"], values["subject"])


@dataclass(frozen=True, kw_only=True)
class DayRecord:
    """What a day was made from. Nothing in it depends on when or how often the day was made."""

    date: dt.date
    tier: Tier
    fingerprint: str
    """Digest of everything that determines the published values."""
    state_fingerprint: str | None
    """Fingerprint of the state that a recurrent network leaves; None for a window network."""
    model: str
    """The bundle's name and version."""
    model_id: str
    settings_digest: str
    """Digest of the settings that change published values."""
    inputs: Mapping[InputRole, RecordedInput | None]
    """Every input the network reads, in its order; None where there was none."""
    decision: Decision | None = None
    statistics: DayStatistics | None = None
    """None until the day is filled."""

    def to_attributes(self) -> dict[str, str]:
        """Return the record as the global attributes of a file."""
        inputs = {str(role): None if item is None else item.to_json() for role, item in self.inputs.items()}
        return {
            "tier": str(self.tier),
            "model": self.model,
            "model_id": self.model_id,
            "inputs": json.dumps(inputs, indent=1),
            "settings_digest": self.settings_digest,
            "fingerprint": self.fingerprint,
            "state_fingerprint": self.state_fingerprint or "",
            "date": self.date.isoformat(),
            **({"operator_decision": json.dumps(self.decision.to_json(), indent=1)} if self.decision else {}),
            **({"figures": json.dumps(vars(self.statistics))} if self.statistics else {}),
        }

    @classmethod
    def from_file(cls, path: Path) -> DayRecord:
        """Read the record that a published file carries.

        Raises
        ------
        ArchiveError
            The file cannot be read or was not made by this software.
        """
        try:
            with open_dataset(path) as file:
                return cls.from_attributes({name: file.getncattr(name) for name in file.ncattrs()})
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            raise ArchiveError(
                f"{path}: carries no readable record ({error}); delete it and run `runtime fill`"
            ) from error

    @classmethod
    def from_attributes(cls, values: Mapping[str, Any]) -> DayRecord:
        """Read a record from attributes as `to_attributes` gives them."""
        inputs = json.loads(values["inputs"])
        decision, statistics = values.get("operator_decision"), values.get("figures")
        return cls(
            date=dt.date.fromisoformat(values["date"]),
            tier=Tier(values["tier"]),
            fingerprint=values["fingerprint"],
            state_fingerprint=values["state_fingerprint"] or None,
            model=values["model"],
            model_id=values["model_id"],
            settings_digest=values["settings_digest"],
            inputs={
                InputRole.parse(role): None if item is None else RecordedInput.from_json(item)
                for role, item in inputs.items()
            },
            decision=Decision.from_json(json.loads(decision)) if decision else None,
            statistics=DayStatistics(**json.loads(statistics)) if statistics else None,
        )


@dataclass(frozen=True, kw_only=True)
class DayDescription:
    """What a daily file says of a day besides its fields; it is known before the day is computed."""

    record: DayRecord
    kind: str
    """The network's kind, ``window`` or ``recurrent``."""
    band: str
    sensor: str
    metadata: Metadata
    model_warning: str | None = None
    """What to know about the filled values; None if the bundle was judged on this product and band."""
    source_bits: Mapping[str, int] = field(default_factory=dict)
    """The bit of each sensor that is used on the day."""

    @property
    def missing_days(self) -> list[InputRole]:
        """The days of the window for which there was no soil moisture."""
        return [role for role, item in self.record.inputs.items() if item is None and role.is_soil_moisture]

    @property
    def precipitation_absent(self) -> bool:
        """Whether the network reads rain and there was none."""
        return RAIN_TODAY in self.record.inputs and self.record.inputs[RAIN_TODAY] is None


@dataclass(frozen=True, kw_only=True)
class PublishedDay(DayDescription):
    """Everything a layout writes into a daily file."""

    grid: Grid
    filled: Filled
    precipitation: Floats | None = None
    """mm day-1, NaN for no estimate; None where the network reads no rain, or there was none."""
    source: NDArray[np.int16] | None = None
    """The bits of the sensors that saw each cell; None if the day's soil moisture is one file as it is."""
    quality: DayQuality | None = None
    """What speaks against each value; None where it was not judged."""
