"""``python -m training examples``: write made-up examples to train a retrieval on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.common.text import counted
from training.cli.common import training_command


@training_command("examples", epilog="Example: python -m training examples --out runs/examples --sensors 200 --times 6")
def examples(
    out: Annotated[Path, typer.Option(help="Folder to write shards to.")],
    sensors: Annotated[int, typer.Option(min=1, max=500, help="Number of made-up sensors.")] = 200,
    times: Annotated[int, typer.Option(min=1, help="Examples of each sensor.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed of the made-up world.")] = 100,
    every_field: Annotated[
        bool, typer.Option("--every-field", help="Write all 106 fields, not only those that a network reads.")
    ] = False,
) -> None:
    """Write examples of the made-up world of `runtime demo --fusion`, 50 sensors a shard."""
    from rich.progress import track

    from runtime.demo.fusion import made_up_examples, made_up_sensors, write_shard

    firsts = range(0, sensors, 50)
    for number, first in enumerate(track(firsts, "shards", transient=True)):
        places = made_up_sensors(min(50, sensors - first), seed, first)
        path = out / f"data-{number:05d}-of-{len(firsts):05d}.tfrecord.gz"
        write_shard(path, made_up_examples(places, times, seed + number, every_field=every_field))
    print(f"wrote {counted(sensors * times, 'example')} to {out}")
