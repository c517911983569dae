"""The report on averages of months: tables with the bundles side by side, rows for programs, scatter and series."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray
from rich.table import Table

from runtime.output.colours import FILLED, OBSERVED
from training.evaluate.months import ALL_DAYS, ORIGINAL, RECONSTRUCTED, Month, MonthFindings, MonthSettings
from training.evaluate.score import Score
from training.evaluate.scores import Cells
from training.evaluate.writing import JSON, MARKDOWN, json_score, save_figure, table_line

CSV = "months.csv"
HIDDEN = "hidden cells"
MEAN, TOGETHER = "mean", "all months"
"""The mean of the months' scores, and the score of all monthly averages together."""
_TICKS = 6
"""Months that are written below a figure, at most."""
_DRAWN = {"r": "R", "rmse": "RMSE (m³ m⁻³)", "mae": "MAE (m³ m⁻³)"}


@dataclass(frozen=True)
class MonthRow:
    """A line of a table: the scores of all fillers in one month."""

    part: str
    """`HIDDEN`, or one of the days that stations are compared on."""
    month: str
    """``YYYY-MM``, `MEAN` or `TOGETHER`."""
    scores: Mapping[str, Score]
    """By filler."""


def month_rows(found: MonthFindings) -> Iterator[MonthRow]:
    """Yield the scores of every month, and their mean; of stations also the score of all months together.

    Parameters
    ----------
    found : MonthFindings
        What the comparison found.

    Yields
    ------
    MonthRow
        The hidden cells first, then the stations.
    """
    yield from _with_mean(HIDDEN, found.hidden)
    for part, months in found.stations.items():
        yield from _with_mean(part, {month: _scores(cells) for month, cells in months.items()})
        yield MonthRow(part, TOGETHER, _scores(Cells.joined([*months.values()])))


def _scores(cells: Cells) -> dict[str, Score]:
    return {filler: cells.score(filler) for filler in cells.fillers}


def _with_mean(part: str, months: Mapping[Month, Mapping[str, Score]]) -> Iterator[MonthRow]:
    for month, scores in months.items():
        yield MonthRow(part, f"{month:%Y-%m}", scores)
    fillers = next(iter(months.values()), {})
    if fillers:
        yield MonthRow(part, MEAN, {name: Score.mean([scores[name] for scores in months.values()]) for name in fillers})


def months_table(found: MonthFindings) -> Table:
    """Return the scores for the terminal.

    Parameters
    ----------
    found : MonthFindings
        What the comparison found.

    Returns
    -------
    Table
        One row for each month and filler.
    """
    table = Table(title="Averages of months, m3 m-3")
    for column in ("", "month", "filler"):
        table.add_column(column)
    for column in ("R", "RMSE", "MAE", "n"):
        table.add_column(column, justify="right")
    for row in month_rows(found):
        for filler, score in row.scores.items():
            table.add_row(row.part, row.month, filler, *_month_figures(score), str(score.n))
        table.add_section()
    return table


def _month_figures(score: Score) -> list[str]:
    """Return R, RMSE and MAE as text."""
    return [f"{score.r:.3f}", f"{score.rmse:.4f}", f"{score.mae:.4f}"]


