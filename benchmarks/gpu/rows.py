"""The rows of the tables: what was measured, and what could not be."""

from __future__ import annotations

from collections.abc import Sequence

Row = dict[str, str | float | bool | None]
"""One line of a table: what was measured, by the name of its column."""

NOT_RUN = "not run"
"""Column of a row that says what could not be measured; the column `WHY` says why."""
WHY = "why"


def not_run(what: str, why: object) -> Row:
    """Return the row that says why something could not be measured."""
    lines = str(why).strip().splitlines() or [type(why).__name__]
    name = f"{type(why).__name__}: " if isinstance(why, Exception) else ""
    return {NOT_RUN: what, WHY: f"{name}{lines[0]}"[:300]}


def merged(rows: Sequence[Row]) -> list[Row]:
    """Return rows with those of the same first column joined: a program is measured in several steps."""
    by_name: dict[object, Row] = {}
    for row in rows:
        by_name.setdefault(next(iter(row.items())), {}).update(row)
    return list(by_name.values())
