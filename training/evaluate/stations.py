"""In-situ validation: stations against the observed and filled values of the cells that they lie in.

As in section 4.1 of SGD-SM 1.0 (doi:10.5194/essd-13-1385-2021) and of SGD-SM 2.0 (doi:10.5194/essd-14-4473-2022): a
score of the days that the satellite observed (original), one of the days that were filled (reconstructed), and one of
all days, for each station, and averages over the stations.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from runtime.archive.reader import Reader
from runtime.common.grid import Floats, Grid
from training.evaluate.cells import CellSeries, Overpass, overpasses_of, read_cells
from training.evaluate.insitu import Station, StationRules, find_stations
from training.evaluate.score import Score

_LOG = logging.getLogger(__name__)
PARTS = ("original", "reconstructed", "all days")
"""The days that scores are of: those that the satellite observed, those that were filled, and both."""
ALL_SENSORS = "all"
"""What stands for the days of all sensors, where an archive has several."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A station's readings and the values of the cell that the station lies in."""

    station: Station
    """Without its readings."""
    sensor: str
    """The satellite sensor of the days; `ALL_SENSORS` for the days of several."""
    dates: list[dt.date]
    in_situ: Floats
    """(days,), m3 m-3, NaN without readings near the overpass."""
    observed: Floats
    """(days,), m3 m-3, the satellite's own value, NaN for a gap."""
    seamless: Floats
    """(days,), m3 m-3, observed or filled."""

    @property
    def reconstructed(self) -> Floats:
        """The filled values, shape (days,), m3 m-3, NaN on the days that the satellite observed."""
        return np.where(np.isnan(self.observed), self.seamless, np.float32(np.nan))

    @cached_property
    def scores(self) -> dict[str, Score]:
        """The score of each of `PARTS`."""
        values = dict(zip(PARTS, (self.observed, self.reconstructed, self.seamless), strict=True))
        return {part: self._score(series) for part, series in values.items()}

    def _score(self, values: Floats) -> Score:
        both = np.isfinite(values) & np.isfinite(self.in_situ)
        return Score.of(values[both], self.in_situ[both])


@dataclass(frozen=True, kw_only=True)
class StationFindings:
    """What a comparison with stations found."""

    rules: StationRules = field(default_factory=StationRules)
    stations: dict[str, list[Comparison]] = field(default_factory=dict)
    """By name of what was judged: a bundle, a reference, or an archive. Each station once for each sensor, and once for
    all of them if there are several."""
    left_out: list[str] = field(default_factory=list)
    """Files and stations that could not be used, and why."""


@dataclass(frozen=True)
class MeanScore:
    """The average of the stations' scores, each station counted once."""

    sensor: str
    part: str
    """One of `PARTS`."""
    score: Score
    """Means over the stations; `n` is the sum of their days."""
    stations: int


@dataclass(frozen=True)
class StationDays:
    """A station, and what it measured at the time of each day's overpass."""

    station: Station
    """Without its readings."""
    cell: tuple[int, int]
    """Row and column of the cell that it lies in."""
    in_situ: Floats
    """(days,), m3 m-3, NaN without readings near the overpass."""


def read_station_days(
    paths: Sequence[Path], rules: StationRules, overpasses: Mapping[dt.date, Overpass], grid: Grid
) -> tuple[list[StationDays], list[str]]:
    """Read stations one after the other, and keep what they measured at the time of each day's overpass.

    Parameters
    ----------
    paths : sequence of Path
        Zips as ISMN provides them, folders of files and zips, or files.
    rules : StationRules
        Which stations are used.
    overpasses : mapping
        The overpass by day, in order.
    grid : Grid
        Grid of the cells.

    Returns
    -------
    stations : list of StationDays
        The stations on the grid with a reading on one of the days.
    left_out : list of str
        One line for each file and each station that is left out, with the reason; they are also logged.

    Raises
    ------
    ValueError
        A path does not exist.
    """
    files, left_out = find_stations(paths, rules)
    midnights = np.array([*overpasses], "datetime64[s]")
    solar_hours = np.array([overpass.hour for overpass in overpasses.values()])
    found = []
    for each in files:
        station = each.read(rules, left_out)
        if station is None:
            continue
        cell = grid.cell(station.latitude, station.longitude)
        if cell is None:
            left_out.append(f"{each}: left out, outside the grid")
            continue
        moments = midnights + np.nan_to_num((solar_hours - station.longitude / 15) % 24 * 3600).astype("timedelta64[s]")
        in_situ = np.where(np.isnan(solar_hours), station.daily_mean(midnights), station.at(moments))
        if np.isfinite(in_situ).any():
            nothing = replace(station, times=station.times[:0], values=station.values[:0])
            found.append(StationDays(nothing, cell, in_situ))
        else:
            left_out.append(f"{each}: left out, no reading on the days of the series")
    for line in left_out:
        _LOG.warning("%s", line)
    return found, left_out


