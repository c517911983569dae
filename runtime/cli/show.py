"""``runtime show``: a day as a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, Overrides, command, parse_date, read_config


@command(epilog="Example: `runtime show --date 2015-04-12 --out day.png`")
def show(
    date: Annotated[str, typer.Option(metavar="DATE", help="Published day.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write.  [default: soil_moisture_DATE.png]")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Draw a day: observed, filled, its uncertainty and flags, and the difference from the day before."""
    from runtime.output.map_figure import draw_map

    settings, day = read_config(config, overrides), parse_date(date, "--date")
    path = out or Path(f"soil_moisture_{day:%Y%m%d}.png")
    draw_map(settings, day, path)
    print(f"wrote {path}")
