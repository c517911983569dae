"""The places whose time series are drawn."""

from __future__ import annotations

from runtime.common.grid import Grid
from training.evaluate.series import PLACES, cells_to_follow
from training.samples import TrainingArchive

PUBLISHED = """
1.0: 0.375N 36.875E; 49.375N 35.125E; 38.125N 117.375E; 39.875N 106.125W; 15.125S 52.625W; 30.125S 150.375E
2.0: 10.125S 42.625W; 38.375N 117.125E; 48.875N 140.375E
"""


def test_they_are_the_published_places_and_lie_on_land(globe: Grid) -> None:
    printed = [text.strip(";") for line in PUBLISHED.strip().splitlines() for text in line.split(":")[1].split()]
    signs = {"N": 1, "E": 1, "S": -1, "W": -1}
    degrees = [float(text[:-1]) * signs[text[-1]] for text in printed]
    assert list(PLACES.values()) == list(zip(degrees[::2], degrees[1::2], strict=True))
    for name, point in PLACES.items():
        cell = globe.cell(*point)
        assert cell, name
        assert globe.land[cell] == (name != "Khabarovsk"), f"{name}: our land mask ends before this coast"


def test_without_one_of_them_on_the_grid_a_land_cell_in_its_middle_is_followed(archive: TrainingArchive) -> None:
    found = cells_to_follow(archive, 0, 5, PLACES)
    assert list(found) == ["middle of the region"]
    assert archive.grid.land[found["middle of the region"]]
    row, col = 3, 4
    inside = (float(archive.grid.latitudes[row]), float(archive.grid.longitudes[col]))
    assert cells_to_follow(archive, 0, 5, {"a place": inside, "elsewhere": (-60.0, 170.0)}) == {"a place": (row, col)}
