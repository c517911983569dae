"""The whole run, fetching included, killed with SIGKILL: the archive is whole in between, and the next run heals."""

from pathlib import Path

import pytest

from benchmarks import killed


@pytest.mark.parametrize(("bundle", "points"), [("sgdsm2-amsr2-x", 14), ("seamless-amsr2-x", 8)])
def test_a_killed_run_is_healed_by_the_next(
    bundle: str, points: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", killed.TOKEN)
    wrong, published, _ = killed.trials(tmp_path / "trials", bundle, points)
    assert wrong == []
    assert len(published) > 2, "the points are spread over the run"
