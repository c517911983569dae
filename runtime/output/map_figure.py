"""Draw a day as maps: observed, filled, its uncertainty and flags, and the difference from the day before."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.archive.reader import Reader
from runtime.common.atomic import write_guard
from runtime.common.grid import Floats, Grid
from runtime.config import Config
from runtime.errors import UsageError
from runtime.fill.result import Flag
from runtime.output.colours import CATEGORIES, DIFFERENCE, NO_LAND, NO_VALUE, SCALES, Scale, first_bits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Extent = tuple[float, float, float, float]
"""Western, eastern, southern and northern edge of a map, degrees."""

_SIDE = 8.6
"""Length of the longer side of a map, inches."""


@dataclass(frozen=True)
class _Map:
    """One of the maps of a day."""

    title: str
    values: Floats
    scale: Scale | None = None
    """How values become colours; None for categories."""
    gap: str = ""
    """What land without a value is, for the legend."""
    categories: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Name and colour of each value that is a category."""


_FLAGS = {value: known for value, known in CATEGORIES["flag"].items() if value != Flag.NOT_LAND}


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
    UsageError
        The name does not end in ``.png``.
    InputsMissing
        The day is not in the archive.
    ArchiveError
        The picture cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: wanted a name that ends in .png")
    figure = _draw(Reader(config.archive.path), date)
    with write_guard(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, format="png", dpi=100, bbox_inches="tight", metadata={"Software": None})


def _maps(reader: Reader, date: dt.date) -> Iterator[_Map]:
    """Yield the maps of a day; an archive of the layout ``sgd-sm`` has neither uncertainty nor flags."""
    day, before = reader.fields(date), date - dt.timedelta(1)
    scale, uncertainty = SCALES["soil_moisture"], SCALES["soil_moisture_uncertainty"]
    yield _Map(f"Observed, {date}", day["soil_moisture_observed"], scale, "not observed")
    yield _Map(f"Filled, {date}", day["soil_moisture"], scale, "not reached")
    if "soil_moisture_uncertainty" in day:
        yield _Map(uncertainty.title, day["soil_moisture_uncertainty"], uncertainty, "observed, or not reached")
    if "flag" in day:
        yield _Map("Where values come from", day["flag"], categories=_FLAGS)
    if "quality_flag" in day:
        first_bit = np.where(np.isnan(day["soil_moisture"]), np.nan, first_bits(day["quality_flag"]))
        yield _Map(f"Why values may be wrong, {date}", first_bit, None, "not reached", CATEGORIES["quality_flag"])
    if before in reader.days:
        change = day["soil_moisture"] - reader.fields(before, ("soil_moisture",))["soil_moisture"]
        scale = Scale("Difference", DIFFERENCE, -0.2, 0.2, scale.unit)
        yield _Map(f"Difference from {before}", change, scale, "not reached on one of the days")


def _draw(reader: Reader, date: dt.date) -> Figure:
    """Draw all maps of a day."""
    from matplotlib.figure import Figure

    maps = list(_maps(reader, date))
    grid, rows = reader.grid, reader.grid.picture_rows()
    edges = np.linspace(grid.lat_edges[0], grid.lat_edges[-1], rows.size + 1)
    valued = np.flatnonzero(np.isfinite(maps[1].values[rows]).any(1))
    first, last = (valued[0], valued[-1]) if valued.size else (0, rows.size - 1)
    shown, lat = rows[first : last + 1], (edges[first : last + 1] + edges[first + 1 : last + 2]) / 2
    extent = (grid.lon_edges[0], grid.lon_edges[-1], edges[last + 1], edges[first])
    aspect = (extent[3] - extent[2]) / (extent[1] - extent[0])
    columns = _columns(len(maps), aspect)
    width, height = _SIDE * min(1, 1 / aspect), _SIDE * min(1, aspect)
    lines = math.ceil(len(maps) / columns)
    figure = Figure(figsize=((width + 1.6) * columns, (height + 0.6) * lines), layout="compressed")
    land = reader.land[shown]
    for number, each in enumerate(maps, 1):
        axis = figure.add_subplot(lines, columns, number)
        axis.set_title(each.title, loc="left", fontsize=11)
        axis.tick_params(labelsize=8)
        draw_background(axis, land, extent)
        if each.scale is None:
            legend = _draw_categories(axis, each.values[shown], each.categories, extent)
        else:
            _draw_values(axis, each.values[shown], each.scale, extent)
            legend = {}
        has_gap = bool((land & np.isnan(each.values[shown])).any())
        _draw_legend(axis, legend | ({each.gap: NO_VALUE} if has_gap else {}))
        if land.any() and not land.all() and min(land.shape) > 1:  # otherwise there is no line to draw
            axis.contour(grid.longitudes, lat, land, levels=[0.5], colors="#333333", linewidths=0.4)
    return figure


