"""The main job on a made-up world: make it, hide a part of what was observed, fill, and compare with simple fillers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from runtime.archive import cf
from runtime.bundle import shipped_bundles
from runtime.cli.progress import reporter
from runtime.common.atomic import write_guard
from runtime.common.grid import Floats, Grid
from runtime.config import load_config
from runtime.demo.baselines import simple_fillers
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.gaps import strips
from runtime.demo.world import World
from runtime.errors import UsageError
from runtime.output.map_figure import draw_map
from runtime.pipeline.run import DateRange, fill_archive

START = dt.date(2020, 4, 1)
BOX = (-20.0, -36.0, 60.0, 72.0)
"""Europe, Africa and the Near East: a quarter of the globe's land."""

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


@dataclass(frozen=True)
class FillerScore:
    """How well one filler met the hidden observations."""

    filler: str
    r: float
    rmse: float
    mae: float
    n: int


def score_fillers(fillers: dict[str, list[Floats]], truth: list[Floats]) -> list[FillerScore]:
    """Score every filler on the hidden cells where all of them have a value, best first.

    Parameters
    ----------
    fillers : per filler, one field a day, m3 m-3
    truth : one field a day, NaN everywhere but on hidden observed cells
    """
    actual = np.stack(truth)
    stacks = {name: np.stack(fields) for name, fields in fillers.items()}
    common = np.isfinite(actual) & np.all([np.isfinite(s) for s in stacks.values()], axis=0)
    scores = []
    for name, stack in stacks.items():
        error = stack[common].astype(float) - actual[common]
        r = float(np.corrcoef(stack[common], actual[common])[0, 1])
        scores.append(
            FillerScore(name, r, float(np.sqrt((error**2).mean())), float(np.abs(error).mean()), int(common.sum()))
        )
    return sorted(scores, key=lambda s: s.rmse)


def run_demo(
    folder: Path, days: int, seed: int, names: Sequence[str] = (), grid: Grid | None = None
) -> list[FillerScore]:
    """Make `days` days in `folder`, fill them with the shipped bundles, print scores and draw a day.

    Raises
    ------
    UsageError
        `folder` is not empty.
    """
    console = Console()
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; choose another --folder or delete it")
    grid = grid or Grid.globe().box(*BOX)
    west, south = grid.west, grid.north - grid.step * grid.shape[0]
    box = (west, south, west + grid.step * grid.shape[1], grid.north)
    rng = np.random.default_rng(seed)
    seen: list[Floats] = []
    truth: list[Floats] = []
    console.print(f"making {days} days of a world in {folder} ...")
    with write_guard(folder):
        for day in World(grid, seed).days(START, days):
            hide = strips(rng, grid.shape)
            shown = replace(day, observed=np.where(hide, np.float32(np.nan), day.observed))
            write_lprm(folder / "incoming" / "lprm", shown, grid)
            write_imerg(folder / "incoming" / "imerg", day.date, day.rain, grid)
            seen.append(shown.observed)
            truth.append(np.where(hide & grid.land, day.observed, np.float32(np.nan)))

    last = START + dt.timedelta(days - 1)
    fillers: dict[str, list[Floats]] = {}
    chosen = list(names) or shipped_bundles()
    for name in chosen:
        file = folder / f"{name}.toml"
        file.write_text(_CONFIG.format(bundle=name, start=START, box=", ".join(f"{edge:g}" for edge in box)))
        settings = load_config(file, environment={})
        console.print(f"filling with {name} ...")
        with reporter(quiet=False) as report:
            fill_archive(settings, DateRange(START, last), last, report)
        files = [settings.archive.path / cf.relative_path(START + dt.timedelta(n)) for n in range(days)]
        fillers[name] = [cf.values(file, "soil_moisture") for file in files]
        draw_map(settings, START + dt.timedelta(days // 2), folder / f"{name}.png")

    window = tuple(range(-4, 5))
    nothing = np.full(grid.shape, np.nan, np.float32)
    for index in range(days):
        frames = np.stack([seen[index + k] if 0 <= index + k < days else nothing for k in window])
        for name, field in simple_fillers(frames, window).items():
            fillers.setdefault(name, []).append(field)
    scores = score_fillers(fillers, truth)
    console.print(f"\n{scores[0].n} hidden observations of {days} days, m³ m⁻³")
    table = Table()
    for column in ("filler", "R", "RMSE", "MAE"):
        table.add_column(column, justify="left" if column == "filler" else "right")
    for s in scores:
        table.add_row(s.filler, f"{s.r:.3f}", f"{s.rmse:.4f}", f"{s.mae:.4f}")
    console.print(table)
    console.print(
        f"pictures: {', '.join(str(folder / f'{name}.png') for name in chosen)}\n"
        f"archives: open {folder}/archive-*/2020/*.nc with xarray; "
        f"ask `runtime status --config {folder / chosen[0]}.toml`",
        soft_wrap=True,
    )
    return scores
