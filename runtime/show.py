"""A day as a picture: observed, filled, and the difference from the day before."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from netCDF4 import Dataset
from numpy.typing import NDArray

from runtime.archive import LAYOUTS
from runtime.config import Config
from runtime.durable import writing
from runtime.errors import InputsMissing

_VARIABLES = {
    "cf": ("lat", "lon", "soil_moisture_observed", "soil_moisture", 1.0),
    "sgd-sm": ("Latitude", "Longitude", "original_sm_c1", "reconstructed_sm_c1", 0.01),
}


def _read(config: Config, date: dt.date) -> tuple[NDArray[np.float64], ...] | None:
    """Return latitudes, longitudes, observed and filled field of a day, None if it is not published."""
    layout = config.archive.layout
    path = config.archive.path / LAYOUTS[layout].relative_path(date)
    if not path.exists():
        return None
    *names, unit = _VARIABLES[layout]
    with Dataset(path) as file:
        fields: list[NDArray[np.float64]] = [
            np.asarray(np.ma.filled(np.ma.asarray(file[name][:], float).squeeze(), np.nan)) for name in names
        ]
    return fields[0], fields[1], fields[2] * unit, fields[3] * unit


def draw(config: Config, date: dt.date, out: Path) -> None:
    """Draw a published day to a PNG.

    Raises
    ------
    InputsMissing
        The day is not in the archive.
    ArchiveError
        The picture cannot be written.
    """
    day = _read(config, date)
    if day is None:
        raise InputsMissing(f"{date} is not in {config.archive.path}; `runtime fill --date {date}` makes it")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lat, lon, observed, filled = day
    before = _read(config, date - dt.timedelta(1))
    half = abs(lat[0] - lat[1]) / 2 if lat.size > 1 else 0.125
    extent = (lon[0] - half, lon[-1] + half, lat[-1] - half, lat[0] + half)
    rows = np.flatnonzero(np.isfinite(filled).any(1))
    shown = slice(rows[0], rows[-1] + 1) if rows.size else slice(None)
    extent = (*extent[:2], lat[shown][-1] - half, lat[shown][0] + half)
    panels = [("Observed", observed, "YlGnBu", 0.0, 0.6), ("Filled", filled, "YlGnBu", 0.0, 0.6)]
    if before is not None:
        panels.append((f"Difference from {date - dt.timedelta(1)}", filled - before[3], "RdBu", -0.2, 0.2))
    aspect = (extent[3] - extent[2]) / (extent[1] - extent[0])
    width = 10.0
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(width, (width * 0.86 * aspect + 0.5) * len(panels)), layout="constrained"
    )
    for axis, (title, field, colours, low, high) in zip(np.atleast_1d(axes), panels, strict=True):
        axis.set_facecolor("#d9d9d9")
        image = axis.imshow(field[shown], extent=extent, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(f"{title}, {date}" if title in ("Observed", "Filled") else title, loc="left", fontsize=11)
        axis.tick_params(labelsize=8)
        figure.colorbar(image, ax=axis, label="soil moisture, m³ m⁻³", pad=0.01, shrink=0.9)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=100, metadata={"Software": None})
    plt.close(figure)
