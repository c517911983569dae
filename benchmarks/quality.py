"""Count what the bits of `quality_flag` mark, and score filled values with and without the marked ones.

    python -m benchmarks.quality --archive FOLDER --data FOLDER [--band x] [--bundle seamless-2] [--ismn FOLDER]

ARCHIVE holds published days; printed is the share of observed and of filled cells that each bit marks, on all of them
together and of those days on which the bit could be judged. DATA holds the same days as LPRM AMSR2 files. On four of
them the observed cells that are not observed on the following day are hidden and filled. Printed are RMSE and R of the
filled values against the hidden ones: of all, of the marked, and of the others, for each bit; then of the recommended
filled values against those hidden ones that are recommended themselves. At stations of ISMN in the archive, all values
and the recommended ones are compared with the readings at the overpass. Shipped weights were trained on the days of
April 2015, so that errors there are somewhat smaller than on other days. m3 m-3.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import runtime
from runtime.archive.reader import Reader
from runtime.bundle import find_bundle, load_bundle
from runtime.common.clock import DAY
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.netcdf import open_dataset
from runtime.common.quality import QualityBit
from runtime.common.vocabulary import Tier
from runtime.engines.select import EngineSettings
from runtime.fill.quality import day_quality
from runtime.fill.result import Flag
from training.data import DataSection
from training.evaluate.cells import OVERPASS
from training.evaluate.hidden import BundleFiller, gaps
from training.evaluate.insitu import StationRules, find_stations
from training.evaluate.kinds import GapKind
from training.evaluate.references import TODAY, WINDOW
from training.evaluate.score import Score
from training.samples import TrainingArchive

JUDGED = (4, 7, 9, 11)
"""Positions of the days that are scored: with four days after them in both records."""

_OBSERVED_FILLED = (
    (Flag.OBSERVED, Flag.OBSERVED_OFF_LAND_MASK),
    (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS),
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--band", default="x")
    parser.add_argument("--bundle", default="seamless-2")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--ismn", type=Path)
    arguments = parser.parse_args()
    _print_counts(Reader(arguments.archive))
    if arguments.data:
        grid = Grid.globe()
        with tempfile.TemporaryDirectory() as scratch:
            archive = DataSection(granules=arguments.data, band=arguments.band).open(Path(scratch), grid)
            bundle = load_bundle(find_bundle(arguments.bundle))
            filler = BundleFiller(arguments.bundle, bundle, archive, EngineSettings(arguments.engine))
            _print_scores(*(np.concatenate(parts) for parts in zip(*_hidden_cells(archive, filler), strict=True)))
    if arguments.ismn:
        _print_stations(arguments.archive, arguments.ismn)


def _print_counts(reader: Reader) -> None:
    """Print the share of observed and filled cells that each bit marks on the published days."""
    cells, judged = np.zeros((2, len(QualityBit) + 1), int), np.zeros((2, len(QualityBit) + 1), int)
    for date in reader.days:
        day = reader.day(date, ("flag", "quality_flag"))
        with open_dataset(reader.file(date).path) as file:
            could = QualityBit(int(file["quality_judged"][0]))
        for row, group in enumerate(_OBSERVED_FILLED):
            flags = day["quality_flag"][np.isin(day["flag"], group)]
            for column, bit in enumerate([*QualityBit, ~QualityBit(0)]):
                if column == len(QualityBit) or bit in could:
                    cells[row, column] += (flags & int(bit) > 0).sum()
                    judged[row, column] += flags.size
    print(f"{len(reader.days)} days, {judged[0, -1]} observed and {judged[1, -1]} filled cells")
    for column, name in enumerate([*(str(bit.name).lower() for bit in QualityBit), "any"]):
        both = zip(cells[:, column], judged[:, column], strict=True)
        shares = [f"{count / of:6.1%}" if of else "not judged" for count, of in both]
        print(f"  {name:20} observed {shares[0]}  filled {shares[1]}")


def _hidden_cells(
    archive: TrainingArchive, filler: BundleFiller
) -> Iterator[tuple[Floats, Floats, NDArray[np.int16], NDArray[np.int16]]]:
    """Yield filled and hidden values of each day, the bits of the filled ones, and those of the hidden ones."""
    manifest = filler.bundle.manifest
    window = [TODAY + offset for offset in manifest.window]
    today, unknown = manifest.window.index(0), [None] * len(window)
    for position in JUDGED:
        date = archive.first + position * DAY
        hidden = gaps(archive, date, Tier.CONSOLIDATED, GapKind.REAL)
        filled = filler.fill(hidden)
        where = np.isfinite(hidden.truth) & np.isfinite(filled.soil_moisture)
        of_filled = day_quality(filled, archive.grid, list(hidden.frames[window]), today, unknown)
        whole = archive.soil_moisture(position + WINDOW[0], len(WINDOW))[window]
        as_observed = replace(filled, soil_moisture=whole[today])
        of_hidden = day_quality(as_observed, archive.grid, list(whole), today, unknown)
        yield filled.soil_moisture[where], hidden.truth[where], of_filled.flags[where], of_hidden.flags[where]


def _print_scores(filled: Floats, truth: Floats, of_filled: NDArray[np.int16], of_hidden: NDArray[np.int16]) -> None:
    """Print scores of all filled values, and of those with and without each bit."""

    def scored(name: str, chosen: Bools) -> None:
        score = Score.of(filled[chosen], truth[chosen])
        print(f"  {name:34} {chosen.mean():6.1%}  RMSE {score.rmse:.4f}  R {score.r:.3f}  bias {score.bias:+.4f}")

    print(f"{filled.size} hidden cells")
    scored("all", np.ones(filled.shape, bool))
    for bit in QualityBit:
        marked = (of_filled & int(bit)) > 0
        if marked.any():
            scored(f"marked {str(bit.name).lower()}", marked)
            scored(f"without {str(bit.name).lower()}", ~marked)
    scored("recommended", of_filled == 0)
    scored("recommended, hidden one too", (of_filled == 0) & (of_hidden == 0))


def _print_stations(folder: Path, ismn: Path) -> None:
    """Print the scores of an archive at the stations of a folder."""
    archive = runtime.open_archive(folder)
    rules = StationRules(fewest_days=1)
    for station in filter(None, (files.read(rules, []) for files in find_stations([ismn], rules)[0])):
        cell = archive.sel(lat=station.latitude, lon=station.longitude, method="nearest").load()
        shift = dt.timedelta(hours=OVERPASS["AMSR2", "descending"] - station.longitude / 15)
        readings = station.at(cell.time.values + np.timedelta64(shift))
        for name, chosen in (("all", True), ("recommended", cell.quality_flag.values == 0)):
            known = np.isfinite(readings) & np.isfinite(cell.soil_moisture.values) & chosen
            score = Score.of(cell.soil_moisture.values[known], readings[known])
            if known.any():
                print(f"  {station} {name:12} {score.n} days  RMSE {score.rmse:.3f}  R {score.r:.3f}")


if __name__ == "__main__":
    main()
