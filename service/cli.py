"""``python -m service``: parse, call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from runtime import config as configuration
from runtime.errors import SeamlessError

app = typer.Typer(name="service", add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: python -m service --config /data/seamless-sm.toml")
def service(
    config: Annotated[Path | None, typer.Option(help="Configuration file.  [default: ./seamless-sm.toml]")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")] = None,
) -> None:
    """Keep an archive current: fill at start to catch up, then once a day, until told to stop."""
    from service.daily import serve

    try:
        settings = configuration.load(config, overrides or [])
    except SeamlessError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    arguments = ["--config", str(config)] if config else []
    serve(settings.service, arguments + [part for item in overrides or [] for part in ("--set", item)])


def main() -> None:
    """Run the command line."""
    app()
