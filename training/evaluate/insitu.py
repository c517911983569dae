"""Stations of the International Soil Moisture Network, from its files in CEOP or header+values format."""

from __future__ import annotations

import re
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ismn.filehandlers import DataFile
from numpy.typing import NDArray

from runtime.common.grid import Floats
from training.evaluate.kinds import DEEPEST, FEWEST_DAYS

NEAREST = np.timedelta64(3, "h")
"""Longest time between the overpass and a reading that is used for it."""
_NAME = re.compile(
    r"[^_]+_(?P<network>[^_]+)_(?P<station>[^_]+)_(?P<variable>[^_]+)_(?P<top>-?[\d.]+)_(?P<end>-?[\d.]+)_.+"
)
"""Names of ISMN files: provider, network, station, variable, depth from and to (m), sensor, first and last day."""
_SOIL_MOISTURE = "sm"
"""How file names write the variable."""
_COSMIC_RAY = "cosmic-ray"
"""Probes whose layer reaches as deep as the soil is dry; both papers use them (COSMOS) whatever the depth."""
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class StationRules:
    """Which stations are used."""

    deepest: float = DEEPEST
    """Lower end of the layer that a sensor may measure, m; cosmic-ray probes are used whatever their depth."""
    fewest_days: int = FEWEST_DAYS
    """Days from the first to the last good reading."""


@dataclass(frozen=True, kw_only=True)
class Station:
    """The good readings of a station near the surface, the mean of its sensors."""

    network: str
    name: str
    latitude: float
    longitude: float
    depth: tuple[float, float]
    """Metres, from and to, of all sensors."""
    files: int
    """Number of files with good readings."""
    times: NDArray[np.datetime64]
    """UTC, ascending."""
    values: Floats
    """m3 m-3."""

    def __str__(self) -> str:
        return f"{self.network} {self.name}"

    @property
    def days(self) -> int:
        """Number of days from the first to the last reading, both included."""
        return int((self.times[-1].astype("M8[D]") - self.times[0].astype("M8[D]")) / _DAY) + 1

    def at(self, moments: NDArray[np.datetime64]) -> Floats:
        """Return the mean of the two readings nearest to each moment.

        Parameters
        ----------
        moments : datetime64 array, shape (n,)
            UTC.

        Returns
        -------
        float32 array, shape (n,)
            Soil moisture, m3 m-3, NaN where one of the two is more than three hours away.
        """
        around = np.searchsorted(self.times, moments)[:, None] + np.arange(-2, 2)
        index = around.clip(0, len(self.times) - 1)
        far = np.where(around == index, np.abs(self.times[index] - moments[:, None]), np.timedelta64(1, "D"))
        nearest = np.argsort(far, axis=1, kind="stable")[:, :2]
        is_near = (np.take_along_axis(far, nearest, 1) <= NEAREST).all(1)
        mean = np.take_along_axis(self.values[index], nearest, 1).mean(1)
        return np.where(is_near, mean, np.float32(np.nan)).astype(np.float32)

    def daily_mean(self, midnights: NDArray[np.datetime64]) -> Floats:
        """Return the mean of the readings of each UTC day.

        Parameters
        ----------
        midnights : datetime64 array, shape (n,)
            The begin of each day, UTC.

        Returns
        -------
        float32 array, shape (n,)
            Soil moisture, m3 m-3, NaN for a day without readings.
        """
        total = np.concatenate([[0.0], np.cumsum(self.values, dtype=np.float64)])
        begin, end = (np.searchsorted(self.times, midnights + shift) for shift in (0 * _DAY, _DAY))
        mean = (total[end] - total[begin]) / np.maximum(end - begin, 1)
        return np.where(end > begin, mean, np.nan).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Readings:
    """The good readings of one sensor."""

    place: tuple[float, float]
    """Latitude and longitude."""
    depth: tuple[float, float]
    """Metres, from and to."""
    times: NDArray[np.datetime64]
    """UTC."""
    values: Floats
    """m3 m-3."""


@dataclass(frozen=True)
class SensorFile:
    """The file of one sensor of a station."""

    path: Path
    """The file, or the zip that has it."""
    member: str = ""
    """Its name in the zip; empty outside of one."""

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.member or self.path).name

    def read(self) -> Readings:
        """Read the file."""
        if not self.member:
            return _read_file(self.path)
        with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(self.path) as archive:
            return _read_file(Path(archive.extract(self.member, scratch)))


