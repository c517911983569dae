"""``python -m export import-tf``: import the authors' trained network as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.cli.common import export_command


@export_command(
    "import-tf",
    epilog="Example: python -m export import-tf --saved-model exported_model --examples 'data-*.tfrecord.gz' "
    "--out bundles/batchu-2023",
)
def import_tf(
    saved_model: Annotated[
        Path,
        typer.Option(
            help="Folder of a TensorFlow SavedModel with the tag serve and the tensors ImageTensor:0, "
            "LowResImageTensor:0, AuxTensor:0 and clip_by_value:0."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Bundle folder; it is written completely or not at all.")],
    examples: Annotated[
        list[Path] | None,
        typer.Option(
            help="TFRecord file, folder of such files, or a pattern, with the examples for the comparison; may be "
            "repeated.  [default: made-up examples]"
        ),
    ] = None,
    num: Annotated[int, typer.Option(min=2, help="Number of examples to compare.")] = 20,
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing bundle.")] = False,
) -> None:
    """Convert the data-fusion network of Batchu et al. to ONNX, and write a bundle if it computes what TensorFlow does.

    Needs `pip install 'seamless-sm[import-tf]'`.
    """
    from export.saved_model import import_saved_model
    from runtime.retrieval.run import find_shards

    made, parity = import_saved_model(
        saved_model, out, find_shards(examples or ()), most=num, version=version, overwrite=overwrite
    )
    print(f"wrote {out}: {made.manifest.kind} kind, model id {made.model_id[:12]}")
    print(
        f"largest difference from TensorFlow in {parity.cases} examples: {parity.worst:.1e} of the output's standard "
        f"deviation, {parity.spread:.3f}"
    )
