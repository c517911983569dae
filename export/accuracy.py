"""Read the figures of an evaluation: the ``report.json`` that `python -m training evaluate` writes."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.common.vocabulary import Tier
from runtime.errors import BundleError
from runtime.manifest import ErrorTable
from training.evaluate.kinds import GapKind


class _ReportModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReportedScore(_ReportModel):
    """The score of a filler; all values in m3 m-3 except R and n."""

    r: float | None
    rmse: float
    ubrmse: float
    mae: float
    bias: float
    n: int


class ReportedRow(_ReportModel):
    """The score of a filler on a set of hidden cells."""

    tier: Tier
    gaps: GapKind
    """How the cells were hidden."""
    split: str
    """``all`` cells with another observation within four days."""
    filler: str
    score: ReportedScore


class EvaluatedBundle(_ReportModel):
    """The figures of one bundle of an evaluation."""

    model_id: str
    errors: ErrorTable
    """RMSE by days since the last observation and latitude band."""
    sigma_fit: tuple[float, float] | None
    """Factor and exponent with which the network's own sigma fits the errors (`training.evaluate.findings.sigma_fit`);
    None for a bundle without sigma."""
    seam: float | None
    """Mean step across tile edges over mean step inside tiles; None on a grid without tile edges."""


class Accuracy(_ReportModel):
    """The figures of an evaluation."""

    source: str
    """What the days are, in words."""
    days: dict[Tier, list[str]]
    """The evaluated days of each tier."""
    noise: dict[str, float]
    """Noise of one retrieval by region, m3 m-3."""
    bundles: dict[str, EvaluatedBundle]
    scores: list[ReportedRow]
    calibration: dict[str, dict[str, dict[str, float]]]
    """Shares of errors within sigma, by bundle, tier and kind of gap, what the cells are divided by, and class."""
    calibration_fitted: dict[str, dict[str, dict[str, float]]] = {}
    """The same after sigma was fitted with `sigma_fit`, as an exported bundle has it."""


def read_accuracy(path: Path, name: str) -> Accuracy:
    """Read an evaluation of a bundle.

    Parameters
    ----------
    path : Path
        The file ``report.json``.
    name : str
        Name of the bundle.

    Returns
    -------
    Accuracy
        The figures.

    Raises
    ------
    BundleError
        The file is no report, or the report has no figures of the bundle.
    """
    try:
        accuracy = Accuracy.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: is no report.json of `python -m training evaluate` ({reason})") from error
    if name not in accuracy.bundles:
        raise BundleError(
            f"{path}: evaluates {', '.join(accuracy.bundles)}, not {name}; evaluate a bundle of this name"
        )
    return accuracy
