"""The gate of a lower precision: a trained bundle and real days in, the same bundle offered in bf16, fp16 or int8 out.

Rounding the multiplications to fewer bits is cheaper and changes values. A bundle is offered in a precision only where
the same weights, on the same days with the same observations hidden, fill nearly the same field and meet the hidden
observations nearly as well.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.card import with_precisions
from export.lower import lower
from export.quantise import quantise
from runtime.bundle import CARD, GRAPH, MANIFEST, Bundle, PrecisionImpact, in_precision, load_bundle
from runtime.common import digest
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import Precision
from runtime.engines.base import Arrays, Engine, HostMemory, Staged
from runtime.engines.ort import OrtEngine
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import BundleError
from runtime.fill.window import predict_window
from runtime.pipeline.day import Say
from training.evaluate.hidden import BundleFiller, gaps
from training.samples import TrainingArchive

MOST_MOVED = 0.002
"""m3 m-3, RMSE between both filled fields."""
MOST_RISEN = 1.01
"""RMSE against hidden observations over that of fp32."""


def judge(
    bundle: Bundle,
    candidate: Engine | Staged,
    record: TrainingArchive,
    days: Mapping[str, Sequence[dt.date]],
    say: Say = lambda line: None,
    seed: int = 0,
) -> PrecisionImpact:
    """Fill days with hidden observations in fp32 and with a candidate, and compare.

    Parameters
    ----------
    candidate : the bundle's network in the precision to judge
    days : by tier, ``consolidated`` or ``provisional``
    """
    exact = BundleFiller("fp32", bundle, record, EngineSettings("cpu"))
    other = BundleFiller("candidate", bundle, record, engine=candidate)
    moved, cells, errors, hidden = 0.0, 0, np.zeros(2), 0
    for tier, dates in days.items():
        for date in dates:
            made = gaps(record, date, tier, "strips", seed)
            fields = [filler.fill(made).soil_moisture.astype(np.float64) for filler in (exact, other)]
            filled = np.isfinite(fields[0]) & np.isnan(made.frames[len(made.frames) // 2])
            moved += float(((fields[1] - fields[0])[filled] ** 2).sum())
            cells += int(filled.sum())
            known = filled & np.isfinite(made.truth)
            errors += [float(((field - made.truth)[known] ** 2).sum()) for field in fields]
            hidden += int(known.sum())
            say(f"{date} {tier}: {int(filled.sum())} filled cells, {int(known.sum())} hidden observations")
    if not hidden:
        raise BundleError("no hidden observation was filled; give days that the files have")
    return PrecisionImpact(
        rmse=float(np.sqrt(moved / cells)),
        held_out=float(np.sqrt(errors[1] / errors[0])),
        cells=cells,
        hidden=hidden,
    )


def offer(
    bundle: Bundle,
    precision: Precision,
    record: TrainingArchive,
    days: Mapping[str, Sequence[dt.date]],
    out: Path,
    *,
    overwrite: bool = False,
    say: Say = lambda line: None,
) -> tuple[Bundle, PrecisionImpact]:
    """Write a copy of a bundle that is offered in a precision, if its accuracy allows it.

    bf16 and int8 are judged as OpenVINO computes them on this CPU, fp16 as ONNX Runtime does, which rounds what goes
    into and comes out of every multiplication. int8 is calibrated on the first of the days.

    Raises
    ------
    BundleError
        `out` exists; there is no day; the weights are random; int8 or bf16 of a network with a memory; or the precision
        costs more than `MOST_MOVED` or `MOST_RISEN`.
    ConfigError
        This machine does not compute in the precision.
    """
    manifest = bundle.manifest
    if out.exists() and not overwrite:
        raise BundleError(f"{out} exists; choose another --out or add --overwrite")
    if not any(days.values()):
        raise BundleError("no day to judge; give --consolidated FIRST:LAST or --provisional FIRST:LAST")
    if not manifest.training:
        raise BundleError(f"bundle {manifest.name} has random weights, whose accuracy says nothing; train it first")
    if manifest.kind == "recurrent" and precision != "fp16":
        raise BundleError(
            f"bundle {manifest.name} carries a memory: on a CPU {precision} rounds it every day, which no few days "
            "can judge; fp16, for TensorRT, leaves it alone"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "bundle"
        shutil.copytree(bundle.path, folder)
        if precision == "int8":
            made = gaps(record, next(iter(dates[0] for dates in days.values() if dates)), "consolidated", "strips", 1)
            add_int8(bundle, folder, made.frames, made.rain, record.grid)
        else:
            lower(bundle.graph, folder / in_precision(GRAPH, precision), precision)
        moved = judge(bundle, _candidate(Bundle(folder, manifest), precision), record, days, say)
        if not (moved.rmse < MOST_MOVED and moved.held_out < MOST_RISEN):
            raise BundleError(
                f"bundle {manifest.name} is not offered in {precision}: the filled field moves by {moved.rmse:.5f} "
                f"m3 m-3 (limit {MOST_MOVED}), the held-out RMSE becomes {moved.held_out:.4f} of what it was (limit "
                f"{MOST_RISEN})"
            )
        offered = manifest.model_copy(update={"precisions": manifest.precisions | {precision: moved}})
        card = folder / CARD
        card.write_text(with_precisions(card.read_text(), offered, record.source))
        files = {file.name: digest.of_file(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST}
        offered = offered.model_copy(update={"files": files})
        (folder / MANIFEST).write_text(offered.model_dump_json(indent=2) + "\n")
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
    return load_bundle(out), moved


def _candidate(bundle: Bundle, precision: Precision) -> Engine | Staged:
    """Return the network in a precision, as far as this machine can run it."""
    if precision == "fp16":
        return OrtEngine(bundle.path / in_precision(GRAPH, precision))
    return open_engine(unproven(bundle, precision), EngineSettings("openvino", precision))


def unproven(bundle: Bundle, *precisions: Precision) -> Bundle:
    """Return a bundle that claims precisions nobody has judged, to judge or to time it."""
    claims = {precision: PrecisionImpact(rmse=0.0, held_out=1.0, cells=0, hidden=0) for precision in precisions}
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"precisions": claims}))


class _Recording:
    """An engine that keeps some of the batches it is given."""

    def __init__(self, engine: Engine, every: int, most: int) -> None:
        self._engine, self._every, self._most, self._count = engine, every, most, 0
        self.name, self.carried = engine.name, engine.carried
        self.kept: list[dict[str, NDArray[np.float32]]] = []

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        if self._count % self._every == 0 and len(self.kept) < self._most:
            self.kept.append({name: np.array(values, np.float32) for name, values in inputs.items()})
        self._count += 1
        return self._engine.run(inputs)

    def remember(self, state: Arrays) -> HostMemory:
        return HostMemory(self, state)


def add_int8(bundle: Bundle, folder: Path, frames: Floats, rain: Floats, grid: Grid) -> None:
    """Write the int8 graphs of a window bundle into a folder, calibrated on the tiles of a day.

    Parameters
    ----------
    frames, rain : as in `runtime.fill.window.predict`

    Raises
    ------
    BundleError
        No convolution is wide enough.
    """
    manifest = bundle.manifest
    files = [stage.file for stage in manifest.stages] or [GRAPH]
    every, core = (23, None) if manifest.stages else (6, 96 // manifest.stride * manifest.stride)
    recorders = [_Recording(OrtEngine(bundle.path / file), every, 10) for file in files]
    predict_window(Staged(recorders) if manifest.stages else recorders[0], manifest, grid, frames, rain, core=core)
    changed = sum(
        quantise(bundle.path / file, folder / in_precision(file, "int8"), recorder.kept)
        for file, recorder in zip(files, recorders, strict=True)
    )
    if not changed:
        raise BundleError(f"bundle {manifest.name}: no convolution is wide enough for int8")
