"""Computing a day from its fields: a pure function, whoever reads the fields and wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from runtime.archive.record import DayDescription, PublishedDay
from runtime.bundle import Bundle
from runtime.common.events import Progress
from runtime.common.grid import Grid
from runtime.common.vocabulary import RAIN_TODAY
from runtime.fill.base import Filler
from runtime.fill.quality import day_quality
from runtime.fill.result import Filled
from runtime.fill.state import State
from runtime.fill.statistics import day_statistics
from runtime.inputs.day_input import InputField
from runtime.merge.combine import add_input_errors


@dataclass(frozen=True)
class DayFields:
    """Everything that a network reads for one day."""

    soil_moisture: Sequence[InputField]
    """The days of the window, in order."""
    precipitation: Sequence[InputField]
    """The same days; empty if the network reads no rain."""
    today: int
    """Which of them is day T."""


def compute_day(
    filler: Filler, fields: DayFields, state: State | None, progress: Progress | None = None
) -> tuple[Filled, State | None]:
    """Return the filled day, and the state after it; see `Filler.fill`."""
    frames = np.stack([each.values for each in fields.soil_moisture])
    rain = np.stack([each.values for each in fields.precipitation]) if fields.precipitation else None
    filled, after = filler.fill(frames, rain, state, progress)
    return with_input_errors(filled, fields), after


def with_input_errors(filled: Filled, fields: DayFields) -> Filled:
    """Return a filled day whose uncertainty counts what several sensors say of the input's; see `add_input_errors`."""
    window = [each.merged for each in fields.soil_moisture if each.merged]
    return add_input_errors(filled, fields.soil_moisture[fields.today].merged, window)


def compose_day(
    description: DayDescription, grid: Grid, bundle: Bundle, filled: Filled, fields: DayFields
) -> PublishedDay:
    """Put together what the file of a filled day holds."""
    statistics = day_statistics(filled, grid, bundle.manifest.tile_core)
    merged = fields.soil_moisture[fields.today].merged
    known = {**vars(description), "record": replace(description.record, statistics=statistics)}
    frames = [each.values for each in fields.soil_moisture]
    has_rain = description.record.inputs.get(RAIN_TODAY) is not None
    return PublishedDay(
        **known,
        grid=grid,
        filled=filled,
        precipitation=fields.precipitation[fields.today].values if has_rain else None,
        source=merged.source if merged else None,
        quality=day_quality(filled, grid, frames, fields.today, [each.marks for each in fields.soil_moisture]),
    )
