"""What an evaluation said about a bundle: ``report.json`` of `python -m training evaluate` in, typed figures out."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.bundle import ErrorTable
from runtime.errors import BundleError


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True)


class ScoreLine(_Read):
    """Scores of one filler, m3 m-3 but R and n."""

    r: float | None
    rmse: float
    ubrmse: float
    mae: float
    bias: float
    n: int


class Line(_Read):
    """One filler on one set of hidden cells."""

    tier: str
    gaps: str
    split: str
    filler: str
    score: ScoreLine


class Judged(_Read):
    """One bundle of an evaluation."""

    model_id: str
    errors: ErrorTable
    sigma_ratio: float | None
    seam: float | None


class Accuracy(_Read):
    """An evaluation's figures."""

    source: str
    days: dict[str, list[str]]
    """By tier."""
    noise: dict[str, float]
    bundles: dict[str, Judged]
    scores: list[Line]
    calibration: dict[str, dict[str, list[float]]]


def read_accuracy(path: Path, name: str) -> Accuracy:
    """Read an evaluation that judged the bundle of a name.

    Raises
    ------
    BundleError
        The file is none, or did not judge the bundle.
    """
    try:
        accuracy = Accuracy.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: is no report.json of `python -m training evaluate` ({reason})") from error
    if name not in accuracy.bundles:
        raise BundleError(f"{path}: judges {', '.join(accuracy.bundles)}, not {name}; evaluate a bundle of this name")
    return accuracy
