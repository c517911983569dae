"""Command lines: their common options, and registering a function as a command."""

from __future__ import annotations

import functools
import io
import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec

import typer
from typer.core import TyperCommand, TyperGroup

from runtime import __version__
from runtime.common.logs import LogFormat, configure_logging
from runtime.errors import SeamlessError, UsageError

P = ParamSpec("P")

logger = logging.getLogger(__name__)

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""Context settings of every command line."""


class _PlainFlags:
    """Shows an option that takes no value without a type in the help."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_bool_flag", False):
                param.metavar = ""
        return params


class CommandGroup(_PlainFlags, TyperGroup):
    """A command line with several commands."""


class SingleCommand(_PlainFlags, TyperCommand):
    """One command of a command line."""


def print_version(wanted: bool) -> None:
    """Print the version and end the program, if that is wanted."""
    if wanted:
        print(f"seamless-sm {__version__}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
]


def make_app(name: str, help: str, epilog: str | None = None, *, add_completion: bool = False) -> typer.Typer:
    """Return a command line without commands.

    Parameters
    ----------
    name : str
        Name of the program.
    help : str
        What it does.
    epilog : str, optional
        Last paragraph of its help.
    add_completion : bool
        Whether it can complete commands in a shell; ``python -m`` cannot.
    """
    app = typer.Typer(
        name=name,
        cls=CommandGroup,
        help=help,
        epilog=epilog,
        no_args_is_help=True,
        add_completion=add_completion,
        context_settings=HELP_OPTIONS,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def options(version: VersionOption = False) -> None:
        """Take the options that every command line has."""

    return app


def register_command(
    app: typer.Typer, name: str, epilog: str, expected: tuple[type[Exception], ...] = (SeamlessError,)
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that registers a function as a command; an expected failure becomes one line and an exit code.

    A file or folder that cannot be used is always expected.

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
            if isinstance(sys.stdout, io.TextIOWrapper):  # a file name that is not UTF-8 is printed with escapes
                sys.stdout.reconfigure(errors="backslashreplace")
            try:
                function(*args, **kwargs)
            except expected as error:
                logger.error(error)
                raise typer.Exit(getattr(error, "exit_code", 2)) from None
            except MemoryError as error:
                logger.error(f"there is not enough memory ({error}); give the program more, nothing is lost")
                raise typer.Exit(SeamlessError.exit_code) from None
            except BrokenPipeError:  # the reader of the output has ended: no fault
                raise
            except OSError as error:
                where = error.filename
                logger.error(f"{where}: {error.strerror}; check the path and its permissions" if where else error)
                raise typer.Exit(UsageError.exit_code) from None

        app.command(name, cls=SingleCommand, epilog=epilog)(guarded)
        return guarded

    return register
