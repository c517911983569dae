from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.common.ease2 import SHAPES, authalic, ease2_edges
from runtime.common.grid import Floats, Grid
from runtime.common.regrid import MIN_COVER, cell_edges, covers, regrid, to_grid
from runtime.errors import InputRefused

Edges = tuple[np.ndarray, np.ndarray]


def _ease(rows: slice, cols: slice, cell_km: int = 36) -> Grid:
    """A part of an EASE-Grid 2.0; rows from the north."""
    lat, lon = ease2_edges(cell_km)
    shape = rows.stop - rows.start, cols.stop - cols.start
    return Grid(float(lat[::-1][rows.start]), float(lon[cols.start]), np.ones(shape, bool), 360 / SHAPES[cell_km][1])


def _south_first(grid: Grid) -> Edges:
    return grid.lat_edges[::-1], grid.lon_edges


def _area(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(authalic(lat)))[:, None] * np.diff(lon)[None]


def _mean(values: Floats, lat: np.ndarray, lon: np.ndarray) -> float:
    return float(np.average(values.astype(float), weights=_area(lat, lon)))


def _smooth(lat: np.ndarray, lon: np.ndarray) -> Floats:
    """A field with waves of thousands of kilometres, at the centres of cells."""
    y, x = np.radians((lat[1:] + lat[:-1]) / 2)[:, None], np.radians((lon[1:] + lon[:-1]) / 2)[None]
    return (0.25 + 0.1 * np.sin(3 * x) * np.cos(y) ** 2 + 0.05 * np.sin(4 * y)).astype(np.float32)


GLOBES = {
    "0.25 degree": Grid(90, -180, np.ones((720, 1440), bool)),
    "0.1 degree": Grid(90, -180, np.ones((1800, 3600), bool), 0.1),
    "1 degree": Grid(90, -180, np.ones((180, 360), bool), 1.0),
    **{f"{km} km": _ease(slice(0, rows), slice(0, cols), km) for km, (rows, cols) in SHAPES.items()},
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([36, 25, 9]), st.integers(0, 300), st.booleans(), st.integers(0, 2**31))
def test_the_mean_over_the_area_is_kept(cell_km: int, start: int, finer: bool, seed: int) -> None:
    """Of a target that is made of whole source cells at its rim, whatever the cells are inside."""
    rng = np.random.default_rng(seed)
    grid = _ease(slice(start, start + 12), slice(start, start + 18), cell_km)
    lat, lon = _south_first(grid)
    parts = 7 if finer else 0  # otherwise larger cells than the grid's
    inner = [np.linspace(e[0], e[-1], 12 * parts or 5) for e in (lat, lon)]
    field = rng.random((inner[0].size - 1, inner[1].size - 1), np.float32)
    out = to_grid(field, *inner, grid)
    assert np.isfinite(out).all()
    assert _mean(out, grid.lat_edges, grid.lon_edges) == pytest.approx(_mean(field, *inner), rel=1e-6)


@pytest.mark.parametrize("target", ["0.25 degree", "1 degree", "36 km", "9 km"])
@pytest.mark.parametrize("source", ["0.25 degree", "36 km", "25 km"])
def test_a_constant_stays_that_constant(source: str, target: str) -> None:
    lat, lon = _south_first(GLOBES[source])
    out = to_grid(np.full((lat.size - 1, lon.size - 1), 0.3, np.float32), lat, lon, GLOBES[target])
    np.testing.assert_allclose(out[np.isfinite(out)], 0.3, rtol=1e-6)
    inside = np.abs(GLOBES[target].latitudes) < 83
    assert np.isfinite(out[inside]).all()


@pytest.mark.parametrize(
    ("there", "back"), [("36 km", "0.25 degree"), ("9 km", "0.25 degree"), ("0.25 degree", "25 km")]
)
def test_a_smooth_field_survives_the_way_there_and_back(there: str, back: str) -> None:
    home, away = GLOBES[back], GLOBES[there]
    field = _smooth(*_south_first(home))
    returned = to_grid(to_grid(field, *_south_first(home), away)[::-1], *_south_first(away), home)
    inside = np.abs(home.latitudes) < 80
    assert np.abs(returned - field[::-1])[inside].max() < 2e-3, "the field's spread is 0.3"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 380), st.sampled_from([0.1, 0.25, 1.0]), st.floats(0, 0.9), st.integers(0, 2**31))
