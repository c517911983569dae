"""``runtime inbox``: the input files that were read."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, From, Json, Overrides, To, command, parse_range, read_config


@command(epilog="Example: `runtime inbox --from 2026-11-01`; `runtime inbox --refused`")
def inbox(
    first: From = None,
    last: To = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List the input files: when and from where they came, sha256, which version counts, why one was refused."""
    from runtime.archive.catalog import Catalog
    from runtime.archive.paths import ArchivePaths

    wanted = parse_range(None, first, last)
    begin, end = (wanted.first, wanted.last) if wanted else (dt.date.min, dt.date.max)
    settings = read_config(config, overrides)
    with Catalog.open(ArchivePaths.of(settings).catalog, read_only=True) as catalog:
        rows = [row for product in settings.known_products for row in catalog.granules(product, begin, end)]
    newest = {row.location: row.key for row in rows}
    facts = [row.to_json() | {"current": newest[row.location] == row.key} for row in rows if row.refused or not refused]
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
