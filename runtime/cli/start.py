"""The commands to begin with: init, demo, doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, Json, Overrides, command, load_config
from runtime.errors import UsageError


@command(epilog="Example: `runtime init my-archive.toml`, edit the feeds' paths, then `runtime fill --date today`.")
def init(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("seamless-sm.toml")) -> None:
    """Write a commented configuration file."""
    from runtime.config.template import TEMPLATE

    if path.exists():
        raise UsageError(f"{path} exists; choose another name or delete it")
    try:
        path.write_text(TEMPLATE)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
    print(f"wrote {path}; set the feeds' paths in it, then: runtime plan --config {path}")


@command(epilog="Example: `runtime demo --folder /tmp/demo`")
def demo(
    folder: Annotated[Path, typer.Option(help="Where to work; must be empty or absent.")] = Path("demo"),
    days: Annotated[int, typer.Option(min=9, help="Days to make.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the made-up world.")] = 1,
) -> None:
    """Make a world, hide some of it, fill it, and compare with simple fillers. No account, no data, no GPU."""
    from runtime.demo.run import run_demo

    run_demo(folder, days, seed)


@command(epilog="Example: `runtime doctor --config my-archive.toml`")
def doctor(config: ConfigFile = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Check engines, bundle, feeds, disk and credentials on this machine."""
    from runtime.doctor import examine

    findings = examine(load_config(config, overrides))
    if as_json:
        print(json.dumps([vars(f) for f in findings], indent=1))
    else:
        for finding in findings:
            print(
                f"{'ok  ' if finding.good else 'BAD ' if finding.needed else '-   '} {finding.what:22} {finding.detail}"
            )
    raise typer.Exit(1 if any(f.needed and not f.good for f in findings) else 0)
