"""The retrieval bundle: does every engine of the runtime give what ONNX Runtime gives on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.gpu.context import Context
from benchmarks.gpu.rows import Row, not_run
from runtime.bundle import find_bundle, load_retrieval
from runtime.engines.base import Staged
from runtime.engines.select import ENGINES, EngineSettings, open_engine
from runtime.engines.tensorrt.accept import accept_engine
from runtime.errors import SeamlessError


def measure_retrieval(context: Context, name: str) -> Iterator[Row]:
    """Yield a row for each engine."""
    bundle = load_retrieval(find_bundle(name))
    for engine in ENGINES:
        try:
            opened = open_engine(bundle, EngineSettings(engine, cache=context.scratch / "engines"))
            assert not isinstance(opened, Staged)
            parity = accept_engine(opened, bundle, "fp32")
        except SeamlessError as error:
            yield not_run(engine, error)
            continue
        yield {"program": f"runtime {engine}, fp32", "differs by, spreads": parity.worst, "agrees": "yes"}
    yield not_run("PyTorch", "no checkpoint of this network is kept, and its graph reads images, not days")
