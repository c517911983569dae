"""Damaged granules, real ones too where they are at hand: read or refused, never a traceback, a crash or a hang."""

from pathlib import Path

import pytest

from benchmarks import bad_files


@pytest.mark.slow
def test_two_hundred_damaged_files(tmp_path: Path) -> None:
    done = bad_files.trials(tmp_path / "site", 200, None, seed=11)
    assert done["faults"] == []
    assert done["refused"] > 30
    assert min(done["read as it was"], done["other values"]) > 3
    assert done["most_memory_mib"] < 2048


@pytest.mark.slow
def test_damaged_genuine_files(data: Path, tmp_path: Path) -> None:
    assert bad_files.trials(tmp_path / "site", 60, data, seed=12)["faults"] == []
