"""Read the figures of an evaluation: the ``report.json`` that `python -m training evaluate` writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.common.vocabulary import Tier
from runtime.errors import BundleError
from runtime.manifest import ErrorTable, HeldOutScore, Judgement
from training.evaluate.kinds import HEADLINE, GapKind


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
    product: str | None = None
    """Soil-moisture product of the days; None where it is not known."""
    band: str | None = None
    """Band of the product; None for a product without bands."""
    days: dict[Tier, list[str]]
    """The evaluated days of each tier."""
    noise: dict[str, float]
    """Noise of one retrieval by region, m3 m-3."""
    bundles: dict[str, EvaluatedBundle]
    scores: list[ReportedRow]
    calibration: dict[str, dict[str, dict[str, float]]]
    """Shares of errors within sigma, by bundle, tier and kind of gap, what the cells are divided by, and class."""
    calibration_fitted: dict[str, dict[str, dict[str, float]]] = {}
    """The same after sigma was fitted to these cells with `sigma_fit`."""

    def judgement(self, name: str, product: str | None = None, band: str | None = None) -> Judgement:
        """Return how well a bundle filled the days, for its manifest.

        Parameters
        ----------
        name : str
            Name of the bundle.
        product, band : str, optional
            Product and band of the days, if the report does not name them.

        Returns
        -------
        Judgement
            The scores on hidden gaps like real ones.

        Raises
        ------
        BundleError
            Neither the report nor `product` says what the days are, or it has no score of such gaps.
        """
        if self.product is not None:
            product, band = self.product, self.band
        scores = {
            row.tier: row.score for row in self.scores if (row.filler, row.gaps, row.split) == (name, HEADLINE, "all")
        }
        if product is None or not scores:
            raise BundleError(
                f"the report on {self.source} does not name its product; give --product and --band"
                if scores
                else f"the report on {self.source} has no score of {name} on {HEADLINE}; evaluate it with them"
            )
        return Judgement(
            product=product,
            band=band,
            source=self.source,
            scores={tier: HeldOutScore(**s.model_dump(exclude={"ubrmse"})) for tier, s in scores.items()},
        )


def mean_sigma_fit(accuracies: Sequence[Accuracy], name: str) -> tuple[float, float] | None:
    """Return the factor and the exponent of the geometric mean of the sigmas that fit several evaluations.

    Parameters
    ----------
    accuracies : sequence of Accuracy
        The evaluations; each counts as much as any other.
    name : str
        Name of the bundle.

    Returns
    -------
    tuple of float, or None
        The mean; None if no evaluation has a fit.
    """
    fits = [fit for each in accuracies if (fit := each.bundles[name].sigma_fit)]
    if not fits:
        return None
    return math.exp(fmean(math.log(factor) for factor, _ in fits)), fmean(exponent for _, exponent in fits)


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
