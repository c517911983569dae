"""``runtime reprocess``: take IMERG Final for a range, or make every day again."""

from __future__ import annotations

from typing import Annotated

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
from runtime.cli.fill import end_run
from runtime.common import clock
from runtime.common.logs import LogFormat
from runtime.errors import UsageError


@command(
    epilog="Examples: `runtime reprocess --from 2015-01-01 --to 2015-01-31`, some four months later; "
    "`runtime reprocess --all` after `[grid]` or `archive.layout` was changed"
)
def reprocess(
    first: From = None,
    last: To = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Make every day again with the configured grid and layout.")
    ] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    offline: Offline = False,
    as_json: Json = False,
    log_format: LogFormatOption = LogFormat.AUTO,
) -> None:
    """Take IMERG Final for the rain from --from to --to, and fill every published day again that reads it.

    With a recurrent network, these are all days that follow. With --all instead, every published day is made again with
    the configured grid and layout; a killed run goes on when it is called again.
    """
    from runtime.cli.progress import run_events
    from runtime.pipeline.run import remake_archive, reprocess_archive

    settings = read_config(config, overrides)
    if everything == bool(first and last) or (everything and (first or last)):
        raise UsageError("reprocess needs either --from and --to, or --all")
    rain = None if everything else parse_range(None, first, last)
    if rain and settings.feeds.precipitation.kind == "none":
        raise UsageError("there is no precipitation feed to take IMERG Final from; set feeds.precipitation")
    with run_events() as events:
        if rain:
            outcome = reprocess_archive(settings, rain, clock.today(), events, offline=offline)
        else:
            outcome = remake_archive(settings, clock.today(), events, offline=offline)
    end_run(outcome, as_json)
