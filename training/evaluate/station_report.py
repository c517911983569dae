"""The part of a report that is about stations: tables, rows for programs, and a scatter plot of each station."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from rich.table import Table

from training.evaluate.score import Score
from training.evaluate.stations import ALL_SENSORS, PARTS, Comparison, StationFindings, mean_scores
from training.evaluate.writing import JSON, MARKDOWN, json_score, save_figure, table_line

CSV = "stations.csv"
_PANELS = 24
"""Stations in a figure."""
_COLUMNS = 6
"""Stations beside each other in a figure."""
_PLACE = ("network", "station", "latitude", "longitude", "depth_from_m", "depth_to_m", "files")


def write_station_report(folder: Path, found: StationFindings) -> None:
    """Write a report about stations alone.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    found : StationFindings
        What the comparison found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = write_station_files(folder, found)
    report = {"source": f"archive {', '.join(found.stations)}", "stations": station_values(found)}
    (folder / JSON).write_text(json.dumps(report, indent=1) + "\n")
    lines = [f"# Stations and {', '.join(found.stations)}", "", "Published values, as they are in the archive."]
    lines += [*station_lines(found), "\n## Figures\n", *(f"![{name}]({name})\n" for name in figures)]
    (folder / MARKDOWN).write_text("\n".join(lines) + "\n")


def station_means_table(found: StationFindings) -> Table:
    """Return the average scores for the terminal.

    Parameters
    ----------
    found : StationFindings
        What the comparison found.

    Returns
    -------
    Table
        One row for each sensor and kind of days.
    """
    table = Table(title="Mean over the stations, m3 m-3")
    for column in ("", "sensor", "days"):
        table.add_column(column)
    for column in ("R", "RMSE", "MAE", "stations"):
        table.add_column(column, justify="right")
    for name, comparisons in found.stations.items():
        for mean in mean_scores(comparisons):
            figures = [f"{value:.3f}" for value in (mean.score.r, mean.score.rmse, mean.score.mae)]
            table.add_row(name, mean.sensor, mean.part, *figures, str(mean.stations))
    return table


def write_station_files(folder: Path, found: StationFindings) -> list[str]:
    """Write ``stations.csv`` and the scatter plots.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    found : StationFindings
        What the comparison found.

    Returns
    -------
    list of str
        File names of the figures.
    """
    with (folder / CSV).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filler", *_PLACE, "sensor", "days", *Score.__dataclass_fields__])
        for name, comparisons in found.stations.items():
            for each in comparisons:
                for part, score in each.scores.items():
                    figures = [f"{value:.6g}" for value in vars(score).values()]
                    writer.writerow([name, *_place(each).values(), each.sensor, part, *figures])
    pages = []
    for name, comparisons in found.stations.items():
        shown = _whole(comparisons)
        for number, begin in enumerate(range(0, len(shown), _PANELS), 1):
            file_name = f"stations-{name.replace(' ', '-')}-{number}.png"
            pages.append(_scatter_stations(folder, file_name, shown[begin : begin + _PANELS]))
    return pages


def station_values(found: StationFindings) -> dict[str, Any]:
    """Return what ``report.json`` holds about stations.

    Parameters
    ----------
    found : StationFindings
        What the comparison found.

    Returns
    -------
    dict
        ``rules``; ``rows``, one for each station and sensor; ``means``, one for each sensor and kind of days; and
        ``left_out``.
    """
    return {
        "rules": vars(found.rules),
        "rows": [
            {
                "filler": name,
                **_place(each),
                "sensor": each.sensor,
                **{part: json_score(score) for part, score in each.scores.items()},
            }
            for name, comparisons in found.stations.items()
            for each in comparisons
        ],
        "means": [
            {"filler": name, **vars(mean), "score": json_score(mean.score)}
            for name, comparisons in found.stations.items()
            for mean in mean_scores(comparisons)
        ],
        "left_out": found.left_out,
    }


