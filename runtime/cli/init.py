"""``runtime init``: write a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.common import command
from runtime.errors import UsageError


@command(epilog="Example: `runtime init my-archive.toml`, edit the feeds' paths, then `runtime fill --date today`.")
def init(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("seamless-sm.toml")) -> None:
    """Write a commented configuration file."""
    from runtime.config.template import TEMPLATE

    try:
        with path.open("x") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise UsageError(f"{path} exists; choose another name or delete it") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
    print(f"wrote {path}; set the feeds' paths in it, then: runtime plan --config {path}")
