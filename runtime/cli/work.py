"""The commands that do the work: plan, fill, fetch, reprocess."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli import common
from runtime.cli.common import ConfigFile, From, Json, Offline, Overrides, To, command, load_config, parse_range
from runtime.errors import UsageError
from runtime.pipeline.run import fetch_inputs, fill_archive

if TYPE_CHECKING:
    from runtime.config import Config
    from runtime.pipeline.plan import PlannedDay
    from runtime.pipeline.run import DateRange, Outcome

Because = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is written into the published file.")]


def _print_plan(days: list[PlannedDay], as_json: bool, show_all: bool) -> None:
    from runtime.pipeline.plan import Action

    rows = [d for d in days if show_all or d.action != Action.CURRENT]
    if as_json:
        fields = [{"date": str(d.date), "action": d.action, "tier": d.record.tier, "reason": d.reason} for d in rows]
        print(json.dumps(fields, indent=1))
        return
    for day in rows:
        print(f"{day.date}  {day.action:8} {day.record.tier:12} {day.reason}")
    stale = sum(d.action == Action.FILL for d in days)
    print(f"{len(days)} days looked at, {stale} to fill" + ("" if stale else ": already current"))


@command(epilog="Examples: `runtime plan`; `runtime plan --from 2015-04-01 --to 2015-04-20 --json`")
def plan(
    config: ConfigFile = None,
    overrides: Overrides = None,
    first: From = None,
    last: To = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also list days that are current.")] = False,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """List every day that has to be filled, waits or was refused, with the reason. Changes nothing."""
    _plan(load_config(config, overrides), parse_range(None, first, last), as_json, show_all, offline=offline)


def _plan(
    settings: Config,
    wanted: DateRange,
    as_json: bool,
    show_all: bool,
    max_refill_days: int | None = None,
    *,
    offline: bool = False,
) -> None:
    from runtime.archive.catalog import Catalog
    from runtime.cli.progress import reporter
    from runtime.pipeline.day import Archivist
    from runtime.pipeline.run import DaySelection

    with Catalog.open(settings.catalog_path, read_only=True) as catalog:
        with reporter(quiet=True) as report:
            archivist = Archivist.open(settings, catalog, common.today(), offline=offline)
            archivist.inbox.shelf.on_read = report.on_read
            scope = DaySelection.of(archivist, wanted, max_refill_days)
            planned = archivist.planner(scope.redo_from).plan(scope.dates)
        _print_plan(planned, as_json, show_all)
        for problem in archivist.inbox.unreachable():
            print(f"warning: {problem}", file=sys.stderr)


@command(
    epilog="Examples: `runtime fill --date today` (from cron); `runtime fill --date 2015-04-12`; "
    "`runtime fill --from 2015-04-01 --to 2015-04-20 --dry-run`; "
    '`runtime fill --accept 2015-04-12 --because "half the swaths, but sound"`'
)
def fill(
    date: Annotated[str | None, typer.Option(metavar="today|DATE", help="Day to fill; today: all that is due.")] = None,
    first: From = None,
    last: To = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    accept: Annotated[
        str | None, typer.Option(metavar="DATE", help="Publish a day that a gate has refused. Needs --because.")
    ] = None,
    reject: Annotated[
        str | None, typer.Option(metavar="DATE", help="Treat a day's soil moisture as absent. Needs --because.")
    ] = None,
    because: Because = "",
    offline: Offline = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch what is lacking, fill what is stale, in date order, and publish it."""
    decided = accept or reject
    if decided and (date or first or last or dry_run or (accept and reject)):
        raise UsageError("--accept and --reject take one date and no other option that chooses days, nor --dry-run")
    if bool(decided) != bool(because.strip()):
        raise UsageError("--accept DATE and --reject DATE need --because TEXT, and the other way round")
    wanted = parse_range(decided or date, first, last)
    if decided and wanted.is_today:
        raise UsageError("--accept and --reject take a date, YYYY-MM-DD")
    settings = load_config(config, overrides)
    if dry_run:
        _plan(settings, wanted, as_json, False, settings.policy.max_refill_days, offline=offline)
        return
    from runtime.cli.progress import reporter
    from runtime.pipeline.run import fill_archive

    decision = ("accept" if accept else "reject", because.strip()) if decided else None
    with reporter(quiet=as_json) as report:
        outcome = fill_archive(settings, wanted, common.today(), report, offline=offline, decision=decision)
    _end(outcome, as_json)


def _end(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        result = {
            "filled": [str(d) for d in outcome.filled],
            "exit_code": outcome.exit_code,
            "message": outcome.message,
        }
        print(json.dumps(result, indent=1))
    elif not outcome.filled and not outcome.exit_code:
        print("already current")
    if outcome.message:
        print(f"error: {outcome.message}", file=sys.stderr)
    raise typer.Exit(outcome.exit_code)


@command(epilog="Example: `runtime reprocess --from 2015-01-01 --to 2015-01-31`, some four months later")
def reprocess(
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First day whose rain is replaced.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last day, included.")],
    config: ConfigFile = None,
    overrides: Overrides = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Take IMERG Final for a range, and re-do every published day that reads it (recurrent kind: all that follow)."""
    pass
    from runtime.cli.progress import reporter

    settings, wanted = load_config(config, overrides), parse_range(None, first, last)
    if settings.feeds.precipitation.kind == "none":
        raise UsageError("there is no precipitation feed to take IMERG Final from; set feeds.precipitation")
    with reporter(quiet=as_json) as report:
        outcome = fill_archive(settings, wanted, common.today(), report, offline=offline, reprocess=True)
    _end(outcome, as_json)


@command(epilog="Examples: `runtime fetch`; `runtime fetch --from 2015-04-01 --to 2015-04-20 --dry-run`")
def fetch(
    date: Annotated[
        str | None, typer.Option(metavar="today|DATE", help="Day to fetch; today: all that a fill would lack.")
    ] = None,
    first: From = None,
    last: To = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, fetch nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch inputs without filling. What is here already stays; a killed run goes on where it was."""
    pass
    from runtime.cli.progress import reporter
    from runtime.errors import InputRefused, InputsMissing

    wanted = parse_range(date, first, last)
    with reporter(quiet=as_json) as report:
        done = fetch_inputs(load_config(config, overrides), wanted, common.today(), report, dry_run=dry_run)
    if as_json:
        files = [{"date": str(g.date), "name": g.name, "from": g.location} for g in done.files]
        print(json.dumps({"files": files, "failed": done.failed, "refused": done.refused}, indent=1))
    else:
        for granule in done.files if dry_run else []:
            print(f"{granule.date}  {granule.name}  {granule.location}")
        print(f"{len(done.files)} files {'to fetch' if dry_run else 'asked for'}; local folders are read in place")
    for problem in (*done.failed, *done.refused):
        print(f"error: {problem}", file=sys.stderr)
    if done.failed or done.refused:
        raise typer.Exit(InputsMissing.exit_code if done.failed else InputRefused.exit_code)
