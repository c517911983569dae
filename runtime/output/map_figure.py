"""Draw a day as a map: observed, filled, and the difference from the day before."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np

from runtime.archive.reader import Reader
from runtime.common.atomic import write_guard
from runtime.config import Config
from runtime.output.colours import DIFFERENCE, NO_LAND, SCALES


def draw_map(config: Config, date: dt.date, out: Path) -> None:
    """Draw a published day, and write the picture as PNG.

    Parameters
    ----------
    config : Config
        The configuration, which names the archive.
    date : dt.date
        The day.
    out : Path
        The file to write.

    Raises
    ------
    InputsMissing
        The day is not in the archive.
    ArchiveError
        The picture cannot be written.
    """
    reader = Reader(config.archive.path)
    day = reader.fields(date)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    (lat, lon), half = reader.axes, reader.step / 2
    observed, filled, before = day["soil_moisture_observed"], day["soil_moisture"], date - dt.timedelta(1)
    rows = np.flatnonzero(np.isfinite(filled).any(1))
    shown = slice(rows[0], rows[-1] + 1) if rows.size else slice(None)
    extent = (lon[0] - half, lon[-1] + half, lat[shown][-1] - half, lat[shown][0] + half)
    scale = SCALES["soil_moisture"]
    sequence = (scale.colormap, scale.low, scale.high)
    panels = [(f"Observed, {date}", observed, *sequence), (f"Filled, {date}", filled, *sequence)]
    if before in reader.days:
        change = filled - reader.fields(before, ("soil_moisture",))["soil_moisture"]
        panels.append((f"Difference from {before}", change, DIFFERENCE, -0.2, 0.2))
    aspect = (extent[3] - extent[2]) / (extent[1] - extent[0])
    width = 10.0
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(width, (width * 0.86 * aspect + 0.5) * len(panels)), layout="constrained"
    )
    for axis, (title, field, colours, low, high) in zip(np.atleast_1d(axes), panels, strict=True):
        axis.set_facecolor(NO_LAND)
        image = axis.imshow(field[shown], extent=extent, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(title, loc="left", fontsize=11)
        axis.tick_params(labelsize=8)
        figure.colorbar(image, ax=axis, label="soil moisture, m³ m⁻³", pad=0.01, shrink=0.9)
    with write_guard(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=100, metadata={"Software": None})
    plt.close(figure)
