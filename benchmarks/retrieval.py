"""Measure `runtime retrieve` on examples of full size: time, peak memory, and what of it is convolution.

Twenty made-up examples with all 106 fields are read again and again by this process on one core, then on all. The
peak of the core is what OpenVINO's product of two large matrices reaches on it; OpenBLAS reaches two thirds of that.
Made-up images compress far better than genuine ones may do, so unpacking is also measured with noise on each pixel; and
with zlib, as it was before ISA-L.

    OMP_NUM_THREADS=1 python -m benchmarks.retrieval --json benchmarks/results/retrieval.json
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
from openvino import opset13

from benchmarks.memory import peak_memory_of_process
from runtime.bundle import RetrievalBundle, find_bundle, load_retrieval
from runtime.demo.fusion import made_up_examples, made_up_sensors, write_shard
from runtime.engines.select import EngineSettings
from runtime.retrieval.example import Example, example_bytes, image_bytes
from runtime.retrieval.predict import open_retrieval_engines
from runtime.retrieval.run import retrieve_to
from runtime.retrieval.schema import IMAGE_SIZE, ExampleField, ValueKind
from runtime.retrieval.tfrecord import read_records

_CORES = os.sched_getaffinity(0)
_IN_SHARD = 20
_NOISE = 4.0
"""Standard deviation of the noise, in steps of an image's integers."""


def convolution_flops(bundle: RetrievalBundle) -> int:
    """Return the floating-point operations of the convolutions of one example."""
    graph = onnx.load(bundle.graph)
    for value in graph.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(graph, data_prop=True).graph
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inferred.value_info}
    shapes |= {each.name: list(each.dims) for each in inferred.initializer}
    convolutions = [node for node in inferred.node if node.op_type == "Conv"]
    return sum(
        2 * int(np.prod(shapes[node.output[0]][2:])) * int(np.prod(shapes[node.input[1]])) for node in convolutions
    )


def peak_flops() -> float:
    """Return the floating-point operations in a second of a product of two matrices of 2048 x 2048, on one core."""
    size = 2048
    matrix = np.random.default_rng(0).random((size, size), np.float32)
    given = opset13.parameter([size, size], np.float32)
    graph = openvino.Model([opset13.matmul(given, opset13.constant(matrix), False, False)], [given])
    one_core = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    product = openvino.Core().compile_model(graph, "CPU", one_core)
    return 2 * size**3 / seconds_of(lambda: product([matrix]), 10)


def with_noise(examples: Iterator[dict[str, bytes]], spread: float) -> Iterator[dict[str, bytes]]:
    """Yield the examples with normal noise on each pixel of each image, rounded."""
    rng = np.random.default_rng(0)
    for fields in examples:
        example = Example.parse(example_bytes(fields))
        for name in [each for each, value in fields.items() if len(value) > IMAGE_SIZE**2]:
            values = example.image(ExampleField(name, ValueKind.INT64, True)) + rng.normal(
                0, spread, (IMAGE_SIZE, IMAGE_SIZE)
            )
            fields[name] = image_bytes(np.rint(values).clip(0, 2**14 - 1))
        yield fields


def unpacking(shard: Path) -> dict[str, float]:
    """Return the packed size of an example, and how long its records take to unpack and to check."""

    def by_isal() -> None:
        for _ in read_records(shard):
            pass

    def by_zlib() -> None:
        with gzip.open(shard) as stream:
            while stream.read(2**20):
                pass

    return {
        "packed_mb": round(shard.stat().st_size / _IN_SHARD / 1e6, 2),
        "ms_unpacking": round(1000 * seconds_of(by_isal, 5) / _IN_SHARD, 1),
        "ms_by_zlib_without_checks": round(1000 * seconds_of(by_zlib, 5) / _IN_SHARD, 1),
    }


def seconds_of(repeated: Callable[[], object], times: int) -> float:
    """Return the shortest computing time of some calls; what else runs on the core does not count."""
    shortest = float("inf")
    for _ in range(times):
        began = time.process_time()
        repeated()
        shortest = min(shortest, time.process_time() - began)
    return shortest


def measure(name: str, examples: int, engine: str, folder: Path) -> dict[str, Any]:
    """Retrieve examples, and return the figures."""
    bundle = load_retrieval(find_bundle(name))
    shard = folder / "shard.tfrecord.gz"
    write_shard(shard, made_up_examples(made_up_sensors(_IN_SHARD, 1), 1, 1))
    settings = EngineSettings(engine)  # type: ignore[arg-type]
    began = time.process_time()
    counts = retrieve_to(folder / "out.csv", bundle, [shard] * (examples // _IN_SHARD), settings)
    computing, memory = time.process_time() - began, peak_memory_of_process()
    os.sched_setaffinity(0, _CORES)
    together = retrieve_to(folder / "out.csv", bundle, [shard] * (examples // _IN_SHARD), settings)
    os.sched_setaffinity(0, {min(_CORES)})
    opened, *_ = open_retrieval_engines(bundle, settings)
    shapes = {each.name: (bundle.manifest.batch, *each.shape) for each in bundle.manifest.inputs}
    inputs = {name: np.full(shape, 50, np.float32) for name, shape in shapes.items()}
    network = seconds_of(lambda: opened.run(inputs), 20) / bundle.manifest.batch
    noisy = folder / "noisy.tfrecord.gz"
    write_shard(noisy, with_noise(made_up_examples(made_up_sensors(_IN_SHARD, 1), 1, 1), _NOISE))
    peak = peak_flops()
    return {
        "examples": counts.done,
        "engine": counts.engine,
        "seconds_of_computing": round(computing, 1),
        "ms_an_example": round(1000 * computing / counts.done, 1),
        "ms_of_these_network": round(1000 * network, 2),
        "cores": len(_CORES),
        "ms_an_example_with_all_cores": round(1000 * together.seconds / together.done, 1),
        "network_share_of_peak": round(convolution_flops(bundle) / network / peak, 3),
        "peak_gflops_of_the_core": round(peak / 1e9, 1),
        "peak_memory_mib": round(memory / 2**20),
        "records_of_an_example": unpacking(shard),
        "with_noise_on_each_pixel": unpacking(noisy),
    }


def main() -> None:
    """Measure one bundle on one core, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="fusion-made-up")
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(arguments.bundle, arguments.examples, arguments.engine, Path(folder))
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(_CORES)})
    main()
