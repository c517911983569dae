"""``python -m training combine``: add the readings of ISMN to examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import training_command


@training_command(
    "combine", epilog="Example: python -m training combine --ismn ismn.zip --examples 'data-*.tfrecord.gz' --out full"
)
def combine(
    ismn: Annotated[Path, typer.Option(help="ISMN zip in CEOP format, 2015-01-01 to 2022-01-01, or its folder.")],
    examples: Annotated[
        list[Path], typer.Option(help="TFRecord file, folder of such files, or a pattern; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the result; shards that are there already are left out.")],
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
) -> None:
    """Add the readings of ISMN to examples without a label; one without a reading is left out, and said so."""
    from runtime.retrieval.run import find_shards
    from training.fusion.combine import CombineCounts, combine_shards

    def show(shard: Path, counts: CombineCounts) -> None:
        print(f"{shard.name}: {_text(counts)}", flush=True)

    def _text(counts: CombineCounts) -> str:
        text = f"{counts.done} done, {counts.lookup_failures} lookup failures, {counts.value_failures} value failures"
        return text + (f", {counts.refused} records that cannot be read" if counts.refused else "")

    shards = find_shards(examples)
    total = combine_shards(shards, ismn, out, workers, show)
    print(f"{len(shards)} shards in {out}; now: {_text(total)}")
