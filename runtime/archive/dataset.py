"""Open a whole archive as one `xarray.Dataset`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.cube import Cube
from runtime.archive.reader import Reader
from runtime.archive.variables import SOURCE, VARIABLES, Variable, source_variable

if TYPE_CHECKING:
    import xarray

_PACKING = ("scale_factor", "add_offset", "valid_min", "valid_max")
"""Attributes that describe packed values."""


def open_archive(path: Path | str) -> xarray.Dataset:
    """Open all published days of an archive; values are read when they are needed.

    Values come from the cube for the days for which it agrees with the daily files, and from the files otherwise. The
    log names days that could not be read from the cube, and days that are left out because they are on another grid.

    Parameters
    ----------
    path : Path or str
        The archive's folder.

    Returns
    -------
    xarray.Dataset
        Variables with the dimensions (time, lat, lon), as far as the archive has them: ``soil_moisture``,
        ``soil_moisture_observed`` and ``soil_moisture_uncertainty`` (m3 m-3), ``precipitation`` (mm day-1),
        ``days_since_observation`` (day), all float32 with NaN where there is no value, ``flag`` (int8, see its
        ``flag_meanings``; -1 for days that have no flags), ``quality_flag`` (int16, see its ``flag_masks`` and
        ``flag_meanings``; -1 for days that were made before there was one) and ``soil_moisture_source`` (int16, with
        the same attributes; -1 for days that were not made from several sensors). The values are dask arrays.

    Raises
    ------
    InputsMissing
        No day is published there.

    Examples
    --------
    >>> archive = runtime.open_archive("archive")  # doctest: +SKIP
    >>> archive.soil_moisture.sel(lat=45, lon=5, method="nearest").plot()  # doctest: +SKIP
    """
    return dataset_of(Reader(Path(path)))


def dataset_of(reader: Reader) -> xarray.Dataset:
    """Return all days of a reader as `open_archive` does."""
    import xarray

    cube = reader.cube.open()
    in_cube = reader.cube.numbers(cube) if cube else {}
    others = [date for date in reader.days if date not in in_cube]
    names = set(cube.names if cube and in_cube else ()).union(*(reader.day(date) for date in others[-1:]))
    data = {}
    for variable in (variable for name, variable in VARIABLES.items() if name in names):
        stored = _stored_days(reader, variable, cube, in_cube, others)
        is_packed = variable.step is not None or variable.fill is not None
        values = (
            stored.map_blocks(variable.unpack, dtype=np.float32)
            if is_packed
            else stored.map_blocks(
                np.asarray, meta=np.empty((0, 0, 0), variable.dtype)
            )  # Zarr's type names a byte order
        )
        described = source_variable(reader.source_bits) if variable is SOURCE else variable
        attributes = {key: value for key, value in described.attributes.items() if key not in _PACKING}
        data[variable.name] = (("time", "lat", "lon"), values, attributes)
    times = np.array(list(reader.days), "datetime64[ns]")
    latitudes, longitudes = reader.axes
    coordinates = {
        "time": ("time", times, {"standard_name": "time", "long_name": "start of the UTC day", "axis": "T"}),
        "lat": ("lat", latitudes, {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}),
        "lon": ("lon", longitudes, {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}),
    }
    dataset = xarray.Dataset(data, coordinates, reader.attributes)
    dataset.encoding["source"] = str(reader.archive)
    return dataset


def _stored_days(
    reader: Reader, variable: Variable, cube: Cube | None, in_cube: Mapping[dt.date, int], others: list[dt.date]
) -> Any:
    """Return the packed values of all days as a dask array, shape (time, rows, cols).

    Parameters
    ----------
    reader : Reader
        The archive.
    variable : Variable
        The variable.
    cube : Cube, optional
        The archive's cube.
    in_cube : mapping of dt.date to int
        The days to take from the cube, with their numbers in it.
    others : list of dt.date
        The days to read from their files.

    Returns
    -------
    dask.array.Array
        The days in order.
    """
    import dask.array
    from dask.delayed import delayed

    array: Any = dask.array  # has no types
    shape = tuple(axis.size for axis in reader.axes)
    parts = []
    if in_cube and cube is not None and variable.name in cube.names:
        whole = array.from_array(cube.array(variable.name), chunks=cube.chunks)
        parts.append(_take_days(whole, list(in_cube.values())))
    elif in_cube:
        parts.append(array.full((len(in_cube), *shape), variable.empty, dtype=variable.dtype))
    parts += [
        array.from_delayed(delayed(_stored_day)(reader, date, variable.name), (1, *shape), variable.dtype)
        for date in others
    ]
    order = np.argsort([date.toordinal() for date in [*in_cube, *others]])
    return _take_days(array.concatenate(parts), order.tolist())


def _stored_day(reader: Reader, date: dt.date, name: str) -> NDArray[Any]:
    """Return a variable of a day's file, shape (1, rows, cols); empty cells if the file does not have it."""
    variable, shape = VARIABLES[name], tuple(axis.size for axis in reader.axes)
    empty = np.array(variable.empty, variable.dtype)
    return np.broadcast_to(reader.day(date, (name,)).get(name, empty), (1, *shape))


def _take_days(whole: Any, indices: list[int]) -> Any:
    """Return some days of a dask array; consecutive days as a slice, which costs dask nothing."""
    begin = indices[0]
    consecutive = indices == list(range(begin, begin + len(indices)))
    return whole[begin : begin + len(indices)] if consecutive else whole[indices]
