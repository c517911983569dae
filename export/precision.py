"""The gate of a lower precision: it decides whether a trained bundle is offered in bf16, fp16 or int8.

Multiplications with fewer bits are cheaper and change the values. A bundle is offered in a precision only if the same
weights, on the same real days with the same observations hidden, fill nearly the same field and estimate the hidden
observations nearly as well.
"""

from __future__ import annotations

import datetime as dt
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.card import with_precisions
from export.folder import new_bundle_folder, write_manifest
from export.lower import lower
from export.quantise import quantise
from runtime.bundle import CARD, GRAPH, Bundle, in_precision, load_bundle
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import ModelKind, Precision, Tier
from runtime.engines.base import Arrays, Engine, HostTileStates, Staged
from runtime.engines.ort import OrtEngine
from runtime.engines.select import EngineSettings, open_engine
from runtime.errors import BundleError
from runtime.fill.window import predict_window
from runtime.manifest import PrecisionImpact
from training.evaluate.hidden import BundleFiller, gaps
from training.evaluate.kinds import GapKind
from training.evaluate.references import TODAY
from training.samples import TrainingArchive

_LOG = logging.getLogger(__name__)

MOST_MOVED = 0.002
"""Limit of the RMSE between both filled fields, m3 m-3."""
MOST_RISEN = 1.01
"""Limit of the RMSE against hidden observations, divided by that of fp32."""


def measure_impact(
    bundle: Bundle,
    candidate: Engine | Staged,
    archive: TrainingArchive,
    days: Mapping[Tier, Sequence[dt.date]],
    *,
    seed: int = 0,
) -> PrecisionImpact:
    """Fill days with hidden observations in fp32 and in a lower precision, and compare.

    Parameters
    ----------
    bundle : Bundle
        The bundle.
    candidate : Engine or Staged
        The bundle's network in the lower precision.
    archive : TrainingArchive
        The real days.
    days : mapping
        The days of each tier.

    Returns
    -------
    PrecisionImpact
        The change of the filled field and of the error.

    Raises
    ------
    BundleError
        No hidden observation was filled.
    """
    exact = BundleFiller("fp32", bundle, archive, EngineSettings("cpu"))
    other = BundleFiller("candidate", bundle, archive, engine=candidate)
    change, cells, errors, observations = 0.0, 0, np.zeros(2), 0
    for tier, dates in days.items():
        for date in dates:
            hidden = gaps(archive, date, tier, GapKind.REAL)
            fields = [filler.fill(hidden).soil_moisture.astype(np.float64) for filler in (exact, other)]
            filled = np.isfinite(fields[0]) & np.isnan(hidden.frames[TODAY])
            change += float(((fields[1] - fields[0])[filled] ** 2).sum())
            cells += int(filled.sum())
            known = filled & np.isfinite(hidden.truth)
            errors += [float(((field - hidden.truth)[known] ** 2).sum()) for field in fields]
            observations += int(known.sum())
            _LOG.info("%s %s: %d filled cells, %d hidden observations", date, tier, filled.sum(), known.sum())
    if not observations:
        raise BundleError("no hidden observation was filled; give days that the files have")
    return PrecisionImpact(
        rmse=float(np.sqrt(change / cells)),
        held_out=float(np.sqrt(errors[1] / errors[0])),
        cells=cells,
        hidden=observations,
    )


def offer(
    bundle: Bundle,
    precision: Precision,
    archive: TrainingArchive,
    days: Mapping[Tier, Sequence[dt.date]],
    out: Path,
    *,
    overwrite: bool = False,
) -> tuple[Bundle, PrecisionImpact]:
    """Write a copy of a bundle that is offered in a lower precision, if its accuracy allows it.

    bf16 and int8 are measured as OpenVINO computes them on this CPU. fp16 is measured as ONNX Runtime computes it,
    which rounds the inputs and the result of every multiplication. int8 is calibrated on the first of the days.

    Parameters
    ----------
    bundle : Bundle
        The bundle.
    precision : Precision
        ``bf16``, ``fp16`` or ``int8``.
    archive : TrainingArchive
        The real days.
    days : mapping
        The days of each tier to measure on.
    out : Path
        Folder of the copy; it is written completely or not at all.
    overwrite : bool
        Whether an existing bundle is replaced.

    Returns
    -------
    bundle : Bundle
        The copy.
    impact : PrecisionImpact
        The change of the filled field and of the error.

    Raises
    ------
    BundleError
        `out` exists; there is no day; the weights are random; the precision is int8 or bf16 and the network has a
        memory; or the change is larger than `MOST_MOVED` or `MOST_RISEN`.
    ConfigError
        This machine does not compute in the precision.
    """
    manifest = bundle.manifest
    _check_request(bundle, precision, days)
    with new_bundle_folder(out, overwrite) as folder:
        shutil.copytree(bundle.path, folder, dirs_exist_ok=True)
        if precision == "int8":
            first = next(dates[0] for dates in days.values() if dates)
            hidden = gaps(archive, first, Tier.CONSOLIDATED, GapKind.STRIPS)
            window = [TODAY + offset for offset in manifest.window]
            add_int8(bundle, folder, hidden.frames[window], hidden.rain[window], archive.grid)
        else:
            lower(bundle.graph, folder / in_precision(GRAPH, precision), precision)
        impact = measure_impact(bundle, _candidate(Bundle(folder, manifest), precision), archive, days)
        if not (impact.rmse < MOST_MOVED and impact.held_out < MOST_RISEN):
            raise BundleError(
                f"bundle {manifest.name} is not offered in {precision}: the filled field changes by {impact.rmse:.5f} "
                f"m3 m-3 (limit {MOST_MOVED}), the held-out RMSE is {impact.held_out:.4f} times that of fp32 (limit "
                f"{MOST_RISEN})"
            )
        offered = manifest.model_copy(update={"precisions": manifest.precisions | {precision: impact}})
        card = folder / CARD
        card.write_text(with_precisions(card.read_text(), offered, archive.source))
        write_manifest(folder, offered)
    return load_bundle(out), impact


