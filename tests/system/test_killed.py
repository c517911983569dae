"""The whole run, fetching included, killed with SIGKILL: the archive is whole in between, and the next run heals."""

from pathlib import Path

import pytest

from benchmarks import killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bundle", "points", "stages"),
    [("sgdsm2-amsr2-x", 8, 2), ("seamless-amsr2-x", 8, 2)],
)
def test_a_killed_run_is_healed_by_the_next(
    bundle: str, points: int, stages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", killed.TOKEN)
    kills = killed.Kills(points)
    for _ in killed.play(tmp_path / "trials", bundle, kills):
        pass
    assert (kills.wrong, kills.played) == ([], points)
    assert len(kills.published) >= stages, "the points are spread over the run"
