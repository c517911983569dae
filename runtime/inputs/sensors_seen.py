"""Which sensors each published day has, which of them are gone, and how the values step where one follows another."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.archive.catalog import Catalog
from runtime.archive.layout import layout_of
from runtime.archive.paths import ArchivePaths
from runtime.archive.record import DayRecord
from runtime.archive.rows import DayRow
from runtime.archive.variables import OBSERVED
from runtime.common.clock import DAY
from runtime.common.grid import Floats
from runtime.common.netcdf import LOCK
from runtime.common.text import counted
from runtime.common.vocabulary import TODAY
from runtime.config import Config
from runtime.inputs.listing import granule_filter
from runtime.merge.store import TransferStore
from runtime.merge.transfer import BANDS, MIN_PAIRS, band_name, band_of_latitude

_LOOK_BACK = 100
"""Days before the newest one in which a sensor that is gone is looked for."""


@dataclass(frozen=True)
class SensorSpan:
    """Days in a row that have the same sensors."""

    first: dt.date
    last: dt.date
    sensors: tuple[str, ...]
    """None on days without an observation."""

    def __str__(self) -> str:
        days = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        return f"{days}: {' + '.join(self.sensors) or 'no sensor'}"


def sensors_of(record: DayRecord, config: Config) -> list[str]:
    """Return the sensors that a published day has; empty for a day without an observation, or of unknown files."""
    item = record.inputs.get(TODAY)
    if item is None:
        return []
    if item.parts:
        return [part.sensor for part in item.parts]
    feeds = config.feeds.soil_moisture
    return [feed.sensor for feed in feeds if granule_filter(config, feed).recognise(item.name)][:1]


def sensor_spans(rows: Mapping[dt.date, DayRow], config: Config) -> list[SensorSpan]:
    """Return which sensors the published days have, days in a row with the same ones together."""
    spans: list[SensorSpan] = []
    for date, row in sorted(rows.items()):
        sensors = tuple(sensors_of(row.record, config))
        if spans and spans[-1].sensors == sensors and spans[-1].last + DAY == date:
            spans[-1] = SensorSpan(spans[-1].first, date, sensors)
        else:
            spans.append(SensorSpan(date, date, sensors))
    return spans


def silent_sensors(config: Config, catalog: Catalog) -> dict[str, str]:
    """Return the sensors that the newest days lack while others go on, each with what is wrong.

    Parameters
    ----------
    config : Config
        Only where sensors are used together can one be gone without the archive ending; a sensor whose feeds have
        ended by then (their ``to``, or the end of the sensor) is not missed.
    catalog : Catalog
        The archive's catalog.
    """
    span = catalog.first_and_newest()
    if config.merge.mode != "together" or span is None:
        return {}
    newest, feeds, limit = span[1], config.feeds.soil_moisture, config.policy.max_lag_days
    rows = catalog.days(newest - _LOOK_BACK * DAY, newest)
    seen: dict[str, dt.date] = {}
    for date, row in sorted(rows.items()):
        seen |= dict.fromkeys(sensors_of(row.record, config), date)
    found = {}
    for name in config.sensors:
        is_due = any(feed.sensor == name and (config.last_day(feed) or newest) >= newest for feed in feeds)
        last, others = seen.get(name), [other for other in seen if seen[other] == newest and other != name]
        if is_due and others and (newest - (last or min(rows))).days > limit:
            since = f"since {last}" if last else f"on the {len(rows)} newest days"
            found[name] = f"no file of {name} {since}; the archive goes on with {', '.join(others)}; check its feed"
    return found


@dataclass(frozen=True)
class HandoverStep:
    """How observed soil moisture changes where one sensor follows another."""

    date: dt.date
    """First day of the new sensor."""
    before: str
    after: str
    days: int
    """Days on each side at most."""
    cells: int
    """Cells that were seen on both sides."""
    step: float
    """Change of their mean, m3 m-3."""
    usual: float | None
    """The same change one such span earlier, without a change of sensor; None if the archive does not reach back."""
    bands: Mapping[str, float]
    """The step by band of latitude."""
    matched: str | None
    """What the new sensor's transfer to the reference was fitted on; None if it was not mapped."""

    def __str__(self) -> str:
        usual = "" if self.usual is None else f", {self.usual:+.4f} over the same time before"
        bands = ", ".join(f"{name} {step:+.4f}" for name, step in self.bands.items())
        how = f"mapped to the reference, fitted on {self.matched}" if self.matched else "not mapped"
        return (
            f"{self.date}: {self.after} ({how}) follows {self.before}: {self.step:+.4f} m3 m-3 on {self.cells} cells, "
            f"{counted(self.days, 'day')} on each side{usual}; {bands or 'no band of latitude has enough cells'}"
        )


