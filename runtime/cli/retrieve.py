"""``runtime retrieve``: soil moisture at places and times from images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, cast

import typer

from runtime.cli.common import LogFormatOption, command
from runtime.common.logs import LogFormat
from runtime.common.text import counted

logger = logging.getLogger(__name__)


@command(
    epilog="Examples: `runtime retrieve --bundle fusion-made-up --examples shard.tfrecord.gz --num 20`; "
    "`runtime retrieve --bundle mine --examples 'data-*.tfrecord.gz' --archive archive --out retrieved.csv`"
)
def retrieve(
    bundle: Annotated[str, typer.Option(help="Name of a bundle of the retrieval kind, or its folder.")],
    examples: Annotated[
        list[Path], typer.Option(help="TFRecord file of tf.train.Example, or a pattern of such files; may be repeated.")
    ],
    more: Annotated[list[Path] | None, typer.Argument(metavar="[SHARD]...", help="More such files.")] = None,
    num: Annotated[int | None, typer.Option(min=1, help="Number of examples.  [default: all]")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Table to write, .csv or .parquet.  [default: CSV on the terminal]")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="Folder of an archive, for its value, flag and uncertainty there and then.")
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, cpu, openvino, cuda or tensorrt.")] = "auto",
    engines: Annotated[Path | None, typer.Option(help="Folder of built TensorRT engines.")] = None,
    log_format: LogFormatOption = LogFormat.AUTO,
) -> None:
    """Estimate soil moisture at places and times from images: one number for each example of TFRecord files.

    An example that cannot be used is named with its file and the reason; the others go on, and the exit code is 4.
    """
    from runtime.bundle import find_bundle, load_retrieval
    from runtime.cli.progress import share_bar
    from runtime.common.vocabulary import EngineName
    from runtime.engines.select import EngineSettings
    from runtime.retrieval.run import find_shards, require_all_used, retrieve_to

    shards = find_shards([*examples, *(more or ())])
    settings = EngineSettings(cast(EngineName, engine), cache=engines)
    with share_bar("examples") as progress:
        counts = retrieve_to(
            out, load_retrieval(find_bundle(bundle)), shards, settings, archive=archive, most=num, progress=progress
        )
    logger.info(
        f"{counted(counts.done, 'example')} of {counted(len(shards), 'file')}, {counts.labelled} with a label, in "
        f"{counts.seconds:.1f} s; {counts.engine}" + (f"; wrote {out}" if out else "")
    )
    require_all_used(counts)
