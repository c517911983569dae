import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from netCDF4 import Dataset

from runtime.archive.reader import Reader
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.config import load_config
from runtime.demo.files import write_lprm
from runtime.demo.world import World
from runtime.errors import InputsMissing, UsageError
from runtime.fill.result import Flag
from runtime.output.colours import FLAGS, NO_LAND, NO_VALUE
from runtime.output.map_figure import _draw, _maps, draw_map
from runtime.pipeline.run import fill_archive
from tests.conftest import DAYS, START, Site


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("layout", ["cf", "sgd-sm"])
def test_a_day_is_drawn_from_either_layout(layout: str, window_site: Site, tmp_path: Path) -> None:
    settings = window_site.config(f"archive.layout={layout}")
    window_site.fill(5, 6, f"archive.layout={layout}")
    counts: list[int] = []
    for day in (5, 6):
        out = tmp_path / "new folder" / f"{day}.png"
        draw_map(settings, window_site.date(day), out)
        assert min(imread(out).shape[:2]) > 500
        counts.append(len(list(_maps(Reader(window_site.archive), window_site.date(day)))))
    assert counts == ([5, 6] if layout == "cf" else [2, 3]), "the second day has a further map: the difference"


def test_a_day_is_drawn_with_its_uncertainty_and_where_values_come_from(window_site: Site) -> None:
    window_site.fill(5, 6)
    titles = [axis.get_title(loc="left") for axis in _draw(Reader(window_site.archive), window_site.date(6)).axes]
    assert [title for title in titles if title] == [
        "Observed, 2020-04-07",
        "Filled, 2020-04-07",
        "Uncertainty of filled values",
        "Where values come from",
        "Why values may be wrong, 2020-04-07",
        "Difference from 2020-04-06",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("box", [(0, -20, 10, 40), (0, 0, 60, 10)], ids=["tall", "wide"])
def test_the_picture_of_a_tall_or_wide_region_fits_a_screen_and_cuts_no_label(
    box: tuple[float, float, float, float], globe: Grid, tmp_path: Path
) -> None:
    """That of the demo, Europe and Africa, was 1000 x 3262 pixels."""
    grid = globe.box(*box)
    (tmp_path / "c.toml").write_text(
        f'[grid]\nbox = {list(box)}\n[model]\nbundle = "seamless-amsr2-x"\nengine = "cpu"\n'
        '[[feeds.soil_moisture]]\npath = "in"\n'
    )
    for day in World(grid, seed=1).days(START, 2):
        write_lprm(tmp_path / "in", day, grid)
    config, last = load_config(tmp_path / "c.toml", environment={}), START + dt.timedelta(1)
    assert fill_archive(config, DateRange(START, last), last, RunEvents()).exit_code == 0
    draw_map(config, last, tmp_path / "x.png")
    picture = imread(tmp_path / "x.png")[..., :3]
    height, width = picture.shape[:2]
    assert 0.4 < height / width < 1.5
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == 1).all()


def _colours(picture: np.ndarray) -> set[str]:  # type: ignore[type-arg]
    return {f"#{colour:06x}" for colour in np.unique(picture @ [1 << 16, 1 << 8, 1])}


@pytest.mark.slow
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
