"""What is known about a day, beside its fields: the part that a file carries and a catalog can be rebuilt from."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.common.grid import Floats, Grid
from runtime.common.netcdf import open_dataset
from runtime.errors import ArchiveError
from runtime.fill.result import Filled
from runtime.fill.statistics import DayStatistics

if TYPE_CHECKING:
    from runtime.config import Metadata


@dataclass(frozen=True)
class RecordedInput:
    """One input of a day. Its sha256 is the catalog's business: other bytes with the same field change nothing."""

    name: str
    field: str
    """Digest of the decoded field."""
    run: str | None = None


@dataclass(frozen=True)
class Decision:
    """An operator's word on a day: publish it although a gate refuses it, or treat its soil moisture as absent."""

    verdict: str
    """``accept`` or ``reject``."""
    because: str
    subject: str
    """The field it is about, a file's sha256 where that has none, or nothing; another field is judged anew."""


@dataclass(frozen=True)
class DayRecord:
    """What a day was made from. Nothing in it depends on when or how often the day was made."""

    date: dt.date
    tier: str
    """``provisional`` or ``consolidated``."""
    fingerprint: str
    state_fingerprint: str | None
    model: str
    """The bundle's name and version."""
    model_id: str
    settings: str
    """Digest of the settings that change values."""
    inputs: dict[str, RecordedInput | None]
    """By role (``T-4`` .. ``T+4``, ``precipitation``, ``precipitation T+1``); None where there was none."""
    decision: Decision | None = None
    figures: DayStatistics | None = None
    """None until the day is filled."""

    def to_attributes(self) -> dict[str, str]:
        """Return the record as the global attributes of a file."""
        inputs = {role: None if item is None else vars(item) for role, item in self.inputs.items()}
        return {
            "tier": self.tier,
            "model": self.model,
            "model_id": self.model_id,
            "inputs": json.dumps(inputs, indent=1),
            "settings_digest": self.settings,
            "fingerprint": self.fingerprint,
            "state_fingerprint": self.state_fingerprint or "",
            "date": self.date.isoformat(),
            **({"operator_decision": json.dumps(vars(self.decision), indent=1)} if self.decision else {}),
            **({"figures": json.dumps(vars(self.figures))} if self.figures else {}),
        }

    @classmethod
    def from_file(cls, path: Path) -> DayRecord:
        """Read the record a published file carries.

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
    def from_attributes(cls, values: dict[str, Any]) -> DayRecord:
        """Read a record from attributes as `to_attributes` gives them."""
        inputs = json.loads(values["inputs"])
        decision, figures = values.get("operator_decision"), values.get("figures")
        return cls(
            date=dt.date.fromisoformat(values["date"]),
            tier=values["tier"],
            fingerprint=values["fingerprint"],
            state_fingerprint=values["state_fingerprint"] or None,
            model=values["model"],
            model_id=values["model_id"],
            settings=values["settings_digest"],
            inputs={role: None if item is None else RecordedInput(**item) for role, item in inputs.items()},
            decision=Decision(**json.loads(decision)) if decision else None,
            figures=DayStatistics(**json.loads(figures)) if figures else None,
        )


@dataclass(frozen=True)
class PublishedDay:
    """Everything a layout writes."""

    record: DayRecord
    grid: Grid
    filled: Filled
    kind: str
    band: str
    sensor: str
    metadata: Metadata
    precipitation: Floats | None = None
    """mm day-1, NaN for no estimate; None where the model takes no rain or there was none."""
    precipitation_absent: bool = False
    """The model takes rain and there was none."""

    @property
    def missing_days(self) -> list[str]:
        """Roles of the window for which there was no soil moisture."""
        return [role for role, item in self.record.inputs.items() if item is None and role.startswith("T")]
