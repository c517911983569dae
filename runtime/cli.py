"""``runtime ...``: parse, call, print. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

import datetime as dt
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from runtime.errors import SeamlessError, UsageError

if TYPE_CHECKING:
    from runtime.config import Config
    from runtime.job import Range
    from runtime.plan import PlannedDay

P = ParamSpec("P")

app = typer.Typer(
    name="runtime",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fill the gaps of daily satellite soil moisture and keep the archive whole.\n\n"
    "`runtime demo` shows it on a made-up world; `runtime init` starts an archive of your own.",
    epilog="Exit codes: 0 done or already current; 2 usage or configuration; 3 inputs not published yet; "
    "4 input refused; 5 result refused; 6 state chain broken; 7 another run holds the archive; 1 anything else.",
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


def _command(**options: Any) -> Callable[[Callable[P, None]], Callable[P, None]]:
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


def _config(file: Path | None, overrides: list[str] | None) -> Config:
    from runtime import config

    return config.load(file, overrides or [])


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _date(text: str, option: str) -> dt.date:
    if text == "today":
        return _today()
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: wanted YYYY-MM-DD or today") from None


def _range(date: str | None, first: str | None, last: str | None) -> Range:
    from runtime.job import Range

    if date and (first or last):
        raise UsageError("--date and --from/--to exclude each other")
    if first or last:
        if not first:
            raise UsageError("--to needs --from")
        start, end = _date(first, "--from"), _date(last, "--to") if last else _today()
        if end < start:
            raise UsageError(f"--from {start} is after --to {end}")
        return Range(start, end)
    if date is None or date == "today":
        return Range()
    day = _date(date, "--date")
    return Range(day, day)


@_command(epilog="Example: `runtime init my-archive.toml`, edit the feeds' paths, then `runtime fill --date today`.")
def init(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("seamless-sm.toml")) -> None:
    """Write a commented configuration file."""
    from runtime.template import TEMPLATE

    if path.exists():
        raise UsageError(f"{path} exists; choose another name or delete it")
    try:
        path.write_text(TEMPLATE)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
    print(f"wrote {path}; set the feeds' paths in it, then: runtime plan --config {path}")


def _print_plan(days: list[PlannedDay], as_json: bool, show_all: bool) -> None:
    from runtime.plan import Action

    rows = [d for d in days if show_all or d.action != Action.CURRENT]
    if as_json:
        fields = [{"date": str(d.date), "action": d.action, "tier": d.record.tier, "reason": d.reason} for d in rows]
        print(json.dumps(fields, indent=1))
        return
    for day in rows:
        print(f"{day.date}  {day.action:8} {day.record.tier:12} {day.reason}")
    stale = sum(d.action == Action.FILL for d in days)
    print(f"{len(days)} days looked at, {stale} to fill" + ("" if stale else ": already current"))


@_command(epilog="Examples: `runtime plan`; `runtime plan --from 2015-04-01 --to 2015-04-20 --json`")
def plan(
    config: ConfigFile = None,
    overrides: Overrides = None,
    first: From = None,
    last: To = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also list days that are current.")] = False,
    as_json: Json = False,
) -> None:
    """List every day that has to be filled, waits or was refused, with the reason. Changes nothing."""
    _plan(_config(config, overrides), _range(None, first, last), as_json, show_all)


def _plan(
    settings: Config,
    wanted: Range,
    as_json: bool,
    show_all: bool,
    max_refill_days: int | None = None,
    *,
    offline: bool = False,
) -> None:
    from runtime.archive.catalog import Catalog
    from runtime.day import Archivist
    from runtime.job import Scope
    from runtime.progress import reporter

    with Catalog.open(settings.catalog_path, read_only=True) as catalog:
        with reporter(quiet=True) as report:
            archivist = Archivist.open(settings, catalog, _today(), offline=offline)
            archivist.inbox.on_read = report.on_read
            scope = Scope.of(archivist, wanted, max_refill_days)
            planned = archivist.planner(scope.redo_from).plan(scope.dates)
        _print_plan(planned, as_json, show_all)
        for problem in archivist.inbox.unreachable():
            print(f"warning: {problem}", file=sys.stderr)


@_command(
    epilog="Examples: `runtime fill --date today` (from cron); `runtime fill --date 2015-04-12`; "
    "`runtime fill --from 2015-04-01 --to 2015-04-20 --dry-run`"
)
def fill(
    date: Annotated[str | None, typer.Option(metavar="today|DATE", help="Day to fill; today: all that is due.")] = None,
    first: From = None,
    last: To = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Fill what is stale, in date order, and publish it."""
    wanted = _range(date, first, last)
    settings = _config(config, overrides)
    if dry_run:
        _plan(settings, wanted, as_json, False, settings.policy.max_refill_days)
        return
    from runtime import job
    from runtime.progress import reporter

    with reporter(quiet=as_json) as report:
        outcome = job.fill(settings, wanted, _today(), report)
    if as_json:
        result = {
            "filled": [str(d) for d in outcome.filled],
            "exit_code": outcome.exit_code,
            "message": outcome.message,
        }
        print(json.dumps(result, indent=1))
    elif not outcome.filled and not outcome.exit_code:
        print("already current")
    if outcome.message:
        print(f"error: {outcome.message}", file=sys.stderr)
    raise typer.Exit(outcome.exit_code)


