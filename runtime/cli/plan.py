"""``runtime plan``: what would be done, and why."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.common import (
    ConfigFile,
    From,
    Json,
    LogFormatOption,
    Offline,
    Overrides,
    To,
    command,
    parse_range,
    read_config,
)
from runtime.common import clock
from runtime.common.clock import DAY, DateRange
from runtime.common.logs import LogFormat
from runtime.common.text import counted

if TYPE_CHECKING:
    from runtime.config import Config
    from runtime.pipeline.plan import PlannedDay

logger = logging.getLogger(__name__)


@command(epilog="Examples: `runtime plan`; `runtime plan --from 2015-04-01 --to 2015-04-20 --json`")
def plan(
    config: ConfigFile = None,
    overrides: Overrides = None,
    first: From = None,
    last: To = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="List every day on a line of its own, also days that are current.")
    ] = False,
    offline: Offline = False,
    as_json: Json = False,
    log_format: LogFormatOption = LogFormat.AUTO,
) -> None:
    """List the days that have to be filled, wait or were refused, with the reason. Changes nothing."""
    settings = read_config(config, overrides)
    print_plan(settings, parse_range(None, first, last), offline=offline, as_json=as_json, show_all=show_all)


def print_plan(
    settings: Config,
    wanted: DateRange | None,
    *,
    offline: bool,
    as_json: bool,
    show_all: bool = False,
    max_refill_days: int | None = None,
) -> None:
    """Print what filling a range would do; nothing is changed."""
    from runtime.archive.catalog import Catalog
    from runtime.archive.paths import ArchivePaths
    from runtime.cli.progress import run_events
    from runtime.pipeline.context import RunContext
    from runtime.pipeline.plan import Action, plan_days
    from runtime.pipeline.selection import select_days

    with Catalog.open(ArchivePaths.of(settings).catalog, read_only=True) as catalog:
        with run_events() as events:
            run = RunContext.open(settings, catalog, clock.today(), events, offline=offline)
            selection = select_days(run, wanted, max_refill_days)
            planned = plan_days(run, selection)
        run.warn_once(day.model_warning for day in planned if day.action is Action.FILL and day.model_warning)
        _print_days(planned, as_json, show_all)
        for problem in (*run.inbox.failures(), *([selection.ended] if selection.ended else [])):
            logger.warning(problem)


def _print_days(days: list[PlannedDay], as_json: bool, show_all: bool) -> None:
    from runtime.pipeline.plan import Action

    shown = [day for day in days if show_all or day.action is not Action.CURRENT]
    if as_json:
        fields = [{"date": str(d.date), "action": d.action, "tier": d.tier, "reason": d.reason} for d in shown]
        print(json.dumps(fields, indent=1))
        return
    for days_alike in ([day] for day in shown) if show_all else _ranges(shown):
        first, last = days_alike[0], days_alike[-1]
        dates = f"{first.date} to {last.date}, {len(days_alike)} days" if first != last else str(first.date)
        print(f"{dates}  {first.action:8} {first.tier:14} {first.reason}")
    stale = sum(day.action is Action.FILL for day in days)
    print(f"{counted(len(days), 'day')} looked at, {stale} to fill" + ("" if stale else ": already current"))


def _ranges(days: list[PlannedDay]) -> list[list[PlannedDay]]:
    """Return the days, consecutive ones with the same action, tier and reason together."""
    ranges: list[list[PlannedDay]] = []
    for day in days:
        before = ranges[-1][-1] if ranges else None
        if before and day.date - before.date == DAY and _shown(day) == _shown(before):
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return ranges


def _shown(day: PlannedDay) -> tuple[str, str, str]:
    return day.action, day.tier, day.reason
