"""Which days each transfer is fitted on: a rule of dates and files, so that no clock can change a published value."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from runtime.common import digest
from runtime.common.clock import DAY, days_between
from runtime.common.grid import Floats, Grid
from runtime.config import Merge
from runtime.inputs.day_input import DayInput, TransferUse
from runtime.inputs.products.granule import Reading
from runtime.inputs.sensor_days import SensorDays
from runtime.merge.store import DayPair, KeptTransfer, TransferStore
from runtime.merge.transfer import MIN_PAIRS, Basis, Matchups, fit_transfer

_EPOCH = dt.date(2000, 1, 1)
"""First day of a period of every transfer, whatever the archive's first day."""

_LOOK_BACK = 1100
"""Days before a period that common days are looked for: about three years, so that a sensor keeps its transfer long
after the reference is gone."""

_SPAN = 120
"""Days that the feeds are listed at once on the way back."""

_MIN_DAYS = 10
"""Days that a transfer is fitted on at least."""

_YEARS = 5
"""Years before a day that a field of the reference of the same day of the year is looked for."""

_MAX_SAMPLES = 4_000_000
"""Cells of all days together that a transfer is fitted on; of more, every second, third, ... is taken."""

_VERSION = 1
"""Raised by hand when the code fits another transfer to the same fields."""

logger = logging.getLogger(__name__)


