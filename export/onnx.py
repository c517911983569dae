"""Export a PyTorch network as an ONNX graph, check it, and write the bundle."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from export import parity
from export.accuracy import Accuracy, mean_sigma_fit
from export.card import render_card
from export.compare import ParityReport
from export.folder import new_bundle_folder, write_manifest
from export.graph import trace_graph
from export.memory import bytes_per_cell
from export.signature import STATE, example_inputs, output_names
from export.stages import check_stages, write_stages
from runtime.bundle import CARD, GRAPH, Bundle, load_bundle
from runtime.common.vocabulary import ModelKind
from runtime.manifest import ANY, Manifest, Stage, StateTensor
from training.checkpoint import Checkpoint
from training.models import LSTMCNN, STPCNN, Model, Seamless, stride


def write_graph(model: Model, path: Path) -> None:
    """Export a network to ONNX; the number of tiles may vary, and the height and width if it only convolves.

    Parameters
    ----------
    model : Model
        The network.
    path : Path
        The file to write. Weights over `export.graph.EMBEDDED_LIMIT` are written to ``{name}.data`` in the same folder.
    """
    model = model.eval()
    batch = torch.export.Dim("n", min=1)
    step = stride(model.config)
    tile = model.config.tile if isinstance(model, LSTMCNN) else 2 * model.config.halo + max(12, 3 * step)
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
    accuracies: tuple[Accuracy, ...] = (),
    overwrite: bool = False,
) -> tuple[Bundle, ParityReport]:
    """Export a checkpoint and write its bundle, if ONNX Runtime computes the same as PyTorch.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network and its preset.
    out : Path
        Folder of the bundle; it is written completely or not at all.
    name : str, optional
        Name of the bundle; that of the folder if not given.
    version : str
        Version of the bundle.
    products, bands : tuple of str
        Soil-moisture products and bands that the bundle accepts, or `runtime.manifest.ANY`.
    accuracies : tuple of Accuracy
        Evaluations of this recipe. Error table and scores of the first one become part of the manifest, and its figures
        of the model card. The geometric mean of the fits of all scales sigma (`export.accuracy.mean_sigma_fit`).
    overwrite : bool
        Whether an existing bundle is replaced.

    Returns
    -------
    bundle : Bundle
        The bundle.
    report : ParityReport
        The differences between ONNX Runtime and PyTorch.

    Raises
    ------
    BundleError
        `out` exists, or the graph does not compute the same as the network.
    """
    model = copy.deepcopy(checkpoint.model).eval()
    name = name or out.name
    first = accuracies[0] if accuracies else None
    sigma_fit = mean_sigma_fit(accuracies, name) if isinstance(model, Seamless) else None
    if sigma_fit and isinstance(model, Seamless):
        model.sigma_scale.fill_(sigma_fit[0])
        model.sigma_power.fill_(sigma_fit[1])
    with new_bundle_folder(out, overwrite) as folder:
        write_graph(model, folder / GRAPH)
        report = parity.check_parity(model, folder / GRAPH)
        stages: tuple[Stage, ...] = ()
        if isinstance(model, STPCNN):
            stages = write_stages(model, folder)
            check_stages(stages, folder, model.config.halo, model.config.window)
        manifest = Manifest(
            name=name,
            version=version,
            products=products,
            bands=bands,
            tile_core=checkpoint.preset.tile_core,
            batch=checkpoint.preset.batch,
            spin_up_days=checkpoint.preset.spin_up_days,
            stages=stages,
            sigma_fit=sigma_fit,
            errors=first.bundles[name].errors if first else None,
            judged=(first.judgement(name, *_only(products, bands)),) if first else (),
            training=checkpoint.record,
            bytes_per_cell=bytes_per_cell(folder / GRAPH, model.config.halo, stride(model.config)),
            **_network_fields(model),
        )
        (folder / CARD).write_text(render_card(manifest, checkpoint.preset, report, accuracies))
        write_manifest(folder, manifest)
    return load_bundle(out), report


def _only(products: tuple[str, ...], bands: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Return the product and the band that a bundle accepts, if it accepts only one."""
    if len(products) != 1 or len(bands) != 1 or ANY in (*products, *bands):
        return None, None
    return products[0], bands[0]


def _network_fields(model: Model) -> dict[str, Any]:
    """Return the fields of the manifest that depend on the network alone."""
    fields: dict[str, Any] = {
        "halo": model.config.halo,
        "stride": stride(model.config),
        "takes_rain": isinstance(model, Seamless | LSTMCNN),
        "gives_sigma": isinstance(model, Seamless),
    }
    if isinstance(model, LSTMCNN):
        memory = model.config.memory
        shapes = ((memory,), (memory,), (1,))
        state = tuple(StateTensor(name=name, shape=shape) for name, shape in zip(STATE, shapes, strict=True))
        return fields | {"kind": ModelKind.RECURRENT, "window": (0,), "state": state}
    half = model.config.window // 2
    window = model.config.offsets if isinstance(model, Seamless) else tuple(range(-half, half + 1))
    return fields | {"kind": ModelKind.WINDOW, "window": window}
