"""The words that files, the catalog and the configuration use, as types.

Each member is a string, so that what is written to files and databases stays plain text.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

EngineName = Literal["auto", "cpu", "openvino", "cuda", "tensorrt"]
"""Engines that the configuration knows; ``auto`` takes the fastest that is there."""

Precision = Literal["fp32", "bf16", "fp16", "int8"]
"""What the multiplications of a network are computed in."""


class Tier(StrEnum):
    """Whether anything was observed on a published day, and whether it may still change."""

    PROVISIONAL = "provisional"
    """It was observed, and a file that changes it may still arrive: a later day of its window, better rain, or the
    final record of an interim file."""
    CONSOLIDATED = "consolidated"
    """It was observed, and every file that can be expected has arrived.

    A day of its window may be missing for good: before the record, in an outage with files after it, or after the last
    day that a feed is used for. Its ``input_status`` then says ``window_incomplete``.
    """
    NO_OBSERVATION = "no_observation"
    """Nothing was observed on it: every value is estimated from other days. It is filled again if its file arrives."""


class Verdict(StrEnum):
    """What an operator decided about a day."""

    ACCEPT = "accept"
    """Publish the day although a gate refuses it."""
    REJECT = "reject"
    """Treat the day's soil moisture as absent."""


class ProblemKind(StrEnum):
    """Why a day is not published as it should be."""

    REFUSED = "refused"
    """Its soil-moisture file is damaged, wrong or implausible."""
    RESULT_REFUSED = "result refused"
    """The filled day did not pass its gate."""
    OUTAGE = "outage"
    """Too many days in a row without soil moisture, or no observation that reaches the day."""
    WAIT = "wait"
    """Its soil moisture is not published upstream yet."""

    @property
    def needs_decision(self) -> bool:
        """Whether the day stays unpublished until an operator decides or a better file arrives."""
        return self in (ProblemKind.REFUSED, ProblemKind.RESULT_REFUSED)


class ImergRun(StrEnum):
    """The three runs of IMERG for one day, the first and least accurate first."""

    EARLY = "early"
    LATE = "late"
    FINAL = "final"

    def is_at_least(self, other: ImergRun) -> bool:
        """Whether this run is `other` or a better one."""
        runs = list(ImergRun)
        return runs.index(self) >= runs.index(other)


class ModelKind(StrEnum):
    """What a network reads: which other days to fill day T, or images of one place and time."""

    WINDOW = "window"
    """It reads the days around day T."""
    RECURRENT = "recurrent"
    """It carries a state from day to day."""
    RETRIEVAL = "retrieval"
    """It fills no days: it reads images of one place and time, and gives one number."""


class LayoutName(StrEnum):
    """How a published day is written; see `runtime.archive.layout`."""

    CF = "cf"
    SGD_SM = "sgd-sm"


class InputVariable(StrEnum):
    """What an input file holds."""

    SOIL_MOISTURE = "soil_moisture"
    PRECIPITATION = "precipitation"


_ROLE = re.compile(r"^(?:(?P<day>T(?P<offset>[+-]\d+)?)|precipitation(?: T(?P<rain_offset>[+-]\d+))?)$")


@dataclass(frozen=True, order=True)
class InputRole:
    """Which input of a day a file is: the variable, and the day relative to day T."""

    variable: InputVariable
    offset: int = 0
    """Days after day T; negative before it."""

    @classmethod
    def soil_moisture(cls, offset: int = 0) -> InputRole:
        """Return the role of the soil moisture of day T + `offset`."""
        return cls(InputVariable.SOIL_MOISTURE, offset)

    @classmethod
    def precipitation(cls, offset: int = 0) -> InputRole:
        """Return the role of the precipitation of day T + `offset`."""
        return cls(InputVariable.PRECIPITATION, offset)

    @classmethod
    def parse(cls, text: str) -> InputRole:
        """Read a role as `str` writes it: ``T``, ``T-4``, ``precipitation``, ``precipitation T+1``.

        Raises
        ------
        ValueError
            The text is no role.
        """
        return _parse_role(text)

    @property
    def is_soil_moisture(self) -> bool:
        """Whether the file holds soil moisture."""
        return self.variable is InputVariable.SOIL_MOISTURE

    @property
    def is_precipitation(self) -> bool:
        """Whether the file holds precipitation."""
        return self.variable is InputVariable.PRECIPITATION

    def __str__(self) -> str:
        day = day_name(self.offset)
        if self.is_soil_moisture:
            return day
        return f"precipitation {day}" if self.offset else "precipitation"


@functools.cache
def _parse_role(text: str) -> InputRole:
    match = _ROLE.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no role of an input; wanted T, T-4, precipitation or precipitation T+1")
    if match["day"]:
        return InputRole.soil_moisture(int(match["offset"] or 0))
    return InputRole.precipitation(int(match["rain_offset"] or 0))


TODAY = InputRole.soil_moisture()
"""The soil moisture of day T itself."""

RAIN_TODAY = InputRole.precipitation()
"""The precipitation of day T itself."""


def day_name(offset: int) -> str:
    """Return how a day relative to day T is written: ``T``, ``T-4``, ``T+1``."""
    return f"T{offset:+d}" if offset else "T"
