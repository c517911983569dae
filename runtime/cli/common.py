"""What the commands share: the application, its options, and how a failure becomes one line and an exit code."""

from __future__ import annotations

import datetime as dt
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from runtime.errors import SeamlessError, UsageError

if TYPE_CHECKING:
    from runtime.config import Config
    from runtime.pipeline.run import DateRange

P = ParamSpec("P")

app = typer.Typer(
    name="runtime",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fill the gaps of daily satellite soil moisture and keep the archive whole.\n\n"
    "`runtime demo` shows it on a made-up world; `runtime init` starts an archive of your own.",
    epilog="Exit codes: 0 done or already current; 2 usage, configuration or log-in; 3 inputs not published yet, or a "
    "feed does not answer; 4 input refused; 5 result refused; 6 state chain broken; 7 another run holds the archive; "
    "1 anything else.",
)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Configuration file.  [default: ./seamless-sm.toml]", show_default=False)
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set model.engine=cpu.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
From = Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day.")]
To = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last day, included.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use only what has been fetched; ask no server.")]


def command(**options: Any) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a command whose expected failures become one line on stderr and their exit code."""

    def register(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                function(*args, **kwargs)
            except SeamlessError as error:
                print(f"error: {error}", file=sys.stderr)
                raise typer.Exit(error.exit_code) from None

        app.command(**options)(guarded)
        return guarded

    return register


def load_config(file: Path | None, overrides: list[str] | None) -> Config:
    """Read the configuration."""
    from runtime.config import load_config

    return load_config(file, overrides or [])


def today() -> dt.date:
    """Return the current day, UTC."""
    return dt.datetime.now(dt.UTC).date()


def parse_date(text: str, option: str) -> dt.date:
    """Read a date, or ``today``."""
    if text == "today":
        return today()
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: wanted YYYY-MM-DD or today") from None


def parse_range(date: str | None, first: str | None, last: str | None) -> DateRange:
    """Read ``--date``, or ``--from`` and ``--to``; none of them, or today, is: whatever is due."""
    from runtime.pipeline.run import DateRange

    if date and (first or last):
        raise UsageError("--date and --from/--to exclude each other")
    if first or last:
        if not first:
            raise UsageError("--to needs --from")
        start, end = parse_date(first, "--from"), parse_date(last, "--to") if last else today()
        if end < start:
            raise UsageError(f"--from {start} is after --to {end}")
        return DateRange(start, end)
    if date is None or date == "today":
        return DateRange()
    day = parse_date(date, "--date")
    return DateRange(day, day)
