"""``runtime fetch``: fetch input files without filling."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from runtime.cli.common import (
    ConfigFile,
    From,
    Json,
    LogFormatOption,
    Overrides,
    To,
    command,
    logger,
    parse_range,
    read_config,
)
from runtime.common import clock
from runtime.common.logs import LogFormat
from runtime.common.text import counted
from runtime.errors import InputRefused, InputsMissing


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
    log_format: LogFormatOption = LogFormat.AUTO,
) -> None:
    """Fetch inputs without filling. Files that are here already stay; a killed run continues where it stopped."""
    from runtime.cli.progress import run_events
    from runtime.pipeline.fetch import fetch_inputs

    wanted, settings = parse_range(date, first, last), read_config(config, overrides)
    with run_events() as events:
        result = fetch_inputs(settings, wanted, clock.today(), events, dry_run=dry_run)
    if as_json:
        files = [{"date": str(g.date), "name": g.name, "from": g.location} for g in result.files]
        print(json.dumps({"files": files, "failed": result.failed, "refused": result.refused}, indent=1))
    else:
        for granule in result.files if dry_run else []:
            print(f"{granule.date}  {granule.name}  {granule.location}")
        found = counted(len(result.files), "file")
        print(f"{found} {'to fetch' if dry_run else 'asked for'}; local folders are read in place")
    for problem in (*result.failed, *result.refused):
        logger.error(problem)
    if result.failed or result.refused:
        raise typer.Exit(InputsMissing.exit_code if result.failed else InputRefused.exit_code)
