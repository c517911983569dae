"""Draw what one input file holds: a histogram as text, and a map as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.common.atomic import write_guard
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import InputVariable
from runtime.errors import UsageError
from runtime.inputs.products.inspect import Fit
from runtime.inputs.products.read import on_grid
from runtime.output.colours import SCALES
from runtime.output.map_figure import draw_one_map

_BARS = 10
_WIDTH = 50


def histogram_lines(values: Floats) -> list[str]:
    """Return a histogram as lines of text.

    Parameters
    ----------
    values : float32 array, shape (n,)
        The values, none of them NaN.
    """
    counts, edges = np.histogram(values, _BARS)
    most = counts.max()
    return [
        f"{low:10.4g} to {high:<10.4g} {'#' * round(_WIDTH * count / most):{_WIDTH}} {count}"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def draw_field(fit: Fit, path: Path, grid: Grid, out: Path) -> None:
    """Draw what a file holds on a grid, and write the picture as PNG.

    Parameters
    ----------
    fit : Fit
        The way to read the file.
    path : Path
        The file.
    grid : Grid
        The grid.
    out : Path
        The picture.

    Raises
    ------
    UsageError
        The name does not end in ``.png``.
    InputRefused
        The values cannot be, or have another grid.
    ArchiveError
        The picture cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: wanted a name that ends in .png")
    assert fit.field
    values = on_grid(fit.field, fit.product, path, grid, is_partial=True)
    is_rain = fit.product.what is InputVariable.PRECIPITATION
    scale = SCALES["precipitation" if is_rain else "soil_moisture"]
    figure = draw_one_map(f"{fit.label}, {fit.day or path.name}", values, scale, grid)
    with write_guard(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, format="png", dpi=100, bbox_inches="tight", metadata={"Software": None})
