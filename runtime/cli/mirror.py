"""``runtime mirror``: bring the mirror up to date, or compare it with the archive."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, Json, LogFormatOption, Overrides, command, read_config
from runtime.common.logs import LogFormat
from runtime.errors import UsageError


@command(epilog="Examples: `runtime mirror`; `runtime mirror --dry-run`; `runtime mirror --check`")
def mirror(
    config: ConfigFile = None,
    overrides: Overrides = None,
    check: Annotated[bool, typer.Option("--check", help="Compare every object by checksum, change nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent and removed.")] = False,
    as_json: Json = False,
    log_format: LogFormatOption = LogFormat.AUTO,
) -> None:
    """Bring the mirror (`archive.mirror`) up to date with what is published, as each run does at its end.

    With --check, the exit code is 1 if the mirror differs from the archive.
    """
    from runtime.cli.progress import track
    from runtime.mirror.update import mirror_faults, planned_change, update_mirror

    if check and dry_run:
        raise UsageError("--check and --dry-run exclude each other")
    settings = read_config(config, overrides)
    if check:
        faults = mirror_faults(settings, track)
        print(json.dumps(faults, indent=1) if as_json else "\n".join(faults) or "the mirror is whole")
        raise typer.Exit(1 if faults else 0)
    change = planned_change(settings) if dry_run else update_mirror(settings)
    if as_json:
        print(json.dumps(change._asdict(), indent=1))
        return
    for name in change.sent if dry_run else []:
        print(f"send    {name}")
    for name in change.removed if dry_run else []:
        print(f"remove  {name}")
    if not change.sent and not change.removed:
        print("already current")
    elif dry_run:
        print(f"{change}, if it were not a dry run")
    else:
        print(change)
