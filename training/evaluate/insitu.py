"""In-situ validation: stations of the International Soil Moisture Network against an archive of published days.

It reads ISMN files (a zip as downloaded, a folder, or one file; CEOP or header+values format) and compares them with
the fields of an archive. The result is, for each station, a score of the satellite's own values and one of the filled
values, as in tables 1 and 3 of the papers.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ismn.filehandlers import DataFile
from numpy.typing import NDArray

from runtime.common.grid import Floats
from training.evaluate.scores import Score
from training.evaluate.series import Published

OVERPASS = {
    ("AMSR2", "descending"): 1.5,
    ("AMSR2", "ascending"): 13.5,
    ("AMSR-E", "descending"): 1.5,
    ("AMSR-E", "ascending"): 13.5,
    ("WindSat", "descending"): 6.0,
    ("WindSat", "ascending"): 18.0,
}
"""Local solar time of the equator crossing, hours (LPRM product documents)."""
DEEPEST = 0.10
"""Metres; a probe that begins deeper does not measure the surface."""
_NEAREST = dt.timedelta(hours=3)
"""Longest time between the overpass and a reading that is used for it."""


@dataclass(frozen=True, kw_only=True)
class Station:
    """The good readings of one sensor of a station."""

    network: str
    name: str
    latitude: float
    longitude: float
    depth: tuple[float, float]
    """Metres, from and to."""
    times: NDArray[np.datetime64]
    """UTC, ascending."""
    values: Floats
    """m3 m-3."""

    def at(self, time: dt.datetime) -> float:
        """Return the mean of the two readings nearest to a time, NaN if one is more than three hours away from it."""
        moment = np.datetime64(time, "s")
        position = int(np.searchsorted(self.times, moment))
        around = range(max(position - 2, 0), min(position + 2, len(self.times)))
        near = sorted(around, key=lambda index: abs(self.times[index] - moment))[:2]
        if len(near) < 2 or any(abs(self.times[i] - moment) > np.timedelta64(_NEAREST) for i in near):
            return float("nan")
        return float(np.mean([self.values[i] for i in near]))


def read_stations(path: Path) -> tuple[list[Station], list[str]]:
    """Read every surface soil-moisture sensor of an ISMN archive.

    Parameters
    ----------
    path : Path
        A zip as ISMN provides it, a folder of files and zips, or one file.

    Returns
    -------
    stations : list of Station
        The sensors with good readings.
    left_out : list of str
        One line for each file that is left out, with the reason.

    Raises
    ------
    ValueError
        The path does not exist.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist; give an ISMN zip, a folder or a file")
    stations: list[Station] = []
    left_out: list[str] = []
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if file.suffix == ".zip":
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    zipfile.ZipFile(file).extractall(scratch)
                except (zipfile.BadZipFile, OSError) as error:
                    left_out.append(f"{file}: left out, cannot be unpacked ({error})")
                    continue
                inside = read_stations(Path(scratch))
            stations += inside[0]
            left_out += inside[1]
        elif file.suffix in (".stm", ".txt"):
            station = _read_station(file)
            if isinstance(station, Station):
                stations.append(station)
            else:
                left_out.append(f"{file.name}: left out, {station}")
    return stations, left_out


def _read_station(file: Path) -> Station | str:
    """Return the sensor of a file, or the reason why it cannot be used."""
    try:
        station = _parse_station(file)
    except Exception as error:  # the library raises many kinds of errors on a damaged file
        return f"not a readable ISMN file ({str(error).splitlines()[0].partition(':')[0]})"
    return station or "no good surface soil-moisture reading"


def _parse_station(file: Path) -> Station | None:
    """Return the sensor of a file, None if it has no good reading near the surface."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = DataFile(file.parent, file.name)
        meta = data.metadata
        variable = meta["variable"]
        if variable.val != "soil_moisture" or variable.depth.start > DEEPEST:
            return None
        readings = data.read_data()
    column = readings["soil_moisture"]
    flags = readings["soil_moisture_flag"].astype(str).str.strip()
    good = column[(flags == "G") & column.between(0, 1)].sort_index()
    if not len(good):
        return None
    name = file.name.split("_sm_")[0].split("_")
    return Station(
        network=name[0],
        name=str(meta["station"].val),
        latitude=float(meta["latitude"].val),
        longitude=float(meta["longitude"].val),
        depth=(float(variable.depth.start), float(variable.depth.end)),
        times=good.index.to_numpy().astype("datetime64[s]"),
        values=good.to_numpy(np.float32),
    )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A station's readings and the values of the archive's cell that the station lies in."""

    station: Station
    sensor: str
    dates: list[dt.date]
    in_situ: Floats
    """(days,), m3 m-3, NaN without readings near the overpass."""
    observed: Floats
    """(days,), m3 m-3, the satellite's own value, NaN for a gap."""
    seamless: Floats
    """(days,), m3 m-3, observed or filled."""

    @property
    def original(self) -> Score:
        """Score of the days that the satellite observed."""
        return self._score(self.observed)

    @property
    def filled(self) -> Score:
        """Score of the days that were filled."""
        return self._score(np.where(np.isnan(self.observed), self.seamless, np.float32(np.nan)))

    @property
    def all_days(self) -> Score:
        """Score of every day."""
        return self._score(self.seamless)

    def _score(self, values: Floats) -> Score:
        both = np.isfinite(values) & np.isfinite(self.in_situ)
        return Score.of(values[both], self.in_situ[both])


def compare(station: Station, published: Published, sensor: str, orbit: str) -> Comparison | None:
    """Compare a station with the cell that it lies in.

    Parameters
    ----------
    station : Station
        The station.
    published : Published
        The days of an archive.
    sensor, orbit : str
        Satellite sensor and orbit, which give the time of the overpass.

    Returns
    -------
    Comparison or None
        None if the station is outside the grid, or if no day has both a reading and a value.
    """
    cell = published.grid.cell(station.latitude, station.longitude)
    if cell is None:
        return None
    row, col = cell
    hour = (OVERPASS[sensor, orbit] - station.longitude / 15) % 24
    midnights = [dt.datetime.combine(date, dt.time()) for date in published.dates]
    comparison = Comparison(
        station=station,
        sensor=sensor,
        dates=published.dates,
        in_situ=np.array([station.at(midnight + dt.timedelta(hours=hour)) for midnight in midnights], np.float32),
        observed=published.observed[:, row, col],
        seamless=published.seamless[:, row, col],
    )
    return comparison if comparison.all_days.n else None
