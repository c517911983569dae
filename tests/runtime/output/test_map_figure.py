from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from netCDF4 import Dataset

from runtime.errors import InputsMissing, UsageError
from runtime.fill.result import Flag
from runtime.output.colours import FLAGS, NO_LAND, NO_VALUE
from runtime.output.map_figure import draw_map
from tests.conftest import DAYS, Site


@pytest.mark.parametrize("layout", ["cf", "sgd-sm"])
def test_a_day_is_drawn_from_either_layout(layout: str, window_site: Site, tmp_path: Path) -> None:
    settings = window_site.config(f"archive.layout={layout}")
    window_site.fill(5, 6, f"archive.layout={layout}")
    sizes: list[int] = []
    for day in (5, 6):
        out = tmp_path / "new folder" / f"{day}.png"
        draw_map(settings, window_site.date(day), out)
        sizes.append(imread(out)[..., 0].size)
    assert sizes[1] > sizes[0] * 1.2, "the second day has a further map: the difference"


def _colours(picture: np.ndarray) -> set[str]:  # type: ignore[type-arg]
    return {f"#{colour:06x}" for colour in np.unique(picture @ [1 << 16, 1 << 8, 1])}


def test_the_coast_the_flags_and_what_was_not_reached_are_drawn(window_site: Site, tmp_path: Path) -> None:
    """Without any file but one, most of the land is not reached."""
    for day in range(DAYS):
        if day != 5:
            window_site.lprm(day).unlink()
    with Dataset(window_site.lprm(5), "a") as file:
        file["soil_moisture_x"][:, 300:] = -32767  # longitude first: only the west is observed
    window_site.fill(5, 5)
    draw_map(window_site.config(), window_site.date(5), tmp_path / "x.png")
    picture = (imread(tmp_path / "x.png")[..., :3] * 255).round().astype(int)
    flags = {FLAGS[flag] for flag in (Flag.OBSERVED, Flag.NOT_REACHED)}
    assert {NO_VALUE, NO_LAND, "#333333", *flags} <= _colours(picture)
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == 255).all(), "no label is cut"


def test_only_a_png_is_drawn(window_site: Site, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x.csv: wanted a name that ends in .png"):
        draw_map(window_site.config(), window_site.date(5), tmp_path / "x.csv")


def test_a_day_that_is_not_there_is_named(window_site: Site, tmp_path: Path) -> None:
    window_site.fill(5, 5)
    with pytest.raises(InputsMissing, match="2020-04-03 is not in .*runtime fill --date 2020-04-03"):
        draw_map(window_site.config(), window_site.date(2), tmp_path / "x.png")
