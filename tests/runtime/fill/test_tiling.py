import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.common.grid import Grid
from runtime.fill.tiling import Tile, Tiling, batches, cheapest_core, dilate

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
    cut = tiling.cut(tiling.pad(field, np.nan, tiles), tiles)
    assert cut.shape[1:] == (core + 2 * halo,) * 2
    out = np.full(shape, np.nan, np.float32)
    tiling.paste(out, tiles, cut[:, halo : halo + core, halo : halo + core])
    np.testing.assert_array_equal(out, field)


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(1, 20), st.integers(1, 9), st.integers(0, 2**31))
def test_the_halo_is_the_neighbourhood_on_the_globe(shape: tuple[int, int], core: int, halo: int, seed: int) -> None:
    """Cells of a tile have the field's values, with wrapped longitudes; beyond the poles they have the given value."""
    grid = Grid(90, -180, np.ones(shape, bool), 360 / shape[1])
    field = np.random.default_rng(seed).random(shape).astype(np.float32)
    tiling = Tiling.of(grid, core, halo)
    tiles = tiling.tiles(grid.land)
    for tile, cut in zip(tiles, tiling.cut(tiling.pad(field, -1.0, tiles), tiles), strict=True):
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


def test_a_field_is_extended_only_as_far_as_the_tiles_reach() -> None:
    grid = Grid(90, -180, np.ones((8, 12), bool), 30)
    field = np.zeros(grid.shape, np.float32)
    assert Tiling.of(grid, grid.shape, 2).pad(field, 0, [Tile(0, 0)]).shape == (8 + 4, 12 + 4)
    assert Tiling.of(grid, 5, 2).pad(field, 0, [Tile(5, 0), Tile(0, 10)]).shape == (10 + 4, 15 + 4)
    assert Tiling.of(grid, 5, 2).pad(field, 0, []).shape == (8 + 4, 12 + 4)


def test_batches_lose_nothing() -> None:
    grid = Grid(90, -180, np.ones((10, 10), bool), 36)
    tiles = Tiling.of(grid, 3, 0).tiles(grid.land)
    parts = list(batches(tiles, 5))
    assert [len(p) for p in parts] == [5, 5, 5, 1]
    assert [t for p in parts for t in p] == tiles


@settings(max_examples=80, deadline=None)
@given(SHAPES, st.tuples(st.integers(1, 12), st.integers(1, 12)), st.integers(1, 4), st.integers(0, 2**31))
def test_a_cover_holds_every_wanted_cell_once(
    shape: tuple[int, int], core: tuple[int, int], stride: int, seed: int
) -> None:
    grid = Grid(90, -180, np.ones(shape, bool), 0.25)
    wanted = np.random.default_rng(seed).random(shape) < 0.1
    core = core[0] * stride, core[1] * stride
    count = np.zeros(shape, int)
    for tile in Tiling(grid, core, 0).cover(wanted, stride):
        part = np.s_[tile.row : tile.row + core[0], tile.col : tile.col + core[1]]
        assert wanted[part].any(), "no tile without work"
        assert tile.row % stride == tile.col % stride == 0
        count[part] += 1
    assert (count[wanted] == 1).all()
    assert count.max(initial=0) <= 1


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(0, 14), st.booleans(), st.integers(0, 2**31))
def test_grown_is_everything_within_reach(shape: tuple[int, int], by: int, wraps: bool, seed: int) -> None:
    cells = np.random.default_rng(seed).random(shape) < 0.05
    expected = np.zeros(shape, bool)
    for row, col in np.argwhere(cells):
        rows = [r for r in range(row - by, row + by + 1) if 0 <= r < shape[0]]
        cols = [c % shape[1] if wraps else c for c in range(col - by, col + by + 1)]
        expected[np.ix_(rows, [c for c in cols if 0 <= c < shape[1]])] = True
    np.testing.assert_array_equal(dilate(cells, by, wraps), expected)


def test_the_leanest_core_follows_the_gaps() -> None:
    grid = Grid(90, -180, np.ones((96, 192), bool), 360 / 192)
    everywhere, strip, spot = (np.zeros(grid.shape, bool) for _ in range(3))
    everywhere[:], strip[:, 40:44], spot[50, 60] = True, True, True
    assert cheapest_core(grid, everywhere, 48, 4) == (48, 48)
    assert cheapest_core(grid, strip, 48, 4) == (48, 12)
    assert cheapest_core(grid, spot, 48, 4, stride=4) == (12, 12)
    assert cheapest_core(grid, np.zeros(grid.shape, bool), 48, 4) == (48, 48)