def _check_request(bundle: Bundle, precision: Precision, days: Mapping[Tier, Sequence[dt.date]]) -> None:
    """Raise an error if a bundle cannot be offered in a precision, whatever its accuracy is."""
    manifest = bundle.manifest
    if not any(days.values()):
        raise BundleError("no day to evaluate; give --consolidated FIRST:LAST or --provisional FIRST:LAST")
    if not manifest.training:
        raise BundleError(f"bundle {manifest.name} has random weights, whose accuracy means nothing; train it first")
    if ModelKind(manifest.kind) is ModelKind.RECURRENT and precision != "fp16":
        raise BundleError(
            f"bundle {manifest.name} carries a memory: on a CPU {precision} rounds it every day, and a few days cannot "
            "show the effect; fp16, for TensorRT, does not round the memory"
        )


def _candidate(bundle: Bundle, precision: Precision) -> Engine | Staged:
    """Return an engine of this machine that computes the network in a precision."""
    if precision == "fp16":
        return OrtEngine(bundle.path / in_precision(GRAPH, precision))
    return open_engine(unproven(bundle, precision), EngineSettings("openvino", precision))


def unproven(bundle: Bundle, *precisions: Precision) -> Bundle:
    """Return a bundle that offers precisions without a measurement, so that they can be measured or timed."""
    impacts = {precision: PrecisionImpact(rmse=0.0, held_out=1.0, cells=0, hidden=0) for precision in precisions}
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"precisions": impacts}))


class _RecordingEngine:
    """An engine that keeps every n-th of the batches it computes.

    Parameters
    ----------
    engine : Engine
        The engine that computes.
    every : int
        One batch in this many is kept.
    most : int
        Largest number of kept batches.
    """

    def __init__(self, engine: Engine, every: int, most: int) -> None:
        self._engine, self._every, self._most, self._count = engine, every, most, 0
        self.name, self.carried = engine.name, engine.carried
        self.batches: list[dict[str, NDArray[np.float32]]] = []

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        if self._count % self._every == 0 and len(self.batches) < self._most:
            self.batches.append({name: np.array(values, np.float32) for name, values in inputs.items()})
        self._count += 1
        return self._engine.run(inputs)

    def load_state(self, state: Arrays) -> HostTileStates:
        return HostTileStates(self, state)


def add_int8(bundle: Bundle, folder: Path, frames: Floats, rain: Floats, grid: Grid) -> None:
    """Write the int8 graphs of a window bundle, calibrated on the tiles of a day.

    Parameters
    ----------
    bundle : Bundle
        The bundle.
    folder : Path
        Folder to write to.
    frames : float32 array, shape (T, rows, cols)
        Soil moisture of the window, m3 m-3, NaN for a gap.
    rain : float32 array, shape (T, rows, cols)
        Precipitation of the window, mm/day, NaN for no estimate.
    grid : Grid
        Grid of the fields.

    Raises
    ------
    BundleError
        No convolution is wide enough.
    """
    manifest = bundle.manifest
    files = [stage.file for stage in manifest.stages] or [GRAPH]
    every, core = (23, None) if manifest.stages else (6, 96 // manifest.stride * manifest.stride)
    recorders = [_RecordingEngine(OrtEngine(bundle.path / file), every, 10) for file in files]
    predict_window(Staged(recorders) if manifest.stages else recorders[0], manifest, grid, frames, rain, core=core)
    changed = sum(
        quantise(bundle.path / file, folder / in_precision(file, "int8"), recorder.batches)
        for file, recorder in zip(files, recorders, strict=True)
    )
    if not changed:
        raise BundleError(f"bundle {manifest.name}: no convolution is wide enough for int8")