def station_lines(found: StationFindings) -> Iterator[str]:
    """Yield the Markdown about stations.

    Parameters
    ----------
    found : StationFindings
        What the comparison found.

    Yields
    ------
    str
        A line, or several.
    """
    rules = found.rules
    yield "\n## In situ\n"
    yield "ISMN stations, the mean of the two readings nearest to the overpass, and of the station's sensors. Original:"
    yield "the days that the satellite observed; reconstructed: the days that were filled; all days: both. Sensors down"
    yield f"to {100 * rules.deepest:g} cm, and cosmic-ray probes (COSMOS), which measure deeper where the soil is dry;"
    yield f"stations with at least {rules.fewest_days} days from the first to the last good reading.\n"
    for name, comparisons in found.stations.items():
        yield f"\n### {name}\n"
        yield "Mean over the stations, each counted once:\n"
        yield table_line(["sensor", "days", "R", "RMSE", "MAE", "ubRMSE", "bias", "stations", "n"])
        yield table_line(["---", "---", *["---:"] * 7])
        for mean in mean_scores(comparisons):
            s = mean.score
            figures = [f"{value:.3f}" for value in (s.r, s.rmse, s.mae, s.ubrmse, s.bias)]
            yield table_line([mean.sensor, mean.part, *figures, str(mean.stations), str(s.n)])
        yield f"\nEach station; those of each sensor are in `{CSV}`:\n"
        yield table_line(["network", "station", "m", *(f"{part}: R / RMSE / ubRMSE / MAE / n" for part in PARTS)])
        yield table_line(["---"] * 6)
        for each in _whole(comparisons):
            figures = [f"{s.r:.3f} / {s.rmse:.3f} / {s.ubrmse:.3f} / {s.mae:.3f} / {s.n}" for s in each.scores.values()]
            depth = "-".join(f"{edge:g}" for edge in each.station.depth)
            yield table_line([each.station.network, each.station.name, depth, *figures])
    yield ""
    yield from (f"- {line}" for line in found.left_out)


def _whole(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return one comparison of each station: that of all its days."""
    several = any(each.sensor == ALL_SENSORS for each in comparisons)
    return [each for each in comparisons if not several or each.sensor == ALL_SENSORS]


def _place(each: Comparison) -> dict[str, Any]:
    """Return what identifies a station."""
    s = each.station
    return dict(zip(_PLACE, (s.network, s.name, s.latitude, s.longitude, *s.depth, s.files), strict=True))


def _scatter_stations(folder: Path, name: str, comparisons: Sequence[Comparison]) -> str:
    """Draw published against in-situ values of each station, as figure 7 of SGD-SM 1.0 and figure 8 of 2.0."""
    columns = min(_COLUMNS, len(comparisons))
    rows = -(-len(comparisons) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns + 0.6, 2.8 * rows + 0.6), squeeze=False)
    for axis, each in zip(axes.flat, comparisons, strict=False):
        _draw_station(axis, each)
    for axis in axes.flat[len(comparisons) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("published (m³ m⁻³)")
    for column in range(columns):
        axes[(len(comparisons) - 1 - column) // columns, column].set_xlabel("in situ (m³ m⁻³)")
    axes[0, 0].legend(fontsize=7, markerscale=3)
    return save_figure(figure, folder, name)


def _draw_station(axis: Axes, each: Comparison) -> None:
    scores = each.scores
    lines = [f"{each.station.network} {each.station.name}"]
    for part, values, colour in zip(PARTS, (each.observed, each.reconstructed), ("black", "tab:red"), strict=False):
        axis.plot(each.in_situ, values, ".", markersize=2, markeredgewidth=0, alpha=0.5, color=colour, label=part)
        lines.append(f"{part}: R {scores[part].r:.2f}, RMSE {scores[part].rmse:.3f}")
    most = float(np.nanmax([each.in_situ, each.seamless], initial=0.1)) * 1.05
    axis.plot([0, most], [0, most], color="grey", linewidth=0.8)
    axis.set(xlim=(0, most), ylim=(0, most), aspect="equal")
    axis.set_title("\n".join(lines), fontsize=6)
    axis.tick_params(labelsize=6)
