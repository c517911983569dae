"""``python -m training fusion``: train a retrieval."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import training_command

logger = logging.getLogger(__name__)


@training_command(
    "fusion",
    epilog="Example: python -m training fusion --preset all --examples 'full/data-*.tfrecord.gz' --out runs/fusion",
)
def fusion(
    examples: Annotated[
        list[Path], typer.Option(help="TFRecord file, folder of such files, or a pattern; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped or killed run in it is resumed.")],
    preset: Annotated[
        str, typer.Option(help="Which sources are read: smap-gldas, s1-dem, s1-dem-s2, s1-dem-s2-soil or all.")
    ] = "all",
    override: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, repeatable; replaces a value of the preset.")
    ] = None,
    packed: Annotated[Path, typer.Option(help="Folder of the arrays made from the examples.")] = Path("runs/packed"),
    workers: Annotated[int, typer.Option(min=0, help="Number of processes that read examples.")] = 0,
    source: Annotated[str, typer.Option(help="What the examples are; part of the model card.")] = "",
) -> None:
    """Train a network that retrieves soil moisture from images; the result is `last.safetensors` in the folder.

    Whole stations are kept back for validation and for the test, by their name and `split.seed`.
    """
    from rich.progress import track

    from runtime.retrieval.run import find_shards
    from training.cli.progress import TrainingBar
    from training.fusion.examples import pack
    from training.fusion.fit import FusionRun, split_text
    from training.fusion.recipe import fusion_recipe
    from training.loop import LAST
    from training.stop import EXIT_CODE, TrainingStopped

    recipe = fusion_recipe(preset, override or ())
    first = os.environ.get("RANK", "0") == "0"
    shards = find_shards(examples)
    inputs = recipe.model.config().inputs()
    arrays = pack(shards, inputs, packed, lambda each, title: track(each, title, transient=True))
    bar = TrainingBar() if first else None
    words = source or f"{len(shards)} shards, the first {shards[0].name}"
    run = FusionRun(out, recipe, arrays, words, workers=workers, events=bar)
    if first:
        print(f"{split_text(run)}; {run.steps} steps on {run.fabric.device.type}")
    try:
        with bar or nullcontext():
            run.fit()
    except TrainingStopped as stopped:
        if first:
            logger.warning(f"{stopped}; the same command resumes there")
        raise typer.Exit(EXIT_CODE) from None
    if first:
        print(f"wrote {out / LAST}")
