"""``python -m export tensorrt``: build TensorRT engines of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.cli.common import export_command


@export_command(
    "tensorrt",
    epilog="Examples: python -m export tensorrt --bundle sgdsm1-amsr2-x --capability sm86 --capability sm89; "
    "python -m export tensorrt --bundle bundles/mine --flavour tensorrt --precision fp16",
)
def tensorrt(
    bundle: Annotated[str, typer.Option(help="Name of a shipped bundle, or a bundle's folder.")],
    flavour: Annotated[
        str, typer.Option(help="tensorrt-rtx, or tensorrt (builds only for the GPU of this machine).")
    ] = "tensorrt-rtx",
    precision: Annotated[str, typer.Option(help="Number type of the multiplications: fp32, fp16 or bf16.")] = "fp32",
    capability: Annotated[
        list[str] | None,
        typer.Option(help="Compute capability to build for, repeatable.  [default: that of this machine's GPU]"),
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder of engines: the runtime's paths.engines.")] = Path(
        "archive/.engines"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the build records as JSON.")] = False,
) -> None:
    """Build TensorRT engines of a bundle into the runtime's cache. The bundle is not changed.

    If this machine has the GPU of an engine, the engine is checked against ONNX Runtime. If not, the first run on that
    GPU checks it.
    """
    from export.tensorrt import build_targets, make_engine
    from runtime.bundle import find_bundle, load_any_bundle
    from runtime.engines.tensorrt.library import FLAVOURS
    from runtime.errors import UsageError

    if flavour not in FLAVOURS or precision not in ("fp32", "fp16", "bf16"):
        raise UsageError(f"--flavour is {' or '.join(FLAVOURS)}, --precision is fp32, fp16 or bf16")
    loaded = load_any_bundle(find_bundle(bundle))
    for target in build_targets(flavour, capability or []):
        folder, record = make_engine(loaded, flavour, precision, target, cache)
        if as_json:
            print(record.model_dump_json())
            continue
        check = "not run yet: this machine has no such GPU"
        if record.parity:
            check = f"differs from ONNX Runtime by {record.parity.worst:.1e} of the output's standard deviation"
        print(
            f"{folder}: {record.plan_bytes / 2**20:.1f} MiB, all {record.nodes} nodes taken, "
            f"{len(record.layers)} layers; {check}"
        )
