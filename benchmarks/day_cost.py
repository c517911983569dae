"""Measure what a day costs: every shipped bundle, DCT-PLS and trees fill the same real day, in turns in one process.

    python -m benchmarks.day_cost --data FOLDER [--date 2015-04-12] [--rounds 3] [--json FILE]

Only the filling is timed, not the reading of files, with the engine that `auto` takes and in each precision that the
bundle may be used in there; trees are fitted to the days before. The peak memory is that of a process of its own, with
the days of the window (0.07 GiB) and, for the trees, the fitting. The other tables are the phases of a day with the
default bundle, and the time by how much of the land is missing, in strips like the gaps between swaths.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.days import read_window
from benchmarks.memory import peak_memory_of_process
from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.bundle import find_bundle, load_bundle, shipped_bundles
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Floats, Grid
from runtime.common.regrid import regrid
from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import Precision, Tier
from runtime.config import load_config
from runtime.demo.files import write_imerg
from runtime.demo.gaps import strips
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import ConfigError
from runtime.fill.recurrent import fill_recurrent, land_tiles
from runtime.fill.state import State
from runtime.fill.window import fill_window
from runtime.inputs.products.read import read_field
from runtime.pipeline.run import fill_archive

REFERENCE = "DCT-PLS (pytesmo)"
WINDOW = tuple(range(-12, 5))
"""Days that are read, relative to the day that is filled; those of the references, whose module loads PyTorch."""
TODAY = WINDOW.index(0)
_TREES = "trees (LightGBM)"
SHARES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of the land that are missing."""


def filler(name: str, precision: Precision, grid: Grid, frames: Floats) -> Callable[[], object]:
    """Open the engine of a shipped bundle, and return a function that fills the day once with it.

    Raises
    ------
    ConfigError
        No engine of this machine can use the bundle in this precision.
    """
    bundle = load_bundle(find_bundle(name))
    engine, manifest = open_engine(bundle, EngineSettings(precision=precision)), bundle.manifest
    if not manifest.carries_state:
        own = frames[[TODAY + offset for offset in manifest.window]]
        return lambda: fill_window(engine, manifest, grid, own)
    state = State.cold(manifest, grid, len(land_tiles(manifest, grid)))
    return lambda: fill_recurrent(engine, manifest, grid, frames[TODAY], np.full_like(frames[0], np.nan), state)


def open_filler(name: str, data: Path, date: dt.date, frames: Floats) -> Callable[[], object] | None:
    """Return a function that fills the day once with a bundle in a precision or a reference; None where it cannot."""
    grid = Grid.globe()
    if name == REFERENCE:
        from training.evaluate.references import dct_pls

        return lambda: dct_pls(frames, grid.land)
    if name == _TREES:
        from training.data import DataSection
        from training.evaluate.hidden import fit_trees

        with tempfile.TemporaryDirectory() as scratch:
            trees = fit_trees(DataSection(granules=data).open(Path(scratch), grid), Tier.CONSOLIDATED, date)
        return lambda: trees.fill(frames, grid.land & np.isnan(frames[TODAY]))
    bundle, _, precision = name.partition(", ")
    try:
        return filler(bundle, precision, grid, frames)  # type: ignore[arg-type]
    except ConfigError:
        return None


