"""``python -m training ...``: parse, call, print."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from runtime.errors import SeamlessError

P = ParamSpec("P")
app = typer.Typer(
    name="training",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Make training days, train a network, or draw one with random weights.",
)


def _guarded(function: Callable[P, None]) -> Callable[P, None]:
    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except (SeamlessError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None

    return run


@app.command(epilog="Example: python -m training world --out runs/world --days 60 --seed 100")
@_guarded
def world(
    out: Annotated[Path, typer.Option(help="Folder to write LPRM and IMERG files to.")],
    days: Annotated[int, typer.Option(min=1, help="Days to make.")] = 60,
    seed: Annotated[int, typer.Option(help="Which of all worlds.")] = 100,
    start: Annotated[str, typer.Option(help="First day.")] = "2020-03-01",
) -> None:
    """Write days of the synthetic world, on the globe, as training input."""
    from rich.progress import track

    from runtime.grid import Grid
    from runtime.synthetic.files import write_imerg, write_lprm
    from runtime.synthetic.world import World

    grid = Grid.globe()
    for day in track(World(grid, seed).days(dt.date.fromisoformat(start), days), total=days, description="days"):
        write_lprm(out / "lprm", day, grid)
        write_imerg(out / "imerg", day.date, day.rain, grid)
    print(f"wrote {days} days to {out}")


@app.command(epilog="Example: python -m training random --preset stpcnn-paper --out runs/paper.safetensors")
@_guarded
def random(
    preset: Annotated[str, typer.Option(help="Packaged preset or TOML file.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
) -> None:
    """Write a checkpoint with random weights, to measure speed with."""
    import torch

    from training import checkpoint, presets
    from training.models import build

    torch.manual_seed(seed)
    chosen = presets.load(preset)
    checkpoint.save(out, checkpoint.Checkpoint(build(chosen.model), chosen))
    print(f"wrote {out}")


@app.command(
    epilog="Example: python -m training fit --preset stpcnn-compact --data runs/world --steps 3000 "
    "--out runs/sgdsm1.safetensors"
)
@_guarded
def fit(
    preset: Annotated[str, typer.Option(help="Packaged preset or TOML file.")],
    data: Annotated[list[Path], typer.Option(help="Folder with LPRM (and IMERG) files, repeatable.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 3000,
    batch: Annotated[int, typer.Option(min=1, help="Samples per step.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 2e-3,
    eta: Annotated[float, typer.Option(help="Weight of the loss's global term.")] = 0.1,
    band: Annotated[str, typer.Option(help="Band to train on.")] = "x",
    seed: Annotated[int, typer.Option(help="Seed of weights and samples.")] = 0,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to start from.")] = None,
) -> None:
    """Train a network on days of files and write its checkpoint."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from runtime.grid import Grid
    from training import checkpoint, presets
    from training.fit import Schedule
    from training.fit import fit as train
    from training.samples import DayStack

    chosen = presets.load(preset)
    grid = Grid.globe()
    stacks = [DayStack.read(folder, grid, band) for folder in data]
    columns = (TextColumn("loss {task.fields[loss]:.4f}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bars:
        task = bars.add_task("fit", total=steps, loss=float("nan"))
        smooth = 0.0

        def report(step: int, loss: float) -> None:
            nonlocal smooth
            smooth = loss if step == 1 else 0.98 * smooth + 0.02 * loss
            bars.update(task, completed=step, loss=smooth)
            if step % 200 == 0 and not bars.console.is_terminal:
                print(f"step {step} of {steps}: loss {smooth:.4f}", flush=True)

        result = train(
            chosen,
            stacks,
            Schedule(steps, batch, learning_rate, eta, seed=seed),
            start=checkpoint.load(start) if start else None,
            report=report,
            record={
                "days": [
                    f"{len(s.sm)} days from {s.first} in {folder.name}" for s, folder in zip(stacks, data, strict=True)
                ],
                "band": band,
            },
        )
    checkpoint.save(out, result)
    print(f"wrote {out}: loss {smooth:.4f}")


def main() -> None:
    """Run the command line."""
    app()
