"""Import the authors' trained network, a TensorFlow SavedModel, as a bundle, if ONNX Runtime computes the same.

This needs TensorFlow and tf2onnx, and no PyTorch; running the bundle needs neither.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from export.compare import Arrays, ParityReport, compare_outputs
from export.folder import new_bundle_folder, write_manifest
from runtime.bundle import CARD, GRAPH, RetrievalBundle, load_retrieval
from runtime.common import digest
from runtime.common.vocabulary import ModelKind
from runtime.demo.fusion import made_up_examples, made_up_sensors
from runtime.errors import BundleError, ConfigError, InputRefused
from runtime.manifest import NamedInput, RetrievalManifest, RetrievedOutput
from runtime.retrieval.example import Example, example_bytes
from runtime.retrieval.sample import Sample, read_sample, samples_of
from runtime.retrieval.stacks import AUX, IMAGE, LOW_RES, stacked_inputs
from runtime.retrieval.tfrecord import BadRecord, read_records

TAG = "serve"
"""The tag under which the authors' script loads the network."""
TENSORS = {IMAGE: "ImageTensor:0", LOW_RES: "LowResImageTensor:0", AUX: "AuxTensor:0"}
"""TensorFlow's name of each input."""
OUTPUT, OUTPUT_TENSOR = "soil_moisture", "clip_by_value:0"
_OPSET = 18
_TOLERANCE = 1e-4
"""Standard deviations of the output; ten times that of a PyTorch network, which is compared with float64."""
_ROUNDING = 1e-6
"""m3 m-3: a few steps of float32 near 1."""
_SAVED = ("saved_model.pb", "saved_model.pbtxt")

_CARD = """# {name} {version}

A trained network that retrieves soil moisture at one place and time from images of it, imported from a TensorFlow
SavedModel. Who trained it, on what, how accurate it is and under which licence it may be used is known from where the
SavedModel comes from, and not from this bundle.

| | |
| --- | --- |
| Kind | retrieval |
| Inputs | {inputs} |
| Output | `{output}`, {unit}, from {minimum:g} to {maximum:g} |
| Imported from | `{source}`, sha256 of its graph `{digest}` |
| Imported with | {tools} |

## Good for
`runtime retrieve`, on examples of the form that the network was trained on.

## Not for
Filling days (`runtime fill` refuses it).

## Import check
ONNX Runtime against TensorFlow on {cases} examples ({examples}): the largest difference is {worst:.1e} of the output's
standard deviation ({spread:.4f} m3 m-3).
"""


@dataclass(frozen=True)
class OpenedModel:
    """A SavedModel in a session of TensorFlow."""

    session: Any
    """A ``tf.compat.v1.Session`` with its graph and its weights."""
    path: Path
    """Its folder."""

    def run(self, inputs: Arrays) -> list[NDArray[Any]]:
        """Return the output for inputs by name."""
        return [self.session.run(OUTPUT_TENSOR, {TENSORS[name]: value for name, value in inputs.items()})]


def import_saved_model(
    saved_model: Path,
    out: Path,
    shards: Sequence[Path] = (),
    *,
    most: int = 20,
    version: str = "1",
    overwrite: bool = False,
) -> tuple[RetrievalBundle, ParityReport]:
    """Import a SavedModel and write its bundle, if ONNX Runtime computes the same as TensorFlow.

    Parameters
    ----------
    saved_model : Path
        Folder of the SavedModel, with the tag `TAG`, the inputs `TENSORS` and the output `OUTPUT_TENSOR`.
    out : Path
        Folder of the bundle; it is written completely or not at all.
    shards : sequence of Path
        TFRecord files with the examples for the comparison; without them they are made up.
    most : int
        Number of examples to compare.
    version : str
        Version of the bundle.
    overwrite : bool
        Whether an existing bundle is replaced.

    Returns
    -------
    bundle : RetrievalBundle
        The bundle.
    report : ParityReport
        The differences between ONNX Runtime and TensorFlow.

    Raises
    ------
    ConfigError
        TensorFlow or tf2onnx is not installed.
    BundleError
        `out` exists, the SavedModel cannot be used, or the graph does not compute the same.
    InputRefused
        An example cannot be used.
    """
    tensorflow, tf2onnx = _import_tensorflow()
    manifest = RetrievalManifest(
        name=out.name,
        version=version,
        kind=ModelKind.RETRIEVAL,
        batch=1,
        inputs=stacked_inputs(),
        output=RetrievedOutput(name=OUTPUT),
    )
    with new_bundle_folder(out, overwrite) as folder, _opened_session(saved_model, tensorflow) as model:
        _require_tensors(model, manifest.inputs, tensorflow)
        _convert(model, manifest.inputs, folder / GRAPH, tensorflow, tf2onnx)
        report = compare_outputs(
            model.run,
            folder / GRAPH,
            ({name: value[None] for name, value in each.inputs.items()} for each in _samples(manifest, shards, most)),
            (OUTPUT,),
            framework="TensorFlow",
            tolerance=_TOLERANCE,
            rounding=_ROUNDING,
        )
        source = next(saved_model / name for name in _SAVED if (saved_model / name).exists())
        tools = {name: importlib.metadata.version(name) for name in ("tf2onnx", "onnx")}
        record = {
            "imported_from": saved_model.resolve().name,
            "sha256": digest.of_file(source),
            "tools": {"tensorflow": tensorflow.__version__, **tools},
        }
        manifest = manifest.model_copy(update={"training": record})
        (folder / CARD).write_text(_card(manifest, report, shards))
        write_manifest(folder, manifest)
    return load_retrieval(out), report


