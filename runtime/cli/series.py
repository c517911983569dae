"""``runtime series``: the days of one place, of a list of stations, or the mean over a polygon."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from runtime.archive.reader import Reader


@command(
    epilog="Examples: `runtime series --lat 45.2 --lon 5.7` (on the terminal); "
    "`runtime series --lat 45.2 --lon 5.7 --from 2015-04-01 --out grenoble.csv`, or `.png`, or `.nc`; "
    "`runtime series --stations list.csv --out stations.nc`; `runtime series --polygon basin.geojson > basin.csv`; "
    "`runtime series --polygon basin.geojson --every dekad --anomalies --out basin.csv`"
)
def series(
    lat: Annotated[float | None, typer.Option(min=-90, max=90, help="Degrees north.")] = None,
    lon: Annotated[float | None, typer.Option(min=-180, max=360, help="Degrees east; negative is west.")] = None,
    stations: Annotated[
        Path | None, typer.Option(help="CSV file with the columns name, lat and lon: the days of each station.")
    ] = None,
    polygon: Annotated[
        Path | None, typer.Option(help="GeoJSON file with polygons: the mean over their area, with its uncertainty.")
    ] = None,
    error_correlation: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="KM",
            help="With --polygon: distance at which the errors of two cells have the correlation 1/e; 0 if they are "
            "independent.  [default: 200, as measured]",
        ),
    ] = None,
    observed_error: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="M3M-3", help="With --polygon: error of a value without an uncertainty.  [default: 0]"
        ),
    ] = None,
    every: Every = None,
    anomalies: Anomalies = False,
    root_zone: RootZone = None,
    first: From = None,
    last: To = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write, .csv, .nc, or .png for one place.  [default: one place is plotted on the terminal, "
            "others are printed as CSV]"
        ),
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Show the days of a place, of stations or of an area, observed and filled values apart."""
    from runtime.archive.reader import Reader

    given = [which for which in ((lat, lon), (stations,), (polygon,)) if any(part is not None for part in which)]
    if len(given) != 1 or None in given[0]:
        raise UsageError("give one of: --lat and --lon, --stations FILE, --polygon FILE")
    if polygon is None and (error_correlation, observed_error) != (None, None):
        raise UsageError("--error-correlation and --observed-error need --polygon")
    derived = read_derived(every, anomalies, root_zone)
    reader = Reader(read_config(config, overrides).archive.path)
    dates = reader.dates_between(*parse_bounds(first, last))
    if lat is not None and lon is not None and not derived:
        _show_place(reader, lat, lon, dates, out)
        return
    from runtime.archive.acdd import time_coverage
    from runtime.archive.dataset import open_archive
    from runtime.output.series import dataset_table, write_dataset

    archive = open_archive(reader.archive)
    if not derived:  # what is derived from a day needs others
        archive = archive.sel(time=slice(str(dates[0]), str(dates[-1])))
    if polygon is None:
        from runtime.output.stations import ListedStation, read_stations, station_series

        place = [ListedStation(f"{lat:g} N {lon:g} E", lat, lon)] if lat is not None and lon is not None else []
        listed = read_stations(stations) if stations else place
        found, what = station_series(archive, listed), counted(len(listed), "station")
    else:
        from runtime.output.area import CORRELATION_KM, area_mean
        from runtime.output.polygon import read_polygon

        length = CORRELATION_KM if error_correlation is None else error_correlation
        found, what = area_mean(archive, read_polygon(polygon), length, observed_error or 0.0), f"mean over {polygon}"
    found = derived.of(found, dates[0], dates[-1]).assign_attrs(time_coverage(dates[0], dates[-1]))
    if out:
        write_dataset(found, out)
        print(f"wrote {out}: {what}, {dates[0]} to {dates[-1]}, {counted(len(dates), 'day')}")
    else:
        print(dataset_table(found), end="")


def _show_place(reader: Reader, lat: float, lon: float, dates: list[dt.date], out: Path | None) -> None:
    """Write the series of one place, or plot it."""
    from runtime.output.series import place_name, plot_on_terminal, write_series

    found = reader.series(lat, lon, dates[0], dates[-1])
    if out:
        write_series(reader, found, out)
        print(f"wrote {out}: {place_name(found)}, {counted(len(found.dates), 'day')}")
    else:
        print(plot_on_terminal(found, min(shutil.get_terminal_size().columns, 140)))
