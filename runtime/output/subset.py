"""Write some days and a box of the archive in other formats."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from runtime.archive.acdd import time_coverage
from runtime.archive.dataset import open_archive
from runtime.archive.reader import Reader
from runtime.archive.sgdsm import SgdSmLayout, write_fields
from runtime.archive.variables import OBSERVED, SOIL_MOISTURE, VARIABLES
from runtime.common.atomic import move_into_place, part_file, write_guard
from runtime.common.ease2 import project
from runtime.common.events import Track
from runtime.errors import UsageError
from runtime.output.derive import Derived, encodings

Format = Literal["netcdf", "zarr", "geotiff", "cog", "sgd-sm"]
"""Format of the files; ``cog`` is a cloud-optimised GeoTIFF."""
FORMATS: tuple[str, ...] = get_args(Format)
"""All formats."""
Box = tuple[float, float, float, float]
"""Western, southern, eastern and northern edge, degrees."""
_SCALING = ("scale_factor", "add_offset")


@dataclass(frozen=True)
class Subset:
    """A part of an archive."""

    reader: Reader
    """The archive."""
    dates: list[dt.date]
    """The days."""
    rows: slice
    """The rows of the archive's grid."""
    cols: slice
    """The columns of the archive's grid."""

    @classmethod
    def of(cls, reader: Reader, first: dt.date | None, last: dt.date | None, box: Box | None) -> Subset:
        """Return the published days of a range, and the cells whose centres are in a box.

        Parameters
        ----------
        reader : Reader
            The archive.
        first : dt.date, optional
            First day; without it, from the archive's first day.
        last : dt.date, optional
            Last day, included; without it, to the archive's newest day.
        box : (float, float, float, float), optional
            Western, southern, eastern and northern edge, degrees; without it, all cells.

        Returns
        -------
        Subset
            The part of the archive.

        Raises
        ------
        InputsMissing
            No day of the range is published.
        UsageError
            The box contains no cell.
        """
        dates = reader.dates_between(first, last)
        if box is None:
            return cls(reader, dates, slice(None), slice(None))
        west, south, east, north = box
        lat, lon = reader.axes
        rows, cols = np.flatnonzero((lat > south) & (lat < north)), np.flatnonzero((lon > west) & (lon < east))
        if not rows.size or not cols.size:
            raise UsageError(
                f"--box {west:g} {south:g} {east:g} {north:g} holds no cell of the archive, which has "
                f"{lon[0]:g} to {lon[-1]:g} E and {lat[-1]:g} to {lat[0]:g} N; give west south east north in degrees"
            )
        return cls(reader, dates, slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))

    @property
    def latitudes(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The latitudes of the cell centres, degrees north, northernmost first."""
        return self.reader.axes[0][self.rows]

    @property
    def longitudes(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The longitudes of the cell centres, degrees east."""
        return self.reader.axes[1][self.cols]


def subset_files(part: Subset, kind: Format, out: Path, names: Sequence[str]) -> list[Path]:
    """Return the files that `write_subset` would write; the arguments are the same."""
    if kind in ("geotiff", "cog"):
        return [out / f"{name}_{date:%Y%m%d}.tif" for date in part.dates for name in names]
    if kind == "sgd-sm":
        return [out / SgdSmLayout().relative_path(date).name for date in part.dates]
    return [out]


def write_subset(
    part: Subset, kind: Format, out: Path, names: Sequence[str], track: Track, derived: Derived | None = None
) -> list[Path]:
    """Write a part of an archive.

    Parameters
    ----------
    part : Subset
        The part.
    kind : Format
        Format of the files.
    out : Path
        A file for ``netcdf``, a folder for all other formats.
    names : sequence of str
        Variables to write; those that the archive does not have are left out. Files of ``sgd-sm`` always have the same
        two variables.
    track : Track
        Shows progress over the days.
    derived : Derived, optional
        What to derive from the days and write with them, or in place of them; for ``netcdf`` and ``zarr``.

    Returns
    -------
    list of Path
        The files or the Zarr store.

    Raises
    ------
    UsageError
        One of the files exists already, a variable is not known, a library is missing, or the format does not have
        the archive's grid.
    ArchiveError
        A file cannot be written.
    """
    unknown = [name for name in names if name not in VARIABLES]
    if unknown:
        raise UsageError(f"unknown variable {unknown[0]}; there are {', '.join(VARIABLES)}")
    if kind == "sgd-sm" and part.reader.grid.cell_km:
        raise UsageError("--format sgd-sm has cells of 0.25 degree, the archive EASE-Grid 2.0; choose another format")
    wanted = subset_files(part, kind, out, names)
    existing = next((path for path in wanted if os.path.lexists(path)), None)
    if existing:
        raise UsageError(f"{existing} exists; choose another --out or delete it")
    if kind in ("netcdf", "zarr"):
        _write_store(part, kind, out, names, derived or Derived())
    else:
        write_day = _write_rasters if kind in ("geotiff", "cog") else _write_sgdsm
        for date in track(part.dates, "export"):
            write_day(part, date, kind, out, names)
    return wanted


def _write_store(part: Subset, kind: str, out: Path, names: Sequence[str], derived: Derived) -> None:
    """Write all days, or what is derived from them, to one NetCDF file or Zarr store."""
    record = open_archive(part.reader.archive).isel(lat=part.rows, lon=part.cols)
    found = derived.of(record, part.dates[0], part.dates[-1])
    left_out = [name for name in found.data_vars if name in VARIABLES and name not in names]
    chosen = found.drop_vars(left_out).assign_attrs(time_coverage(part.dates[0], part.dates[-1]))
    encoding = encodings(chosen)
    if kind == "zarr":
        with write_guard(out):
            plain = {
                name: {key: float(value) if key in _SCALING else value for key, value in entry.items()}
                for name, entry in encoding.items()
            }
            chosen.chunk(time=128, lat=40, lon=40).to_zarr(out, mode="w-", encoding=plain, consolidated=False)
        return
    with part_file(out) as file:
        for name in map(str, chosen.data_vars):
            encoding[name] |= {"zlib": True, "complevel": 4}
        chosen.to_netcdf(file, engine="netcdf4", encoding=encoding, unlimited_dims=["time"])
    move_into_place(out)


def _write_rasters(part: Subset, date: dt.date, kind: str, out: Path, names: Sequence[str]) -> None:
    """Write each variable of a day as a GeoTIFF, with values packed as in the archive."""
    try:
        import rasterio
        from rasterio.transform import from_origin
    except ImportError as error:
        raise UsageError(f"GeoTIFF needs rasterio: pip install 'seamless-sm[geotiff]' ({error})") from error
    grid, fields = part.reader.grid, part.reader.day(date, names)
    north, west = grid.lat_edges[part.rows][0], grid.lon_edges[part.cols][0]
    if grid.cell_km:  # its rows are equally high in its projection only
        crs, corner = "EPSG:6933", from_origin(*project(north, west), grid.cell_size, grid.cell_size)
    else:
        crs, corner = "EPSG:4326", from_origin(west, north, grid.step, grid.step)
    for name, stored in fields.items():
        variable = VARIABLES[name]
        values = stored[part.rows, part.cols]
        profile = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
        nodata = {} if variable.fill is None else {"nodata": variable.fill}
        driver = {"driver": "COG" if kind == "cog" else "GTiff", "compress": "deflate"}
        final = out / f"{name}_{date:%Y%m%d}.tif"
        with (
            part_file(final) as path,
            rasterio.open(path, "w", crs=crs, transform=corner, **profile, **nodata, **driver) as raster,
        ):
            raster.write(values, 1)
            raster.scales, raster.offsets = (variable.step or 1.0,), (0.0,)
            raster.units = (variable.attributes.get("units", "1"),)
            raster.set_band_description(1, variable.attributes["long_name"])
            raster.update_tags(TIFFTAG_DATETIME=f"{date:%Y:%m:%d} 00:00:00", **_texts(part))
        move_into_place(final)


def _texts(part: Subset) -> dict[str, str]:
    """Return the global attributes that GeoTIFF and SGD-SM files have."""
    wanted = ("title", "license", "references")
    return {key: str(value) for key, value in part.reader.attributes.items() if key in wanted}


def _write_sgdsm(part: Subset, date: dt.date, kind: str, out: Path, names: Sequence[str]) -> None:
    """Write a day like a file of the published SGD-SM data sets."""
    fields = part.reader.fields(date, (SOIL_MOISTURE.name, OBSERVED.name))
    final = out / SgdSmLayout().relative_path(date).name
    with part_file(final) as path:
        write_fields(
            path,
            part.latitudes,
            part.longitudes,
            observed=fields[OBSERVED.name][part.rows, part.cols],
            filled=fields[SOIL_MOISTURE.name][part.rows, part.cols],
            attributes={"date": str(date), "band": part.reader.band(date), **_texts(part)},
        )
    move_into_place(final)
