"""Write time series as CSV or NetCDF (CF-1.11, ACDD-1.3); draw that of one cell, or plot it on the terminal."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.acdd import time_coverage
from runtime.archive.cf import EPOCH
from runtime.archive.place import place_text
from runtime.archive.reader import Reader, Series
from runtime.archive.variables import QUALITY, SOIL_MOISTURE, SOURCE, VARIABLES, source_bits, source_variable
from runtime.common.atomic import move_into_place, part_file
from runtime.common.netcdf import open_dataset
from runtime.common.quality import QualityBit
from runtime.errors import UsageError
from runtime.fill.result import Flag
from runtime.output.colours import FILLED, OBSERVED, RAIN
from runtime.output.derive import encodings

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

ENDINGS = (".csv", ".nc", ".png")
"""Endings of the files that `write_series` can write."""

_FLAGS = {int(flag): flag.name.lower() for flag in Flag}


def write_series(reader: Reader, series: Series, out: Path) -> None:
    """Write a series in the format that the ending of the file name says.

    Parameters
    ----------
    reader : Reader
        The archive, for the global attributes of a NetCDF file.
    series : Series
        The series.
    out : Path
        The file to write.

    Raises
    ------
    UsageError
        The ending is none of `ENDINGS`.
    ArchiveError
        The file cannot be written.
    """
    kind = out.suffix.lower()
    if kind not in ENDINGS:
        raise UsageError(f"{out}: wanted a name that ends in {', '.join(ENDINGS)}")
    with part_file(out) as part:
        if kind == ".csv":
            part.write_text(series_table(series))
        elif kind == ".nc":
            _write_netcdf(part, reader, series)
        else:
            draw_series(series).savefig(part, format="png", dpi=100, metadata={"Software": None})
    move_into_place(out)


def write_dataset(found: xarray.Dataset, out: Path) -> None:
    """Write the series of stations or of an area.

    Parameters
    ----------
    found : xarray.Dataset
        Variables along ``time``, and along ``station`` if there are several.
    out : Path
        The file to write.

    Raises
    ------
    UsageError
        The name ends neither in .csv nor in .nc.
    ArchiveError
        The file cannot be written.
    """
    kind = out.suffix.lower()
    if kind not in (".csv", ".nc"):
        raise UsageError(f"{out}: wanted a name that ends in .csv or .nc")
    with part_file(out) as part:
        if kind == ".csv":
            part.write_text(dataset_table(found), encoding="utf-8")
        else:
            _write_dataset_netcdf(part, found)
    move_into_place(out)


def _write_dataset_netcdf(path: Path, found: xarray.Dataset) -> None:
    """Write the series of stations or of an area as CF discrete sampling geometries."""
    encoding = {name: {**stored, "zlib": True} for name, stored in encodings(found).items()}
    if "station" in found.dims:
        # CF wants coordinate variables to be numbers, so the names must not have the name of their dimension.
        found = found.drop_indexes("station").rename_vars(station="station_name")
    time = found.time.assign_attrs(units_metadata="leap_seconds: none")
    attributes = {"featureType": "timeSeries", "cdm_data_type": "Station"}
    found.assign_coords(time=time).assign_attrs(attributes).to_netcdf(path, engine="netcdf4", encoding=encoding)


def series_table(series: Series) -> str:
    """Return a series as CSV: a header, then one line per day with empty fields where there is no value."""
    units = {name: str(VARIABLES[name].attributes.get("units", "")) for name in series.values}
    return _table(units, [([], series.dates, list(series.values.values()))], series.source_bits)


def dataset_table(found: xarray.Dataset) -> str:
    """Return the series of stations or of an area as CSV: one line per station and day, otherwise as `series_table`."""
    loaded = found.load()
    units = {str(name): str(loaded[name].attrs.get("units", "")).removeprefix("1") for name in loaded.data_vars}
    dates = loaded.time.values.astype("datetime64[D]").tolist()
    places = loaded.station.values.tolist() if "station" in loaded.dims else [None]
    parts = []
    for number, place in enumerate(places):
        one = loaded if place is None else loaded.isel(station=number)
        parts.append(([] if place is None else [place], dates, [one[name].values for name in units]))
    bits = source_bits(loaded[SOURCE.name].attrs) if SOURCE.name in loaded else {}
    return _table(units, parts, bits, ["station"] if "station" in loaded.dims else [])


def _table(
    units: Mapping[str, str],
    parts: Sequence[tuple[list[str], Sequence[dt.date], Sequence[NDArray[Any]]]],
    bits: Mapping[str, int],
    leading: Sequence[str] = (),
) -> str:
    """Return series as CSV.

    Parameters
    ----------
    units : mapping of str to str
        The unit of each variable; empty for none.
    parts : sequence of (list of str, sequence of dt.date, sequence of arrays)
        For each series the texts of the leading columns, the days, and the values of each variable.
    bits : mapping of str to int
        The bit of each sensor in `SOURCE`.
    leading : sequence of str
        Headings of the leading columns.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*leading, "date", *(f"{name} ({unit})" if unit else name for name, unit in units.items())])
    for place, dates, columns in parts:
        for date, *row in zip(dates, *(values.tolist() for values in columns), strict=True):
            texts = {name: _value_text(name, value, units[name], bits) for name, value in zip(units, row, strict=True)}
            if not texts.get(SOIL_MOISTURE.name):  # nothing is said of the quality of no value
                texts |= dict.fromkeys(texts.keys() & {QUALITY.name}, "")
            writer.writerow([*place, str(date), *texts.values()])
    return text.getvalue()


