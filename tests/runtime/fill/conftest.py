"""What the tests of filling share: a random window network, and a coarse globe with gaps."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.bundle import Bundle
from runtime.common.grid import Floats, Grid
from tests.support.networks import random_window_bundle


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A random STPCNN of five layers."""
    return random_window_bundle(tmp_path_factory)


@pytest.fixture(scope="session")
def ring() -> tuple[Grid, Floats]:
    """A coarse globe, 36 x 72, with land across the dateline and at both poles, and nine days of swath-like gaps."""
    rng = np.random.default_rng(11)
    land = rng.random((36, 72)) < 0.8
    land[:3], land[-3:], land[:, :3], land[:, -3:] = True, True, True, True
    grid = Grid(90, -180, land, 5.0)
    frames = rng.uniform(0.02, 0.6, (9, 36, 72)).astype(np.float32)
    for day, frame in enumerate(frames):
        frame[:, (np.arange(72) + 13 * day) % 24 < 14] = np.nan
        frame[~land] = np.nan
    frames[:, 10:24, 20:40] = np.nan
    return grid, frames
