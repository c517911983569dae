"""The report: one folder with Markdown to read, CSV and JSON to use, and figures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runtime.bundle import Bundle, ErrorTable
from runtime.common.grid import Floats
from training.evaluate.figures import draw_figures
from training.evaluate.hidden import TIERS
from training.evaluate.insitu import Comparison
from training.evaluate.scores import Cells, Score, strata, thirds
from training.evaluate.series import Published
from training.losses import ONE_SIGMA

MARKDOWN, JSON, CSV = "report.md", "report.json", "scores.csv"
AGES = (1, 2, 3, 4, 5)
"""Classes of an error table: days since the last observation, the last for older and unknown."""
BANDS = (-90.0, -30.0, 0.0, 30.0, 45.0, 60.0, 90.0)
_FEW = 100
"""Hidden observations below which an error table takes its row's figure."""


@dataclass
class Findings:
    """Everything an evaluation found."""

    bundles: dict[str, Bundle]
    source: str
    days: dict[str, list[str]]
    """By tier."""
    cells: dict[tuple[str, str], Cells]
    """By tier and kind of gap."""
    seams: dict[str, list[float]]
    noise: dict[str, float]
    """Nugget of the temporal variogram by region, m3 m-3."""
    published: dict[str, Published] = field(default_factory=dict)
    stations: dict[str, list[Comparison]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """Station files that could not be used, and why."""
    series_rain: Floats | None = None
    """(days, rows, cols), mm/day, of the published days."""


@dataclass(frozen=True)
class Row:
    """One line of ``scores.csv``."""

    tier: str
    gaps: str
    split: str
    group: str
    filler: str
    score: Score


def rows(cells: dict[tuple[str, str], Cells]) -> Iterator[Row]:
    """Yield every figure: all cells, complete patches, and by class."""
    for (tier, kind), raw in cells.items():
        everything = raw.common()
        groups = [("all", "all", everything)]
        complete = everything.only(everything.columns["complete"] > 0)
        if complete.truth.size:
            groups.append(("patches", "complete 40 x 40", complete))
        groups += strata(everything)
        for split, group, chosen in groups:
            for filler in chosen.fillers:
                yield Row(tier, kind, split, group, filler, chosen.score(filler))


def error_table(parts: Sequence[Cells], filler: str) -> ErrorTable:
    """Return a filler's error by days since the last observation and latitude band."""
    cells = Cells.joined([part.common() for part in parts])
    square = (cells.fillers[filler].astype(np.float64) - cells.truth) ** 2
    age = np.searchsorted(AGES, cells.columns["age"]).clip(max=len(AGES) - 1)
    band = (np.searchsorted(BANDS, cells.columns["latitude"], "right") - 1).clip(0, len(BANDS) - 2)
    n = np.zeros((len(AGES), len(BANDS) - 1), int)
    total = np.zeros(n.shape)
    np.add.at(n, (age, band), 1)
    np.add.at(total, (age, band), square)
    overall = total.sum() / max(n.sum(), 1)
    by_row = np.where(n.sum(1) >= _FEW, total.sum(1) / np.maximum(n.sum(1), 1), overall)
    mean = np.where(n >= _FEW, total / np.maximum(n, 1), by_row[:, None])
    rmse = tuple(tuple(round(float(v), 4) for v in line) for line in np.sqrt(mean))
    return ErrorTable(days=AGES, latitudes=BANDS, rmse=rmse, n=tuple(tuple(int(v) for v in line) for line in n))


def calibration(cells: Cells, bundle: str) -> dict[str, list[float]]:
    """Return the share of errors within sigma: overall, and in thirds of sigma, latitude and wetness."""
    by = {
        "sigma": cells.sigma[bundle],
        "latitude": cells.columns["latitude"],
        "wetness, filled": cells.fillers[bundle],
        "wetness, observed": cells.truth,
    }
    found = {"all": [cells.coverage(bundle)]}
    return found | {what: [cells.only(part).coverage(bundle) for part in thirds(v)] for what, v in by.items()}


def sigma_ratio(parts: Sequence[Cells], bundle: str) -> float:
    """Return what to multiply a bundle's sigma by, so that 68.3 % of the errors of these cells lie within it."""
    cells = Cells.joined([part.common() for part in parts])
    return float(np.quantile(np.abs(cells.fillers[bundle] - cells.truth) / cells.sigma[bundle], ONE_SIGMA))


def write_report(folder: Path, found: Findings) -> None:
    """Write the report."""
    folder.mkdir(parents=True, exist_ok=True)
    table = list(rows(found.cells))
    strips = [cells for (_, kind), cells in found.cells.items() if kind == "strips"]
    with_sigma = [name for name, bundle in found.bundles.items() if bundle.manifest.gives_sigma]
    calibrated = {
        f"{name}, {tier}": calibration(found.cells[tier, "strips"].common(), name)
        for name in with_sigma
        for tier in TIERS
        if (tier, "strips") in found.cells
    }
    drawn = list(draw_figures(folder, found.cells, with_sigma, found.published, found.series_rain))
    with (folder / CSV).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tier", "gaps", "split", "group", "filler", *Score.__dataclass_fields__])
        for row in table:
            figure = [f"{value:.6g}" for value in vars(row.score).values()]
            writer.writerow([row.tier, row.gaps, row.split, row.group, row.filler, *figure])
    values: dict[str, Any] = {
        "source": found.source,
        "days": found.days,
        "noise": found.noise,
        "bundles": {
            name: {
                "model_id": bundle.model_id,
                "errors": error_table(strips, name).model_dump(mode="json"),
                "sigma_ratio": sigma_ratio(strips, name) if name in with_sigma else None,
                "seam": _finite(_mean(found.seams[name])),
            }
            for name, bundle in found.bundles.items()
        },
        "scores": [
            {**vars(row), "score": {name: _finite(value) for name, value in vars(row.score).items()}}
            for row in table
            if row.split in ("all", "patches")
        ],
        "calibration": calibrated,
    }
    (folder / JSON).write_text(json.dumps(values, indent=1) + "\n")
    (folder / MARKDOWN).write_text("\n".join(_markdown(found, table, calibrated, drawn)) + "\n")


def _markdown(
    found: Findings, table: Sequence[Row], calibrated: dict[str, dict[str, list[float]]], drawn: Sequence[str]
) -> Iterator[str]:
    yield f"# Evaluation of {', '.join(found.bundles)}\n"
    yield f"Data: {found.source}. Exported bundles, run by `runtime`; all figures in m3 m-3 but R and n.\n"
    for tier, dates in found.days.items():
        yield f"- {tier}: {len(dates)} days, {dates[0]} to {dates[-1]}"
    yield "\n## Simulated gaps\n"
    yield "Observed cells are hidden and filled; every filler of a table is judged on the same cells.\n"
    for (tier, kind), cells in found.cells.items():
        yield f"\n### {kind}, {tier}\n"
        dropped = cells.truth.size - cells.common().truth.size
        if dropped:
            yield f"{dropped} hidden cells that some filler has no value for are left out.\n"
        yield from _score_table([r for r in table if (r.tier, r.gaps, r.split) == (tier, kind, "all")])
        patches = [r for r in table if (r.tier, r.gaps, r.split) == (tier, kind, "patches")]
        if patches:
            yield "\nIn complete 40 x 40 land patches only:\n"
            yield from _score_table(patches)
    yield "\n### Noise of one retrieval\n"
    yield "Square root of the temporal variogram's nugget; a filler that knew the soil exactly would still miss single"
    yield "retrievals by this much:\n"
    yield from (f"- {region}: {value:.4f}" for region, value in found.noise.items())
    yield "\n### RMSE by class, strips\n"
    for tier in found.days:
        chosen = [r for r in table if (r.tier, r.gaps) == (tier, "strips") and r.split not in ("all", "patches")]
        if chosen:
            yield f"\n{tier}:\n"
            yield from _class_table(chosen)
    if calibrated:
        yield "\n## Uncertainty\n"
        yield "Share of errors within sigma, %; of thirds from the lowest to the highest:\n"
        whats = list(next(iter(calibrated.values())))
        yield _line(["", *whats])
        yield _line(["---"] * (len(whats) + 1))
        for name, shares in calibrated.items():
            yield _line([name, *(" / ".join(f"{100 * v:.1f}" for v in shares[what]) for what in whats)])
    yield "\n## Seams\n"
    yield "Jump across tile edges over jump inside tiles; 1 means that tiles do not show:\n"
    yield from (f"- {name}: {_mean(days):.2f}" for name, days in found.seams.items())
    yield from _stations(found)
    yield "\n## Figures\n"
    yield from (f"![{name}]({name})\n" for name in drawn)


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what is known, NaN where nothing is: tiles may have no edge on a small grid."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _finite(value: float) -> float | None:
    """Return a value as JSON can say it."""
    return value if np.isfinite(value) else None


def _line(parts: Sequence[str]) -> str:
    return f"| {' | '.join(parts)} |"


def _score_table(chosen: Sequence[Row]) -> Iterator[str]:
    names = ["R", "RMSE", "ubRMSE", "MAE", "bias", "n"]
    yield _line(["filler", *names])
    yield _line(["---", *["---:"] * len(names)])
    for row in sorted(chosen, key=lambda r: r.score.rmse):
        s = row.score
        figure = [f"{s.r:.3f}", *(f"{v:.4f}" for v in (s.rmse, s.ubrmse, s.mae, s.bias)), str(s.n)]
        yield _line([row.filler, *figure])


def _class_table(chosen: Sequence[Row]) -> Iterator[str]:
    fillers = list(dict.fromkeys(row.filler for row in chosen))
    yield _line(["", "", *fillers, "n"])
    yield _line(["---", "---", *["---:"] * (len(fillers) + 1)])
    before = None
    for split, group in dict.fromkeys((row.split, row.group) for row in chosen):
        these = {row.filler: row.score for row in chosen if (row.split, row.group) == (split, group)}
        figure = [f"{these[filler].rmse:.4f}" for filler in fillers]
        yield _line([split if split != before else "", group, *figure, str(next(iter(these.values())).n)])
        before = split


def _stations(found: Findings) -> Iterator[str]:
    if not found.stations and not found.left_out:
        return
    yield "\n## In situ\n"
    yield "ISMN stations, the mean of the two readings nearest to the overpass; original is what the satellite saw,"
    yield "filled the days it did not, all days both.\n"
    parts = ("original", "filled", "all days")
    for name, comparisons in found.stations.items():
        yield f"\n{name}:\n"
        yield _line(["network", "station", "sensor", *(f"{p}: R / RMSE / ubRMSE / MAE / n" for p in parts)])
        yield _line(["---"] * 6)
        for c in comparisons:
            cells = [
                f"{s.r:.3f} / {s.rmse:.3f} / {s.ubrmse:.3f} / {s.mae:.3f} / {s.n}"
                for s in (c.original, c.filled, c.all_days)
            ]
            yield _line([c.station.network, c.station.name, c.sensor, *cells])
        yield "\nPer sensor, mean over its stations with at least 3 days:\n"
        yield _line(["sensor", "ubRMSE", "RMSE", "correlation", "stations"])
        yield _line(["---"] * 5)
        for sensor in dict.fromkeys(c.sensor for c in comparisons):
            for part in ("original", "all_days"):
                scores = [getattr(c, part) for c in comparisons if c.sensor == sensor]
                scores = [s for s in scores if s.n >= 3]
                means = [np.mean([getattr(s, what) for s in scores] or [np.nan]) for what in ("ubrmse", "rmse", "r")]
                label = f"{sensor}, {part.replace('_', ' ')}"
                yield _line([label, *(f"{mean:.3f}" for mean in means), str(len(scores))])
    for line in found.left_out:
        yield f"- {line}"
