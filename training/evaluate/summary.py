"""One table of an evaluation, for the terminal."""

from __future__ import annotations

from rich.table import Table

from training.evaluate.findings import Findings, score_rows
from training.evaluate.hidden import WEIGHTED_MEAN


def summary_table(found: Findings) -> Table:
    """Return the RMSE of every filler by kind of gap and tier, best first.

    Parameters
    ----------
    found : Findings
        The results of an evaluation.

    Returns
    -------
    Table
        One row per filler, one column per tier and kind of gap; in brackets the change against the weighted mean.
    """
    scores = {
        (row.filler, (row.gaps, row.tier)): row.score for row in score_rows(found.hidden.cells) if row.split == "all"
    }
    columns = sorted({column for _, column in scores})
    table = Table(title="RMSE against hidden observations, m3 m-3 (against the weighted mean)")
    table.add_column("filler")
    for kind, tier in columns:
        table.add_column(f"{kind}, {tier}\nn = {scores[WEIGHTED_MEAN, (kind, tier)].n}", justify="right")
    by_first = sorted(
        dict.fromkeys(filler for filler, _ in scores),
        key=lambda filler: [getattr(scores.get((filler, column)), "rmse", 9.0) for column in columns],
    )
    for filler in by_first:
        cells = []
        for column in columns:
            score, base = scores.get((filler, column)), scores[WEIGHTED_MEAN, column].rmse
            cells.append(f"{score.rmse:.4f} ({100 * (score.rmse / base - 1):+.1f} %)" if score else "")
        table.add_row(filler, *cells)
    return table