def handover_steps(config: Config, rows: Mapping[dt.date, DayRow]) -> list[HandoverStep]:
    """Measure the step at each change of sensor, from the published observations.

    The seasons change soil moisture as well: compare a step with the usual change before it.

    Parameters
    ----------
    config : Config
        ``handover.days`` is how many days are read on each side.
    rows : mapping of date to DayRow
        The published days.

    Returns
    -------
    list of HandoverStep
        In order; empty where sensors are used together.
    """
    if config.merge.mode == "together" or len(config.sensors) < 2:
        return []
    spans = [span for span in sensor_spans(rows, config) if span.sensors]
    changes = [(a, b) for a, b in itertools.pairwise(spans) if a.sensors != b.sensors]
    return [step for a, b in changes if (step := _step(config, rows, a, b))]


def _step(config: Config, rows: Mapping[dt.date, DayRow], before: SensorSpan, after: SensorSpan) -> HandoverStep | None:
    archive, days, change = config.archive.path, config.handover.days, after.first

    def mean(span: SensorSpan, first: dt.date) -> Floats:
        within = [date for date in rows if first <= date < first + days * DAY and span.first <= date <= span.last]
        return _mean_observed([archive / rows[date].path for date in within])

    old, new = mean(before, change - days * DAY), mean(after, change)
    if old.shape != new.shape:
        return None
    steps = new - old
    both = np.isfinite(steps)
    if not both.any():
        return None
    latitudes = layout_of(archive / rows[change].path).axes(archive / rows[change].path)[0]
    bands = np.broadcast_to(band_of_latitude(latitudes)[:, None], steps.shape)
    by_band = {band_name(band): steps[both & (bands == band)] for band in range(BANDS)}
    earlier = mean(before, change - 2 * days * DAY)
    usual = (old - earlier)[both] if earlier.shape == old.shape else np.array([np.nan])
    item = rows[change].record.inputs[TODAY]
    kept = TransferStore(ArchivePaths.of(config).transfers).of_key(item.transfer) if item and item.transfer else None
    return HandoverStep(
        date=change,
        before=before.sensors[0],
        after=after.sensors[0],
        days=days,
        cells=int(both.sum()),
        step=round(float(steps[both].mean()), 6),
        usual=round(float(np.nanmean(usual)), 6) if np.isfinite(usual).any() else None,
        bands={name: round(float(cells.mean()), 6) for name, cells in by_band.items() if cells.size >= MIN_PAIRS},
        matched=str(kept.sensors[after.sensors[0]].basis) if kept else None,
    )


def _mean_observed(paths: Sequence[Path]) -> Floats:
    """Return the mean of the observations of some days, NaN where there are none; a 0-d array without days."""
    total = count = np.zeros(())
    for path in paths:
        with LOCK:
            stored = layout_of(path).read(path, (OBSERVED.name,))
        values = OBSERVED.unpack(stored[OBSERVED.name]).astype(np.float64)
        total = total + np.nan_to_num(values)
        count = count + np.isfinite(values)
    return np.asarray(np.where(count, total / np.maximum(count, 1), np.nan), np.float32)
