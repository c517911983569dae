"""The soil moisture of each day from several sensors: together, or one after the other and mapped to a reference."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from runtime.common.grid import Grid
from runtime.inputs.day_input import Absent, DayInput, Merged, Refused, SensorPart, Unknown
from runtime.inputs.products.granule import Reading
from runtime.inputs.sensor_days import SensorDays
from runtime.inputs.transfers import Transfers
from runtime.merge.combine import MergedField, SensorField, merge_fields

_CACHED_DAYS = 20
"""Merged fields that are kept in memory: those of a window, and a few more."""


@dataclass
class MergedDays:
    """What several sensors make of each day."""

    grid: Grid
    handover: SensorDays | None
    """Says which sensor is used on each day; None where all are used together."""
    sensors: Mapping[str, SensorDays]
    """By name, in the order of their bits."""
    transfers: Transfers
    read_file: Callable[[DayInput], Reading]
    _fields: OrderedDict[str, MergedField] = field(default_factory=OrderedDict)
    """By identity, the oldest first."""
    _judged: dict[dt.date, DayInput] = field(default_factory=dict)

    def raw(self, date: dt.date) -> DayInput:
        """Return the day's soil moisture before gates and transfer."""
        return self._merge(date, self._parts(date, lambda days: days.raw(date)), is_mapped=False)

    def judged(self, date: dt.date, *, accepted: bool = False) -> DayInput:
        """Return the day's soil moisture; a sensor whose file is implausible is left out if another one has a file."""
        if accepted:
            return self._merge(date, self._parts(date, lambda days: days.raw(date)), is_mapped=True)
        if date not in self._judged:
            self._judged[date] = self._merge(date, self._parts(date, lambda days: days.judged(date)), is_mapped=True)
        return self._judged[date]

    def reset(self) -> None:
        """Judge every day anew when it is next asked for; fields and fitted transfers are kept."""
        for days in (*self.sensors.values(), *([self.handover] if self.handover else [])):
            days.reset()
        self._judged.clear()
        self.transfers.reset()

    def holds(self, merged: Merged) -> bool:
        """Whether a merged field is in memory."""
        return merged.identity in self._fields

    def read(self, merged: Merged) -> MergedField:
        """Read the fields of a day, map them, and merge them.

        Raises
        ------
        InputRefused, FeedUnreachable
            A file has changed, or cannot be fetched again.
        """
        key = merged.identity
        if key not in self._fields:
            self._fields[key] = self._read(merged)
            while len(self._fields) > _CACHED_DAYS:
                self._fields.popitem(last=False)
        return self._fields[key]

    def _parts(self, date: dt.date, find: Callable[[SensorDays], DayInput]) -> list[SensorPart]:
        """Return what each sensor that is used on a day has for it."""
        if self.handover is None:
            used = [(bit, days) for bit, days in enumerate(self.sensors.values()) if days.covers(date)]
            return [SensorPart(days.sensor, bit, find(days)) for bit, days in used]
        found = find(self.handover)
        name = found.listed.listing.sensor if found.listed else self.handover.sensor
        return [SensorPart(name, list(self.sensors).index(name), found)]

    def _merge(self, date: dt.date, parts: Sequence[SensorPart], *, is_mapped: bool) -> DayInput:
        if not any(part.day_input.identity for part in parts):
            return _none_of([part.day_input for part in parts])
        reference = self.transfers.sensors[0].sensor
        needed = is_mapped and (self.handover is None or parts[0].sensor != reference)
        return Merged(tuple(parts), self.transfers.planned(date) if needed else None)

    def _read(self, merged: Merged) -> MergedField:
        latitudes, unknown = self.grid.latitudes, np.full(self.grid.shape[0], np.nan)
        fields = [(part, self.read_file(part.day_input).field) for part in merged.usable]
        if merged.transfer is None:
            return merge_fields([SensorField(seen, unknown, part.bit) for part, seen in fields], unknown)
        kept = self.transfers.fitted(merged.transfer).sensors
        reference = kept[self.transfers.sensors[0].sensor]
        mapped = [
            SensorField(
                seen if kept[part.sensor] is reference else kept[part.sensor].apply(seen, latitudes),
                kept[part.sensor].error(latitudes),
                part.bit,
            )
            for part, seen in fields
        ]
        return merge_fields(mapped, reference.error(latitudes))


def _none_of(found: Sequence[DayInput]) -> DayInput:
    """Return why no sensor has a file that can be used: one that was refused says more than one that is not there."""
    for kind in (Refused, Unknown):
        for day_input in found:
            if isinstance(day_input, kind):
                return day_input
    return next(iter(found), Absent())
