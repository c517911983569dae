"""``runtime export``: days and boxes in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.common import (
    Anomalies,
    ConfigFile,
    Every,
    From,
    Overrides,
    RootZone,
    To,
    command,
    parse_bounds,
    read_config,
    read_derived,
)
from runtime.common.text import counted
from runtime.errors import UsageError


@command(
    epilog="Examples: `runtime export --format geotiff --from 2015-04-01 --to 2015-04-20 --box 5 44 8 47 --out alps`; "
    "`runtime export --format netcdf --from 2015-01-01 --to 2015-12-31 --out 2015.nc --variable soil_moisture`; "
    "`runtime export --format netcdf --every month --anomalies --out months.nc`"
)
def export(
    kind: Annotated[str, typer.Option("--format", help="netcdf, zarr, geotiff, cog or sgd-sm.")],
    out: Annotated[Path, typer.Option(help="File (netcdf) or folder to write; must not exist.")],
    first: From = None,
    last: To = None,
    box: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(metavar="W S E N", help="West, south, east and north edge, degrees.  [default: everything]"),
    ] = None,
    variable: Annotated[
        list[str] | None, typer.Option(help="May be repeated.  [default: soil_moisture and flag, or all in one file]")
    ] = None,
    every: Every = None,
    anomalies: Anomalies = False,
    root_zone: RootZone = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, write nothing.")] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Write a range of days and a box in another format."""
    from typing import cast

    from runtime.archive.reader import Reader
    from runtime.archive.variables import VARIABLES
    from runtime.cli.progress import track
    from runtime.output.subset import FORMATS, Format, Subset, subset_files, write_subset

    if kind not in FORMATS:
        raise UsageError(f"--format {kind}: wanted one of {', '.join(FORMATS)}")
    chosen, derived = cast(Format, kind), read_derived(every, anomalies, root_zone)
    if derived and kind not in ("netcdf", "zarr"):
        raise UsageError(f"--format {kind} has days only; --every, --anomalies and --root-zone need netcdf or zarr")
    part = Subset.of(Reader(read_config(config, overrides).archive.path), *parse_bounds(first, last), box)
    names = variable or (list(VARIABLES) if kind in ("netcdf", "zarr") else ["soil_moisture", "flag"])
    if dry_run:
        wanted = subset_files(part, chosen, out, names)
        print("\n".join(str(path) for path in wanted))
        print(f"{counted(len(part.dates), 'day')}, {counted(len(wanted), 'file')}")
        return
    written = write_subset(part, chosen, out, names, track, derived)
    where = written[0] if len(written) == 1 else f"{counted(len(written), 'file')} in {out}"
    print(f"wrote {f'each {every} of ' if every else ''}{counted(len(part.dates), 'day')}: {where}")
