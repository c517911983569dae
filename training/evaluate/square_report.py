"""The report on hidden squares: a table with a row for each year, rows for programs, maps and scatter plots."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Patch, Rectangle
from rich.table import Table

from runtime.archive.acdd import grid_bounds
from runtime.output.colours import FILLED, NO_LAND, NO_VALUE, SCALES
from runtime.output.map_figure import draw_background
from training.evaluate.score import Score
from training.evaluate.squares import ALL_SQUARES, SquareSettings, SquaresOfDay
from training.evaluate.writing import JSON, MARKDOWN, json_score, save_figure, table_line

CSV = "squares.csv"
MEAN = "mean"
"""Stands for the mean over the years."""
_SCALE = SCALES["soil_moisture"]
_PANEL = 1.9
"""Side of a panel of a figure, inches."""


def write_square_report(folder: Path, settings: SquareSettings, days: Sequence[SquaresOfDay]) -> None:
    """Write the report.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    settings : SquareSettings
        What was hidden and filled.
    days : sequence of SquaresOfDay
        The squares of each year.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(square_scores(days))
    with (folder / CSV).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["year", "place", "filler", *Score.__dataclass_fields__])
        for year, place, filler, score in rows:
            writer.writerow([year, place, filler, *(f"{value:.6g}" for value in vars(score).values())])
    report = {
        "side": settings.side,
        "places": settings.places,
        "bundles": {name: bundle.model_id for name, bundle in settings.bundles.items()},
        "days": {day.wanted.year: {"date": day.date.isoformat(), "source": day.source} for day in days},
        "scores": [
            {"year": year, "place": place, "filler": filler, **json_score(score)} for year, place, filler, score in rows
        ],
    }
    (folder / JSON).write_text(json.dumps(report, indent=1) + "\n")
    figures = [name for day in days for name in draw_squares(folder, day)]
    (folder / MARKDOWN).write_text("\n".join(_square_lines(settings, days, rows, figures)) + "\n")


def square_scores(days: Sequence[SquaresOfDay]) -> Iterator[tuple[str, str, str, Score]]:
    """Yield every score: of each year, and their mean.

    Parameters
    ----------
    days : sequence of SquaresOfDay
        The squares of each year.

    Yields
    ------
    year : str
        The year, or `MEAN`.
    place : str
        The place of the square, or `ALL_SQUARES`.
    filler : str
        Name of the bundle or reference.
    score : Score
        Its score.
    """
    scores = {str(day.wanted.year): day.scores for day in days}
    for year, of_year in scores.items():
        for (place, filler), score in of_year.items():
            yield year, place, filler, score
    for place, filler in next(iter(scores.values())):
        yield MEAN, place, filler, Score.mean([of_year[place, filler] for of_year in scores.values()])


def squares_table(days: Sequence[SquaresOfDay]) -> Table:
    """Return the scores of all squares for the terminal.

    Parameters
    ----------
    days : sequence of SquaresOfDay
        The squares of each year.

    Returns
    -------
    Table
        One row for each filler and year, and one for the mean.
    """
    table = Table(title="All squares, m3 m-3")
    for column in ("filler", "year"):
        table.add_column(column)
    for column in ("R", "RMSE", "MAE", "n"):
        table.add_column(column, justify="right")
    rows = [row for row in square_scores(days) if row[1] == ALL_SQUARES]
    for filler in dict.fromkeys(row[2] for row in rows):
        for year, _, name, score in rows:
            if name == filler:
                table.add_row(filler, year, *_figures(score), end_section=year == MEAN)
    return table


def _figures(score: Score) -> list[str]:
    """Return R, RMSE, MAE and n as text."""
    return [f"{score.r:.3f}", f"{score.rmse:.4f}", f"{score.mae:.4f}", str(score.n)]


def _square_lines(
    settings: SquareSettings,
    days: Sequence[SquaresOfDay],
    rows: Sequence[tuple[str, str, str, Score]],
    figures: Sequence[str],
) -> Iterator[str]:
    """Yield the lines of the report."""
    fillers = list(dict.fromkeys(filler for _, _, filler, _ in rows))
    yield f"# Squares hidden and filled by {', '.join(settings.bundles)}\n"
    yield "Exported bundles, run by `runtime`; m3 m-3 except R and n.\n"
    yield f"On one day of each year, squares of {settings.side} x {settings.side} cells were hidden around"
    yield f"{len(settings.places)} places, all at once, and filled from the other cells and days. Scores are of hidden"
    yield "cells on land that have another observation in the window, and that every filler has a value for.\n"
    for day in days:
        instead = "" if day.date == day.wanted else f", instead of {day.wanted}, which has no file"
        yield f"- {day.wanted.year}: {day.date}{instead}; {day.before} of the {day.reach} days before it and"
        yield f"  {day.after} of the 4 days after it have observations ({day.source})"
    yield "\n## All squares"
    for filler in fillers:
        yield f"\n{filler}:\n"
        yield table_line(["year", "R", "RMSE", "MAE", "n"])
        yield table_line(["---", *["---:"] * 4])
        for year, place, name, score in rows:
            if (place, name) == (ALL_SQUARES, filler):
                yield table_line([year, *_figures(score)])
    yield "\n## Each square\n"
    yield f"Mean over the years; each year is in `{CSV}`: R / RMSE / MAE / n\n"
    yield table_line(["square", "degrees north, east", *fillers])
    yield table_line(["---"] * (2 + len(fillers)))
    means = {(place, filler): score for year, place, filler, score in rows if year == MEAN}
    for place, (north, east) in settings.places.items():
        if (place, fillers[0]) in means:
            cells = [" / ".join(_figures(means[place, filler])) for filler in fillers]
            yield table_line([place, f"{north:g}, {east:g}", *cells])
        else:
            yield table_line([place, f"{north:g}, {east:g}", "not on the grid", *[""] * (len(fillers) - 1)])
    yield "\n## Figures\n"
    yield "Each square with half a side around it: the observations, without the hidden squares, and filled; and filled"
    yield "against hidden values.\n"
    yield from (f"![{name}]({name})\n" for name in figures)


