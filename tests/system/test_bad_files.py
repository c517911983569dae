"""Damaged granules, real ones too where they are at hand: read or refused, never a traceback, a crash or a hang."""

from pathlib import Path

import pytest

from benchmarks import bad_files


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "refused", "read"), [(100, 15, 0), pytest.param(200, 30, 3, id="two hundred", marks=pytest.mark.slow)]
)
def test_damaged_files(files: int, refused: int, read: int, tmp_path: Path) -> None:
    done = bad_files.trials(tmp_path / "site", files, None, seed=11)
    assert done["faults"] == []
    assert done["refused"] > refused
    assert min(done["read as it was"], done["other values"]) > read
    assert done["most_memory_mib"] < 2048


@pytest.mark.slow
def test_damaged_genuine_files(data: Path, tmp_path: Path) -> None:
    assert bad_files.trials(tmp_path / "site", 60, data, seed=12)["faults"] == []
