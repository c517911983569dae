"""What the commands share: the application and the handling of errors."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from runtime.common.logs import configure_logging
from runtime.errors import SeamlessError

P = ParamSpec("P")

app = typer.Typer(
    name="export",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn a checkpoint into a model bundle.",
)


def export_command(name: str, epilog: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a function as a command that prints an expected error as one line and exits with the error's code.

    Parameters
    ----------
    name : str
        Name of the command.
    epilog : str
        Last paragraph of the command's help.

    Returns
    -------
    callable
        A decorator.
    """

    def register(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            configure_logging()
            try:
                function(*args, **kwargs)
            except (SeamlessError, ValueError) as error:
                print(f"error: {error}", file=sys.stderr)
                raise typer.Exit(error.exit_code if isinstance(error, SeamlessError) else 2) from None

        app.command(name, epilog=epilog)(guarded)
        return guarded

    return register
