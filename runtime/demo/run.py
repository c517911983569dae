"""Run the daily job on a synthetic world with hidden observations, and compare with simple fillers."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from runtime.archive import cf
from runtime.bundle import shipped_bundles
from runtime.common.atomic import write_guard
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Floats, Grid
from runtime.config import load_config
from runtime.demo.baselines import simple_fillers
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.gaps import strips
from runtime.demo.world import World
from runtime.errors import UsageError
from runtime.output.map_figure import draw_map
from runtime.pipeline.run import fill_archive

START = dt.date(2020, 4, 1)
"""First day of the world."""
BOX = (-20.0, -36.0, 60.0, 72.0)
"""Western, southern, eastern and northern edge, degrees: Europe, Africa and the Near East."""

_CONFIG = """\
[archive]
path = "archive-{bundle}"
start = {start}

[grid]
box = [{box}]

[model]
bundle = "{bundle}"

[[feeds.soil_moisture]]
path = "incoming/lprm"
band = "x"

[feeds.precipitation]
kind = "folder"
path = "incoming/imerg"
"""

OpenEvents = Callable[[], AbstractContextManager[RunEvents]]
"""Opens what receives the events of one run."""


@dataclass(frozen=True)
class FillerScore:
    """The error of one filler against the hidden observations."""

    filler: str
    r: float
    """Correlation."""
    rmse: float
    """Root mean square error, m3 m-3."""
    mae: float
    """Mean absolute error, m3 m-3."""
    n: int
    """Number of hidden observations."""


def score_fillers(fillers: dict[str, list[Floats]], truth: list[Floats]) -> list[FillerScore]:
    """Score every filler on the hidden cells where all of them have a value.

    Parameters
    ----------
    fillers : dict of str to list of float32 arrays, shape (rows, cols)
        The filled fields of each filler, one per day, m3 m-3.
    truth : list of float32 arrays, shape (rows, cols)
        The hidden observations, one field per day, m3 m-3, NaN on all other cells.

    Returns
    -------
    list of FillerScore
        The scores, smallest RMSE first.
    """
    actual = np.stack(truth)
    stacks = {name: np.stack(fields) for name, fields in fillers.items()}
    common = np.isfinite(actual) & np.all([np.isfinite(stack) for stack in stacks.values()], axis=0)
    scores = []
    for name, stack in stacks.items():
        error = stack[common].astype(float) - actual[common]
        scores.append(
            FillerScore(
                filler=name,
                r=float(np.corrcoef(stack[common], actual[common])[0, 1]),
                rmse=float(np.sqrt((error**2).mean())),
                mae=float(np.abs(error).mean()),
                n=int(common.sum()),
            )
        )
    return sorted(scores, key=lambda score: score.rmse)


def run_demo(
    folder: Path,
    days: int,
    seed: int,
    names: Sequence[str] = (),
    grid: Grid | None = None,
    events: OpenEvents = lambda: nullcontext(RunEvents()),
) -> list[FillerScore]:
    """Make a synthetic world, fill it with the shipped bundles, print the scores and draw a day.

    Parameters
    ----------
    folder : Path
        Where to work; must be empty or absent.
    days : int
        Number of days to make and fill.
    seed : int
        Seed of the world and of the hidden cells.
    names : sequence of str
        Bundles to fill with; all shipped ones unless given.
    grid : Grid, optional
        The grid; Europe, Africa and the Near East unless given.
    events : callable
        Opens what receives the events of one run, for example a progress bar.

    Returns
    -------
    list of FillerScore
        The scores of the bundles and of the simple fillers, smallest RMSE first.

    Raises
    ------
    UsageError
        `folder` is not empty.
    """
    console = Console()
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty, or is no folder; choose another --folder or delete it")
    grid = grid or Grid.globe().box(*BOX)
    console.print(f"making {days} days of a world in {folder} ...")
    shown, hidden = _make_inputs(folder, days, seed, grid)
    bundles = list(names) or shipped_bundles()
    fillers = {}
    for name in bundles:
        console.print(f"filling with {name} ...")
        fillers[name] = _fill_with(name, folder, days, grid, events)
    fillers |= _fill_simply(shown, grid)
    scores = score_fillers(fillers, hidden)
    _print_scores(console, scores, days)
    console.print(
        f"pictures: {', '.join(str(folder / f'{name}.png') for name in bundles)}\n"
        f"archives: open {folder}/archive-*/2020/*.nc with xarray; "
        f"ask `runtime status --config {folder / bundles[0]}.toml`",
        soft_wrap=True,
    )
    return scores


def _make_inputs(folder: Path, days: int, seed: int, grid: Grid) -> tuple[list[Floats], list[Floats]]:
    """Write the input files of a world; return the observations in the files and the hidden ones, one field per day."""
    rng = np.random.default_rng(seed)
    shown: list[Floats] = []
    hidden: list[Floats] = []
    with write_guard(folder):
        for day in World(grid, seed).days(START, days):
            hide = strips(rng, grid.shape)
            reduced = replace(day, observed=np.where(hide, np.float32(np.nan), day.observed))
            write_lprm(folder / "incoming" / "lprm", reduced, grid)
            write_imerg(folder / "incoming" / "imerg", day.date, day.rain, grid)
            shown.append(reduced.observed)
            hidden.append(np.where(hide & grid.land, day.observed, np.float32(np.nan)))
    return shown, hidden


def _fill_with(name: str, folder: Path, days: int, grid: Grid, events: OpenEvents) -> list[Floats]:
    """Fill all days with a bundle, draw one of them, and return the filled fields."""
    west, south = grid.west, grid.north - grid.step * grid.shape[0]
    box = (west, south, west + grid.step * grid.shape[1], grid.north)
    file = folder / f"{name}.toml"
    file.write_text(_CONFIG.format(bundle=name, start=START, box=", ".join(f"{edge:g}" for edge in box)))
    config = load_config(file, environment={})
    last = START + dt.timedelta(days - 1)
    with events() as run_events:
        fill_archive(config, DateRange(START, last), last, run_events)
    draw_map(config, START + dt.timedelta(days // 2), folder / f"{name}.png")
    files = [config.archive.path / cf.CfLayout().relative_path(START + dt.timedelta(number)) for number in range(days)]
    return [cf.values(path, "soil_moisture") for path in files]


def _fill_simply(shown: list[Floats], grid: Grid) -> dict[str, list[Floats]]:
    """Fill all days with the simple fillers; return the filled fields of each."""
    window = tuple(range(-4, 5))
    no_day = np.full(grid.shape, np.nan, np.float32)
    fillers: dict[str, list[Floats]] = {}
    for number in range(len(shown)):
        frames = [shown[number + offset] if 0 <= number + offset < len(shown) else no_day for offset in window]
        for name, field in simple_fillers(np.stack(frames), window).items():
            fillers.setdefault(name, []).append(field)
    return fillers


def _print_scores(console: Console, scores: list[FillerScore], days: int) -> None:
    console.print(f"\n{scores[0].n} hidden observations of {days} days, m³ m⁻³")
    table = Table()
    for column in ("filler", "R", "RMSE", "MAE"):
        table.add_column(column, justify="left" if column == "filler" else "right")
    for score in scores:
        table.add_row(score.filler, f"{score.r:.3f}", f"{score.rmse:.4f}", f"{score.mae:.4f}")
    console.print(table)
