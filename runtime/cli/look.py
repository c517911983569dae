"""The commands that look at an archive: status, check, changes, inbox, show."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from runtime.cli import common
from runtime.cli.common import ConfigFile, From, Json, Overrides, To, command, load_config, parse_date, parse_range
from runtime.errors import UsageError


@command(epilog="Example: `runtime status --json`")
def status(config: ConfigFile = None, overrides: Overrides = None, as_json: Json = False) -> None:
    """Say where the archive stands: its newest day, its lag, and what is missing in between."""
    from runtime.archive.catalog import Catalog

    settings = load_config(config, overrides)
    with Catalog.open(settings.catalog_path, read_only=True) as catalog:
        rows = catalog.days()
        revision = catalog.last_revision()
        problems = [f"{p.date} {p.kind}" for p in catalog.problems().values() if p.kind != "wait"]
        unsettled = [str(intent.row.record.date) for intent in catalog.intents()]
    first, newest = (min(rows), max(rows)) if rows else (None, None)
    missing = (
        []
        if first is None or newest is None
        else [str(day) for day in (first + dt.timedelta(n) for n in range((newest - first).days)) if day not in rows]
    )
    facts = {
        "archive": str(settings.archive.path),
        "days": len(rows),
        "first": first and str(first),
        "newest": newest and str(newest),
        "lag_days": newest and (common.today() - newest).days,
        "provisional": sum(r.record.tier == "provisional" for r in rows.values()),
        "missing_between": missing,
        "problems": problems,
        "last_published_at": revision and revision.made_at,
        "interrupted": unsettled,
    }
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    if not rows:
        print(f"{settings.archive.path}: empty; `runtime plan` lists what can be filled")
        return
    for name, value in facts.items():
        shown = (
            f"{len(value)} days: {', '.join(value[:5])}{' ...' if len(value) > 5 else ''}"
            if isinstance(value, list)
            else value
        )
        print(f"{name.replace('_', ' '):18} {'none' if value in (None, []) else shown}")


@command(epilog="Examples: `runtime check`; `runtime check --rebuild-catalog` after the catalog was lost")
def check(
    config: ConfigFile = None,
    overrides: Overrides = None,
    rebuild: Annotated[bool, typer.Option("--rebuild-catalog", help="Read the catalog back from the files.")] = False,
    rebuild_views: Annotated[
        bool, typer.Option("--rebuild-views", help="Make cube and STAC documents again from the daily files.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every published file and snapshot against the catalog, and cube and STAC items against the files."""
    from runtime.archive import verify
    from runtime.cli.progress import track

    settings = load_config(config, overrides)
    if rebuild:
        print(f"rebuilt from {verify.rebuild_catalog(settings, track)} files")
    if rebuild_views:
        print(f"cube and STAC documents made of {verify.rebuild_views(settings, track)} days")
    faults = verify.archive_faults(settings, track)
    if as_json:
        print(json.dumps(faults, indent=1))
    else:
        print("\n".join(faults) or "the archive is whole")
    raise typer.Exit(1 if faults else 0)


@command(epilog="Example: `runtime changes --since 2026-11-01` for whoever mirrors the archive")
def changes(
    since: Annotated[str, typer.Option(metavar="TIME", help="ISO date or time, UTC.")] = "",
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List when days were made and why."""
    from runtime.archive.catalog import Catalog

    if since:
        try:
            moment = dt.datetime.fromisoformat(since)
        except ValueError:
            raise UsageError(f"--since {since}: wanted an ISO date or time") from None
        utc = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
        since = utc.isoformat(timespec="seconds")
    with Catalog.open(load_config(config, overrides).catalog_path, read_only=True) as catalog:
        revisions = catalog.revisions(since)
    if as_json:
        print(json.dumps([vars(r) | {"date": str(r.date)} for r in revisions], indent=1))
        return
    for r in revisions:
        print(f"{r.made_at}  {r.date}  revision {r.revision}  {r.tier:12} {r.seconds:7.1f} s  {r.reason}")
    if not revisions:
        print("no changes")


@command(epilog="Example: `runtime show --date 2015-04-12 --out day.png`")
def show(
    date: Annotated[str, typer.Option(metavar="DATE", help="Published day.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write.  [default: soil_moisture_DATE.png]")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Draw a day: observed, filled, and the difference from the day before."""
    from runtime.output.map_figure import draw_map

    settings, day = load_config(config, overrides), parse_date(date, "--date")
    path = out or Path(f"soil_moisture_{day:%Y%m%d}.png")
    draw_map(settings, day, path)
    print(f"wrote {path}")


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
    """Show the days of a place: observed and filled values told apart, with rain, uncertainty and flags in files."""
    from runtime.archive.reader import Reader
    from runtime.output.series import place_name, plot_on_terminal, write_series

    settings = load_config(config, overrides)
    reader = Reader(settings.archive.path)
    found = reader.series(lat, lon, *_days(first, last))
    if out:
        write_series(reader, found, out)
        print(f"wrote {out}: {place_name(found)}, {len(found.dates)} days")
    else:
        print(plot_on_terminal(found, min(shutil.get_terminal_size().columns, 140)))


def _days(first: str | None, last: str | None) -> tuple[dt.date | None, dt.date | None]:
    """Read ``--from`` and ``--to``; either may be missing."""
    begin, end = parse_date(first, "--from") if first else None, parse_date(last, "--to") if last else None
    if begin and end and end < begin:
        raise UsageError(f"--from {begin} is after --to {end}")
    return begin, end


@command(
    epilog="Examples: `runtime export --format geotiff --from 2015-04-01 --to 2015-04-20 --box 5 44 8 47 --out alps`; "
    "`runtime export --format netcdf --from 2015-01-01 --to 2015-12-31 --out 2015.nc --variable soil_moisture`"
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
    chosen = cast(Format, kind)
    part = Subset.of(Reader(load_config(config, overrides).archive.path), *_days(first, last), box)
    names = variable or (list(VARIABLES) if kind in ("netcdf", "zarr") else ["soil_moisture", "flag"])
    if dry_run:
        wanted = subset_files(part, chosen, out, names)
        print("\n".join(str(path) for path in wanted))
        print(f"{len(part.dates)} days, {len(wanted)} files")
        return
    written = write_subset(part, chosen, out, names, track)
    print(f"wrote {len(part.dates)} days: {written[0] if len(written) == 1 else f'{len(written)} files in {out}'}")


@command(epilog="Example: `runtime inbox --from 2026-11-01`; `runtime inbox --refused`")
def inbox(
    first: From = None,
    last: To = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List what arrived, when and from where, its sha256, which version counts, and why a file was refused."""
    from runtime.archive.catalog import Catalog
    from runtime.common.sensors import PRODUCTS

    wanted = parse_range(None, first, last)
    begin, end = wanted.first or dt.date.min, wanted.last or dt.date.max
    with Catalog.open(load_config(config, overrides).catalog_path, read_only=True) as catalog:
        rows = [row for product in PRODUCTS for row in catalog.arrived(product, begin, end)]
    newest = {row.location: row.key for row in rows}
    facts = [vars(row) | {"current": newest[row.location] == row.key} for row in rows if row.refused or not refused]
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    for fact in facts:
        state = "refused" if fact["refused"] else "current" if fact["current"] else "superseded"
        print(f"{fact['date']}  {fact['arrived_at']}  {state:10} {fact['sha256'][:12]}  {fact['location']}")
        if fact["refused"]:
            print(f"    {fact['refused']}")
    if not facts:
        print("nothing")
