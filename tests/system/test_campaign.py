"""The daily job disturbed by faults from a grammar: published bytes equal those of an undisturbed archive."""

import os
import tempfile

import pytest

from benchmarks import campaign


@pytest.mark.slow
@pytest.mark.parametrize("first", [10_000, 10_030])
def test_eight_disturbed_archives(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", os.environ.get("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir()))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert [played for played in campaign.play(list(range(first, first + 8))) if played.wrong] == []
