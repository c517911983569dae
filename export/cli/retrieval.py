"""``python -m export retrieval``: export a checkpoint of a retrieval as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.cli.common import export_command


@export_command(
    "retrieval",
    epilog="Example: python -m export retrieval --checkpoint runs/fusion/last.safetensors --out bundles/mine",
)
def retrieval(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint that `python -m training fusion` wrote.")],
    out: Annotated[Path, typer.Option(help="Bundle folder; it is written completely or not at all.")],
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    report: Annotated[
        Path | None, typer.Option(help="report.md of `python -m training evaluate-fusion`, for the model card.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing bundle.")] = False,
) -> None:
    """Export to ONNX, check the graph against PyTorch, and write the bundle if both agree."""
    from export.retrieval import export_retrieval
    from training.fusion.fit import load_fusion

    accuracy = report.read_text().partition("\n\n")[2] if report else "Not measured."
    made, parity = export_retrieval(
        load_fusion(checkpoint), out, version=version, accuracy=accuracy, overwrite=overwrite
    )
    print(f"wrote {out}: {made.manifest.kind} kind, model id {made.model_id[:12]}")
    print(
        f"largest difference from PyTorch in {parity.cases} cases: {parity.worst:.1e} of the output's standard "
        f"deviation, {parity.spread:.3f}"
    )
