"""What the commands share: the application, options, and the handling of errors."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from runtime.common.logs import configure_logging
from runtime.errors import SeamlessError

P = ParamSpec("P")

app = typer.Typer(
    name="training",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prepare days to train on, train a network, evaluate bundles, or write a network with random weights.",
)

ProductOption = Annotated[str, typer.Option(help="lprm-amsr2, lprm-amsre or lprm-windsat.")]
OrbitOption = Annotated[str, typer.Option(help="descending or ascending.")]
BandOption = Annotated[str, typer.Option(help="c, c1, c2 or x.")]


def training_command(name: str, epilog: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a function as a command that prints an expected error as one line and then exits with code 2.

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
                raise typer.Exit(2) from None

        app.command(name, epilog=epilog)(guarded)
        return guarded

    return register