@dataclass
class Transfers:
    """The transfers of an archive: planned from what the feeds list, fitted when the first day needs the values."""

    grid: Grid
    settings: Merge
    sensors: Sequence[SensorDays]
    """The reference first."""
    store: TransferStore
    list_days: Callable[[dt.date, dt.date], None]
    """Lists the soil-moisture feeds for a range of days."""
    read_field: Callable[[DayInput], Reading]
    is_rejected: Callable[[dt.date], bool]
    """Returns whether an operator rejected a day."""
    _planned: dict[dt.date, TransferUse] = field(default_factory=dict)
    _fitted: dict[tuple[dt.date, str], KeptTransfer] = field(default_factory=dict)
    """By period and key; periods may share a key, and each keeps its transfer."""

    def planned(self, date: dt.date) -> TransferUse:
        """Return which transfer a day uses, as far as the feeds' listings determine it."""
        period = date - (date - _EPOCH) % (self.settings.refit_days * DAY)
        if period not in self._planned:
            self._planned[period] = self._plan(period)
        return self._planned[period]

    def reset(self) -> None:
        """Plan every period anew when it is next asked for; fitted transfers are kept."""
        self._planned.clear()

    def fitted(self, use: TransferUse) -> KeptTransfer:
        """Return a transfer: the kept one, or one that is fitted and kept now.

        Raises
        ------
        InputRefused, FeedUnreachable
            A field that it is fitted on has changed, or cannot be fetched again.
        ArchiveError
            It cannot be written.
        """
        known = use.period, use.key
        if known not in self._fitted:
            kept = self.store.of_key(use.key) or self._fit(use)
            if not self.store.path(use.period, use.key).exists():
                kept = KeptTransfer(use.period, use.key, kept.pairs, kept.sensors)
                self.store.save(kept)
            self._fitted[known] = kept
        return self._fitted[known]

    def _plan(self, period: dt.date) -> TransferUse:
        reference, *others = self.sensors
        pairs = {sensor.sensor: self._days_to_fit(reference, sensor, period) for sensor in others}
        inputs = {
            (sensor.sensor, date): sensor.judged(date) for sensor in others for date, _ in pairs[sensor.sensor]
        } | {(reference.sensor, date): reference.judged(date) for each in pairs.values() for _, date in each}
        found = {
            name: tuple(
                DayPair(d, r, inputs[name, d].identity or "", inputs[reference.sensor, r].identity or "")
                for d, r in each
            )
            for name, each in pairs.items()
        }
        standing = self._standing(period, found)
        if standing:
            return TransferUse(period, standing.key, {})
        return TransferUse(period, self._key(found), inputs, found)

    def _key(self, pairs: Mapping[str, Sequence[DayPair]]) -> str:
        """Return the digest of what a transfer is fitted on."""
        names = [sensor.sensor for sensor in self.sensors]
        content = {name: [pair.to_json() for pair in each] for name, each in pairs.items()}
        return digest.of_values(_VERSION, names, self.grid.digest, content)

    def _standing(self, period: dt.date, found: Mapping[str, tuple[DayPair, ...]]) -> KeptTransfer | None:
        """Return a kept transfer of the period that only lacks files which the feeds no longer have; None if none.

        As with published days, a file that is gone makes nothing stale.
        """
        standing = [
            kept
            for kept in self.store.of_period(period)
            if kept.key == self._key(kept.pairs)
            and all(self._is_lost_only(name, period, kept.pairs[name], found[name]) for name in found)
        ]
        return max(standing, key=lambda kept: (sum(map(len, kept.pairs.values())), kept.key), default=None)

    def _is_lost_only(self, name: str, period: dt.date, kept: Sequence[DayPair], now: Sequence[DayPair]) -> bool:
        """Whether pairs of a kept transfer differ from those of now only by files that are gone.

        Older pairs then take their place, or those of a later period if too few are left.
        """
        if set(kept) == set(now):
            return True
        if not kept:
            return False
        end = max(period, kept[-1].date + DAY)
        if any(pair not in kept and kept[0].date <= pair.date < end for pair in now):
            return False
        reference, sensor = self.sensors[0], next(each for each in self.sensors if each.sensor == name)
        gone = set(kept) - set(now)
        files = [(sensor, pair.date, pair.field) for pair in gone]
        files += [(reference, pair.reference_date, pair.reference_field) for pair in gone]
        fields = [(days.judged(date).identity, was) for days, date, was in files]
        if any(self.is_rejected(date) for _, date, _ in files):
            return False
        return any(its is None for its, _ in fields) and all(its in (None, was) for its, was in fields)

    def _has(self, sensor: SensorDays, date: dt.date) -> bool:
        return not self.is_rejected(date) and sensor.judged(date).identity is not None

    def _days_back(self, period: dt.date, *sensors: SensorDays) -> Iterator[dt.date]:
        """Yield the days before a period on which a transfer may be fitted, the newest first."""
        newest = period - (self.settings.settle_days + 1) * DAY
        for number in range(_LOOK_BACK):
            date = newest - number * DAY
            if number % _SPAN == 0:
                span = date - (_SPAN - 1) * DAY
                if any(not self._covers_any(sensor, span, date) for sensor in sensors):
                    continue
                self.list_days(span, date)
            if all(sensor.covers(date) for sensor in sensors):
                yield date

    def _covers_any(self, sensor: SensorDays, first: dt.date, last: dt.date) -> bool:
        return any(listing.wanted.covers(first, last) for listing in sensor.listings)

    def _days_to_fit(self, reference: SensorDays, sensor: SensorDays, period: dt.date) -> list[tuple[dt.date, dt.date]]:
        """Return the days of a sensor that its transfer is fitted on, in order, each with a day of the reference.

        They lie before the period. A sensor that has just begun has too few of them: then they are those of the first
        later period for which it has enough, as soon as it has a file of that period.
        """
        refit, pairs, begin = self.settings.refit_days * DAY, self._days_before(reference, sensor, period), period
        latest = period + refit + (self.settings.settle_days + 2 * _MIN_DAYS) * DAY
        while not pairs and begin < latest and self._has_any(sensor, begin, begin + refit - DAY):
            begin += refit
            if self._has_any(sensor, begin, begin + refit - DAY):
                pairs = self._days_before(reference, sensor, begin)
        return pairs

    def _has_any(self, sensor: SensorDays, first: dt.date, last: dt.date) -> bool:
        if not self._covers_any(sensor, first, last):
            return False
        self.list_days(first, last)
        return any(self._has(sensor, date) for date in days_between(first, last))

    def _days_before(self, reference: SensorDays, sensor: SensorDays, period: dt.date) -> list[tuple[dt.date, dt.date]]:
        """Return the days before a period that both have, or else days of different years; none if they are too few."""
        both = self._overlap(reference, sensor, period)
        return both if len(both) >= _MIN_DAYS else self._same_seasons(reference, sensor, period)

    def _overlap(self, reference: SensorDays, sensor: SensorDays, period: dt.date) -> list[tuple[dt.date, dt.date]]:
        """Return the newest days that both have, in order."""
        found = []
        for date in self._days_back(period, reference, sensor):
            if self._has(sensor, date) and self._has(reference, date):
                found.append((date, date))
            if len(found) == self.settings.fit_days:
                break
        return found[::-1]

    def _same_seasons(
        self, reference: SensorDays, sensor: SensorDays, period: dt.date
    ) -> list[tuple[dt.date, dt.date]]:
        """Return the sensor's newest days, each with the same day of the newest earlier year that the reference has."""
        found = []
        for date in self._days_back(period, sensor):
            if self._has(sensor, date) and (other := self._same_day(reference, date)):
                found.append((date, other))
            if len(found) == self.settings.fit_days:
                break
        return found[::-1] if len(found) >= _MIN_DAYS else []

    def _same_day(self, reference: SensorDays, date: dt.date) -> dt.date | None:
        earlier = [date - round(365.25 * years) * DAY for years in range(1, _YEARS + 1)]
        return next((day for day in earlier if reference.covers(day) and self._has(reference, day)), None)

    def _fit(self, use: TransferUse) -> KeptTransfer:
        """Read the fields of a transfer's days and fit it."""
        names = [sensor.sensor for sensor in self.sensors]
        joint: dict[dt.date, set[str]] = {}
        apart: list[tuple[int, DayPair]] = []
        bases = dict.fromkeys(names, Basis.OVERLAP)
        for column, name in enumerate(names[1:], 1):
            for pair in use.pairs[name]:
                if pair.date == pair.reference_date:
                    joint.setdefault(pair.date, {names[0]}).add(name)
                else:
                    bases[name] = Basis.SEASONS
                    apart.append((column, pair))
        stride = -(-self.grid.land.size * (len(joint) + len(apart)) // _MAX_SAMPLES) or 1
        logger.info(f"fitting the transfer of {use.period} to {names[0]} on {len(joint) + len(apart)} days")
        parts = []
        for date, seen in sorted(joint.items()):
            fields = [self._field(use, name, date) if name in seen else None for name in names]
            parts.append(Matchups.of_fields(fields, self.grid.latitudes, stride))
        for column, pair in apart:
            columns: list[Floats | None] = [None] * len(names)
            columns[0] = self._field(use, names[0], pair.reference_date)
            columns[column] = self._field(use, names[column], pair.date)
            parts.append(Matchups.of_fields(columns, self.grid.latitudes, stride))
        fitted = fit_transfer(Matchups.join(parts, len(names)), names, bases)
        last = use.period + (self.settings.refit_days - 1) * DAY
        for sensor in self.sensors[1:]:
            name = sensor.sensor
            if fitted[name].basis is Basis.UNMAPPED and self._covers_any(sensor, use.period, last):
                logger.warning(
                    f"{name}: less than {MIN_PAIRS} cells before {use.period} were also seen by {names[0]}; "
                    f"its values stay as they are, with an error of {fitted[name].errors[0]} m3 m-3"
                )
        return KeptTransfer(use.period, use.key, use.pairs, fitted)

    def _field(self, use: TransferUse, sensor: str, date: dt.date) -> Floats:
        """Return a field on land: only there the sensors are compared."""
        return np.where(self.grid.land, self.read_field(use.inputs[sensor, date]).field, np.float32(np.nan))
