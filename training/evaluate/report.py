"""The report: a folder with Markdown to read, CSV and JSON for programs, and figures."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

from training.evaluate.figures import draw_figures
from training.evaluate.findings import Findings, calibration, error_table, mean_seam, score_rows, sigma_fit
from training.evaluate.kinds import HEADLINE
from training.evaluate.markdown import report_lines
from training.evaluate.score import Score
from training.evaluate.scores import crps, probability_integral
from training.evaluate.station_report import station_values, write_station_files
from training.evaluate.writing import JSON, MARKDOWN, json_number, json_score

CSV = "scores.csv"


def write_report(folder: Path, found: Findings) -> None:
    """Write the report.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    found : Findings
        The results of the evaluation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(score_rows(found.hidden.cells))
    headline = [cells for (_, kind), cells in found.hidden.cells.items() if kind == HEADLINE]
    with_sigma = [name for name, bundle in found.bundles.items() if bundle.manifest.gives_sigma]
    fits = {name: sigma_fit([cells.common() for cells in found.hidden.cells.values()], name) for name in with_sigma}
    calibrated, fitted = (
        {
            f"{name}, {tier}, {kind}": calibration(cells.common().refitted(name, *fit), name)
            for name, fit in chosen.items()
            for (tier, kind), cells in found.hidden.cells.items()
        }
        for chosen in (dict.fromkeys(with_sigma, (1.0, 1.0)), fits)
    )
    distributions = {
        f"{name}, {tier}, {kind}": {
            "crps": crps(cells.common(), name),
            "pit": probability_integral(cells.common(), name),
        }
        for name in with_sigma
        for (tier, kind), cells in found.hidden.cells.items()
    }
    figures = list(draw_figures(folder, found.hidden, with_sigma, found.series))
    if found.stations:
        figures += write_station_files(folder, found.stations)
    with (folder / CSV).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tier", "gaps", "split", "group", "filler", *Score.__dataclass_fields__])
        for row in rows:
            values = [f"{value:.6g}" for value in vars(row.score).values()]
            writer.writerow([row.tier, row.gaps, row.split, row.group, row.filler, *values])
    report: dict[str, Any] = {
        "source": found.source,
        "product": found.product,
        "band": found.band,
        "days": found.days,
        "noise": found.noise,
        "bundles": {
            name: {
                "model_id": bundle.model_id,
                "errors": error_table(headline, name).model_dump(mode="json"),
                "sigma_fit": _of_own_sigma(fits.get(name), bundle.manifest.sigma_fit),
                "seam": json_number(mean_seam(found.hidden.seams[name])),
            }
            for name, bundle in found.bundles.items()
        },
        "scores": [{**vars(row), "score": json_score(row.score)} for row in rows if row.split == "all"],
        "calibration": calibrated,
        "calibration_fitted": fitted,
        "distribution": distributions,
        "seconds": {name: statistics.median(values) for name, values in found.hidden.seconds.items()},
        "structure": {
            f"{tier}, {kind}": {
                name: {
                    "variogram": structure.variogram(name),
                    "shared": structure.shared(name),
                    "spectrum": structure.spectrum(name),
                }
                for name in structure.squares
            }
            for (tier, kind), structure in found.hidden.structures.items()
        },
        **({"stations": station_values(found.stations)} if found.stations else {}),
    }
    (folder / JSON).write_text(json.dumps(report, indent=1) + "\n")
    lines = report_lines(found, rows, calibrated, fitted, distributions, figures)
    (folder / MARKDOWN).write_text("\n".join(lines) + "\n")


def _of_own_sigma(fit: tuple[float, float] | None, earlier: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return a fit of a bundle's sigma as one of the network's own, to which the bundle applies an earlier fit."""
    if fit is None or earlier is None:
        return fit
    return fit[0] * earlier[0] ** fit[1], fit[1] * earlier[1]
