"""``runtime doctor``: what this machine has and lacks."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, Json, Overrides, command, read_config


@command(epilog="Example: `runtime doctor --config my-archive.toml`")
def doctor(
    config: ConfigFile = None,
    overrides: Overrides = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server, and try no log-in.")] = False,
    as_json: Json = False,
) -> None:
    """Check engines, bundle, feeds, log-ins and disk on this machine.

    Each feed is listed, and its log-in is tried.

    The exit code is that of the first fault, as another command would end with it.
    """
    from runtime.doctor import examine

    findings = examine(read_config(config, overrides), offline=offline)
    if as_json:
        print(json.dumps([vars(f) for f in findings], indent=1))
    else:
        for finding in findings:
            print(
                f"{'ok  ' if finding.good else 'BAD ' if finding.needed else '-   '} {finding.what:22} {finding.detail}"
            )
    raise typer.Exit(next((f.exit_code for f in findings if f.needed and not f.good), 0))
