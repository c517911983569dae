"""The report's figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from runtime.common.grid import Floats
from training.evaluate.hidden import SQUARES
from training.evaluate.scores import Cells
from training.evaluate.series import Published, cells_to_follow
from training.losses import ONE_SIGMA

_NUMBER_OF_CLASSES = 12


def draw_figures(
    folder: Path,
    cells: dict[tuple[str, str], Cells],
    with_sigma: Sequence[str],
    published: dict[str, Published],
    rain: Floats | None,
) -> Iterator[str]:
    """Draw every figure there is something to draw for, and yield their names."""
    for tier, kind in cells:
        if kind == "strips":
            yield _scatter(folder, f"scatter-{tier}.png", cells[tier, kind].common())
            if with_sigma:
                yield _reliability(folder, f"reliability-{tier}.png", cells[tier, kind].common(), with_sigma)
    if published:
        yield _series(folder, "series.png", published, rain)


def _scatter(folder: Path, name: str, cells: Cells) -> str:
    """Draw filled against observed, as SGD-SM 1.0's figure 11."""
    fillers = list(cells.fillers)
    figure, axes = plt.subplots(1, len(fillers), figsize=(3.2 * len(fillers), 3.4), sharey=True, squeeze=False)
    for axis, filler in zip(axes[0], fillers, strict=True):
        score = cells.score(filler)
        axis.hexbin(cells.truth, cells.fillers[filler], gridsize=60, extent=(0, 1, 0, 1), bins="log", cmap="cividis")
        axis.plot([0, 1], [0, 1], color="white", linewidth=0.8)
        axis.set(title=f"{filler}\nR {score.r:.3f}, RMSE {score.rmse:.4f}, n {score.n}", xlabel="observed (m³ m⁻³)")
        axis.title.set_fontsize(8)
    axes[0, 0].set_ylabel("filled (m³ m⁻³)")
    return _saved(figure, folder, name)


def _reliability(folder: Path, name: str, cells: Cells, bundles: Sequence[str]) -> str:
    """Draw the 68 % quantile of errors against sigma: on the diagonal, sigma says what it should."""
    figure, axis = plt.subplots(figsize=(4.2, 4))
    largest = 0.0
    for bundle in bundles:
        sigma, error = cells.sigma[bundle], np.abs(cells.fillers[bundle] - cells.truth)
        edges = np.quantile(sigma, np.linspace(0, 1, _NUMBER_OF_CLASSES + 1))
        group = np.searchsorted(edges[1:-1], sigma, "right")
        members = [group == index for index in range(_NUMBER_OF_CLASSES) if (group == index).sum() > 10]
        said = [float(sigma[m].mean()) for m in members]
        met = [float(np.quantile(error[m], ONE_SIGMA)) for m in members]
        axis.plot(said, met, marker="o", label=bundle)
        largest = max([largest, *said, *met])
    axis.plot([0, largest], [0, largest], color="grey", linewidth=0.8)
    axis.set(xlabel="sigma (m³ m⁻³)", ylabel="68 % of errors are below (m³ m⁻³)")
    axis.legend(fontsize=8)
    return _saved(figure, folder, name)


def _series(folder: Path, name: str, published: dict[str, Published], rain: Floats | None) -> str:
    """Draw observed and filled values at a point of each continent, with rain where there is any."""
    any_days = next(iter(published.values()))
    places = cells_to_follow(any_days, SQUARES)
    figure, axes = plt.subplots(len(places), 1, figsize=(9, 1.9 * len(places) + 0.6), sharex=True, squeeze=False)
    for axis, (place, (row, col)) in zip(axes[:, 0], places.items(), strict=True):
        for bundle, days in published.items():
            axis.plot(days.dates, days.seamless[:, row, col], linewidth=1, label=bundle)
        axis.plot(any_days.dates, any_days.observed[:, row, col], "k.", label="observed")
        axis.set_ylabel("m³ m⁻³")
        grid = any_days.grid
        axis.set_title(f"{place}, {grid.latitudes[row]:.2f} N {grid.longitudes[col]:.2f} E", fontsize=8, loc="left")
        if rain is not None and np.isfinite(rain[:, row, col]).any():
            beneath = axis.twinx()
            beneath.bar(any_days.dates, np.nan_to_num(rain[:, row, col]), color="tab:blue", alpha=0.3)
            beneath.set_ylabel("mm")
    axes[0, 0].legend(fontsize=7, ncol=4)
    figure.autofmt_xdate()
    return _saved(figure, folder, name)


def _saved(figure: Figure, folder: Path, name: str) -> str:
    figure.tight_layout()
    figure.savefig(folder / name, dpi=130)
    plt.close(figure)
    return name
