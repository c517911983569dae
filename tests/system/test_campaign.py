"""The daily job disturbed by faults from a grammar: published bytes equal those of an undisturbed archive."""

import pytest

from benchmarks import campaign


@pytest.mark.slow
@pytest.mark.parametrize("first", [10_000, 10_030])
def test_thirty_disturbed_archives(first: int) -> None:
    assert [played for played in campaign.play(list(range(first, first + 30))) if played.wrong] == []
