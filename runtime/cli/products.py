"""``runtime products``: what can be read."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, Json, Overrides, command, read_config
from runtime.errors import UsageError


@command(epilog="Examples: `runtime products`; `runtime products smap-l3`, a declaration to copy and change")
def products(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this one as TOML.")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List the products that can be read: those that are shipped, and those of the configuration."""
    from runtime.config.declared import as_toml, summary

    known = read_config(config, overrides).known_products
    if name is not None and name not in known:
        raise UsageError(f"there is no product {name!r}; there are {', '.join(known)}")
    if name is not None:
        print(as_toml(known[name]))
        return
    rows = [summary(product) for product in known.values()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    widths = [max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]]
    for row in (dict(zip(rows[0], rows[0], strict=True)), *rows):
        print("  ".join(text.ljust(width) for text, width in zip(row.values(), widths, strict=True)).rstrip())