@dataclass
class StationFiles:
    """The files of a station with soil moisture at the depth that is wanted."""

    network: str
    name: str
    files: list[SensorFile] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.network} {self.name}"

    def read(self, rules: StationRules, left_out: list[str]) -> Station | None:
        """Read the station.

        Parameters
        ----------
        rules : StationRules
            Which stations are used.
        left_out : list of str
            A line is appended for each file that cannot be used, and for the station if it cannot, with the reason.

        Returns
        -------
        Station or None
            None if the station cannot be used.
        """
        sensors = []
        for file in self.files:
            try:
                readings = file.read()
            except Exception as error:  # the library raises many kinds of errors on a damaged file
                reason = (str(error) or type(error).__name__).splitlines()[0].partition(":")[0]
                left_out.append(f"{file.name}: left out, {_unreadable(reason)}")
                continue
            if readings.values.size:
                sensors.append(readings)
            else:
                left_out.append(f"{file.name}: left out, no good surface soil-moisture reading")
        if not sensors:
            return None
        times, moment = np.unique(np.concatenate([each.times for each in sensors]), return_inverse=True)
        total = np.bincount(moment, np.concatenate([each.values for each in sensors]))
        station = Station(
            network=self.network,
            name=self.name,
            latitude=sensors[0].place[0],
            longitude=sensors[0].place[1],
            depth=(min(each.depth[0] for each in sensors), max(each.depth[1] for each in sensors)),
            files=len(sensors),
            times=times,
            values=(total / np.bincount(moment)).astype(np.float32),
        )
        if station.days < rules.fewest_days:
            left_out.append(f"{self}: left out, {station.days} days of record, fewer than {rules.fewest_days}")
            return None
        return station


def check_paths(paths: Sequence[Path]) -> None:
    """Raise a `ValueError` if a path of ISMN files does not exist."""
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path} does not exist; give an ISMN zip, a folder or a file")


def find_stations(paths: Sequence[Path], rules: StationRules) -> tuple[list[StationFiles], list[str]]:
    """Find the stations with a sensor of soil moisture at the depth that is wanted, without reading their files.

    Parameters
    ----------
    paths : sequence of Path
        Zips as ISMN provides them, folders of files and zips, or files.
    rules : StationRules
        Which stations are used.

    Returns
    -------
    stations : list of StationFiles
        Each station once, whatever number of files it has, in order of network and name.
    left_out : list of str
        One line for each station without such a sensor and for each file that is none of ISMN, with the reason.

    Raises
    ------
    ValueError
        A path does not exist.
    """
    stations: dict[tuple[str, str], StationFiles] = {}
    too_deep: dict[tuple[str, str], list[str]] = {}
    left_out: list[str] = []
    for file in _all_files(paths, left_out):
        match = _NAME.fullmatch(file.name)
        if match is None:
            if not file.member:  # ISMN's zips have descriptions beside the data
                left_out.append(f"{file.name}: left out, {_unreadable('its name is not one of ISMN')}")
            continue
        if match["variable"] != _SOIL_MOISTURE:
            continue
        key = match["network"], match["station"]
        if float(match["end"]) <= rules.deepest or _COSMIC_RAY in file.name.lower():
            stations.setdefault(key, StationFiles(*key)).files.append(file)
        else:
            too_deep.setdefault(key, []).append(f"{float(match['top']):g}-{float(match['end']):g} m")
    for (network, name), depths in sorted(too_deep.items()):
        if (network, name) not in stations:
            left_out.append(f"{network} {name}: left out, no sensor down to {rules.deepest:g} m ({', '.join(depths)})")
    return [stations[key] for key in sorted(stations)], left_out


def _all_files(paths: Sequence[Path], left_out: list[str]) -> Iterator[SensorFile]:
    """Yield the data files below all paths, also those in zips."""
    check_paths(paths)
    for path in paths:
        for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            if file.suffix == ".zip":
                try:
                    with zipfile.ZipFile(file) as archive:
                        members = archive.namelist()
                except (zipfile.BadZipFile, OSError) as error:
                    left_out.append(f"{file}: left out, cannot be unpacked ({error})")
                    continue
                yield from (SensorFile(file, member) for member in members if member.endswith((".stm", ".txt")))
            elif file.suffix in (".stm", ".txt"):
                yield SensorFile(file)


def _read_file(path: Path) -> Readings:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = DataFile(path.parent, path.name)
        table = file.read_data()
    column = table["soil_moisture"]
    good = column[(table["soil_moisture_flag"].astype(str).str.strip() == "G") & column.between(0, 1)]
    meta = file.metadata
    depth = meta["variable"].depth
    return Readings(
        place=(float(meta["latitude"].val), float(meta["longitude"].val)),
        depth=(float(depth.start), float(depth.end)),
        times=good.index.to_numpy().astype("datetime64[s]"),
        values=good.to_numpy(np.float32),
    )


def _unreadable(reason: str) -> str:
    return f"not a readable ISMN file ({reason})"
