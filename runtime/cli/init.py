"""``runtime init``: write a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.common import command
from runtime.errors import UsageError


@command(
    epilog="Examples: `runtime init my-archive.toml`, edit the feeds' paths, then `runtime fill --date today`; "
    "`runtime init --preset list`; `runtime init --preset smap`"
)
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("seamless-sm.toml"),
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Feeds of a product or a record; `list` names them.  [default: LPRM AMSR2]"),
    ] = None,
) -> None:
    """Write a commented configuration file."""
    from runtime.config.presets import PRESETS, preset_configuration
    from runtime.config.template import TEMPLATE

    if preset == "list":
        for name, each in PRESETS.items():
            print(f"{name:12} {each.what}")
        return
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    try:
        with path.open("x") as file:
            file.write(TEMPLATE if preset is None else preset_configuration(PRESETS[preset]))
    except FileExistsError:
        raise UsageError(f"{path} exists; choose another name or delete it") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
    print(f"wrote {path}; set the feeds' paths in it, then: runtime plan --config {path}")