def _value_text(name: str, value: float, unit: str, bits: Mapping[str, int]) -> str:
    if math.isnan(value):
        return ""
    if name == "flag":
        return _FLAGS.get(int(value), "")
    if name == QUALITY.name:
        found = "" if value < 0 else " ".join(str(bit.name).lower() for bit in QualityBit(int(value)))
        return "recommended" if value == 0 else found
    if name == SOURCE.name:
        return " ".join(sensor for sensor, bit in bits.items() if value > 0 and int(value) & 1 << bit)
    return f"{value:.4f}" if unit == "m3 m-3" else f"{value:g}"


def _write_netcdf(path: Path, reader: Reader, series: Series) -> None:
    """Write the series as a CF discrete sampling geometry: the time series of one station."""
    with open_dataset(path, "w", format="NETCDF4") as file:
        file.setncatts(reader.attributes | {"featureType": "timeSeries", "cdm_data_type": "Station"})
        if series.dates:
            file.setncatts(time_coverage(series.dates[0], series.dates[-1]))
        file.createDimension("time", len(series.dates))
        time = file.createVariable("time", "i4", ("time",))
        time.setncatts({"standard_name": "time", "units": f"days since {EPOCH}", "calendar": "standard", "axis": "T"})
        time.units_metadata = "leap_seconds: none"
        time[:] = [(date - EPOCH).days for date in series.dates]
        for name, standard, units, value in (
            ("lat", "latitude", "degrees_north", series.latitude),
            ("lon", "longitude", "degrees_east", series.longitude),
        ):
            axis = file.createVariable(name, "f8", ())
            axis.setncatts({"standard_name": standard, "units": units, "long_name": f"{standard} of the cell's centre"})
            axis[...] = value
        station = f"{series.latitude:g}N {series.longitude:g}E"
        file.createDimension("name_length", len(station))
        cell = file.createVariable("cell", "S1", ("name_length",))
        cell.setncatts({"cf_role": "timeseries_id", "long_name": "grid cell"})
        cell[:] = np.array(list(station), "S1")
        for name, values in series.values.items():
            variable = source_variable(series.source_bits) if name == SOURCE.name else VARIABLES[name]
            stored = file.createVariable(
                name,
                variable.dtype.str[1:],
                ("time",),
                compression="zlib",
                fill_value=False if variable.fill is None else variable.dtype.type(variable.fill),
            )
            stored.setncatts({**variable.attributes, "coordinates": "lat lon cell"})
            stored.set_auto_maskandscale(False)
            stored[:] = variable.pack(values)


def split_observed(series: Series) -> tuple[list[float], list[float]]:
    """Return the observed and the filled soil moisture of each day, m3 m-3; each is NaN where the other one is not."""
    values, observed = series.values["soil_moisture"], series.values["soil_moisture_observed"]
    is_observed = np.isfinite(observed)
    nan = np.float32(np.nan)
    return np.where(is_observed, values, nan).tolist(), np.where(is_observed, nan, values).tolist()


def draw_series(series: Series) -> Figure:
    """Draw observed and filled values with their uncertainty, and rain below them."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    observed, filled = split_observed(series)
    dates: Any = np.array(series.dates, "datetime64[D]")
    has_rain = bool(np.isfinite(series.values.get("precipitation", np.empty(0))).any())
    figure = Figure(figsize=(10, 4.6 if has_rain else 3.6), layout="constrained")
    grid = figure.add_gridspec(2 if has_rain else 1, 1, height_ratios=[3, 1] if has_rain else [1])
    axis = figure.add_subplot(grid[0])
    axis.plot(dates, series.values["soil_moisture"], color="#999999", linewidth=0.8, zorder=1)
    if "soil_moisture_uncertainty" in series.values:
        sigma = series.values["soil_moisture_uncertainty"]
        low, high = np.array(filled) - sigma, np.array(filled) + sigma
        axis.vlines(dates, low, high, color=FILLED, alpha=0.35, linewidth=1, zorder=2)
    axis.plot(dates, filled, "D", color=FILLED, markersize=3.5, markerfacecolor="white", label="filled", zorder=3)
    axis.plot(dates, observed, "o", color=OBSERVED, markersize=3.5, label="observed", zorder=4)
    axis.set_ylabel("soil moisture, m³ m⁻³")
    dates_shown: Any = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(dates_shown)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(dates_shown))  # type: ignore[no-untyped-call]
    axis.set_title(place_name(series), loc="left", fontsize=11)
    axis.legend(loc="upper right", frameon=False, ncols=2)
    if has_rain:
        below = figure.add_subplot(grid[1], sharex=axis)
        below.bar(dates, series.values["precipitation"], width=1, color=RAIN)
        below.set_ylabel("rain, mm/day")
        axis.tick_params(labelbottom=False)
    return figure


def place_name(series: Series) -> str:
    """Return the cell's centre and the first and last day as text."""
    where = place_text(series.latitude, series.longitude)
    return f"{where}: {series.dates[0]} to {series.dates[-1]}" if series.dates else f"{where}: no day"


def plot_on_terminal(series: Series, width: int, height: int = 18) -> str:
    """Return the series as a plot made of characters: ``o`` for observed, ``x`` for filled.

    Parameters
    ----------
    series : Series
        The series.
    width : int
        Columns of the plot.
    height : int
        Lines of the plot.

    Returns
    -------
    str
        The plot.
    """
    import plotext

    observed, filled = split_observed(series)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    plotext.date_form("Y-m-d")
    for name, marker, values in (("x filled", "x", filled), ("o observed", "o", observed)):
        points = [(str(date), value) for date, value in zip(series.dates, values, strict=True) if not math.isnan(value)]
        if points:
            days, shown = zip(*points, strict=True)
            plotext.scatter(days, shown, marker=marker, label=name)
    plotext.title(f"{place_name(series)}, m3 m-3")
    return str(plotext.uncolorize(plotext.build()))
