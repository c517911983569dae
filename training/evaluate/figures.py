"""Figures of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from training.evaluate.fill_hidden import Hidden
from training.evaluate.kinds import HEADLINE
from training.evaluate.scores import Cells
from training.evaluate.series import SeriesFindings
from training.evaluate.structure import LAGS, SEGMENT, Structure
from training.evaluate.writing import save_figure
from training.losses import ONE_SIGMA

_NUMBER_OF_CLASSES = 12


def draw_figures(
    folder: Path,
    hidden: Hidden,
    with_sigma: Sequence[str],
    series: SeriesFindings,
) -> Iterator[str]:
    """Draw the figures for which there are data.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    hidden : Hidden
        The hidden observations and their filled values.
    with_sigma : sequence of str
        The bundles that give a sigma.
    series : SeriesFindings
        Time series of some places.

    Yields
    ------
    str
        The name of each file.
    """
    for (tier, kind), cells in hidden.cells.items():
        if kind == HEADLINE:
            yield _scatter(folder, f"scatter-{tier}.png", cells.common())
            if with_sigma:
                yield _reliability(folder, f"reliability-{tier}.png", cells.common(), with_sigma)
        else:
            yield _structure(folder, f"structure-{tier}.png", hidden.structures[tier, kind])
    if series.published:
        yield _series(folder, "series.png", series)


def _scatter(folder: Path, name: str, cells: Cells) -> str:
    """Draw filled against observed values, as in figure 11 of SGD-SM 1.0."""
    fillers = list(cells.fillers)
    figure, axes = plt.subplots(1, len(fillers), figsize=(3.2 * len(fillers), 3.4), sharey=True, squeeze=False)
    for axis, filler in zip(axes[0], fillers, strict=True):
        score = cells.score(filler)
        axis.hexbin(cells.truth, cells.fillers[filler], gridsize=60, extent=(0, 1, 0, 1), bins="log", cmap="cividis")
        axis.plot([0, 1], [0, 1], color="white", linewidth=0.8)
        axis.set(title=f"{filler}\nR {score.r:.3f}, RMSE {score.rmse:.4f}, n {score.n}", xlabel="observed (m³ m⁻³)")
        axis.title.set_fontsize(8)
    axes[0, 0].set_ylabel("filled (m³ m⁻³)")
    return save_figure(figure, folder, name)


def _reliability(folder: Path, name: str, cells: Cells, bundles: Sequence[str]) -> str:
    """Draw the 68 % quantile of the errors against sigma; a point on the diagonal means that sigma is right."""
    figure, axis = plt.subplots(figsize=(4.2, 4))
    largest = 0.0
    for bundle in bundles:
        sigma, error = cells.sigma[bundle], np.abs(cells.fillers[bundle] - cells.truth)
        edges = np.quantile(sigma, np.linspace(0, 1, _NUMBER_OF_CLASSES + 1))
        group = np.searchsorted(edges[1:-1], sigma, "right")
        members = [group == index for index in range(_NUMBER_OF_CLASSES) if (group == index).sum() > 10]
        mean_sigma = [float(sigma[m].mean()) for m in members]
        quantile = [float(np.quantile(error[m], ONE_SIGMA)) for m in members]
        axis.plot(mean_sigma, quantile, marker="o", label=bundle)
        largest = max([largest, *mean_sigma, *quantile])
    axis.plot([0, largest], [0, largest], color="grey", linewidth=0.8)
    axis.set(xlabel="sigma (m³ m⁻³)", ylabel="68 % of errors are below (m³ m⁻³)")
    axis.legend(fontsize=8)
    return save_figure(figure, folder, name)


def _structure(folder: Path, name: str, structure: Structure) -> str:
    """Draw variogram and spectrum of the hidden observations and of every filler."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for filler in structure.squares:
        left.plot(LAGS, structure.variogram(filler), marker=".", label=filler)
        if structure.segments:
            right.loglog(range(1, SEGMENT // 2 + 1), structure.spectrum(filler), label=filler)
    left.set(xlabel="cells apart", ylabel="semivariance (m³ m⁻³)²", xscale="log")
    right.set(xlabel=f"waves per {SEGMENT} cells", ylabel="power (m³ m⁻³)²")
    left.legend(fontsize=7)
    return save_figure(figure, folder, name)


def _series(folder: Path, name: str, series: SeriesFindings) -> str:
    """Draw observed values as points and filled ones as crosses, each place with its rain if there is any."""
    any_days = next(iter(series.published.values()))
    figure, axes = plt.subplots(
        len(series.places), 1, figsize=(9, 1.9 * len(series.places) + 0.6), sharex=True, squeeze=False
    )
    for number, (axis, (place, (north, east))) in enumerate(zip(axes[:, 0], series.places.items(), strict=True)):
        for bundle, days in series.published.items():
            (line,) = axis.plot(days.dates, days.seamless[:, number], linewidth=0.5)
            filled = np.where(np.isnan(days.observed[:, number]), days.seamless[:, number], np.nan)
            axis.plot(days.dates, filled, "x", color=line.get_color(), markersize=4, label=f"{bundle}, filled")
        axis.plot(any_days.dates, any_days.observed[:, number], "k.", label="observed")
        axis.set_ylabel("m³ m⁻³")
        axis.set_title(f"{place}, {north:.2f} N {east:.2f} E", fontsize=8, loc="left")
        if series.rain is not None and np.isfinite(series.rain[:, number]).any():
            rain_axis = axis.twinx()
            rain_axis.bar(series.dates, np.nan_to_num(series.rain[:, number]), color="tab:blue", alpha=0.3)
            rain_axis.set_ylabel("mm")
    axes[0, 0].legend(fontsize=7, ncol=4)
    figure.autofmt_xdate()
    return save_figure(figure, folder, name)
