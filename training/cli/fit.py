"""``python -m training fit``: train a network."""

from __future__ import annotations

import logging
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from runtime.common.text import counted
from training.cli.common import training_command

if TYPE_CHECKING:
    from training.recipe import Recipe
    from training.samples import Samples, TrainingArchive


logger = logging.getLogger(__name__)
_SHOWN = 256
"""Samples whose hidden shares a dry run prints."""


@training_command(
    "fit",
    epilog="Examples: python -m training fit --config seamless-2 --data-root ../shared/data --out runs/mine · "
    "torchrun --nproc-per-node 2 -m training fit --config mine.toml --out runs/mine",
)
def fit(
    config: Annotated[str, typer.Option(help="Name of a packaged recipe, or a TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped or killed run in it is resumed.")],
    data_root: Annotated[
        Path, typer.Option(envvar="SEAMLESS_SM_DATA", help="Folder that the recipe's data paths are relative to.")
    ] = Path(),
    override: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, repeatable; replaces a value of the recipe.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to start from instead of random weights.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Number of processes that draw samples; with 0 this process draws them.")
    ] = 0,
    records: Annotated[Path, typer.Option(help="Folder of the training archives made from granules.")] = Path(
        "runs/records"
    ),
    dry_run: Annotated[
        bool, typer.Option(help="Open the data, print the number of steps, places and masks, and stop.")
    ] = False,
) -> None:
    """Train a network with the settings of a recipe; the result is `last.safetensors` in the folder of the run."""
    from training.checkpoint import load_checkpoint
    from training.cli.progress import TrainingBar
    from training.fit import TrainingRun
    from training.loop import LAST
    from training.recipe import load_recipe
    from training.stop import EXIT_CODE, TrainingStopped

    recipe = load_recipe(config, override or (), data_root)
    if not recipe.data:
        raise ValueError(f"{config} names no data; add [[data]], or --set 'data.0.granules=FOLDER'")
    first = os.environ.get("RANK", "0") == "0"
    bar = TrainingBar() if first else None
    run = TrainingRun(out, recipe, _open_archives(recipe, records, first), workers=workers, events=bar)
    if first:
        for archive in run.archives:
            print(f"data: {archive.source}")
        print(
            f"{len(run.samples)} places, {run.epoch} steps an epoch, {run.steps} steps in all, "
            f"{counted(run.fabric.world_size, 'process')} on {run.fabric.device.type}"
        )
    if dry_run:
        if first:
            _print_masks(run.samples)
        return
    try:
        with bar or nullcontext():
            run.fit(load_checkpoint(start) if start else None)
    except TrainingStopped as stopped:
        if first:
            logger.warning(f"{stopped}; the same command resumes there")
        raise typer.Exit(EXIT_CODE) from None
    if first:
        print(f"wrote {out / LAST}")


def _print_masks(samples: Samples) -> None:
    """Print the number of real masks of each source, and how much they and the first samples hide."""
    for pool in samples.pools:
        cells = f"{pool.geometry.patch} x {pool.geometry.patch} cells"
        print(f"masks: {len(pool)} of {cells}, share of gaps {_quartiles(pool.shares())}: {pool.source.archive.source}")
    hidden = _quartiles(samples.hidden_shares(_SHOWN))
    print(f"samples: share hidden of the cells with a label {hidden}: the first {_SHOWN} samples")


def _quartiles(shares: NDArray[np.float64]) -> str:
    """Return the smallest value, the quartiles and the largest value as text."""
    least, lower, median, upper, most = np.quantile(shares, [0, 0.25, 0.5, 0.75, 1])
    return f"{least:.2f} to {most:.2f}, quartiles {lower:.2f} {median:.2f} {upper:.2f}"


def _open_archives(recipe: Recipe, folder: Path, first: bool) -> list[TrainingArchive]:
    """Return the training archives of a recipe; the first process makes those that do not exist, the others wait."""
    from runtime.common.grid import Grid
    from training.cli.progress import days_bar

    grid = Grid.globe()
    while not first and not all(section.is_made(folder, grid) for section in recipe.data):
        time.sleep(0.5)
    with days_bar() as progress:
        return [section.open(folder, grid, progress) for section in recipe.data]
