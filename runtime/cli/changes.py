"""``runtime changes``: when days were made, and why."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, Json, Overrides, command, read_config
from runtime.errors import UsageError


@command(epilog="Example: `runtime changes --since 2026-11-01` for a mirror of the archive")
def changes(
    since: Annotated[str, typer.Option(metavar="TIME", help="ISO date or time, UTC.")] = "",
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List when days were made and why."""
    from runtime.archive.catalog import Catalog
    from runtime.archive.paths import ArchivePaths

    if since:
        try:
            moment = dt.datetime.fromisoformat(since)
            utc = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            raise UsageError(f"--since {since}: wanted an ISO date or time") from None
        since = utc.isoformat(timespec="seconds")
    with Catalog.open(ArchivePaths.of(read_config(config, overrides)).catalog, read_only=True) as catalog:
        revisions = catalog.revisions(since)
    if as_json:
        print(json.dumps([revision.to_json() for revision in revisions], indent=1))
        return
    for r in revisions:
        print(f"{r.made_at}  {r.date}  revision {r.revision}  {r.tier:12} {r.seconds:7.1f} s  {r.reason}")
    if not revisions:
        print("no changes")
