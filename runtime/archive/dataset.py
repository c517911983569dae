"""A whole archive as one `xarray.Dataset`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.cube import Cube
from runtime.archive.reader import Reader
from runtime.archive.variables import VARIABLES

if TYPE_CHECKING:
    import xarray

_PACKING = ("scale_factor", "add_offset", "valid_min", "valid_max")


def open_archive(path: Path | str) -> xarray.Dataset:
    """Open every published day of an archive, lazily.

    Days come from the cube where it agrees with the daily files, and from the files where it does not (yet).

    Parameters
    ----------
    path : the archive's folder

    Returns
    -------
    xarray.Dataset
        On (time, lat, lon), as far as the archive has them: ``soil_moisture``, ``soil_moisture_observed`` and
        ``soil_moisture_uncertainty`` (m3 m-3), ``precipitation`` (mm day-1), ``days_since_observation`` (day), all
        float32 with NaN where there is no value, and ``flag`` (int8, see its ``flag_meanings``; -1 where a day has
        none). Values are dask arrays.

    Raises
    ------
    InputsMissing
        No day is published there.

    Examples
    --------
    >>> archive = runtime.open_archive("archive")  # doctest: +SKIP
    >>> archive.soil_moisture.sel(lat=45, lon=5, method="nearest").plot()  # doctest: +SKIP
    """
    import dask.array
    import xarray
    from dask.delayed import delayed

    array: Any = dask.array  # has no types
    reader = Reader(Path(path))
    held, cube = reader.cube_days, Cube.open(reader.archive)
    others = [date for date in reader.days if date not in held]
    order = np.argsort([date.toordinal() for date in [*held, *others]])
    shape = tuple(axis.size for axis in reader.axes)
    names = set(cube.names if cube and held else ()).union(*(reader.day(date) for date in others[-1:]))
    data = {}
    for kind in (kind for name, kind in VARIABLES.items() if name in names):
        parts = [
            array.from_delayed(delayed(_stored_variable)(reader, date, kind.name), (1, *shape), kind.dtype)
            for date in others
        ]
        if held and cube is not None and kind.name in cube.names:
            parts.insert(
                0, _take_days(array.from_array(cube.array(kind.name), chunks=cube.chunks), list(held.values()))
            )
        elif held:
            parts.insert(0, array.full((len(held), *shape), kind.empty, dtype=kind.dtype))
        stored = _take_days(array.concatenate(parts), order.tolist())
        decoded = (
            stored if kind.step is None and kind.fill is None else stored.map_blocks(kind.unpack, dtype=np.float32)
        )
        described = {key: value for key, value in kind.attributes.items() if key not in _PACKING}
        data[kind.name] = (("time", "lat", "lon"), decoded, described)
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


def _stored_variable(reader: Reader, date: dt.date, name: str) -> NDArray[Any]:
    """Return a variable of a day's file, (1, rows, cols); empty where the file does not have it."""
    kind, shape = VARIABLES[name], tuple(axis.size for axis in reader.axes)
    return np.broadcast_to(reader.day(date, (name,)).get(name, np.array(kind.empty, kind.dtype)), (1, *shape))


def _take_days(whole: Any, indices: list[int]) -> Any:
    """Return some days of an array; a run of them as a slice, which costs dask nothing."""
    begin = indices[0]
    run = indices == list(range(begin, begin + len(indices)))
    return whole[begin : begin + len(indices)] if run else whole[indices]
