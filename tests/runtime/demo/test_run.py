from pathlib import Path

import numpy as np
import pytest

from runtime.bundle import shipped_bundles
from runtime.common.grid import Grid
from runtime.demo.run import run_demo, score_fillers
from runtime.errors import UsageError


@pytest.mark.slow
def test_the_shipped_bundles_beat_the_simple_fillers(
    tmp_path: Path, globe: Grid, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo as a user runs it, on a smaller part of the globe."""
    scores = {s.filler: s for s in run_demo(tmp_path / "demo", 12, 1, grid=globe.box(0, -20, 40, 20))}
    baseline = scores["mean of nine days"]
    assert baseline.n > 10_000
    for name in shipped_bundles():
        assert scores[name].rmse < baseline.rmse
        assert scores[name].mae < baseline.mae
        assert scores[name].r > baseline.r
        assert (tmp_path / "demo" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "RMSE" in printed
    assert f"{baseline.rmse:.4f}" in printed


def test_the_folder_must_be_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match="is not empty"):
        run_demo(tmp_path, 12, 1)


def test_scores_count_common_hidden_cells_only() -> None:
    nan = np.nan
    truth = [np.array([[0.1, 0.2, 0.3, nan]], np.float32)]
    fillers = {
        "good": [np.array([[0.1, 0.2, 0.9, 0.9]], np.float32)],
        "bad": [np.array([[0.2, 0.4, nan, 0.9]], np.float32)],
    }
    good, bad = score_fillers(fillers, truth)
    assert (good.filler, good.n, bad.n) == ("good", 2, 2)
    assert good.rmse == pytest.approx(0, abs=1e-7)
    assert bad.mae == pytest.approx(0.15, abs=1e-6)
