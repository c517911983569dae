"""Which values of a filled day are marked, and by which bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runtime.common.grid import Bools, Floats, Grid
from runtime.common.quality import OF_PRODUCT, ProductMarks, QualityBit
from runtime.fill.quality import DayQuality, day_quality, is_jump, with_neighbours
from runtime.fill.result import NEVER, Filled, compose

ROWS, COLS, TODAY = 5, 8, 4
GRID = Grid(10, -20, np.ones((ROWS, COLS), bool), 0.25)
NAN = np.float32(np.nan)


def window(*values: float) -> list[Floats]:
    """Return the days of a window, each with one value everywhere; day T is in the middle."""
    return [np.full((ROWS, COLS), value, np.float32) for value in values]


def quality(
    frames: list[Floats], marks: list[ProductMarks | None] | None = None, today: int = TODAY, grid: Grid = GRID
) -> DayQuality:
    """Return the quality of a day whose gaps are filled with 0.2."""
    never = np.full(grid.shape, NEVER, np.int16)
    for age, frame in enumerate(frames[today::-1]):
        never[(never == NEVER) & ~np.isnan(frame)] = age
    everywhere = np.ones(grid.shape, np.float32)
    seen = ~np.isnan(frames).all(0)
    filled = compose(grid, frames[today], everywhere * np.float32(0.2), everywhere, never, seen)
    return day_quality(filled, grid, frames, today, marks or [None] * len(frames))


@pytest.mark.parametrize(
    ("value", "is_marked"), [(0.0, True), (0.00004, True), (0.01, False), (0.59, False), (0.6, True), (1, True)]
)
def test_values_at_a_limit_are_marked(value: float, is_marked: bool) -> None:
    found = quality(window(*[value] * 9))
    assert (found.flags == (QualityBit.AT_LIMIT if is_marked else 0)).all()
    assert QualityBit.AT_LIMIT in found.judged


@pytest.mark.parametrize(
    ("values", "is_marked"),
    [
        ([0.10, 0.11, 0.10, 0.11, 0.30, 0.10, 0.11, 0.10, 0.11], True),
        ([0.30, 0.31, 0.30, 0.31, 0.10, 0.30, 0.31, 0.30, 0.31], True),
        ([0.10, 0.11, 0.10, 0.11, 0.30, 0.28, 0.25, 0.22, 0.20], False),  # rain, then drying
        ([0.10, 0.30, 0.10, 0.30, 0.45, 0.30, 0.10, 0.30, 0.10], False),  # the cell always jumps
        ([0.10, 0.11, 0.10, 0.11, 0.14, 0.10, 0.11, 0.10, 0.11], False),  # smaller than the accuracy
        ([NAN, NAN, NAN, 0.11, 0.30, 0.10, NAN, NAN, NAN], False),  # too few steps are known
        ([0.10, NAN, 0.11, NAN, 0.30, NAN, 0.10, NAN, 0.11], True),  # the nearest days with an observation count
        ([0.40, 0.41, 0.40, 0.41, NAN, 0.40, 0.41, 0.40, 0.41], True),  # filled with 0.2
    ],
)
def test_a_jump_against_both_neighbours_in_time_is_marked(values: list[float], is_marked: bool) -> None:
    found = quality(window(*values))
    assert ((found.flags & QualityBit.JUMP) > 0).all() == is_marked
    assert QualityBit.JUMP in found.judged


@pytest.mark.parametrize("values", [[0.1] * 5 + [NAN] * 4, [NAN] * 4 + [0.1] * 5])
def test_without_days_before_or_after_jumps_are_not_judged(values: list[float]) -> None:
    assert QualityBit.JUMP not in quality(window(*values)).judged
    assert QualityBit.JUMP not in quality(window(*values)[TODAY : TODAY + 1], today=0).judged


@given(arrays.arrays(np.float32, (9, 3, 3), elements=st.one_of(st.just(np.nan), st.floats(0, 1, width=32))))
def test_a_jump_does_not_depend_on_the_direction_of_time_or_of_the_step(frames: Floats) -> None:
    values = np.where(np.isnan(frames[TODAY]), np.float32(0.5), frames[TODAY])
    found = is_jump(values, list(frames), TODAY)
    np.testing.assert_array_equal(is_jump(values, list(frames[::-1]), TODAY), found)
    assert not found[np.isnan(frames[:TODAY]).all(0) | np.isnan(frames[TODAY + 1 :]).all(0)].any()


def test_cells_beside_land_that_was_never_observed_are_marked() -> None:
    frames = window(*[0.2] * 9)
    for frame in frames:
        frame[0, 0] = np.nan
    near = (quality(frames).flags & QualityBit.NEAR_NEVER_OBSERVED) > 0
    assert np.argwhere(near).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    frames[8][0, 0] = 0.2
    assert not quality(frames).flags.any()


def test_in_a_week_no_land_counts_as_never_observed() -> None:
    frames = window(*[0.2] * 7, NAN, NAN)
    for frame in frames:
        frame[0, 0] = np.nan
    assert QualityBit.NEAR_NEVER_OBSERVED not in quality(frames).judged


@given(arrays.arrays(bool, (6, 7)), st.booleans())
def test_neighbours_are_the_eight_around_a_cell(cells: Bools, wraps: bool) -> None:
    found = with_neighbours(cells, wraps=wraps)
    for row, col in np.ndindex(*cells.shape):
        around = [(r, c) for r in range(row - 1, row + 2) for c in range(col - 1, col + 2) if 0 <= r < 6]
        known = [(r, c % 7) for r, c in around if wraps or 0 <= c < 7]
        assert found[row, col] == any(cells[each] for each in known)


def mark(bits: int, col: int, judged: QualityBit = OF_PRODUCT) -> ProductMarks:
    """Return marks of one column."""
    marked = np.zeros((ROWS, COLS), np.uint8)
    marked[:, col] = bits
    return ProductMarks(marked, judged)


def test_the_marks_of_the_nearest_day_that_says_something_count() -> None:
    frames = window(NAN, NAN, 0.2, NAN, NAN, 0.2, NAN, NAN, NAN)
    frames[TODAY][:, 0] = 0.2
    frozen, dense = QualityBit.FROZEN, QualityBit.DENSE_VEGETATION
    marks: list[ProductMarks | None] = [None] * 9
    marks[2], marks[TODAY], marks[5] = mark(frozen, 3), mark(0, 0, dense), mark(dense, 0)
    found = quality(frames, marks)
    assert not found.flags[:, 0].any()  # observed on day T, and not marked there
    assert not found.flags[:, 3].any()  # observed on the day after, and not marked there
    assert found.judged & OF_PRODUCT == OF_PRODUCT
    marks[3] = mark(frozen, 4)
    assert (quality(frames, marks).flags[:, 4] == frozen).all()  # marked on the day before, without an observation


def test_an_observation_counts_more_than_the_marks_of_another_day() -> None:
    frames = window(NAN, NAN, NAN, NAN, 0.2, NAN, NAN, NAN, NAN)
    marks: list[ProductMarks | None] = [None] * 9
    marks[3] = mark(QualityBit.FROZEN, 3)
    assert not quality(frames, marks).flags.any()


def test_without_marks_of_the_product_its_bits_are_not_judged() -> None:
    assert not quality(window(*[0.2] * 9)).judged & OF_PRODUCT


@given(arrays.arrays(np.float32, (9, ROWS, COLS), elements=st.one_of(st.just(np.nan), st.floats(0, 1, width=32))))
def test_a_cell_without_a_value_has_no_bits(frames: Floats) -> None:
    empty = np.full((ROWS, COLS), np.nan, np.float32)
    filled = Filled(empty, empty, np.zeros((ROWS, COLS), np.int8), np.zeros((ROWS, COLS), np.int16))
    marks: list[ProductMarks | None] = [mark(QualityBit.FROZEN, 0)] * 9
    assert not day_quality(filled, GRID, list(frames), TODAY, marks).flags.any()
