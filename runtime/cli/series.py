"""``runtime series``: the days of one place."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, From, Overrides, To, command, parse_bounds, read_config
from runtime.common.text import counted


@command(
    epilog="Examples: `runtime series --lat 45.2 --lon 5.7` (on the terminal); "
    "`runtime series --lat 45.2 --lon 5.7 --from 2015-04-01 --out grenoble.csv`, or `.png`, or `.nc`"
)
def series(
    lat: Annotated[float, typer.Option(min=-90, max=90, help="Degrees north.")],
    lon: Annotated[float, typer.Option(min=-180, max=360, help="Degrees east; negative is west.")],
    first: From = None,
    last: To = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write, .csv, .png or .nc.  [default: a plot on the terminal]")
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Show the days of a place, observed and filled values apart; files have all variables."""
    from runtime.archive.reader import Reader
    from runtime.output.series import place_name, plot_on_terminal, write_series

    settings = read_config(config, overrides)
    reader = Reader(settings.archive.path)
    dates = reader.dates_between(*parse_bounds(first, last))
    found = reader.series(lat, lon, dates[0], dates[-1])
    if out:
        write_series(reader, found, out)
        print(f"wrote {out}: {place_name(found)}, {counted(len(found.dates), 'day')}")
    else:
        print(plot_on_terminal(found, min(shutil.get_terminal_size().columns, 140)))
