"""The Markdown of the report."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training.evaluate.findings import Findings, ScoreRow, mean_seam
from training.evaluate.references import DCT_PLS_SETTINGS, NEAR_DAYS
from training.evaluate.station_report import station_lines
from training.evaluate.structure import LAGS
from training.evaluate.writing import table_line

Calibration = dict[str, dict[str, dict[str, float]]]
"""Shares of errors within sigma, by bundle, tier and kind of gap; by what the cells are divided by; and by class."""
Distributions = Mapping[str, Mapping[str, Any]]
"""``crps``, m3 m-3, and ``pit``, shares of ten equally probable classes, by bundle, tier and kind of gap."""


def report_lines(
    found: Findings,
    rows: Sequence[ScoreRow],
    calibrated: Calibration,
    fitted: Calibration,
    distributions: Distributions,
    figures: Sequence[str],
) -> Iterator[str]:
    """Yield the lines of the report.

    Parameters
    ----------
    found : Findings
        The results of the evaluation.
    rows : sequence of ScoreRow
        All scores.
    calibrated : dict
        Shares of errors within sigma; empty if no bundle gives a sigma.
    fitted : dict
        The same after sigma was fitted to these errors.
    distributions : dict
        How filled values and sigmas are distributed; empty if no bundle gives a sigma.
    figures : sequence of str
        File names of the figures.

    Yields
    ------
    str
        A line, or several.
    """
    yield f"# Evaluation of {', '.join(found.bundles)}\n"
    yield f"Data: {found.source}. Exported bundles, run by `runtime`; all figures in m3 m-3 except R and n.\n"
    for tier, dates in found.days.items():
        yield f"- {tier}: {len(dates)} days, {dates[0]} to {dates[-1]}"
    yield from _gap_tables(found, rows)
    yield "\n### Noise of one retrieval\n"
    yield "Square root of the nugget of the temporal variogram. Even a filler that knew the soil exactly would differ"
    yield "from single retrievals by this much:\n"
    yield from (f"- {region}: {value:.4f}" for region, value in found.noise.items())
    yield "\n### RMSE by class\n"
    for tier, kind in found.hidden.cells:
        chosen = [r for r in rows if (r.tier, r.gaps) == (tier, kind) and r.split != "all"]
        if chosen:
            yield f"\n{kind}, {tier}:\n"
            yield from _class_table(chosen)
    yield from _structure_tables(found)
    if calibrated:
        yield "\n## Uncertainty\n"
        yield "Share of errors within sigma, %; 68.3 would be right:\n"
        yield from _calibration_table(calibrated)
        yield "\nThe same after sigma was fitted to these errors with two numbers, as `export onnx --report` does:\n"
        yield from _calibration_table(fitted)
        yield from _distribution_table(distributions)
    yield "\n## Seams\n"
    yield "Mean step across tile edges over mean step inside tiles; with 1, tile edges do not show:\n"
    yield from (f"- {name}: {mean_seam(days):.2f}" for name, days in found.hidden.seams.items())
    yield "\n## Time\n"
    yield "Median of the seconds that a day took on this machine. Trees fill hidden cells only, all others every gap:\n"
    yield from (f"- {name}: {statistics.median(values):.2f}" for name, values in found.hidden.seconds.items())
    if found.stations:
        yield from station_lines(found.stations)
    yield "\n## Figures\n"
    yield from (f"![{name}]({name})\n" for name in figures)


def _gap_tables(found: Findings, rows: Sequence[ScoreRow]) -> Iterator[str]:
    yield "\n## Simulated gaps\n"
    yield "Observed cells are hidden and filled; all fillers of a table are scored on the same cells, which have"
    yield f"another observation within {NEAR_DAYS} days. Older evidence stands in the tables by class."
    yield f"DCT-PLS: pytesmo's, with {DCT_PLS_SETTINGS} for all days.\n"
    for (tier, kind), cells in found.hidden.cells.items():
        yield f"\n### {kind}, {tier}\n"
        left_out = cells.truth.size - cells.common().truth.size
        if left_out:
            yield f"{left_out} hidden cells are left out, because not every filler has a value for them.\n"
        yield from _score_table([r for r in rows if (r.tier, r.gaps, r.split) == (tier, kind, "all")])


def _score_table(chosen: Sequence[ScoreRow]) -> Iterator[str]:
    names = ["R", "RMSE", "ubRMSE", "MAE", "bias", "n"]
    yield table_line(["filler", *names])
    yield table_line(["---", *["---:"] * len(names)])
    for row in sorted(chosen, key=lambda r: r.score.rmse):
        s = row.score
        figures = [f"{s.r:.3f}", *(f"{v:.4f}" for v in (s.rmse, s.ubrmse, s.mae, s.bias)), str(s.n)]
        yield table_line([row.filler, *figures])


def _class_table(chosen: Sequence[ScoreRow]) -> Iterator[str]:
    fillers = list(dict.fromkeys(row.filler for row in chosen))
    yield table_line(["", "", *fillers, "n"])
    yield table_line(["---", "---", *["---:"] * (len(fillers) + 1)])
    previous = None
    for split, group in dict.fromkeys((row.split, row.group) for row in chosen):
        scores = {row.filler: row.score for row in chosen if (row.split, row.group) == (split, group)}
        figures = [f"{scores[filler].rmse:.4f}" for filler in fillers]
        n = next(iter(scores.values())).n
        yield table_line([split if split != previous else "", group, *figures, str(n)])
        previous = split


def _structure_tables(found: Findings) -> Iterator[str]:
    yield "\n## Structure\n"
    yield "Semivariance of hidden and filled values some cells apart from west to east, 10-4 (m3 m-3)2. After the"
    yield "slash: the part that follows the hidden values (cross-variogram), which is soil, and noise that they share"
    yield "with observed neighbours of the same day. A best estimate is smoother than a noisy retrieval. What the first"
    yield "number has beyond the second is not in the hidden values; too smooth a filler has a small second one."
    yield ""
    for (tier, kind), structure in found.hidden.structures.items():
        yield f"\n{kind}, {tier}:\n"
        yield table_line(["", *(f"{lag} cells" for lag in LAGS)])
        yield table_line(["---", *["---:"] * len(LAGS)])
        for name in structure.squares:
            both = zip(structure.variogram(name), structure.shared(name), strict=True)
            yield table_line([name, *(f"{1e4 * own:.1f} / {1e4 * shared:.1f}" for own, shared in both)])


def _calibration_table(calibrated: Calibration) -> Iterator[str]:
    classes = list(
        dict.fromkeys((split, group) for shares in calibrated.values() for split in shares for group in shares[split])
    )
    yield table_line(["", "", *calibrated])
    yield table_line(["---", "---", *["---:"] * len(calibrated)])
    for split, group in classes:
        values = [shares.get(split, {}).get(group) for shares in calibrated.values()]
        yield table_line([split, group, *("" if v is None else f"{100 * v:.1f}" for v in values)])


def _distribution_table(distributions: Distributions) -> Iterator[str]:
    yield "\nFilled value and sigma as a normal distribution: the continuous ranked probability score, and the"
    yield "shares of hidden values in ten classes that should hold 10 % each (high ends: heavier tails than normal):\n"
    yield table_line(["", "CRPS", "probability integral, %"])
    yield table_line(["---", "---:", "---"])
    for name, values in distributions.items():
        yield table_line([name, f"{values['crps']:.4f}", " ".join(f"{100 * v:.1f}" for v in values["pit"])])
