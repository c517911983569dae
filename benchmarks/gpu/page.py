"""Write the results as a page of tables, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.gpu.budget import SectionResult
from benchmarks.gpu.rows import NOT_RUN, WHY, Row


def page(head: Row, results: Sequence[SectionResult]) -> str:
    """Return the page: what was measured, one table for each section, and what was not run.

    Parameters
    ----------
    head : dict
        About the run: device, date, seconds.
    results : sequence of SectionResult
        The sections.

    Returns
    -------
    str
        Markdown.
    """
    parts = ["# Measurement of a machine", *(f"- {name}: {_text(value)}" for name, value in head.items()), ""]
    gaps: list[Row] = []
    for result in results:
        if result.status != "done":
            what = f"the rest of {result.title}" if result.rows else result.title
            gaps.append({"section": result.name, NOT_RUN: what, WHY: f"{result.status}: {result.why}"})
        gaps += [
            {"section": result.name, NOT_RUN: row[NOT_RUN], WHY: row[WHY]} for row in result.rows if NOT_RUN in row
        ]
        rows = [row for row in result.rows if NOT_RUN not in row]
        if rows:
            parts += [
                f"## {result.title}",
                "",
                f"{result.seconds:.0f} s of {result.limit:.0f} s.",
                "",
                *_table(rows),
                "",
            ]
    parts += ["## What was not run", "", *(_table(gaps) if gaps else ["Everything was run."])]
    return "\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> list[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---", *("---:" if _is_number(rows, name) else "---" for name in columns[1:])]]
    lines += [[_text(row.get(name)) for name in columns] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _is_number(rows: Sequence[Row], column: str) -> bool:
    return all(isinstance(row.get(column), int | float | None) for row in rows)


def _text(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value).replace("|", "/").replace("\n", " ")
