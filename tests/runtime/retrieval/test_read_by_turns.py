"""Files read side by side: whatever their lengths, the order is that of the files."""

import itertools
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.retrieval.predict import _batches, _in_turn, _read_by_turns


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 4), st.integers(1, 3))
def test_items_come_in_the_order_of_their_files(lengths: list[int], threads: int, size: int) -> None:
    files = [[(number, item) for item in range(length)] for number, length in enumerate(lengths)]
    found = list(_in_turn(_read_by_turns((_batches(iter(file), size) for file in files), threads)))
    assert found == list(itertools.chain.from_iterable(files))


def test_no_more_files_are_open_than_there_are_threads_and_none_is_read_far_ahead() -> None:
    begun, lock = [0] * 6, threading.Lock()

    def file(number: int) -> Iterator[int]:
        for item in range(100):
            with lock:
                begun[number] += 1
            yield item

    batches = _read_by_turns((_batches(file(number), 5) for number in range(6)), 2)
    for _ in range(4):
        next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert begun[2:] == [0, 0, 0, 0]
    assert max(begun) <= 3 * 5


def test_an_error_of_a_file_ends_the_run() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(_in_turn(_read_by_turns(iter([_batches(iter([7]), 1), _batches(broken(), 1)]), 2)))
