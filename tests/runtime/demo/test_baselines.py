"""The simple fillers, computed by hand."""

import numpy as np

from runtime.demo.baselines import simple_fillers


def test_simple_fillers_by_hand() -> None:
    nan = np.nan
    window = (-2, -1, 0, 1)
    frames = np.array([[[0.1, 0.2, nan]], [[nan, 0.4, nan]], [[nan, nan, nan]], [[0.4, nan, nan]]], np.float32)
    fillers = simple_fillers(frames, window)
    np.testing.assert_allclose(fillers["mean of nine days"], [[0.25, 0.3, nan]], rtol=1e-6)
    np.testing.assert_allclose(fillers["mean of past four days"], [[0.1, 0.3, nan]], rtol=1e-6)
    np.testing.assert_allclose(fillers["last value"], [[0.1, 0.4, nan]], rtol=1e-6)