@_command(epilog="Example: `runtime status --json`")
def status(config: ConfigFile = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Say where the archive stands: its newest day, its lag, and what is missing in between."""
    from runtime.archive.catalog import Catalog

    settings = _config(config, overrides)
    with Catalog.open(settings.catalog_path, read_only=True) as catalog:
        rows = catalog.days()
        last_made = max((r.made_at for r in catalog.revisions()), default=None)
        unsettled = [str(intent.row.record.date) for intent in catalog.intents()]
    first, newest = (min(rows), max(rows)) if rows else (None, None)
    missing = (
        []
        if first is None or newest is None
        else [str(day) for day in (first + dt.timedelta(n) for n in range((newest - first).days)) if day not in rows]
    )
    facts = {
        "archive": str(settings.archive.path),
        "days": len(rows),
        "first": first and str(first),
        "newest": newest and str(newest),
        "lag_days": newest and (_today() - newest).days,
        "provisional": sum(r.record.tier == "provisional" for r in rows.values()),
        "missing_between": missing,
        "last_published_at": last_made,
        "interrupted": unsettled,
    }
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    if not rows:
        print(f"{settings.archive.path}: empty; `runtime plan` lists what can be filled")
        return
    for name, value in facts.items():
        shown = (
            f"{len(value)} days: {', '.join(value[:5])}{' ...' if len(value) > 5 else ''}"
            if isinstance(value, list)
            else value
        )
        print(f"{name.replace('_', ' '):18} {'none' if value in (None, []) else shown}")


@_command(epilog="Examples: `runtime check`; `runtime check --rebuild-catalog` after the catalog was lost")
def check(
    config: ConfigFile = None,
    overrides: Overrides = None,
    rebuild: Annotated[bool, typer.Option("--rebuild-catalog", help="Read the catalog back from the files.")] = False,
    as_json: Json = False,
) -> None:
    """Check every published file and snapshot against the catalog."""
    from runtime import check as checking
    from runtime.progress import track

    settings = _config(config, overrides)
    if rebuild:
        print(f"rebuilt from {checking.rebuild_catalog(settings, track)} files")
    faults = checking.faults(settings, track)
    if as_json:
        print(json.dumps(faults, indent=1))
    else:
        print("\n".join(faults) or "the archive is whole")
    raise typer.Exit(1 if faults else 0)


@_command(epilog="Example: `runtime changes --since 2026-11-01` for whoever mirrors the archive")
def changes(
    since: Annotated[str, typer.Option(metavar="TIME", help="ISO date or time, UTC.")] = "",
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List when days were made and why."""
    from runtime.archive.catalog import Catalog

    if since:
        try:
            moment = dt.datetime.fromisoformat(since)
        except ValueError:
            raise UsageError(f"--since {since}: wanted an ISO date or time") from None
        utc = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
        since = utc.isoformat(timespec="seconds")
    with Catalog.open(_config(config, overrides).catalog_path, read_only=True) as catalog:
        revisions = catalog.revisions(since)
    if as_json:
        print(json.dumps([vars(r) | {"date": str(r.date)} for r in revisions], indent=1))
        return
    for r in revisions:
        print(f"{r.made_at}  {r.date}  revision {r.revision}  {r.tier:12} {r.seconds:7.1f} s  {r.reason}")
    if not revisions:
        print("no changes")


@_command(epilog="Example: `runtime show --date 2015-04-12 --out day.png`")
def show(
    date: Annotated[str, typer.Option(metavar="DATE", help="Published day.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write.  [default: soil_moisture_DATE.png]")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Draw a day: observed, filled, and the difference from the day before."""
    from runtime import show as showing

    settings, day = _config(config, overrides), _date(date, "--date")
    path = out or Path(f"soil_moisture_{day:%Y%m%d}.png")
    showing.draw(settings, day, path)
    print(f"wrote {path}")


@_command(epilog="Example: `runtime demo --folder /tmp/demo`")
def demo(
    folder: Annotated[Path, typer.Option(help="Where to work; must be empty or absent.")] = Path("demo"),
    days: Annotated[int, typer.Option(min=9, help="Days to make.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the made-up world.")] = 1,
) -> None:
    """Make a world, hide some of it, fill it, and compare with simple fillers. No account, no data, no GPU."""
    from runtime import demo as demonstration

    demonstration.run(folder, days, seed)


@_command(epilog="Example: `runtime doctor --config my-archive.toml`")
def doctor(config: ConfigFile = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Check engines, bundle, feeds, disk and credentials on this machine."""
    from runtime import doctor as examination

    findings = examination.examine(_config(config, overrides))
    if as_json:
        print(json.dumps([vars(f) for f in findings], indent=1))
    else:
        for finding in findings:
            print(
                f"{'ok  ' if finding.good else 'BAD ' if finding.needed else '-   '} {finding.what:22} {finding.detail}"
            )
    raise typer.Exit(1 if any(f.needed and not f.good for f in findings) else 0)


def main() -> None:
    """Run the command line."""
    app()
