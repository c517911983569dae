"""Read an archive as pytesmo and QA4SM read a data set: a time series as a pandas DataFrame for each grid point."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.archive.reader import Reader
from runtime.errors import UsageError

if TYPE_CHECKING:
    import pandas


class SeamlessTs:
    """Time series of an archive, as the classes of ``c3s_sm``, ``smap_io`` and others give them.

    Grid points are the land cells of the archive; the number of one (``gpi``) is its row times the number of columns,
    plus its column.

    Parameters
    ----------
    ts_path : Path or str
        The archive's folder.
    parameters : sequence of str, optional
        Variables to read; all that the archive has if not given.
    hour : float
        Hour of the UTC day at which the values of a day are placed. The default is the middle of the day, so that a
        matching window of 12 hours is the day.

    Raises
    ------
    InputsMissing
        No day is published there.
    UsageError
        The archive does not have a variable.

    Examples
    --------
    >>> SeamlessTs("archive", parameters=["soil_moisture", "flag"]).read(-5.4, 41.3)  # doctest: +SKIP
    """

    def __init__(self, ts_path: Path | str, parameters: Sequence[str] | None = None, hour: float = 12.0) -> None:
        self._reader = Reader(Path(ts_path))
        self.parameters = sorted(self._reader.names) if parameters is None else list(parameters)
        self.hour = hour
        unknown = next((name for name in self.parameters if name not in self._reader.names), None)
        if unknown:
            raise UsageError(f"{ts_path} has no variable {unknown}; it has {', '.join(sorted(self._reader.names))}")

    @cached_property
    def grid(self) -> Any:
        """The land cells as a ``pygeogrids.CellGrid`` of 5 degrees.

        Raises
        ------
        UsageError
            pygeogrids, which comes with pytesmo, is not installed.
        """
        try:
            from pygeogrids.grids import BasicGrid
        except ImportError as error:
            raise UsageError(f"reading by grid point needs pygeogrids: pip install pytesmo ({error})") from error
        land = np.flatnonzero(self._reader.land)
        rows, cols = np.unravel_index(land, self._reader.land.shape)
        lat, lon = self._reader.axes
        return BasicGrid(lon[cols], lat[rows], gpis=land).to_cell_grid(cellsize=5.0)

    def read(self, *args: float) -> pandas.DataFrame:
        """Return the time series of a grid point.

        Parameters
        ----------
        *args : int, or float and float
            The number of a grid point, or longitude and latitude in degrees, for which the nearest grid point is taken.

        Returns
        -------
        pandas.DataFrame
            A column for each of the parameters that any day has, float64 in its unit, NaN where there is no value; a
            row for each published day, with UTC times.

        Raises
        ------
        UsageError
            There is no such grid point, or none within the size of a cell.
        ArchiveError
            The archive is damaged.
        """
        import pandas

        if len(args) not in (1, 2):
            raise UsageError(f"read takes the number of a grid point, or longitude and latitude, not {args}")
        row, col = np.unravel_index(self._grid_point(*args), self._reader.land.shape)
        dates = list(self._reader.days)
        values, _ = self._reader.cells([(int(row), int(col))], dates, self.parameters)
        times = pandas.DatetimeIndex(np.array(dates, "datetime64[ns]")) + pandas.Timedelta(hours=self.hour)
        # pytesmo's metrics take float64 only
        columns = {name: values[name][:, 0].astype(np.float64) for name in self.parameters if name in values}
        return pandas.DataFrame(columns, index=times)

    def read_ts(self, *args: float) -> pandas.DataFrame:
        """Return the time series of a grid point; another name of `read`, which some programs call."""
        return self.read(*args)

    def _grid_point(self, *args: float) -> int:
        """Return the number of the grid point at these arguments of `read`."""
        if len(args) == 1:
            number = int(args[0])
            if not 0 <= number < self._reader.land.size:
                raise UsageError(f"there is no grid point {number}; wanted 0 to {self._reader.land.size - 1}")
            return number
        found, distance = self.grid.find_nearest_gpi(*args)
        if not distance <= self._reader.grid.cell_size:
            raise UsageError(f"there is no land cell of the archive near to {args[1]:g} N {args[0]:g} E")
        return int(found)
