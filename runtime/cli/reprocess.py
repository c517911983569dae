"""``runtime reprocess``: take IMERG Final for a range."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, Json, LogFormatOption, Offline, Overrides, command, parse_range, read_config
from runtime.cli.fill import end_run
from runtime.common import clock
from runtime.common.logs import LogFormat
from runtime.errors import UsageError


@command(epilog="Example: `runtime reprocess --from 2015-01-01 --to 2015-01-31`, some four months later")
def reprocess(
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First day whose rain is replaced.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last day, included.")],
    config: ConfigFile = None,
    overrides: Overrides = None,
    offline: Offline = False,
    as_json: Json = False,
    log_format: LogFormatOption = LogFormat.AUTO,
) -> None:
    """Take IMERG Final for a range, and fill every published day again that reads it (recurrent: all that follow)."""
    from runtime.cli.progress import run_events
    from runtime.pipeline.run import reprocess_archive

    settings, rain = read_config(config, overrides), parse_range(None, first, last)
    if settings.feeds.precipitation.kind == "none":
        raise UsageError("there is no precipitation feed to take IMERG Final from; set feeds.precipitation")
    if rain is None:
        raise UsageError("reprocess needs --from and --to")
    with run_events() as events:
        outcome = reprocess_archive(settings, rain, clock.today(), events, offline=offline)
    end_run(outcome, as_json)