def draw_one_map(title: str, values: Floats, scale: Scale, grid: Grid) -> Figure:
    """Return a map of one field.

    Parameters
    ----------
    title : str
        What is above it.
    values : float32 array, shape (rows, cols)
        The field, NaN for none.
    scale : Scale
        How values become colours.
    grid : Grid
        Its grid.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    from matplotlib.figure import Figure

    half = grid.step / 2
    extent = (
        grid.longitudes[0] - half,
        grid.longitudes[-1] + half,
        grid.latitudes[-1] - half,
        grid.latitudes[0] + half,
    )
    aspect = (extent[3] - extent[2]) / (extent[1] - extent[0])
    figure = Figure(figsize=(_SIDE * min(1, 1 / aspect) + 1.6, _SIDE * min(1, aspect) + 0.6), layout="compressed")
    axis = figure.add_subplot()
    axis.set_title(title, loc="left", fontsize=11)
    draw_background(axis, grid.land, extent)
    _draw_values(axis, values, scale, extent, scale.title.lower())
    return figure


def _columns(count: int, aspect: float) -> int:
    """Return the number of columns for maps of a height per width: like a screen, and with few empty places."""

    def misfit(columns: int) -> float:
        lines = math.ceil(count / columns)
        return abs(math.log(lines * aspect / columns / 0.65)) + (lines * columns - count) / 4

    return min(range(1, count + 1), key=misfit)


def draw_background(axis: Axes, land: Any, extent: _Extent) -> None:
    """Colour the land, which shows where there is no value, and the sea.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        The map.
    land : bool array, shape (rows, cols)
        True on land.
    extent : tuple of four floats
        Western, eastern, southern and northern edge, degrees.
    """
    from matplotlib.colors import ListedColormap

    axis.imshow(land, extent=extent, cmap=ListedColormap([NO_LAND, NO_VALUE]), vmin=0, vmax=1, interpolation="nearest")


def _draw_values(axis: Axes, values: Floats, scale: Scale, extent: _Extent, quantity: str = "soil moisture") -> None:
    image = axis.imshow(
        values, extent=extent, cmap=scale.colormap, vmin=scale.low, vmax=scale.high, interpolation="nearest"
    )
    axis.figure.colorbar(image, ax=axis, label=f"{quantity}, {scale.unit}", pad=0.01, shrink=0.9)


def _draw_categories(
    axis: Axes, values: Floats, categories: Mapping[int, tuple[str, str]], extent: _Extent
) -> dict[str, str]:
    """Draw values that are categories; return the names and colours of those that occur."""
    from matplotlib.colors import to_rgba

    picture = np.zeros((*values.shape, 4), np.float32)
    present = {value: known for value, known in categories.items() if (values == value).any()}
    for value, (_, colour) in present.items():
        picture[values == value] = to_rgba(colour)
    axis.imshow(picture, extent=extent, interpolation="nearest")
    return dict(present.values())


def _draw_legend(axis: Axes, colours: dict[str, str]) -> None:
    """Draw a legend of coloured areas below the map."""
    from matplotlib.patches import Patch

    areas = [Patch(facecolor=colour, label=name) for name, colour in {**colours, "sea": NO_LAND}.items()]
    axis.legend(
        handles=areas, loc="upper left", bbox_to_anchor=(0, -0.08), ncols=3, fontsize=8, frameon=False, borderaxespad=0
    )
