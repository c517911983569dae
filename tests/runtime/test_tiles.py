import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.grid import Grid
from runtime.tiles import Tiling, batches

SHAPES = st.tuples(st.integers(3, 40), st.integers(3, 40))


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(1, 50), st.integers(0, 9), st.booleans(), st.integers(0, 2**31))
def test_cutting_and_pasting_gives_the_field_back(
    shape: tuple[int, int], core: int, halo: int, wraps: bool, seed: int
) -> None:
    step = 360 / shape[1] if wraps else 0.25
    grid = Grid(90, -180, np.ones(shape, bool), step)
    assert grid.wraps == wraps or shape[1] * 0.25 == 360
    field = np.random.default_rng(seed).random(shape).astype(np.float32)
    tiling = Tiling.of(grid, core, halo)
    tiles = tiling.tiles(grid.land)
    cut = tiling.cut(tiling.pad(field, np.nan), tiles)
    assert cut.shape[1:] == (core + 2 * halo,) * 2
    out = np.full(shape, np.nan, np.float32)
    tiling.paste(out, tiles, cut[:, halo : halo + core, halo : halo + core])
    np.testing.assert_array_equal(out, field)


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(1, 20), st.integers(1, 9), st.integers(0, 2**31))
def test_the_halo_is_the_neighbourhood_on_the_globe(shape: tuple[int, int], core: int, halo: int, seed: int) -> None:
    """Every cell of every tile is the field's, at wrapped longitudes; beyond the poles it is the given value."""
    grid = Grid(90, -180, np.ones(shape, bool), 360 / shape[1])
    field = np.random.default_rng(seed).random(shape).astype(np.float32)
    tiling = Tiling.of(grid, core, halo)
    tiles = tiling.tiles(grid.land)
    for tile, cut in zip(tiles, tiling.cut(tiling.pad(field, -1.0), tiles), strict=True):
        rows = tile.row - halo + np.arange(core + 2 * halo)
        cols = (tile.col - halo + np.arange(core + 2 * halo)) % shape[1]
        expected = field[np.ix_(rows.clip(0, shape[0] - 1), cols)]
        expected[(rows < 0) | (rows >= shape[0])] = -1.0
        np.testing.assert_array_equal(cut, expected)


def test_only_tiles_with_a_wanted_cell() -> None:
    grid = Grid(90, -180, np.ones((8, 8), bool), 45)
    wanted = np.zeros((8, 8), bool)
    wanted[5, 6] = True
    (tile,) = Tiling.of(grid, 4, 1).tiles(wanted)
    assert (tile.row, tile.col) == (4, 4)


def test_batches_lose_nothing() -> None:
    grid = Grid(90, -180, np.ones((10, 10), bool), 36)
    tiles = Tiling.of(grid, 3, 0).tiles(grid.land)
    parts = list(batches(tiles, 5))
    assert [len(p) for p in parts] == [5, 5, 5, 1]
    assert [t for p in parts for t in p] == tiles
