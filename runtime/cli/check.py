"""``runtime check``: compare the archive with its catalog."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from runtime.cli.common import ConfigFile, Json, Overrides, command, read_config
from runtime.common.text import counted


@command(epilog="Examples: `runtime check`; `runtime check --rebuild-catalog` after the catalog was lost")
def check(
    config: ConfigFile = None,
    overrides: Overrides = None,
    rebuild: Annotated[bool, typer.Option("--rebuild-catalog", help="Read the catalog back from the files.")] = False,
    rebuild_views: Annotated[
        bool, typer.Option("--rebuild-views", help="Make cube, climatology and STAC documents again from daily files.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every published file and snapshot against the catalog, and what is made from the files against them.

    Where one sensor follows another, also print how the values step there; that is no fault.
    """
    from runtime.archive import verify
    from runtime.archive.catalog import Catalog
    from runtime.archive.paths import ArchivePaths
    from runtime.cli.progress import track
    from runtime.inputs.sensors_seen import handover_steps

    settings = read_config(config, overrides)
    if rebuild:
        print(f"rebuilt from {counted(verify.rebuild_catalog(settings, track), 'file')}")
    if rebuild_views:
        print(f"cube, climatology and STAC documents made of {counted(verify.rebuild_views(settings, track), 'day')}")
    faults = verify.archive_faults(settings, track)
    if as_json:
        print(json.dumps(faults, indent=1))
    else:
        print("\n".join(faults) or "the archive is whole")
        with Catalog.open(ArchivePaths.of(settings).catalog, read_only=True) as catalog:
            rows = catalog.days()
        for step in handover_steps(settings, rows):
            print(step)
    raise typer.Exit(1 if faults else 0)
