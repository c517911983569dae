"""Registering a function as a command of a command line."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, ParamSpec

import typer

from runtime.common.logs import LogFormat, configure_logging
from runtime.errors import SeamlessError

P = ParamSpec("P")

logger = logging.getLogger(__name__)


def register_command(
    app: typer.Typer, name: str, epilog: str, expected: tuple[type[Exception], ...] = (SeamlessError,)
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that registers a function as a command; an expected failure becomes one line and an exit code.

    Parameters
    ----------
    app : typer.Typer
        The command line.
    name : str
        Name of the command.
    epilog : str
        Last paragraph of its help.
    expected : tuple of exception types
        Errors that are reported in one line. The exit code is the error's own, 2 if it has none.
    """

    def register(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            log_format: Any = kwargs.get("log_format", LogFormat.AUTO)
            configure_logging(log_format)
            try:
                function(*args, **kwargs)
            except expected as error:
                logger.error(error)
                raise typer.Exit(getattr(error, "exit_code", 2)) from None

        app.command(name, epilog=epilog)(guarded)
        return guarded

    return register
