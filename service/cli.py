"""``python -m service``: parse, call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from runtime.config import load_config
from runtime.errors import SeamlessError

app = typer.Typer(name="service", add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: python -m service --config /data/seamless-sm.toml")
def service(
    config: Annotated[Path | None, typer.Option(help="Configuration file.  [default: ./seamless-sm.toml]")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")] = None,
) -> None:
    """Keep an archive current until told to stop: fill at start to catch up, then every day; answer over HTTP."""
    from service.serve import serve

    arguments = ["--config", str(config)] if config else []
    try:
        settings = load_config(config, overrides or [])
        serve(settings, arguments + [part for item in overrides or [] for part in ("--set", item)])
    except SeamlessError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


def main() -> None:
    """Run the command line."""
    app()
