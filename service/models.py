"""The JSON that the service answers with, as types; `service.schema` makes the page's types from them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from runtime.common.vocabulary import ImergRun, ProblemKind, Tier, Verdict
from service.alerts import LAG
from service.calendar import CalendarState
from service.maps import LayerName
from service.runner import EXPECTED_EXIT_CODES


def _constants(**values: Any) -> dict[str, Any]:
    """Return the schema extension ``x-constants``: values by name that a client needs to understand a property."""
    return {"x-constants": values}


class Answer(BaseModel):
    """Base of everything that is answered as JSON."""

    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


# The service


class Health(Answer):
    """The process lives and its scheduler runs."""

    status: str
    """Always ``ok``; a failure is answered with status 503."""


class Readiness(Answer):
    """The archive can be read and is current, the last run did what it could, and no run is stuck."""

    status: str
    """Always ``ready``; a failure is answered with status 503."""
    newest: dt.date | None
    """The newest published day."""


class RunState(Answer):
    """A run that has ended."""

    started: dt.datetime
    ended: dt.datetime
    exit_code: int = Field(json_schema_extra=_constants(EXPECTED_EXIT_CODES=list(EXPECTED_EXIT_CODES)))
    """Exit code of ``runtime fill``; a code outside `EXPECTED_EXIT_CODES` is a failure."""
    message: str
    """The last error that the run logged; empty without one."""


class Incident(Answer):
    """Something that is wrong now and was reported."""

    kind: str = Field(json_schema_extra=_constants(LAG_INCIDENT=LAG))
    """``lag``, ``clock``, ``run failed``, ``run stuck``, ``catalog``, ``sensor NAME``, ``refused DATE`` or
    ``result refused DATE``."""
    message: str
    since: str
    """Time, ISO 8601, UTC."""


class ServiceStatus(Answer):
    """The state of the service and of the archive."""

    archive: str
    """The archive's folder."""
    first: dt.date | None
    """The first published day."""
    newest: dt.date | None
    """The newest published day."""
    days: int
    """Number of published days."""
    lag_days: int | None
    """Days from the newest published day to today."""
    running_since: dt.datetime | None
    """Start of the run in progress."""
    last_run: RunState | None
    next_run: dt.datetime | None
    """When the next run starts at the latest."""
    incidents: list[Incident]


# Days


class DayProblem(Answer):
    """What is wrong with a day."""

    kind: ProblemKind
    reason: str
    since: str
    """Time, ISO 8601, UTC."""


class DayFigures(Answer):
    """A published day in numbers."""

    observed: int
    """Land cells with an observation."""
    filled: int
    """Land cells that were filled."""
    not_reached: int
    """Land cells without a value."""
    land_mean: float | None
    """Mean soil moisture of the land cells that have a value, m3 m-3."""
    seam: float | None
    """Mean step between neighbouring cells across tile edges divided by that inside tiles."""
    seam_step: float | None
    """Mean step across tile edges minus that inside tiles, m3 m-3."""


class DaySummary(Answer):
    """A day that is published or has a problem."""

    date: dt.date
    state: Tier | ProblemKind
    """The tier of a published day, otherwise the kind of its problem."""
    tier: Tier | None
    revision: int | None
    """How many times the day was made."""
    path: str | None
    """The day's file, relative to the archive's folder."""
    problem: DayProblem | None
    figures: DayFigures | None
    sensors: list[str]
    """The sensors that saw the day (product-orbit-band); empty without an observation."""


class InputFile(Answer):
    """A file that a day was made from."""

    name: str
    field: str
    """Digest of the decoded field."""
    run: ImergRun | None
    """The IMERG run; null for soil moisture."""
    files: dict[str, str]
    """Name of the file of each sensor that the field was made of; empty for a file that was used as it is."""


class DayDecision(Answer):
    """What an operator decided about a day."""

    verdict: Verdict
    because: str
    """The operator's reason."""
    subject: str
    """Digest of the field that the decision is about."""


class DayRevision(Answer):
    """One time a day was made."""

    date: dt.date
    revision: int
    made_at: str
    """Time, ISO 8601, UTC."""
    reason: str
    tier: Tier
    engine: str
    seconds: float
    fingerprint_before: str | None
    """Fingerprint of the revision before this one."""
    fingerprint: str
    sha256: str
    """Digest of the published file."""
    phases: dict[str, float]
    """Seconds by phase of the day."""
    inputs: dict[str, str]
    """sha256 of each input file, by role."""


class DayDetail(DaySummary):
    """A day, what it was made from, and every time it was made."""

    inputs: dict[str, InputFile | None] | None
    """By role (``T``, ``T-4``, ``precipitation T+1``); null for an input that was absent."""
    model: str | None
    """The bundle's name and version."""
    fingerprint: str | None
    decision: DayDecision | None
    sha256: str | None
    """Digest of the published file."""
    revisions: list[DayRevision]
    """The oldest first."""


