"""Draw how much of the land was observed and filled on each day, and the means of the years (figure 2 of both papers).

What the catalog counted on each day walks in; a picture walks out.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runtime.common.atomic import move_into_place, part_file
from runtime.errors import InputsMissing, UsageError
from runtime.fill.statistics import DayStatistics
from runtime.output.colours import FILLED, OBSERVED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEAN = "#222222"


class Coverage(NamedTuple):
    """Shares of the land cells, 0 to 1."""

    observed: float
    """With an observation."""
    with_value: float
    """Observed or filled."""

    @classmethod
    def of(cls, day: DayStatistics) -> Coverage:
        """Return the shares of a day; both are NaN where there is no land."""
        land = day.land or np.nan
        return cls(day.observed / land, (day.observed + day.filled) / land)


def annual_coverage(days: Mapping[dt.date, DayStatistics]) -> dict[int, Coverage]:
    """Return the mean coverage of the published days of each year.

    Parameters
    ----------
    days : mapping of dt.date to DayStatistics
        The published days.
    """
    years = itertools.groupby(sorted(days), lambda date: date.year)
    return {year: Coverage(*np.mean([Coverage.of(days[date]) for date in dates], 0).tolist()) for year, dates in years}


def draw_coverage(days: Mapping[dt.date, DayStatistics]) -> Figure:
    """Draw the coverage of each day as points, and that of each year as a line.

    Parameters
    ----------
    days : mapping of dt.date to DayStatistics
        The published days.

    Raises
    ------
    InputsMissing
        There is no day.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    if not days:
        raise InputsMissing("no day is published yet, so there is no coverage to draw")
    dates = sorted(days)
    shares = [Coverage.of(days[date]) for date in dates]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axis = figure.add_subplot()
    x: Any = np.array(dates, "datetime64[D]")
    size = 9 if len(dates) < 400 else 2
    axis.scatter(x, [100 * s.with_value for s in shares], size, FILLED, marker="D", label="observed or filled")
    axis.scatter(x, [100 * s.observed for s in shares], size, OBSERVED, marker="o", label="observed")
    for year, mean in annual_coverage(days).items():
        ends: Any = np.array(
            [max(dates[0], dt.date(year, 1, 1)), min(dates[-1], dt.date(year, 12, 31))], "datetime64[D]"
        )
        for share in mean:
            axis.plot(ends, [100 * share] * 2, color=_MEAN, linewidth=1.5, label="_year")
    axis.plot([], [], color=_MEAN, linewidth=1.5, label="mean of the year")
    axis.set_ylim(0, 104)
    axis.set_ylabel("share of the land, %")
    shown: Any = AutoDateLocator(minticks=3, maxticks=12)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(shown)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(shown))  # type: ignore[no-untyped-call]
    axis.set_title(f"Coverage: {dates[0]} to {dates[-1]}", loc="left", fontsize=11)
    figure.legend(loc="outside lower center", frameon=False, ncols=3, markerscale=3 if size < 9 else 1)
    return figure


def write_coverage(days: Mapping[dt.date, DayStatistics], out: Path | IO[bytes]) -> None:
    """Write the picture as PNG.

    Parameters
    ----------
    days : mapping of dt.date to DayStatistics
        The published days.
    out : Path or file
        The file to write.

    Raises
    ------
    UsageError
        The name does not end in .png.
    InputsMissing
        There is no day.
    ArchiveError
        The file cannot be written.
    """
    if not isinstance(out, Path):
        draw_coverage(days).savefig(out, format="png", dpi=100, metadata={"Software": None})
        return
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: wanted a name that ends in .png")
    with part_file(out) as part, part.open("wb") as file:
        write_coverage(days, file)
    move_into_place(out)
