"""``runtime fill``: the daily job."""

from __future__ import annotations

import json
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
    logger,
    parse_date,
    parse_range,
    read_config,
)
from runtime.cli.plan import print_plan
from runtime.common import clock
from runtime.common.logs import LogFormat
from runtime.common.vocabulary import Verdict
from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.pipeline.run import OperatorDecision, Outcome

Because = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is written into the published file.")]


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
    log_format: LogFormatOption = LogFormat.AUTO,
) -> None:
    """Fetch what is lacking, fill what is stale, in date order, and publish it."""
    decided = accept or reject
    if decided and (date or first or last or dry_run or (accept and reject)):
        raise UsageError("--accept and --reject take one date and no other option that chooses days, nor --dry-run")
    decision = _decision(accept, reject, because)
    wanted = parse_range(decided or date, first, last)
    settings = read_config(config, overrides)
    if dry_run:
        limit = settings.policy.max_refill_days
        print_plan(settings, wanted, offline=offline, as_json=as_json, max_refill_days=limit)
        return
    from runtime.cli.progress import run_events
    from runtime.pipeline.run import fill_archive

    with run_events() as events:
        outcome = fill_archive(settings, wanted, clock.today(), events, offline=offline, decision=decision)
    end_run(outcome, as_json)


def _decision(accept: str | None, reject: str | None, because: str) -> OperatorDecision | None:
    """Read ``--accept`` or ``--reject`` with ``--because``."""
    from runtime.pipeline.run import OperatorDecision

    decided = accept or reject
    if bool(decided) != bool(because.strip()):
        raise UsageError("--accept DATE and --reject DATE need --because TEXT, and the other way round")
    if decided is None:
        return None
    if decided == "today":
        raise UsageError("--accept and --reject take a date, YYYY-MM-DD")
    day = parse_date(decided, "--accept" if accept else "--reject")
    return OperatorDecision(day, Verdict.ACCEPT if accept else Verdict.REJECT, because.strip())


def end_run(outcome: Outcome, as_json: bool) -> None:
    """Print how a run ended, and end the command with its exit code."""
    if as_json:
        result = {
            "filled": [str(date) for date in outcome.filled],
            "exit_code": outcome.exit_code,
            "message": outcome.message,
        }
        print(json.dumps(result, indent=1))
    elif not outcome.filled and not outcome.exit_code:
        print("already current")
    if outcome.message:
        logger.error(outcome.message)
    raise typer.Exit(outcome.exit_code)