class SensorPeriod(Answer):
    """Published days in a row that the same sensors saw."""

    first: dt.date
    last: dt.date
    sensors: list[str]
    """Product-orbit-band; empty for days without an observation."""


class Calendar(Answer):
    """The state of every day from the first to today, or to the last known one if the feeds have ended before."""

    first: dt.date | None
    """The day of the first letter; null if no day is known."""
    states: str = Field(
        pattern=f"^[{''.join(CalendarState)}]*$",
        description="A letter per day: " + ", ".join(f"``{state}`` {state.meaning}" for state in CalendarState) + ".",
        json_schema_extra=_constants(
            CalendarState={state.name: state.value for state in CalendarState},
            CALENDAR_LEGEND=[
                {"state": state.value, "name": state.name.lower(), "meaning": state.meaning, "has_map": state.has_map}
                for state in CalendarState
            ],
        ),
    )
    reasons: dict[dt.date, str]
    """The reason of each day that is not simply consolidated."""
    sensors: list[SensorPeriod]
    """Which sensors each published day has, in order; empty in an archive of one sensor."""


# The archive and its maps


class Citation(Answer):
    """A paper to cite."""

    doi: str
    text: str


class DaySpan(Answer):
    """The published days."""

    first: dt.date
    newest: dt.date
    count: int


class MapGrid(Answer):
    """The grid of the archive; edges of the outermost cells in degrees."""

    rows: int
    cols: int
    step: float
    """Width of a cell, degrees."""
    north: float
    south: float
    west: float
    east: float
    row_edges: list[float]
    """Edges of the rows, degrees north, north first; rows need not be equally high."""


class ColourScale(Answer):
    """How the values of a layer become colours."""

    name: LayerName
    title: str
    low: float
    """Value of the first colour."""
    high: float
    """Value of the last colour; higher values have it too."""
    unit: str
    colours: list[str]
    """``#rrggbb``, from `low` to `high`."""


class FlagColour(Answer):
    """A value of the layer ``flag`` or ``quality_flag``."""

    value: int
    meaning: str
    colour: str


class ByteColour(Answer):
    """A byte of a map with a meaning of its own."""

    value: int
    colour: str


class SeriesColours(Answer):
    """Colours of a time series."""

    observed: str
    filled: str
    rain: str


class ArchiveInfo(Answer):
    """The archive: its days, its grid, its layers and their colours."""

    title: str
    licence: str
    citations: list[Citation]
    days: DaySpan | None
    """Null while no day is published."""
    grid: MapGrid | None
    """Null while no day is published."""
    layers: list[LayerName]
    """The layers that the archive has."""
    scales: list[ColourScale]
    flags: list[FlagColour]
    filled_flags: list[int]
    """The flags of filled values."""
    qualities: list[FlagColour]
    steps: int
    """Number of colours of a scale: bytes of a map below it are steps of the scale."""
    gap: ByteColour
    """Land without a value."""
    nothing: ByteColour
    """No land, or nothing known."""
    series: SeriesColours


class PlaceSeries(Answer):
    """The published days of one cell."""

    latitude: float
    """Of the cell's centre, degrees north."""
    longitude: float
    """Of the cell's centre, degrees east."""
    dates: list[dt.date]
    values: dict[str, list[float | None]]
    """By variable, one value per day; null where there is none."""
    usual_low: list[float | None]
    """For each day the 10th percentile of soil moisture in the same weeks of all years; empty if the archive has less
    than a year."""
    usual_high: list[float | None]
    """The 90th percentile."""
    not_from_cube: list[dt.date]
    """Days that could not be read from the cube; their values are from the daily files."""
    left_out: dict[dt.date, str]
    """Published days that are left out because they are on another grid, with the reason."""


class AreaSeries(Answer):
    """The mean over an area on each published day."""

    latitude: float
    """Of the area's centroid, degrees north."""
    longitude: float
    """Of the area's centroid, degrees east."""
    km2: float
    """The area's land in the archive, km2."""
    dates: list[dt.date]
    values: dict[str, list[float | None]]
    """By variable, one value per day; null where there is none: ``soil_moisture`` and its uncertainty,
    ``precipitation``, and ``observed_share`` and ``filled_share`` of the land, 0 to 1."""
    left_out: dict[dt.date, str]
    """Published days that are left out because they are on another grid, with the reason."""


# Runs


class RunRequest(BaseModel):
    """Days to fill; without them, every day that is due."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, use_attribute_docstrings=True)

    first: dt.date | None = Field(default=None, alias="from")
    """The first day."""
    last: dt.date | None = Field(default=None, alias="to")
    """The last day, included; without it, only the first."""


class QueuedRun(Answer):
    """A run that was accepted."""

    queued: list[str]
    """The arguments of ``runtime fill`` that choose the days."""
