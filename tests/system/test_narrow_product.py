"""A product whose values have another level and spread than those the default bundle was trained on."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.bundle import find_bundle, load_bundle
from runtime.common.grid import Grid
from runtime.common.vocabulary import Tier
from runtime.config import Model
from training.evaluate.hidden import BundleFiller, gaps
from training.evaluate.kinds import GapKind
from training.samples import TrainingArchive


@pytest.mark.slow
def test_values_of_half_the_spread_are_filled_nearly_as_well(data: Path, tmp_path: Path, globe: Grid) -> None:
    """docs/decisions/016: the network needs no normalisation; the same field, rescaled, has a known answer."""
    archive = TrainingArchive.of_granules(tmp_path / "days", data / "lprm_april2015_x", globe)
    filler = BundleFiller("default", load_bundle(find_bundle(Model().bundle)), archive)
    hidden = gaps(archive, dt.date(2015, 4, 14), Tier.CONSOLIDATED, GapKind.REAL)
    usual = filler.fill(hidden)
    narrow = filler.fill(replace(hidden, frames=hidden.frames * np.float32(0.5) + np.float32(0.05)))
    back = (narrow.soil_moisture - 0.05) / 0.5
    known = np.isfinite(hidden.truth)
    rmse, rmse_narrow = (np.sqrt(((field - hidden.truth)[known] ** 2).mean()) for field in (usual.soil_moisture, back))
    print(f"RMSE {rmse:.4f}, at half the spread {rmse_narrow:.4f} m3 m-3")
    assert rmse_narrow < 1.05 * rmse
    assert usual.uncertainty is not None
    assert narrow.uncertainty is not None
    within, within_narrow = (
        (np.abs(field - hidden.truth) <= sigma)[known].mean()
        for field, sigma in ((usual.soil_moisture, usual.uncertainty), (back, narrow.uncertainty / 0.5))
    )
    print(f"errors within sigma {within:.1%}, at half the spread {within_narrow:.1%}")
    assert abs(within_narrow - within) < 0.05
