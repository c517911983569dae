"""``python -m export onnx``: export a checkpoint as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.cli.common import export_command
from runtime.errors import UsageError


@export_command(
    "onnx",
    epilog="Example: python -m export onnx --checkpoint runs/sgdsm1.safetensors --out bundles/sgdsm1-amsr2-x",
)
def onnx(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint that `python -m training` wrote.")],
    out: Annotated[Path, typer.Option(help="Bundle folder; it is written completely or not at all.")],
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    product: Annotated[
        list[str] | None, typer.Option(help="Accepted product, repeatable.  [default: lprm-amsr2]")
    ] = None,
    band: Annotated[list[str] | None, typer.Option(help="Accepted band, repeatable.  [default: x]")] = None,
    any_product: Annotated[
        bool,
        typer.Option("--any-product", help="Accept every product and band, with a warning on those not judged."),
    ] = False,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            help="report.json of an evaluation of this recipe: gives the error table, scales sigma, and is part of the "
            "model card. Repeatable: of further ones, on other seasons, only sigma is taken; it is scaled by the mean."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing bundle.")] = False,
) -> None:
    """Export to ONNX, check the graph against PyTorch, and write the bundle if both agree."""
    from export.accuracy import read_accuracy
    from export.onnx import export_bundle
    from runtime.manifest import ANY
    from training.checkpoint import load_checkpoint

    if any_product and (product or band):
        raise UsageError("--any-product accepts all; leave out --product and --band")
    bundle, parity = export_bundle(
        load_checkpoint(checkpoint),
        out,
        version=version,
        products=(ANY,) if any_product else tuple(product or ["lprm-amsr2"]),
        bands=(ANY,) if any_product else tuple(band or ["x"]),
        accuracies=tuple(read_accuracy(each, out.name) for each in report or ()),
        overwrite=overwrite,
    )
    print(f"wrote {out}: {bundle.manifest.kind} kind, model id {bundle.model_id[:12]}")
    print(
        f"largest difference from PyTorch in {parity.cases} cases: {parity.worst:.1e} of the output's standard "
        f"deviation, {parity.spread:.3f}"
    )