def write_month_report(folder: Path, settings: MonthSettings, found: MonthFindings) -> None:
    """Write the report.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    settings : MonthSettings
        What was averaged.
    found : MonthFindings
        What the comparison found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(month_rows(found))
    with (folder / CSV).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "month", "filler", *Score.__dataclass_fields__])
        for row in rows:
            for filler, score in row.scores.items():
                writer.writerow([row.part, row.month, filler, *(f"{value:.6g}" for value in vars(score).values())])
    report = {
        "source": found.source,
        "days": [found.first.isoformat(), found.last.isoformat()],
        "fewest_days": settings.fewest,
        "bundles": {name: bundle.model_id for name, bundle in settings.bundles.items()},
        "rules": vars(settings.rules) if settings.ismn else None,
        "scores": [
            {"part": row.part, "month": row.month, "filler": filler, **json_score(score)}
            for row in rows
            for filler, score in row.scores.items()
        ],
        "left_out": found.left_out,
    }
    (folder / JSON).write_text(json.dumps(report, indent=1) + "\n")
    figures = list(draw_months(folder, found))
    (folder / MARKDOWN).write_text("\n".join(_month_lines(settings, found, rows, figures)) + "\n")


def _month_lines(
    settings: MonthSettings, found: MonthFindings, rows: Sequence[MonthRow], figures: Sequence[str]
) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"# Averages of months: {', '.join(settings.bundles)}\n"
    yield f"Data: {found.source}; {found.first} to {found.last}. Exported bundles, run by `runtime`, with the days"
    yield "after as input; m3 m-3 except R and n.\n"
    yield "Daily values are averaged over each month before they are compared: those of the days on which what is"
    yield f"compared with and every filler have a value, at least {settings.fewest} days of the month. `{MEAN}`: mean"
    yield f"of the months' scores; `{TOGETHER}`: score of all monthly averages together.\n"
    yield "\n## Hidden cells\n"
    yield "On each day the observations of the cells that were not observed on the following day are hidden and filled."
    yield "n: cells.\n"
    yield from _side_by_side([row for row in rows if row.part == HIDDEN])
    if settings.ismn:
        yield "\n## In situ\n"
        yield f"Stations with sensors down to {100 * settings.rules.deepest:g} cm and at least"
        yield f"{settings.rules.fewest_days} days of record, and the cells that they lie in. Original: the days that"
        yield "the satellite observed; reconstructed: the days that were filled; all days: both. n: stations.\n"
        for part in (ORIGINAL, RECONSTRUCTED, ALL_DAYS):
            yield f"\n{part.capitalize()}:\n"
            yield from _side_by_side([row for row in rows if row.part == part])
        yield ""
        yield from (f"- {line}" for line in found.left_out)
    yield "\n## Figures\n"
    yield from (f"![{name}]({name})\n" for name in figures)


def _side_by_side(rows: Sequence[MonthRow]) -> Iterator[str]:
    """Yield a table with a row for each month and a column for each filler."""
    if not rows:
        yield "No month has enough days."
        return
    fillers = list(rows[0].scores)
    yield table_line(["month", *(f"{filler}: R / RMSE / MAE" for filler in fillers), "n"])
    yield table_line(["---", *["---:"] * (len(fillers) + 1)])
    for row in rows:
        figures = [" / ".join(_month_figures(score)) for score in row.scores.values()]
        yield table_line([row.month, *figures, str(row.scores[fillers[0]].n)])


def draw_months(folder: Path, found: MonthFindings) -> Iterator[str]:
    """Draw the monthly averages of each filler against what they are compared with, and the scores of each month.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    found : MonthFindings
        What the comparison found.

    Yields
    ------
    str
        The name of each file.
    """
    yield _draw_averages(folder, "months-averages.png", found)
    if len(found.hidden) > 1:
        yield _draw_scores(folder, "months-scores.png", found)


def _draw_averages(folder: Path, name: str, found: MonthFindings) -> str:
    """Draw a column for each filler: hidden cells, and below them stations if there are any."""
    stations = {part: Cells.joined([*months.values()]) for part, months in found.stations.items()}
    fillers = list(found.counts or stations[ALL_DAYS].fillers)
    lines = bool(found.counts) + bool(stations)
    most = max((int(counts.max()) for counts in found.counts.values()), default=0)
    size = 2.7 * len(fillers) + 1.1, 2.8 * lines + 0.5
    figure, axes = plt.subplots(lines, len(fillers), figsize=size, squeeze=False, layout="constrained")
    for filler, column in zip(fillers, axes.T, strict=True):
        column[0].set_title(filler, fontsize=9)
        if found.counts:
            _draw_counts(column[0], found.counts[filler], LogNorm(1, max(10, most)))
        if stations:
            _draw_stations(column[-1], stations, filler)
    for axis in axes[:, 0]:
        axis.set_ylabel("filled, monthly mean (m³ m⁻³)", fontsize=8)
    if found.counts:
        figure.colorbar(axes[0, 0].collections[0], ax=axes[0], label="cells", pad=0.01)
    if stations:
        axes[-1, 0].legend(fontsize=7, loc="upper left")
    figure.suptitle(f"Averages of months, {found.first:%B %Y} to {found.last:%B %Y}", fontsize=10)
    return save_figure(figure, folder, name)


def _draw_counts(axis: Axes, counts: NDArray[np.int64], norm: LogNorm) -> None:
    """Draw how many hidden cells have which average."""
    edges = np.linspace(0, 1, len(counts) + 1)
    axis.pcolormesh(edges, edges, np.where(counts, counts, np.nan).T, norm=norm, cmap="cividis_r")
    _draw_diagonal(axis, 1.0)
    axis.set_xlabel("hidden, monthly mean (m³ m⁻³)", fontsize=8)


def _draw_stations(axis: Axes, stations: Mapping[str, Cells], filler: str) -> None:
    """Draw the averages of the stations' cells against those of the readings."""
    most = 0.1
    for part, colour, marker in ((ORIGINAL, OBSERVED, "o"), (RECONSTRUCTED, FILLED, "x")):
        if part in stations:
            cells = stations[part]
            values = cells.fillers[ORIGINAL if part == ORIGINAL else filler]
            axis.plot(cells.truth, values, marker, color=colour, markersize=4, alpha=0.7, label=part)
            most = max(most, 1.1 * float(np.max([cells.truth, values])))
    _draw_diagonal(axis, most)
    axis.set_xlabel("in situ, monthly mean (m³ m⁻³)", fontsize=8)


def _draw_diagonal(axis: Axes, most: float) -> None:
    """Draw the line of equal values, and limit both axes to it."""
    axis.plot([0, most], [0, most], color="grey", linewidth=0.8)
    axis.set(xlim=(0, most), ylim=(0, most), aspect="equal")
    axis.tick_params(labelsize=7)


def _draw_scores(folder: Path, name: str, found: MonthFindings) -> str:
    """Draw R, RMSE and MAE of each month: of hidden cells, and below them of all days at stations if there are any."""
    lines = [(HIDDEN, found.hidden)]
    if ALL_DAYS in found.stations:
        at_stations = {month: _scores(cells) for month, cells in found.stations[ALL_DAYS].items()}
        lines.append((f"stations, {ALL_DAYS}", at_stations))
    size = 11, 2.6 * len(lines) + 0.5
    figure, axes = plt.subplots(len(lines), len(_DRAWN), figsize=size, squeeze=False, layout="constrained", sharex=True)
    for line, (title, months) in zip(axes, lines, strict=True):
        for axis, (score, label) in zip(line, _DRAWN.items(), strict=True):
            for filler in next(iter(months.values())):
                values = [getattr(scores[filler], score) for scores in months.values()]
                axis.plot([*months], values, marker=".", label=filler)
            axis.set_title(f"{title}: {label}", fontsize=9)
            axis.tick_params(labelsize=7)
    shown = [*found.hidden][:: -(-len(found.hidden) // _TICKS)]
    axes[0, 0].set_xticks(shown, [f"{month:%Y-%m}" for month in shown])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    return save_figure(figure, folder, name)