def compare(
    stations: Sequence[StationDays], overpasses: Mapping[dt.date, Overpass], days: CellSeries
) -> list[Comparison]:
    """Compare stations with the cells that they lie in.

    Parameters
    ----------
    stations : sequence of StationDays
        The stations.
    overpasses : mapping
        The overpass by day, of the days of the stations.
    days : CellSeries
        The values of the stations' cells, in their order; the days are among those of the stations.

    Returns
    -------
    list of Comparison
        For each station one for each sensor, and first one for all if there are several; none where no day has both a
        reading and a value.
    """
    position = {date: number for number, date in enumerate(overpasses)}
    rows = np.array([position[date] for date in days.dates], int)
    sensors = np.array([overpasses[date].sensor for date in days.dates])
    present = list(dict.fromkeys(sensors.tolist()))
    chosen = {sensor: sensors == sensor for sensor in present}
    if len(present) > 1:
        chosen = {ALL_SENSORS: np.ones(len(sensors), bool)} | chosen
    found = [
        Comparison(
            station=each.station,
            sensor=sensor,
            dates=[days.dates[day] for day in np.flatnonzero(wanted)],
            in_situ=each.in_situ[rows[wanted]],
            observed=days.observed[wanted, number],
            seamless=days.seamless[wanted, number],
        )
        for number, each in enumerate(stations)
        for sensor, wanted in chosen.items()
    ]
    return [comparison for comparison in found if comparison.scores["all days"].n]


def mean_scores(comparisons: Sequence[Comparison]) -> Iterator[MeanScore]:
    """Yield the average scores of each sensor and each of `PARTS`.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Comparisons of one archive or bundle.

    Yields
    ------
    MeanScore
        The averages over the stations with at least three days and a correlation; without any, there is none.
    """
    for sensor in dict.fromkeys(comparison.sensor for comparison in comparisons):
        of_sensor = [comparison.scores for comparison in comparisons if comparison.sensor == sensor]
        for part in PARTS:
            scores = [each[part] for each in of_sensor if each[part].n and np.isfinite(each[part].r)]
            if scores:
                yield MeanScore(sensor, part, Score.mean(scores), len(scores))


def compare_archives(
    archives: Sequence[Path], ismn: Sequence[Path], rules: StationRules, dates: Sequence[dt.date] = ()
) -> StationFindings:
    """Compare stations with the published values of archives; no network is run and nothing is hidden.

    Parameters
    ----------
    archives : sequence of Path
        Folders of archives, or of the published files of SGD-SM in folders by year. Of several, the days and the
        stations that all of them have are compared.
    ismn : sequence of Path
        ISMN zips, folders or files.
    rules : StationRules
        Which stations are used.
    dates : sequence of date
        The days, in order; all if empty.

    Returns
    -------
    StationFindings
        The comparisons, by the names of the archives' folders.

    Raises
    ------
    InputsMissing
        No day is published there.
    ArchiveError
        An archive is damaged.
    ValueError
        A path of `ismn` does not exist, two archives have the same folder name, or no day in common.
    """
    readers = {archive.absolute().name: Reader(archive) for archive in archives}
    if len(readers) < len(archives):
        raise ValueError("two archives have the same folder name; the report tells them apart by it: rename one")
    bounds = (dates[0], dates[-1]) if dates else (None, None)
    published = [reader.dates_between(*bounds) for reader in readers.values()]
    days = sorted(set(published[0]).intersection(*published))
    if not days:
        raise ValueError(f"{' and '.join(map(str, archives))} have no day in common")
    compared, left_out = dict[str, list[Comparison]](), dict[str, None]()
    for name, reader in readers.items():
        overpasses = overpasses_of(reader, days)
        stations, lines = read_station_days(ismn, rules, overpasses, reader.grid)
        values = read_cells(reader, [each.cell for each in stations], days)
        compared[name] = compare(stations, overpasses, values)
        left_out |= dict.fromkeys(lines)
        with_values = {str(each.station) for each in compared[name]}
        for each in stations:
            if str(each.station) not in with_values:
                line = f"{each.station}: left out, {name} has no value in its cell on a day with a reading"
                _LOG.warning("%s", line)
                left_out[line] = None
    shared = set.intersection(*({str(each.station) for each in found} for found in compared.values()))
    common = {name: [each for each in found if str(each.station) in shared] for name, found in compared.items()}
    return StationFindings(rules=rules, stations=common, left_out=[*left_out])
