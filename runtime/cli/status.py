"""``runtime status``: what state the archive is in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from runtime.cli.common import ConfigFile, Json, Overrides, command, read_config
from runtime.common import clock
from runtime.common.clock import days_between
from runtime.common.text import counted
from runtime.common.vocabulary import ProblemKind, Tier

_COUNTED = (Tier.PROVISIONAL, Tier.NO_OBSERVATION)
"""Tiers whose days are counted; all others are consolidated."""

_LINES = ("coverage", "sensors_gone", "sensors", "handovers")
"""Facts that are printed line by line, the last few of them."""
_LAST_LINES = 12


@command(epilog="Examples: `runtime status --json`, `runtime status --plot coverage.png`")
def status(
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw how much of the land was observed and filled, as PNG.")
    ] = None,
) -> None:
    """Print the newest day, its lag behind today, the days missing in between, and how much of the land was seen."""
    from runtime.archive.catalog import Catalog
    from runtime.archive.paths import ArchivePaths
    from runtime.inputs.sensors_seen import handover_steps, sensor_spans, silent_sensors
    from runtime.mirror.ledger import mirror_fault
    from runtime.output.coverage_figure import annual_coverage, write_coverage

    settings = read_config(config, overrides)
    with Catalog.open(ArchivePaths.of(settings).catalog, read_only=True) as catalog:
        rows = catalog.days()
        revision = catalog.last_revision()
        problems = [f"{p.date} {p.kind}" for p in catalog.problems().values() if p.kind is not ProblemKind.WAIT]
        silent = silent_sensors(settings, catalog)
        interrupted = [str(intent.row.record.date) for intent in catalog.intents()]
    first, newest = (min(rows), max(rows)) if rows else (None, None)
    of_days = {date: row.record.statistics for date, row in rows.items() if row.record.statistics}
    if plot:
        write_coverage(of_days, plot)
    missing = (
        [] if first is None or newest is None else [str(day) for day in days_between(first, newest) if day not in rows]
    )
    facts: dict[str, Any] = {
        "archive": str(settings.archive.path),
        "days": len(rows),
        "first": first and str(first),
        "newest": newest and str(newest),
        "lag_days": newest and (clock.today() - newest).days,
        **{tier: sum(row.record.tier is tier for row in rows.values()) for tier in _COUNTED},
        "missing_between": missing,
        "problems": problems,
        "coverage": {str(year): mean._asdict() for year, mean in annual_coverage(of_days).items()},
        "last_published_at": revision and revision.made_at,
        "interrupted": interrupted,
    }
    if settings.archive.mirror:
        facts["mirror"] = mirror_fault(settings) or "the last update did not fail"
    if len(settings.sensors) > 1:
        facts["sensors_gone"] = list(silent)
        facts["sensors"] = [str(span) for span in sensor_spans(rows, settings)]
        facts["handovers"] = [str(step) for step in handover_steps(settings, rows)]
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    if not rows:
        print(f"{settings.archive.path}: empty; `runtime plan` lists what can be filled")
        return
    facts["coverage"] = [
        f"{year}: {mean['observed']:.1%} of the land observed, {mean['with_value']:.1%} observed or filled"
        for year, mean in facts["coverage"].items()
    ]
    for name, value in facts.items():
        if name in _LINES:
            for line in value[-_LAST_LINES:] or ["none"]:
                print(f"{name.replace('_', ' '):18} {line}")
            continue
        shown = (
            f"{counted(len(value), 'day')}: {', '.join(value[:5])}{' ...' if len(value) > 5 else ''}"
            if isinstance(value, list)
            else value
        )
        print(f"{name.replace('_', ' '):18} {'none' if value in (None, []) else shown}")
