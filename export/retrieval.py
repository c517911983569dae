"""Export a retrieval as a bundle, if ONNX Runtime computes the same as PyTorch."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.compare import ParityReport
from export.folder import new_bundle_folder, write_manifest
from export.graph import trace_graph
from export.parity import compare_graph
from runtime.bundle import CARD, GRAPH, RetrievalBundle, load_retrieval
from runtime.common.vocabulary import ModelKind
from runtime.manifest import RetrievalManifest, RetrievedOutput
from training.fusion.fit import FusionCheckpoint
from training.models.fusion import Fusion

OUTPUT = "soil_moisture"
"""Name of the graph's output."""
_BATCH = 8
_ROUNDING = 1e-6
"""m3 m-3: a few steps of float32 near 1; a network that is hardly trained varies little more."""

_CARD = """# {name} {version}

A small network of the project's own that retrieves soil moisture at one place and time from images of it. The published
data-fusion model (Batchu et al. 2023) reads the same fields; nothing else of it is in this bundle, neither its
architecture nor its weights.

| | |
| --- | --- |
| Kind | retrieval |
| Sources | {sources} |
| Inputs | {inputs} |
| Output | `{output}`, {unit}, from {minimum:g} to {maximum:g} |
| Sizes | {weights} weights; feature maps {maps}, width {width} |

## Good for
`runtime retrieve`, on examples like those that it was trained on.

## Not for
Filling days (`runtime fill` refuses it); examples unlike those below.{limits}

## Training
{training}

## Accuracy
{accuracy}

## Export check
ONNX Runtime against PyTorch on {cases} random cases: the largest difference is {worst:.1e} of the output's standard
deviation ({spread:.4f} m3 m-3).
"""


def fusion_cases(model: Fusion, seed: int = 0) -> Iterator[dict[str, Tensor]]:
    """Yield random inputs: images with a level of their own, one or several examples, and with sources absent."""
    rng = np.random.default_rng(seed)
    config = model.config
    for count in (8, 1, 5):
        inputs = {}
        for each in config.inputs():
            level = rng.uniform(0, 1, (count, *([1] * (len(each.shape) - 1)), each.shape[-1]))
            noise = rng.uniform(0.5, 1.5, (count, *each.shape))
            largest = 255 if len(each.shape) > 1 else 1
            inputs[each.name] = torch.from_numpy((level * noise * largest).astype(np.float32))
        yield inputs
        for name, places in config.groups().items():
            for place in places:
                values = inputs[name].clone()
                values[..., place] = 0.0
                yield inputs | {name: values}


def export_retrieval(
    checkpoint: FusionCheckpoint,
    out: Path,
    *,
    version: str = "1",
    accuracy: str = "Not measured.",
    overwrite: bool = False,
) -> tuple[RetrievalBundle, ParityReport]:
    """Export a checkpoint and write its bundle, if ONNX Runtime computes the same as PyTorch.

    Parameters
    ----------
    checkpoint : FusionCheckpoint
        The network.
    out : Path
        Folder of the bundle; it is written completely or not at all.
    version : str
        Version of the bundle.
    accuracy : str
        What an evaluation found, Markdown, for the model card.
    overwrite : bool
        Whether an existing bundle is replaced.

    Returns
    -------
    bundle : RetrievalBundle
        The bundle.
    report : ParityReport
        The differences between ONNX Runtime and PyTorch.

    Raises
    ------
    BundleError
        `out` exists, or the graph does not compute the same as the network.
    """
    model = copy.deepcopy(checkpoint.model).eval()
    config = model.config
    with new_bundle_folder(out, overwrite) as folder:
        example = next(fusion_cases(model))
        batch = torch.export.Dim("n", min=1)
        trace_graph(model, example, (OUTPUT,), (tuple({0: batch} for _ in example),), folder / GRAPH)
        report = compare_graph(model, folder / GRAPH, fusion_cases(model), (OUTPUT,), rounding=_ROUNDING)
        manifest = RetrievalManifest(
            name=out.name,
            version=version,
            kind=ModelKind.RETRIEVAL,
            batch=_BATCH,
            inputs=config.inputs(),
            output=RetrievedOutput(name=OUTPUT),
            training=checkpoint.record,
        )
        (folder / CARD).write_text(_render(manifest, model, report, accuracy))
        write_manifest(folder, manifest)
    return load_retrieval(out), report


def _render(manifest: RetrievalManifest, model: Fusion, report: ParityReport, accuracy: str) -> str:
    record, config, output = manifest.training, model.config, manifest.output
    lines = [
        f"- {key}: {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in record.items()
        if key != "limits"
    ]
    limits = record.get("limits", "")
    return _CARD.format(
        name=manifest.name,
        version=manifest.version,
        sources=", ".join(config.sources),
        inputs="; ".join(f"`{each.name}` {' x '.join(map(str, each.shape))}" for each in manifest.inputs),
        output=output.name,
        unit=output.unit,
        minimum=output.minimum,
        maximum=output.maximum,
        weights=sum(each.numel() for each in model.parameters()),
        maps=", ".join(map(str, config.maps)),
        width=config.width,
        limits=f"\n\n{limits}" if limits else "",
        training="\n".join(lines) or "None: the weights are random.",
        accuracy=accuracy,
        cases=report.cases,
        worst=report.worst,
        spread=report.spread,
    )
