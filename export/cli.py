"""``python -m export ...``: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from runtime.errors import SeamlessError

app = typer.Typer(name="export", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _app() -> None:
    """Turn a checkpoint into a model bundle."""


@app.command(epilog="Example: python -m export onnx --checkpoint runs/sgdsm1.safetensors --out bundles/sgdsm1-amsr2-x")
def onnx(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint that `python -m training` wrote.")],
    out: Annotated[Path, typer.Option(help="Bundle folder to write; appears whole or not at all.")],
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    product: Annotated[
        list[str] | None, typer.Option(help="Accepted product, repeatable.  [default: lprm-amsr2]")
    ] = None,
    band: Annotated[list[str] | None, typer.Option(help="Accepted band, repeatable.  [default: x]")] = None,
    report: Annotated[
        Path | None, typer.Option(help="report.json of an evaluation of this recipe: error table, sigma, model card.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing bundle.")] = False,
) -> None:
    """Export to ONNX, check it against PyTorch, and write the bundle only if both agree."""
    from export import accuracy
    from export.onnx import export_bundle
    from training import checkpoint as checkpoints

    try:
        bundle, checked = export_bundle(
            checkpoints.load(checkpoint),
            out,
            version=version,
            products=tuple(product or ["lprm-amsr2"]),
            bands=tuple(band or ["x"]),
            accuracy=accuracy.read(report, out.name) if report else None,
            overwrite=overwrite,
        )
    except (SeamlessError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code if isinstance(error, SeamlessError) else 2) from None
    print(f"wrote {out}: {bundle.manifest.kind} kind, model id {bundle.model_id[:12]}")
    print(
        f"parity with PyTorch on {checked.cases} cases: {checked.worst:.1e} of the output's spread {checked.spread:.3f}"
    )


def main() -> None:
    """Run the command line."""
    app()