def draw_squares(folder: Path, day: SquaresOfDay) -> Iterator[str]:
    """Draw the squares of a day as maps and as scatter plots.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    day : SquaresOfDay
        The squares.

    Yields
    ------
    str
        The name of each file.
    """
    yield _draw_maps(folder, f"squares-{day.wanted.year}-maps.png", day)
    yield _draw_scatter(folder, f"squares-{day.wanted.year}-scatter.png", day)


def _draw_maps(folder: Path, name: str, day: SquaresOfDay) -> str:
    """Draw a column for each square: its observations, those without the square, and the filled day of each filler."""
    columns, colours = len(day.squares), ScalarMappable(Normalize(_SCALE.low, _SCALE.high), _SCALE.colormap)
    titles = ["observed", "square hidden", *(f"filled by\n{filler}" for filler in day.squares[0].filled)]
    size = _PANEL * columns + 1.5, 0.85 * _PANEL * len(titles) + 0.8
    figure, axes = plt.subplots(len(titles), columns, figsize=size, squeeze=False, layout="constrained", sharex="col")
    for square, column in zip(day.squares, axes.T, strict=True):
        west, south, east, north = grid_bounds(square.grid)
        extent = west, east, south, north
        left, low, right, top = square.bounds
        for axis, field in zip(column, (square.original, square.shown, *square.filled.values()), strict=True):
            draw_background(axis, square.grid.land, extent)
            axis.imshow(field, cmap=colours.cmap, norm=colours.norm, extent=extent, interpolation="nearest")
            axis.add_patch(Rectangle((left, low), right - left, top - low, fill=False, edgecolor="black"))
            axis.tick_params(labelsize=6)
            axis.locator_params(nbins=4)
        column[0].set_title(square.place, fontsize=9)
    for axis, title in zip(axes[:, 0], titles, strict=True):
        axis.set_ylabel(title, fontsize=8)
    figure.colorbar(colours, ax=axes, label=f"soil moisture ({_SCALE.unit})", shrink=0.6, pad=0.01)
    areas = [Patch(facecolor=NO_VALUE, label="land without a value"), Patch(facecolor=NO_LAND, label="sea")]
    figure.legend(handles=areas, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.suptitle(f"{day.date}: squares hidden (black) and filled; degrees east and north", fontsize=10)
    return save_figure(figure, folder, name)


def _draw_scatter(folder: Path, name: str, day: SquaresOfDay) -> str:
    """Draw filled against hidden values, a column for each square and a row for each filler."""
    fillers, columns = list(day.squares[0].filled), len(day.squares)
    size = _PANEL * columns + 0.6, (_PANEL + 0.3) * len(fillers) + 0.6
    figure, axes = plt.subplots(
        len(fillers), columns, figsize=size, squeeze=False, layout="constrained", sharex=True, sharey=True
    )
    cells = [square.cells for square in day.squares]
    most = max(
        [
            0.1,
            *(float(values.max()) for each in cells for values in (each.truth, *each.fillers.values()) if values.size),
        ]
    )
    for line, filler in zip(axes, fillers, strict=True):
        for axis, square, each in zip(line, day.squares, cells, strict=True):
            score = each.score(filler)
            axis.plot(each.truth, each.fillers[filler], ".", color=FILLED, markersize=3, markeredgewidth=0, alpha=0.5)
            axis.plot([0, most], [0, most], color="grey", linewidth=0.8)
            values = f"R {score.r:.2f}, RMSE {score.rmse:.3f}\nn {score.n}" if score.n else "not observed"
            axis.set_title(f"{square.place}\n{values}", fontsize=7)
            axis.set(xlim=(0, most), ylim=(0, most), aspect="equal")
            axis.tick_params(labelsize=6)
        line[0].set_ylabel(f"{filler}\nfilled (m³ m⁻³)", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("hidden (m³ m⁻³)", fontsize=8)
    figure.suptitle(f"{day.date}", fontsize=10)
    return save_figure(figure, folder, name)
