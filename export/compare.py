"""Compare a graph in ONNX Runtime with what another framework computes; without PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.ort import OrtEngine
from runtime.errors import BundleError

TOLERANCE = 1e-5
"""Largest difference, in standard deviations of the output."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ParityReport:
    """The differences that the gate measured."""

    spread: float
    """Standard deviation of the first output over all cases, m3 m-3."""
    worst: float
    """Largest difference of any output, in the units of the tolerance of `compare_outputs`."""
    cases: int
    """Number of compared inputs."""


def compare_outputs(
    reference: Callable[[Arrays], Sequence[NDArray[Any]]],
    graph: Path,
    cases: Iterable[Arrays],
    names: Sequence[str],
    *,
    framework: str,
    tolerance: float = TOLERANCE,
    rounding: float = 0.0,
) -> ParityReport:
    """Compare a graph in ONNX Runtime, on the CPU, with what another framework computes.

    Each output may differ by at most `tolerance` times its own standard deviation over all cases. A value that is
    further from the mean than one standard deviation may differ by `tolerance` times its distance: rounding errors grow
    with the value, and partial convolution with random weights gives values of ten standard deviations where few cells
    are valid. For `sigma`, which has the unit of `filled`, the larger of both standard deviations counts.

    Parameters
    ----------
    reference : callable
        Computes the outputs, in the order of `names`, from inputs by name.
    graph : Path
        The ONNX file.
    cases : iterable of dict
        Inputs by name.
    names : sequence of str
        Names of the outputs; the report gives the spread of the first.
    framework : str
        Name of the other framework, for messages.
    tolerance : float
        Largest difference, in standard deviations of the output.
    rounding : float
        Differences up to this one, in the output's own unit, do not count: float32 has no finer steps.

    Returns
    -------
    ParityReport
        The differences.

    Raises
    ------
    BundleError
        The outputs differ, hold a NaN, or do not vary.
    """
    engine = OrtEngine(graph)
    expected: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    actual: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    count = 0
    for inputs in cases:
        result = engine.run(dict(inputs))
        for name, value in zip(names, reference(inputs), strict=True):
            expected[name].append(value.ravel())
            actual[name].append(result[name].ravel())
        count += 1
    worst = 0.0
    spreads = {}
    for name in names:
        wanted, computed = np.concatenate(expected[name]), np.concatenate(actual[name])
        spreads[name] = float(wanted.std())
        if not np.isfinite(wanted).all() or not spreads[name] > 1e-6:
            raise BundleError(
                f"no bundle written: output {name!r} does not vary or is not finite (a dead network, or inputs unlike "
                "those that it was trained on?)"
            )
        spread = max(spreads[name], spreads["filled"]) if name == "sigma" else spreads[name]
        scale = np.maximum(spread, np.abs(wanted - wanted.mean()))
        difference = np.abs(wanted - computed) / scale
        too_large = difference[np.abs(wanted - computed) > rounding].max(initial=0.0)
        if not too_large <= tolerance or not np.isfinite(computed).all():
            raise BundleError(
                f"no bundle written: output {name!r} of the graph differs from {framework} by {too_large:.2e} of its "
                f"spread (limit {tolerance:.0e})"
            )
        worst = max(worst, float(difference.max()))
    return ParityReport(spread=spreads[names[0]], worst=worst, cases=count)