def _import_tensorflow() -> tuple[Any, Any]:
    """Return the modules; TensorFlow and tf2onnx print less, and TensorFlow computes with its plain kernels."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        import tensorflow
        import tf2onnx
    except ImportError as error:
        raise ConfigError(
            f"TensorFlow and tf2onnx are needed ({error}); pip install 'seamless-sm[import-tf]'"
        ) from error
    for name in ("tensorflow", "tf2onnx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return tensorflow, tf2onnx


@contextmanager
def _opened_session(path: Path, tensorflow: Any) -> Iterator[OpenedModel]:
    if not any((path / name).is_file() for name in _SAVED):
        raise BundleError(f"{path}: no SavedModel (a folder with {' or '.join(_SAVED)})")
    v1 = tensorflow.compat.v1
    with v1.Session(graph=tensorflow.Graph()) as session:
        try:
            v1.saved_model.load(session, [TAG], str(path))
        except Exception as error:  # of the file system, of protobuf or of TensorFlow
            raise BundleError(f"{path}: TensorFlow cannot load it with the tag {TAG!r}: {_one_line(error)}") from error
        yield OpenedModel(session, path)


def _require_tensors(model: OpenedModel, inputs: Sequence[NamedInput], tensorflow: Any) -> None:
    """Refuse a graph without one of the tensors, or with one of another type or shape."""
    shapes: dict[str, list[int] | None] = {TENSORS[each.name]: [1, *each.shape] for each in inputs}
    for name, shape in (shapes | {OUTPUT_TENSOR: None}).items():
        try:
            tensor = model.session.graph.get_tensor_by_name(name)
        except (KeyError, ValueError) as error:
            raise BundleError(f"{model.path}: its graph has no tensor {name}") from error
        if tensor.dtype != tensorflow.float32 or not tensor.shape.is_compatible_with(shape):
            wanted = " x ".join(map(str, shape)) if shape else "any shape"
            raise BundleError(
                f"{model.path}: tensor {name} has the type {tensor.dtype.name} and the shape {tensor.shape}, wanted "
                f"float32 and {wanted}"
            )


def _convert(model: OpenedModel, inputs: Sequence[NamedInput], path: Path, tensorflow: Any, tf2onnx: Any) -> None:
    """Write the graph, its weights as constants, as an ONNX file."""
    import onnx

    try:
        frozen = tensorflow.compat.v1.graph_util.convert_variables_to_constants(
            model.session, model.session.graph.as_graph_def(), [OUTPUT_TENSOR.partition(":")[0]]
        )
        converted, _ = tf2onnx.convert.from_graph_def(
            frozen,
            name=OUTPUT,
            input_names=list(TENSORS.values()),
            output_names=[OUTPUT_TENSOR],
            opset=_OPSET,
            shape_override={TENSORS[each.name]: [1, *each.shape] for each in inputs},
            tensors_to_rename={tensor: name for name, tensor in TENSORS.items()} | {OUTPUT_TENSOR: OUTPUT},
        )
        onnx.save(converted, path)
    except Exception as error:  # TensorFlow, tf2onnx and protobuf have errors of their own
        raise BundleError(f"{model.path}: tf2onnx cannot convert its graph: {_one_line(error)}") from error


def _samples(manifest: RetrievalManifest, shards: Sequence[Path], most: int) -> Iterator[Sample]:
    """Yield examples of files, or made-up ones without files."""
    if not shards:
        for fields in made_up_examples(made_up_sensors(most, 1), 1, 1, every_field=False):
            yield read_sample(Example.parse(example_bytes(fields)), manifest)
        return
    records = itertools.chain.from_iterable(map(read_records, shards))
    for found in samples_of(itertools.islice(records, most), manifest):
        if isinstance(found, BadRecord):
            raise InputRefused(str(found))
        yield found


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _card(manifest: RetrievalManifest, report: ParityReport, shards: Sequence[Path]) -> str:
    record, output = manifest.training, manifest.output
    return _CARD.format(
        name=manifest.name,
        version=manifest.version,
        inputs="; ".join(f"`{each.name}` {' x '.join(map(str, each.shape))}" for each in manifest.inputs),
        output=output.name,
        unit=output.unit,
        minimum=output.minimum,
        maximum=output.maximum,
        source=record["imported_from"],
        digest=record["sha256"],
        tools=", ".join(f"{name} {version}" for name, version in record["tools"].items()),
        cases=report.cases,
        examples=f"the first of {shards[0].name}" if shards else "made up",
        worst=report.worst,
        spread=report.spread,
    )
