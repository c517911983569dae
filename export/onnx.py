"""PyTorch network -> ONNX graph -> checked bundle folder."""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path

import torch

from export import card, parity
from export.accuracy import Accuracy
from export.graph import trace_graph
from export.signature import STATE, example_inputs, output_names
from export.stages import check_stages, write_stages
from runtime.bundle import CARD, GRAPH, MANIFEST, Bundle, Manifest, Stage, StateTensor, load_bundle
from runtime.common import digest
from runtime.errors import BundleError
from training.checkpoint import Checkpoint
from training.models import LSTMCNN, STPCNN, Model, Seamless, stride


def write_graph(model: Model, path: Path) -> None:
    """Export the network to ONNX with a dynamic number of tiles, and dynamic height and width where it convolves only.

    Weights over `export.graph.EMBEDDED_LIMIT` go into ``model.onnx.data`` beside it.
    """
    model = model.eval()
    batch = torch.export.Dim("n", min=1)
    step = stride(model.config)
    tile = model.config.tile if isinstance(model, LSTMCNN) else 2 * model.config.halo + 12
    inputs = example_inputs(model, 2, tile)
    smallest = 2 * model.config.halo // step + 1
    height, width = (step * torch.export.Dim(name, min=smallest) for name in ("h_in", "w_in"))
    shapes: dict[str, dict[int, object]] = {}
    for name, value in inputs.items():
        shapes[name] = {0: batch}
        if not isinstance(model, LSTMCNN):
            shapes[name] |= {value.ndim - 2: height, value.ndim - 1: width}
    trace_graph(model, inputs, output_names(model), tuple(shapes[name] for name in inputs), path)


def export_bundle(
    checkpoint: Checkpoint,
    out: Path,
    *,
    name: str | None = None,
    version: str = "1",
    products: tuple[str, ...] = ("lprm-amsr2",),
    bands: tuple[str, ...] = ("x",),
    accuracy: Accuracy | None = None,
    overwrite: bool = False,
) -> tuple[Bundle, parity.ParityReport]:
    """Export a checkpoint and write its bundle, only if ONNX Runtime computes what PyTorch does.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network and its preset.
    out : Path
        The bundle's folder. It appears whole or not at all.
    name, version, products, bands
        As in `runtime.bundle.Manifest`; the name defaults to the folder's.
    accuracy : Accuracy, optional
        What an evaluation of this recipe said: its error table goes into the manifest, its correction into sigma, its
        figures into the card.
    overwrite : bool
        Replace a bundle that is already there.

    Raises
    ------
    BundleError
        `out` exists, or the parity gate failed.
    """
    if out.exists() and not overwrite:
        raise BundleError(f"{out} exists; choose another --out or add --overwrite")
    model, preset = copy.deepcopy(checkpoint.model).eval(), checkpoint.preset
    judged = accuracy.bundles[name or out.name] if accuracy else None
    if judged and judged.sigma_ratio and isinstance(model, Seamless):
        model.sigma_scale *= judged.sigma_ratio
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        write_graph(model, folder / GRAPH)
        report = parity.check_parity(model, folder / GRAPH)
        stages: tuple[Stage, ...] = ()
        if isinstance(model, STPCNN):
            stages = write_stages(model, folder)
            check_stages(stages, folder, model.config.halo, model.config.window)
        state: tuple[StateTensor, ...] = ()
        if isinstance(model, LSTMCNN):
            memory = model.config.memory
            state = tuple(
                StateTensor(name=tensor, shape=shape)
                for tensor, shape in zip(STATE, ((memory,), (memory,), (1,)), strict=True)
            )
        half = 0 if isinstance(model, LSTMCNN) else model.config.window // 2
        manifest = Manifest(
            name=name or out.name,
            version=version,
            kind="recurrent" if isinstance(model, LSTMCNN) else "window",
            products=products,
            bands=bands,
            window=tuple(range(-half, half + 1)),
            tile_core=preset.tile_core,
            halo=model.config.halo,
            batch=preset.batch,
            stages=stages,
            state=state,
            spin_up_days=preset.spin_up_days,
            stride=stride(model.config),
            takes_rain=isinstance(model, Seamless | LSTMCNN),
            gives_sigma=isinstance(model, Seamless),
            errors=judged.errors if judged else None,
            training=checkpoint.record,
        )
        (folder / CARD).write_text(card.render(manifest, preset, report, accuracy))
        files = {f.name: digest.of_file(f) for f in sorted(folder.iterdir())}
        manifest = manifest.model_copy(update={"files": files})
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
    return load_bundle(out), report