def peak_memory(name: str, data: Path, date: dt.date) -> float:
    """Return the peak memory of a process that fills the day once, GiB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(_fill_alone, name, data, date).result()


def _fill_alone(name: str, data: Path, date: dt.date) -> float:
    frames = read_window(data, date, Grid.globe(), WINDOW)
    way = open_filler(name, data, date, frames)
    assert way is not None
    way()
    return peak_memory_of_process() / 2**30


def timed(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each function; they are called in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def by_gaps(grid: Grid, frames: Floats, rounds: int) -> list[dict[str, float]]:
    """Return the seconds by how much of the land is missing on day T, and the peak memory until then."""
    whole = np.nanmean(np.where(np.isnan(frames), np.float32(0.2), frames), axis=0)
    rows = []
    for share in SHARES:
        hidden = (
            strips(np.random.default_rng(1), grid.shape, (share, share)) if share < 1 else np.ones(grid.shape, bool)
        )
        day = frames.copy()
        day[TODAY] = np.where(hidden & grid.land, np.nan, whole)
        windows = ("seamless-2", "seamless-amsr2-x", "sgdsm1-amsr2-x")
        seconds = timed({name: filler(name, "fp32", grid, day) for name in windows}, rounds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append({"share": share, "gaps": int((hidden & grid.land).sum()), **seconds, "peak_gib": round(peak, 2)})
    return rows


class _Clock(RunEvents):
    """Note when the plan was ready."""

    def __init__(self) -> None:
        self.planned = 0.0

    def fill_started(self, days: int) -> None:
        """Note the time: planning has ended."""
        self.planned = time.perf_counter()


def phases(data: Path, date: dt.date, frames: Floats, grid: Grid) -> dict[str, float]:
    """Return the seconds of each phase of a day with the default bundle and with rain, the first of a new archive."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        rng = np.random.default_rng(0)
        for offset in WINDOW:  # every day another field: one that repeats is refused
            rain = rng.exponential(3, grid.shape).astype(np.float32)
            write_imerg(scratch / "imerg", date + dt.timedelta(offset), rain, grid)
        sample = next((scratch / "imerg").glob(f"*{date:%Y%m%d}*"))
        started = time.perf_counter()
        read_field(PRODUCTS["imerg"], sample, date, grid)
        rain_s, fine = time.perf_counter() - started, np.repeat(np.repeat(rain, 3, 0), 3, 1)[:1800, :3600]
        started = time.perf_counter()
        regrid(fine, np.linspace(-90, 90, 1801), np.linspace(-180, 180, 3601), grid)
        regrid_s = time.perf_counter() - started
        overrides = {
            "archive.path": scratch / "archive",
            "archive.start": date,
            "feeds.soil_moisture.0.path": data,
            "feeds.soil_moisture.0.band": "x",
            "feeds.precipitation.kind": "folder",
            "feeds.precipitation.path": scratch / "imerg",
        }
        settings = load_config(None, [f"{key}={value}" for key, value in overrides.items()], environment={})
        clock, started = _Clock(), time.perf_counter()
        fill_archive(settings, DateRange(date, date), date, clock)
        with Catalog.open(ArchivePaths.of(settings).catalog, read_only=True) as catalog:
            (revision,) = catalog.revisions()
    return {
        "plan, with every file read for the first time": clock.planned - started,
        "of it, one day of rain": rain_s,
        "of which regridding": regrid_s,
        **revision.phases,
    }


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--date", type=dt.date.fromisoformat, default=dt.date(2015, 4, 12))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    grid = Grid.globe()
    frames = read_window(arguments.data, arguments.date, grid, WINDOW)
    parts = phases(arguments.data, arguments.date, frames, grid)
    shares = by_gaps(grid, frames, arguments.rounds)
    names = [f"{bundle}, {precision}" for bundle in shipped_bundles() for precision in ("fp32", "bf16")]
    opened = {name: open_filler(name, arguments.data, arguments.date, frames) for name in (*names, _TREES, REFERENCE)}
    medians = timed({name: way for name, way in opened.items() if way}, arguments.rounds)
    peaks = {name: peak_memory(name, arguments.data, arguments.date) for name in medians}
    print(f"{arguments.date}, {os.cpu_count()} cores")
    print(f"{'filler':28} {'s a day':>9} {'DCT-PLS takes':>14} {'GiB':>6}")
    for name, value in sorted(medians.items(), key=lambda item: item[1]):
        print(f"{name:28} {value:9.2f} {medians[REFERENCE] / value:12.1f} x {peaks[name]:6.2f}")
    print("\n" + "\n".join(f"{phase:46} {seconds:6.3f} s" for phase, seconds in parts.items()) + "\n")
    print(" | ".join(shares[0]))
    for row in shares:
        print(" | ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    if arguments.json:
        figures = {
            "date": str(arguments.date),
            "cores": os.cpu_count(),
            "seconds": medians,
            "peak_gib": peaks,
            "phases": parts,
            "by_gaps": shares,
        }
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
