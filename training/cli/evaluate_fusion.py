"""``python -m training evaluate-fusion``: judge retrievals by their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import training_command


@training_command(
    "evaluate-fusion",
    epilog="Example: python -m training evaluate-fusion --bundle bundles/smap-gldas --bundle bundles/all "
    "--reference smap-gldas --examples 'full/data-*.tfrecord.gz' --archive archive --out report",
)
def evaluate_fusion(
    bundle: Annotated[list[str], typer.Option(help="Bundle of the retrieval kind, by name or folder; repeatable.")],
    examples: Annotated[
        list[Path], typer.Option(help="TFRecord file, folder of such files, or a pattern; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write the report to.")],
    reference: Annotated[
        str, typer.Option(help="Name of the bundle that the others are compared with, in percent.")
    ] = "",
    archive: Annotated[
        Path | None, typer.Option(help="Folder of an archive, whose values at the places and days are a row too.")
    ] = None,
    seed: Annotated[int, typer.Option(help="`split.seed` of the training.")] = 0,
    validation: Annotated[float, typer.Option(help="`split.validation` of the training.")] = 0.15,
    test: Annotated[float, typer.Option(help="`split.test` of the training.")] = 0.15,
    engine: Annotated[str, typer.Option(help="auto, cpu, openvino, cuda or tensorrt.")] = "auto",
) -> None:
    """Print ubRMSE, RMSE and R of retrievals, of SMAP and GLDAS, and of an archive, at stations kept back."""
    from runtime.bundle import find_bundle, load_retrieval
    from runtime.engines.select import EngineSettings
    from runtime.retrieval.run import find_shards
    from training.evaluate.writing import MARKDOWN
    from training.fusion.evaluate import collect, write_fusion_report
    from training.fusion.examples import SplitRule

    loaded = [load_retrieval(find_bundle(name)) for name in bundle]
    names = [each.manifest.name for each in loaded]
    if len(set(names)) < len(names) or (reference and reference not in names):
        raise ValueError(f"--reference is one of {', '.join(names)}, and each bundle has a name of its own")
    shards = find_shards(examples)
    found = collect(loaded, shards, EngineSettings(engine), archive)  # type: ignore[arg-type]
    rule = SplitRule(seed, validation, test)
    about = f"{len(shards)} files, the first {shards[0].name}; m3 m-3 except R and n."
    if reference:
        about += f" In brackets: how much better than {reference}."
    print(write_fusion_report(out, found, rule, reference, about))
    print(f"wrote {out / MARKDOWN}")
