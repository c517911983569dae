"""Measure `runtime retrieve` on examples of full size: time, peak memory, and what of it is convolution.

Twenty made-up examples with all 106 fields are read again and again, through links, by this process on one core. The
peak of the core is what a large product of matrices reaches on it.

    OMP_NUM_THREADS=1 python -m benchmarks.retrieval --json benchmarks/results/retrieval.json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.memory import peak_memory_of_process
from runtime.bundle import RetrievalBundle, find_bundle, load_retrieval
from runtime.demo.fusion import made_up_examples, made_up_sensors, write_shard
from runtime.engines.select import EngineSettings
from runtime.retrieval.predict import open_retrieval_engine
from runtime.retrieval.run import retrieve_to
from runtime.retrieval.tfrecord import read_records

_IN_SHARD = 20


def convolution_flops(bundle: RetrievalBundle) -> int:
    """Return the floating-point operations of the convolutions of one example."""
    graph = onnx.load(bundle.graph)
    for value in graph.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(graph, data_prop=True).graph
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inferred.value_info}
    weights = {each.name: list(each.dims) for each in inferred.initializer}
    convolutions = [node for node in inferred.node if node.op_type == "Conv"]
    return sum(
        2 * int(np.prod(shapes[node.output[0]][2:])) * int(np.prod(weights[node.input[1]])) for node in convolutions
    )


def seconds_of(repeated: Any, times: int) -> float:
    """Return the shortest time of some calls."""
    shortest = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        repeated()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest


def measure(name: str, examples: int, engine: str, folder: Path) -> dict[str, Any]:
    """Retrieve examples, and return the figures."""
    bundle = load_retrieval(find_bundle(name))
    shard = folder / "shard.tfrecord.gz"
    write_shard(shard, made_up_examples(made_up_sensors(_IN_SHARD, 1), 1, 1))
    settings = EngineSettings(engine)  # type: ignore[arg-type]
    counts = retrieve_to(folder / "out.csv", bundle, [shard] * (examples // _IN_SHARD), settings)
    memory = peak_memory_of_process()
    opened = open_retrieval_engine(bundle, settings)
    shapes = {each.name: (bundle.manifest.batch, *each.shape) for each in bundle.manifest.inputs}
    inputs = {name: np.full(shape, 50, np.float32) for name, shape in shapes.items()}
    network = seconds_of(lambda: opened.run(inputs), 20) / bundle.manifest.batch
    reading = seconds_of(lambda: list(read_records(shard)), 3) / _IN_SHARD
    matrix = np.ones((2048, 2048), np.float32)
    peak = 2 * 2048**3 / seconds_of(lambda: matrix @ matrix, 5)
    return {
        "examples": counts.done,
        "engine": counts.engine,
        "seconds": round(counts.seconds, 1),
        "ms_an_example": round(1000 * counts.seconds / counts.done, 1),
        "ms_of_these_unpacking_records": round(1000 * reading, 1),
        "ms_of_these_network": round(1000 * network, 2),
        "network_share_of_peak": round(convolution_flops(bundle) / network / peak, 3),
        "peak_gflops_of_the_core": round(peak / 1e9, 1),
        "peak_memory_mib": round(memory / 2**20),
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
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
