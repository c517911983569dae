"""``python -m training world``: write days of the synthetic world as files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from runtime.common.text import counted
from training.cli.common import training_command


@training_command("world", epilog="Example: python -m training world --out runs/world --days 60 --seed 100")
def world(
    out: Annotated[Path, typer.Option(help="Folder to write LPRM and IMERG files to.")],
    days: Annotated[int, typer.Option(min=1, help="Number of days.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic world.")] = 100,
    start: Annotated[str, typer.Option(help="First day.")] = "2020-03-01",
) -> None:
    """Write days of the synthetic world, on the globe, as files to train on."""
    from rich.progress import track

    from runtime.common.grid import Grid
    from runtime.demo.files import write_imerg, write_lprm
    from runtime.demo.world import World

    grid = Grid.globe()
    for day in track(World(grid, seed).days(dt.date.fromisoformat(start), days), total=days, description="days"):
        write_lprm(out / "lprm", day, grid)
        write_imerg(out / "imerg", day.date, day.rain, grid)
    print(f"wrote {counted(days, 'day')} to {out}")
