"""What the commands share: the application, common options, reading dates, and one line for each failure."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from runtime.common import clock
from runtime.common.clock import DateRange
from runtime.common.commands import make_app, register_command
from runtime.common.logs import LogFormat
from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.config import Config
    from runtime.output.derive import Derived

P = ParamSpec("P")

logger = logging.getLogger(__name__)

app = make_app(
    name="runtime",
    add_completion=True,
    help="Fill the gaps of daily satellite soil moisture that observations reach, and keep the archive whole.\n\n"
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
Every = Annotated[str | None, typer.Option(metavar="PERIOD", help="Means of each dekad or month instead of days.")]
Anomalies = Annotated[
    bool,
    typer.Option(
        "--anomalies",
        help="Add climatology, anomaly and percentile: each day or period beside the same weeks of all years.",
    ),
]
RootZone = Annotated[
    float | None,
    typer.Option(
        metavar="DAYS", help="Add a root-zone index: exponential filter with this time (20 is usual for 1 m)."
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Use only what has been fetched; ask no server.")]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option(
        "--log-format",
        envvar="SEAMLESS_SM_LOG_FORMAT",
        help="Log lines on stderr: text has the time, json is for machines; auto is text where there is no terminal.",
    ),
]


def command(epilog: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a function as the command of its name; see `register_command`."""

    def register(function: Callable[P, None]) -> Callable[P, None]:
        decorate: Callable[[Callable[P, None]], Callable[P, None]] = register_command(app, function.__name__, epilog)
        return decorate(function)

    return register


def read_config(file: Path | None, overrides: list[str] | None) -> Config:
    """Read the configuration that ``--config`` and ``--set`` name; see `runtime.config.load_config`."""
    from runtime.config import load_config

    return load_config(file, overrides or ())


def parse_date(text: str, option: str) -> dt.date:
    """Read a date, or ``today``.

    Raises
    ------
    UsageError
        The text is neither, or a day that nothing can be known about.
    """
    if text == "today":
        return clock.today()
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r}: wanted YYYY-MM-DD or today") from None
    if not clock.FIRST_DAY <= day <= clock.LAST_DAY:
        raise UsageError(f"{option} {day}: wanted a day from {clock.FIRST_DAY} to {clock.LAST_DAY}")
    return day


def parse_range(date: str | None, first: str | None, last: str | None) -> DateRange | None:
    """Read ``--date``, or ``--from`` and ``--to``; without them, or for today, return None: all that is due.

    Raises
    ------
    UsageError
        The options exclude each other, or the range is empty.
    """
    if first is not None or last is not None:
        if date is not None:
            raise UsageError("--date and --from/--to exclude each other")
        start, end = parse_bounds(first, "today" if last is None else last)
        if start is None or end is None:
            raise UsageError("--to needs --from")
        return DateRange(start, end)
    if date is None or date == "today":
        return None
    day = parse_date(date, "--date")
    return DateRange(day, day)


def parse_bounds(first: str | None, last: str | None) -> tuple[dt.date | None, dt.date | None]:
    """Read ``--from`` and ``--to``; either may be missing.

    Raises
    ------
    UsageError
        The range is empty.
    """
    begin = None if first is None else parse_date(first, "--from")
    end = None if last is None else parse_date(last, "--to")
    if begin and end and end < begin:
        raise UsageError(f"--from {begin} is after --to {end}")
    return begin, end


def read_derived(every: str | None, anomalies: bool, root_zone: float | None) -> Derived:
    """Read ``--every``, ``--anomalies`` and ``--root-zone``.

    Raises
    ------
    UsageError
        There is no such period, or the time is not a positive number.
    """
    from typing import cast

    from runtime.output.derive import Derived
    from runtime.output.periods import PERIODS, Period

    if every is not None and every not in PERIODS:
        raise UsageError(f"--every {every}: wanted one of {', '.join(PERIODS)}")
    if root_zone is not None and not 0 < root_zone < float("inf"):
        raise UsageError(f"--root-zone {root_zone:g}: wanted a number of days above 0")
    return Derived(root_zone, cast(Period | None, every), anomalies)
