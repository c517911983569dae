"""What a day costs: every shipped bundle and DCT-PLS on the same real day, in one process, taking turns.

    python benchmarks/day_cost.py --data FOLDER [--date 2015-04-12] [--rounds 3] [--json FILE]

Only the filling is timed, not the reading of files. The last column is the time over that of SGD-SM 1.0's compact
network, `sgdsm1-amsr2-x`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.days import read_window
from runtime import bundle as bundles
from runtime.engines import choice
from runtime.fill import recurrent, window
from runtime.grid import Floats, Grid
from runtime.state import State
from training.evaluate.hidden import TODAY, dct_pls

REFERENCE = "sgdsm1-amsr2-x"


def filler(name: str, grid: Grid, frames: Floats) -> Callable[[], object]:
    """Return a function that fills the day once with a shipped bundle, its engine open."""
    bundle = bundles.load(bundles.find(name))
    engine, manifest = choice.open_engine(bundle), bundle.manifest
    if manifest.kind == "window":
        return lambda: window.fill(engine, manifest, grid, frames)
    state = State.cold(manifest, grid, len(recurrent.land_tiles(manifest, grid)))
    return lambda: recurrent.fill(engine, manifest, grid, frames[TODAY], np.full_like(frames[0], np.nan), state)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--date", type=dt.date.fromisoformat, default=dt.date(2015, 4, 12))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    grid = Grid.globe()
    frames = read_window(arguments.data, arguments.date, grid)
    fillers = {name: filler(name, grid, frames) for name in bundles.shipped()}
    fillers["DCT-PLS (pytesmo)"] = lambda: dct_pls(frames, grid.land)
    seconds: dict[str, list[float]] = {name: [] for name in fillers}
    for number in range(arguments.rounds):
        for name, fill in fillers.items():
            if number and seconds[name][0] > 60:
                continue
            started = time.perf_counter()
            fill()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{arguments.date}, {os.cpu_count()} cores")
    print(f"{'filler':24} {'s a day':>9} {'of SGD-SM 1.0':>14}")
    for name, value in sorted(medians.items(), key=lambda item: item[1]):
        print(f"{name:24} {value:9.2f} {value / medians[REFERENCE]:14.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"date": str(arguments.date), "seconds": medians}, indent=1) + "\n")


if __name__ == "__main__":
    main()
