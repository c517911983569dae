"""``python -m training random``: write a checkpoint with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import training_command


@training_command(
    "random", epilog="Example: python -m training random --preset stpcnn-paper --out runs/paper.safetensors"
)
def random(
    preset: Annotated[str, typer.Option(help="Name of a packaged preset, or a TOML file.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
) -> None:
    """Write a checkpoint with random weights, to measure speed."""
    import torch

    from training.checkpoint import Checkpoint, save_checkpoint
    from training.models import build_network
    from training.presets import load_preset

    torch.manual_seed(seed)
    chosen = load_preset(preset)
    save_checkpoint(out, Checkpoint(build_network(chosen.model), chosen))
    print(f"wrote {out}")
