"""``python -m export ...``: parse, call, print."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from runtime.bundle import find_bundle, load_bundle
from runtime.errors import SeamlessError, UsageError

app = typer.Typer(name="export", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _app() -> None:
    """Turn a checkpoint into a model bundle."""


@contextmanager
def _failing() -> Iterator[None]:
    """Turn an expected failure into one line and its exit code."""
    try:
        yield
    except (SeamlessError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code if isinstance(error, SeamlessError) else 2) from None


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
    from export.accuracy import read_accuracy
    from export.onnx import export_bundle
    from training.checkpoint import load_checkpoint

    with _failing():
        bundle, checked = export_bundle(
            load_checkpoint(checkpoint),
            out,
            version=version,
            products=tuple(product or ["lprm-amsr2"]),
            bands=tuple(band or ["x"]),
            accuracy=read_accuracy(report, out.name) if report else None,
            overwrite=overwrite,
        )
    print(f"wrote {out}: {bundle.manifest.kind} kind, model id {bundle.model_id[:12]}")
    print(
        f"parity with PyTorch on {checked.cases} cases: {checked.worst:.1e} of the output's spread {checked.spread:.3f}"
    )


@app.command(
    epilog="Examples: python -m export tensorrt --bundle sgdsm1-amsr2-x --capability sm86 --capability sm89; "
    "python -m export tensorrt --bundle bundles/mine --flavour tensorrt --precision fp16"
)
def tensorrt(
    bundle: Annotated[str, typer.Option(help="A shipped bundle's name, or a folder.")],
    flavour: Annotated[
        str, typer.Option(help="tensorrt-rtx, or tensorrt (builds on the GPU it is for).")
    ] = "tensorrt-rtx",
    precision: Annotated[str, typer.Option(help="Of the multiplications: fp32, fp16 or bf16.")] = "fp32",
    capability: Annotated[
        list[str] | None, typer.Option(help="Compute capability to build for, repeatable.  [default: this GPU's]")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder of engines: the runtime's paths.engines.")] = Path(
        "archive/.engines"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the build records.")] = False,
) -> None:
    """Build TensorRT engines of a bundle into the runtime's cache. The bundle is not changed.

    An engine is checked against ONNX Runtime where it can run; elsewhere that is done by the first run on its GPU.
    """
    from export import tensorrt as building
    from runtime.bundle import find_bundle, load_bundle
    from runtime.engines.tensorrt.library import FLAVOURS

    with _failing():
        if flavour not in FLAVOURS or precision not in ("fp32", "fp16", "bf16"):
            raise UsageError(f"--flavour is {' or '.join(FLAVOURS)}, --precision is fp32, fp16 or bf16")
        loaded = load_bundle(find_bundle(bundle))
        for target in building.build_targets(flavour, capability or []):
            folder, record = building.make_engine(loaded, flavour, precision, target, cache)
            if as_json:
                print(record.model_dump_json())
                continue
            checked = (
                f"differs from ONNX Runtime by {record.parity.worst:.1e} of the spread"
                if record.parity
                else "not run yet: this machine has no such GPU"
            )
            print(
                f"{folder}: {record.plan_bytes / 2**20:.1f} MiB, all {record.nodes} nodes taken, "
                f"{len(record.layers)} layers; {checked}"
            )


@app.command(
    epilog="Example: python -m export precision --bundle seamless-amsr2-x --precision bf16 --data lprm_april2015_x "
    "--consolidated 2015-04-13:2015-04-16 --provisional 2015-04-17:2015-04-20 --out bundles/seamless-amsr2-x"
)
def precision(
    bundle: Annotated[str, typer.Option(help="A shipped bundle's name, or a folder.")],
    precision: Annotated[str, typer.Option(help="bf16, fp16 or int8.")],
    data: Annotated[Path, typer.Option(help="Folder of LPRM files.")],
    out: Annotated[Path, typer.Option(help="Bundle folder to write; appears whole or not at all.")],
    consolidated: Annotated[str, typer.Option(help="Days to judge with their future, FIRST:LAST.")] = "",
    provisional: Annotated[str, typer.Option(help="Days to judge without it, FIRST:LAST.")] = "",
    rain: Annotated[Path | None, typer.Option(help="Folder of IMERG files.  [default: --data]")] = None,
    product: Annotated[str, typer.Option(help="lprm-amsr2, lprm-amsre or lprm-windsat.")] = "lprm-amsr2",
    orbit: Annotated[str, typer.Option(help="descending or ascending.")] = "descending",
    band: Annotated[str, typer.Option(help="c, c1, c2 or x.")] = "x",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing bundle.")] = False,
) -> None:
    """Offer a trained bundle in a lower precision, if real days show that it keeps its accuracy."""
    from export import precision as offering

    pass
    from runtime.common.grid import Grid
    from runtime.common.vocabulary import Precision
    from training.cli import parse_days
    from training.recipe import Data

    with _failing():
        if precision not in ("bf16", "fp16", "int8"):
            raise UsageError(f"--precision {precision}: wanted bf16, fp16 or int8")
        chosen: Precision = precision  # type: ignore[assignment]
        days = {"consolidated": parse_days(consolidated), "provisional": parse_days(provisional)}
        source = Data(granules=data, rain=rain or data, product=product, orbit=orbit, band=band)  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as scratch:
            record = source.open(Path(scratch), Grid.globe())
            loaded = load_bundle(find_bundle(bundle))
            made, moved = offering.offer(
                loaded,
                chosen,
                record,
                days,
                out,
                overwrite=overwrite,
                say=lambda line: print(line, flush=True),
            )
    offered = ", ".join(("fp32", *made.manifest.precisions))
    print(
        f"wrote {out}: {made.manifest.name} in {offered}; in {precision} the filled field moves by "
        f"{moved.rmse:.5f} m3 m-3, the held-out RMSE by {100 * (moved.held_out - 1):+.2f} %"
    )


def main() -> None:
    """Run the command line."""
    app()