def test_averages_are_those_of_plain_loops_over_cells(start: int, step: float, gaps: float, seed: int) -> None:
    """Each pair of cells is cut with each other as rectangles of latitude and longitude, area by area."""
    rng = np.random.default_rng(seed)
    grid = _ease(slice(start, start + 6), slice(500, 506))
    north, west = np.ceil(grid.lat_edges[0]), np.floor(grid.lon_edges[0])
    lat = np.arange(np.floor(grid.lat_edges[-1] / step), np.ceil(north / step) + 1) * step
    lat, lon = lat.clip(-90, 90), west + np.arange(round(4 / step) + 1) * step
    field = rng.random((lat.size - 1, lon.size - 1)).astype(np.float32)
    field[rng.random(field.shape) < gaps] = np.nan
    out = regrid(field, lat, lon, grid)
    for row in range(6):
        for col in range(6):
            box = grid.lat_edges[row + 1], grid.lat_edges[row], grid.lon_edges[col], grid.lon_edges[col + 1]
            amount = covered = 0.0
            for i in range(field.shape[0]):
                south, top = max(lat[i], box[0]), min(lat[i + 1], box[1])
                for j in range(field.shape[1]):
                    width = min(lon[j + 1], box[3]) - max(lon[j], box[2])
                    if top > south and width > 0 and np.isfinite(field[i, j]):
                        area = float(np.diff(authalic(np.array([south, top])))[0]) * width
                        amount, covered = amount + area * float(field[i, j]), covered + area
            share = covered / float(_area(np.array(box[:2]), np.array(box[2:]))[0, 0])
            if abs(share - MIN_COVER) > 2e-3:  # at the limit itself rounding decides
                assert np.isfinite(out[row, col]) == (share > MIN_COVER)
            if np.isfinite(out[row, col]):
                assert out[row, col] == pytest.approx(amount / covered, rel=1e-5)


@pytest.mark.parametrize("name", ["0.25 degree", "36 km"])
def test_equal_cells_are_copied(name: str, rng: np.random.Generator) -> None:
    whole = GLOBES[name]
    part = whole.box(-31, -40, 47, 55)
    field = rng.random(whole.shape, np.float32)
    field[rng.random(whole.shape) < 0.4] = np.nan
    rows, cols = np.isin(whole.latitudes, part.latitudes), np.isclose(whole.longitudes[:, None], part.longitudes).any(1)
    for lat, stored in ((whole.lat_edges, field), (whole.lat_edges[::-1], field[::-1])):
        single = lat.astype(np.float32).astype(float)  # as files have their axes
        np.testing.assert_array_equal(to_grid(stored, single, whole.lon_edges, part), field[np.ix_(rows, cols)])


@pytest.mark.parametrize("name", ["0.25 degree", "1 degree", "36 km"])
def test_longitudes_from_0_to_360_give_the_same(name: str, rng: np.random.Generator) -> None:
    """The cells at the seam too: those of 36 km lie on both sides of it."""
    whole, target = GLOBES[name], GLOBES["25 km"].box(-20, -30, 20, 30)
    field = rng.random(whole.shape, np.float32)[::-1]
    lat, lon = _south_first(whole)
    half = whole.shape[1] // 2
    turned = np.append(lon[half:], lon[1 : half + 1] + 360)
    expected = to_grid(field, lat, lon, target)
    np.testing.assert_allclose(to_grid(np.roll(field, -half, 1), lat, turned, target), expected, rtol=1e-6)
    assert np.isfinite(expected).all()


def test_what_a_field_does_not_reach_is_nan_and_not_covered() -> None:
    globe = Grid.globe()
    lat, lon = ease2_edges(36)
    out = to_grid(np.ones((406, 964), np.float32), lat, lon, globe)
    assert np.isnan(out[np.abs(globe.latitudes) > 85.3]).all()
    assert np.isfinite(out[np.abs(globe.latitudes) < 84.9]).all()
    assert covers(lat, lon, globe), "there is no land beyond"
    assert covers(lat[::-1], lon, globe), "row 0 of a file may be in the north"
    assert not covers(lat[150:], lon, globe)
    assert not covers(lat, lon[:700], globe)


def test_uneven_centres_are_refused() -> None:
    with pytest.raises(InputRefused, match=r"day.nc: wrong grid: its lat is not evenly spaced"):
        cell_edges(np.array([0.0, 1.0, 3.0]), Path("day.nc"), "lat")
    np.testing.assert_allclose(cell_edges(np.array([2.5, 1.5, 0.5]), Path("day.nc"), "lat"), [3, 2, 1, 0])
