"""The command line of the service: ``python -m service``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from runtime.common.commands import HELP_OPTIONS, SingleCommand, VersionOption
from runtime.common.logs import LogFormat, configure_logging
from runtime.config import load_config
from runtime.errors import SeamlessError
from service.runner import LOG_FORMAT_VARIABLE

logger = logging.getLogger(__name__)

app = typer.Typer(name="service", add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.command(
    cls=SingleCommand,
    context_settings=HELP_OPTIONS,
    epilog="Example: python -m service --config /data/seamless-sm.toml",
)
def service(
    config: Annotated[Path | None, typer.Option(help="Configuration file.  [default: ./seamless-sm.toml]")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")] = None,
    log_format: Annotated[
        LogFormat,
        typer.Option(envvar=LOG_FORMAT_VARIABLE, help="How lines of the log look, also those of the runs."),
    ] = LogFormat.AUTO,
    version: VersionOption = False,
) -> None:
    """Keep an archive current until stopped: fill at start to catch up, then every day; answer over HTTP."""
    from service.serve import serve

    configure_logging(log_format)
    arguments = ["--config", str(config)] if config else []
    try:
        settings = load_config(config, overrides or [])
        serve(settings, arguments + [part for item in overrides or [] for part in ("--set", item)], log_format)
    except SeamlessError as error:
        logger.error("%s", error)
        raise typer.Exit(error.exit_code) from None
