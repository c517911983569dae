"""The results of an evaluation, and the figures computed from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from runtime.bundle import Bundle
from runtime.common.vocabulary import Tier
from runtime.manifest import ErrorTable
from training.evaluate.fill_hidden import Hidden
from training.evaluate.kinds import GapKind
from training.evaluate.references import NEAR_DAYS
from training.evaluate.score import Score
from training.evaluate.scores import Cells, strata
from training.evaluate.series import SeriesFindings
from training.evaluate.stations import StationFindings
from training.losses import ONE_SIGMA

AGES = (1, 2, 3, 4, 5)
"""Classes of an error table: days since the last observation; the last class also holds older and unknown ones."""
BANDS = (-90.0, -30.0, 0.0, 30.0, 45.0, 60.0, 90.0)
"""Edges of the latitude bands of an error table, degrees north."""
_MOST_FITTED = 100_000
"""Cells of each part that sigma is fitted to."""
_SMALLEST_ERROR = 1e-4
"""m3 m-3, added to absolute errors before their logarithm is taken."""
_FEW = 100
"""With fewer hidden observations than this in a class, an error table uses the figure of the whole row."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that an evaluation measured."""

    bundles: dict[str, Bundle]
    source: str
    """What the days are, in words."""
    product: str | None
    """Soil-moisture product of the days; None where an archive is judged, which does not say it."""
    band: str | None
    """Band of the product; None for a product without bands."""
    days: dict[Tier, list[str]]
    """The evaluated days of each tier."""
    hidden: Hidden
    """The hidden observations and their filled values."""
    noise: dict[str, float]
    """Nugget of the temporal variogram by region, m3 m-3."""
    series: SeriesFindings = field(default_factory=SeriesFindings)
    """Time series; empty if none were asked for."""
    stations: StationFindings | None = None
    """Comparison with stations; None if it was not asked for."""


@dataclass(frozen=True)
class ScoreRow:
    """One line of ``scores.csv``."""

    tier: Tier
    gaps: GapKind
    split: str
    """What the cells are divided by; ``all`` for all with another observation within four days."""
    group: str
    """Name of the class."""
    filler: str
    score: Score


def score_rows(cells: dict[tuple[Tier, GapKind], Cells]) -> Iterator[ScoreRow]:
    """Yield every score: for all cells with another observation within four days, and for each class of all cells."""
    for (tier, kind), raw in cells.items():
        everything = raw.common()
        near = everything.only(everything.columns["nearest"] <= NEAR_DAYS)
        for split, group, chosen in [("all", "all", near), *strata(everything)]:
            for filler in chosen.fillers:
                yield ScoreRow(tier, kind, split, group, filler, chosen.score(filler))


def error_table(parts: Sequence[Cells], filler: str) -> ErrorTable:
    """Return the RMSE of a filler by days since the last observation and latitude band."""
    cells = Cells.joined([part.common() for part in parts])
    square = (cells.fillers[filler].astype(np.float64) - cells.truth) ** 2
    age = np.searchsorted(AGES, cells.columns["age"]).clip(max=len(AGES) - 1)
    band = (np.searchsorted(BANDS, cells.columns["latitude"], "right") - 1).clip(0, len(BANDS) - 2)
    n = np.zeros((len(AGES), len(BANDS) - 1), int)
    total = np.zeros(n.shape)
    np.add.at(n, (age, band), 1)
    np.add.at(total, (age, band), square)
    overall = total.sum() / max(n.sum(), 1)
    by_row = np.where(n.sum(1) >= _FEW, total.sum(1) / np.maximum(n.sum(1), 1), overall)
    mean = np.where(n >= _FEW, total / np.maximum(n, 1), by_row[:, None])
    rmse = tuple(tuple(round(float(v), 4) for v in line) for line in np.sqrt(mean))
    return ErrorTable(days=AGES, latitudes=BANDS, rmse=rmse, n=tuple(tuple(int(v) for v in line) for line in n))


def calibration(cells: Cells, bundle: str) -> dict[str, dict[str, float]]:
    """Return the share of errors within sigma: of all cells, and of each class, by what the cells are divided by."""
    shares = {"all": {"all": cells.coverage(bundle)}}
    for split, group, chosen in strata(cells):
        shares.setdefault(split, {})[group] = chosen.coverage(bundle)
    return shares


def sigma_fit(parts: Sequence[Cells], bundle: str) -> tuple[float, float]:
    """Return factor and exponent with which a bundle's sigma fits the errors of these cells best.

    ``factor * sigma ** exponent``, in m3 m-3, is the quantile regression of the absolute error at 68.3 % (Koenker and
    Machado 1999, doi:10.1080/01621459.1999.10473882), both in logarithms: on average, 68.3 % of the errors are within
    it, whether sigma is small or large.

    Parameters
    ----------
    parts : sequence of Cells
        The hidden cells; each part counts as much as any other.
    bundle : str
        The bundle.

    Returns
    -------
    factor : float
        The factor, in (m3 m-3) ** (1 - exponent).
    exponent : float
        The exponent; 1 if sigma only needs to be scaled.
    """
    rng = np.random.default_rng(0)
    chosen = [part.only(np.sort(rng.permutation(part.truth.size)[:_MOST_FITTED])) for part in parts]
    sigma = np.log(np.concatenate([part.sigma[bundle] for part in chosen]).astype(np.float64))
    error = np.concatenate([part.fillers[bundle] - part.truth for part in chosen]).astype(np.float64)
    error = np.log(np.abs(error) + _SMALLEST_ERROR)
    centre = sigma.mean()

    def loss(line: NDArray[np.float64]) -> float:
        above = error - (line[0] + line[1] * (sigma - centre))
        return float(np.where(above > 0, ONE_SIGMA * above, (ONE_SIGMA - 1) * above).mean())

    start = np.array([np.quantile(error - sigma, ONE_SIGMA) + centre, 1.0])
    level, exponent = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-7}).x
    return float(np.exp(level - exponent * centre)), float(exponent)


def mean_seam(values: Sequence[float]) -> float:
    """Return the mean of the finite seam figures, NaN without any: on a small grid, tiles may have no edge."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
