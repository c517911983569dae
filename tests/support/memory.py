"""What networks computed earlier in a test run: many tests fill the same days, and get the same numbers each time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.common import digest
from runtime.engines.ort import OrtEngine

Arrays = dict[str, NDArray[Any]]
LARGEST = 1 << 24
"""Bytes of inputs; results of larger ones, such as the globe's, are not kept."""

_known: dict[str, Arrays] = {}


def remembering(compute: Callable[[OrtEngine, Arrays], Arrays]) -> Callable[[OrtEngine, Arrays], Arrays]:
    """Return a method that computes what it has not computed yet, by the content of the graph and of the inputs."""

    def run(engine: OrtEngine, inputs: Arrays) -> Arrays:
        if sum(values.nbytes for values in inputs.values()) > LARGEST:
            return compute(engine, inputs)
        key = hashlib.sha256(_graph(engine).encode())
        for name, values in inputs.items():
            key.update(f"{name} {values.dtype} {values.shape}".encode())
            key.update(np.ascontiguousarray(values))
        found = key.hexdigest()
        if found not in _known:
            _known[found] = compute(engine, inputs)
        return {name: values.copy() for name, values in _known[found].items()}

    return run


def _graph(engine: OrtEngine) -> str:
    """Return the digest of an engine's graph, and on what it is computed."""
    if "_of_graph" not in vars(engine):
        vars(engine)["_of_graph"] = f"{engine.name} {digest.of_file(Path(engine._session._model_path))}"
    return str(vars(engine)["_of_graph"])
