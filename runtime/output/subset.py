"""A part of the archive in other formats: days and a box in, files out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from runtime.archive import sgdsm
from runtime.archive.acdd import time_coverage
from runtime.archive.reader import Reader
from runtime.archive.variables import OBSERVED, SOIL_MOISTURE, VARIABLES
from runtime.common.atomic import move_into_place, part_file, write_guard
from runtime.common.events import Track
from runtime.errors import InputsMissing, UsageError

Format = Literal["netcdf", "zarr", "geotiff", "cog", "sgd-sm"]
FORMATS: tuple[str, ...] = get_args(Format)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Subset:
    """A part of an archive."""

    reader: Reader
    dates: list[dt.date]
    rows: slice
    cols: slice

    @classmethod
    def of(cls, reader: Reader, first: dt.date | None, last: dt.date | None, box: Box | None) -> Subset:
        """Return the published days of a range, and the cells whose centres lie in a box.

        Parameters
        ----------
        box : west, south, east, north edge in degrees

        Raises
        ------
        InputsMissing
            No day of the range is published.
        UsageError
            The box holds no cell.
        """
        dates = [date for date in reader.days if (first or date) <= date <= (last or date)]
        if not dates:
            known = f"{min(reader.days)} to {max(reader.days)}"
            raise InputsMissing(f"{reader.archive} has no day from {first} to {last}; it has {known}")
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
        """Of the cells' centres, degrees north, north first."""
        return self.reader.axes[0][self.rows]

    @property
    def longitudes(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Of the cells' centres, degrees east."""
        return self.reader.axes[1][self.cols]


def subset_files(part: Subset, kind: Format, out: Path, names: Sequence[str]) -> list[Path]:
    """Return what `write` would write."""
    if kind in ("geotiff", "cog"):
        return [out / f"{name}_{date:%Y%m%d}.tif" for date in part.dates for name in names]
    if kind == "sgd-sm":
        return [out / sgdsm.relative_path(date).name for date in part.dates]
    return [out]


def write_subset(part: Subset, kind: Format, out: Path, names: Sequence[str], track: Track) -> list[Path]:
    """Write a part of an archive, and return the files.

    Parameters
    ----------
    out : a file for ``netcdf``, a folder for everything else
    names : variables, of those the archive has; ``sgd-sm`` has its own two

    Raises
    ------
    UsageError
        Something is there already, a variable is not known, or a library is missing.
    ArchiveError
        Nothing can be written there.
    """
    unknown = [name for name in names if name not in VARIABLES]
    if unknown:
        raise UsageError(f"unknown variable {unknown[0]}; there are {', '.join(VARIABLES)}")
    wanted = subset_files(part, kind, out, names)
    there = next((path for path in wanted if path.exists()), None)
    if there:
        raise UsageError(f"{there} exists; choose another --out or delete it")
    if kind in ("netcdf", "zarr"):
        _one_store(part, kind, out, names)
    else:
        each = _raster if kind in ("geotiff", "cog") else _sgdsm
        for date in track(part.dates, "export"):
            each(part, date, kind, out, names)
    return wanted


def _one_store(part: Subset, kind: str, out: Path, names: Sequence[str]) -> None:
    """Write everything to one NetCDF file or Zarr store."""
    from runtime.archive.dataset import open_archive

    days = np.array(part.dates, "datetime64[ns]")
    whole = open_archive(part.reader.archive).sel(time=days).isel(lat=part.rows, lon=part.cols)
    chosen = whole[[name for name in names if name in whole]].assign_attrs(time_coverage(part.dates[0], part.dates[-1]))
    encoding: dict[str, Any] = {}
    for name in chosen.data_vars:
        kind_of = VARIABLES[str(name)]
        encoding[str(name)] = {"dtype": kind_of.dtype}
        if kind_of.fill is not None:
            encoding[str(name)] |= {"_FillValue": kind_of.dtype.type(kind_of.fill)}
        if kind_of.step is not None:
            encoding[str(name)] |= {"scale_factor": np.float32(kind_of.step), "add_offset": np.float32(0)}
    if kind == "zarr":
        with write_guard(out):
            plain = {name: {k: float(v) if k in _SCALING else v for k, v in e.items()} for name, e in encoding.items()}
            chosen.chunk(time=128, lat=40, lon=40).to_zarr(out, mode="w-", encoding=plain, consolidated=False)
        return
    with part_file(out) as file:
        for name in encoding:
            encoding[name] |= {"zlib": True, "complevel": 4}
        chosen.to_netcdf(file, engine="netcdf4", encoding=encoding, unlimited_dims=["time"])
    move_into_place(out)


_SCALING = ("scale_factor", "add_offset")


def _raster(part: Subset, date: dt.date, kind: str, out: Path, names: Sequence[str]) -> None:
    """Write each variable of a day as a (cloud-optimised) GeoTIFF, packed as in the archive."""
    try:
        import rasterio
        from rasterio.transform import from_origin
    except ImportError as error:
        raise UsageError(f"GeoTIFF needs rasterio: pip install 'seamless-sm[geotiff]' ({error})") from error
    step, fields = part.reader.step, part.reader.day(date, names)
    corner = from_origin(part.longitudes[0] - step / 2, part.latitudes[0] + step / 2, step, step)
    for name, stored in fields.items():
        variable = VARIABLES[name]
        values = stored[part.rows, part.cols]
        profile = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
        nodata = {} if variable.fill is None else {"nodata": variable.fill}
        driver = {"driver": "COG" if kind == "cog" else "GTiff", "compress": "deflate"}
        final = out / f"{name}_{date:%Y%m%d}.tif"
        with (
            part_file(final) as path,
            rasterio.open(path, "w", crs="EPSG:4326", transform=corner, **profile, **nodata, **driver) as raster,
        ):
            raster.write(values, 1)
            raster.scales, raster.offsets = (variable.step or 1.0,), (0.0,)
            raster.units = (variable.attributes.get("units", "1"),)
            raster.set_band_description(1, variable.attributes["long_name"])
            raster.update_tags(TIFFTAG_DATETIME=f"{date:%Y:%m:%d} 00:00:00", **_texts(part))
        move_into_place(final)


def _texts(part: Subset) -> dict[str, str]:
    return {
        key: str(value) for key, value in part.reader.attributes.items() if key in ("title", "license", "references")
    }


def _sgdsm(part: Subset, date: dt.date, kind: str, out: Path, names: Sequence[str]) -> None:
    """Write a day as readers of the published SGD-SM data sets expect it."""
    fields = part.reader.fields(date, (SOIL_MOISTURE.name, OBSERVED.name))
    final = out / sgdsm.relative_path(date).name
    with part_file(final) as path:
        sgdsm.write_fields(
            path,
            part.latitudes,
            part.longitudes,
            observed=fields[OBSERVED.name][part.rows, part.cols],
            filled=fields[SOIL_MOISTURE.name][part.rows, part.cols],
            attributes={"date": str(date), **_texts(part)},
        )
    move_into_place(final)
