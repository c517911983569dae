"""The commands that look at an archive: status, check, changes, inbox, show."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated

import typer

from runtime.cli import common
from runtime.cli.common import ConfigFile, From, Json, Overrides, To, command, load_config, parse_date, parse_range
from runtime.errors import UsageError


@command(epilog="Example: `runtime status --json`")
def status(config: ConfigFile = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Say where the archive stands: its newest day, its lag, and what is missing in between."""
    from runtime.archive.catalog import Catalog

    settings = load_config(config, overrides)
    with Catalog.open(settings.catalog_path, read_only=True) as catalog:
        rows = catalog.days()
        revision = catalog.last_revision()
        problems = [f"{p.date} {p.kind}" for p in catalog.problems().values() if p.kind != "wait"]
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
        "lag_days": newest and (common.today() - newest).days,
        "provisional": sum(r.record.tier == "provisional" for r in rows.values()),
        "missing_between": missing,
        "problems": problems,
        "last_published_at": revision and revision.made_at,
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


@command(epilog="Examples: `runtime check`; `runtime check --rebuild-catalog` after the catalog was lost")
def check(
    config: ConfigFile = None,
    overrides: Overrides = None,
    rebuild: Annotated[bool, typer.Option("--rebuild-catalog", help="Read the catalog back from the files.")] = False,
    rebuild_views: Annotated[
        bool, typer.Option("--rebuild-views", help="Make cube and STAC documents again from the daily files.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every published file and snapshot against the catalog, and cube and STAC items against the files."""
    from runtime import check as checking
    from runtime.progress import track

    settings = load_config(config, overrides)
    if rebuild:
        print(f"rebuilt from {checking.rebuild_catalog(settings, track)} files")
    if rebuild_views:
        print(f"cube and STAC documents made of {checking.rebuild_views(settings, track)} days")
    faults = checking.faults(settings, track)
    if as_json:
        print(json.dumps(faults, indent=1))
    else:
        print("\n".join(faults) or "the archive is whole")
    raise typer.Exit(1 if faults else 0)


@command(epilog="Example: `runtime changes --since 2026-11-01` for whoever mirrors the archive")
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
    with Catalog.open(load_config(config, overrides).catalog_path, read_only=True) as catalog:
        revisions = catalog.revisions(since)
    if as_json:
        print(json.dumps([vars(r) | {"date": str(r.date)} for r in revisions], indent=1))
        return
    for r in revisions:
        print(f"{r.made_at}  {r.date}  revision {r.revision}  {r.tier:12} {r.seconds:7.1f} s  {r.reason}")
    if not revisions:
        print("no changes")


@command(epilog="Example: `runtime show --date 2015-04-12 --out day.png`")
def show(
    date: Annotated[str, typer.Option(metavar="DATE", help="Published day.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write.  [default: soil_moisture_DATE.png]")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Draw a day: observed, filled, and the difference from the day before."""
    from runtime import show as showing

    settings, day = load_config(config, overrides), parse_date(date, "--date")
    path = out or Path(f"soil_moisture_{day:%Y%m%d}.png")
    showing.draw(settings, day, path)
    print(f"wrote {path}")


@command(epilog="Example: `runtime inbox --from 2026-11-01`; `runtime inbox --refused`")
def inbox(
    first: From = None,
    last: To = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List what arrived, when and from where, its sha256, which version counts, and why a file was refused."""
    from runtime.archive.catalog import Catalog
    from runtime.products import PRODUCTS

    wanted = parse_range(None, first, last)
    begin, end = wanted.first or dt.date.min, wanted.last or dt.date.max
    with Catalog.open(load_config(config, overrides).catalog_path, read_only=True) as catalog:
        rows = [row for product in PRODUCTS for row in catalog.arrived(product, begin, end)]
    newest = {row.location: row.key for row in rows}
    facts = [vars(row) | {"current": newest[row.location] == row.key} for row in rows if row.refused or not refused]
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    for fact in facts:
        state = "refused" if fact["refused"] else "current" if fact["current"] else "superseded"
        print(f"{fact['date']}  {fact['arrived_at']}  {state:10} {fact['sha256'][:12]}  {fact['location']}")
        if fact["refused"]:
            print(f"    {fact['refused']}")
    if not facts:
        print("nothing")
