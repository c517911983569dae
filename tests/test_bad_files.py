"""Damaged granules, real ones too where they are at hand: read or refused, never a traceback, a crash or a hang."""

from pathlib import Path

import pytest

from benchmarks import bad_files


def test_two_hundred_damaged_files(tmp_path: Path) -> None:
    done = bad_files.trials(tmp_path / "site", 200, None, seed=11)
    assert done["faults"] == []
    assert done["refused"] > 30
    assert done["most_memory_mib"] < 2048


def test_damaged_genuine_files(data: Path, tmp_path: Path) -> None:
    assert bad_files.trials(tmp_path / "site", 60, data, seed=12)["faults"] == []


@pytest.mark.parametrize("name", ["read as it was", "other values"])
def test_what_is_counted_happens(name: str, tmp_path: Path) -> None:
    assert bad_files.trials(tmp_path / "site", 40, None, seed=13)[name] > 0
