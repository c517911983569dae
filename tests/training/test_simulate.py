"""Simulated days: the gaps and the level of real ones, statistics that were asked for, and nothing twice."""

import numpy as np
import pytest

from training.samples.simulate import simulated


def _real(spread: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    days = (0.3 + spread * rng.standard_normal((16, 96, 96))).astype(np.float32)
    days[rng.random(days.shape) < 0.4] = np.nan
    return days


def _correlation(days: np.ndarray, cells: int) -> float:
    departure = days - np.nanmean(days, 0)
    return float(np.nanmean(departure[..., cells:] * departure[..., :-cells]) / np.nanmean(departure**2))


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "near", "far"), [(0.02, 0.7, 0.3), (0.15, 0.95, 0.6)])
def test_departures_correlate_as_those_of_real_days(spread: float, near: float, far: float) -> None:
    real = _real(spread)
    days = np.concatenate([simulated(real, real, np.random.default_rng(seed)) for seed in range(6)])
    assert _correlation(days, 1) == pytest.approx(near, abs=0.12)
    assert _correlation(days, 8) == pytest.approx(far, abs=0.2)
    assert np.nanstd(days - 0.3) == pytest.approx(spread, rel=0.5)


@pytest.mark.slow
def test_gaps_are_those_of_the_real_days_and_values_are_retrievals() -> None:
    real = _real(0.3)
    days = simulated(real, real[:9], np.random.default_rng(1))
    np.testing.assert_array_equal(np.isnan(days), np.isnan(real[:9]))
    seen = days[np.isfinite(days)]
    assert 0 <= seen.min() <= seen.max() <= np.float32(0.99)
    np.testing.assert_allclose(seen * 100, np.rint(seen * 100), atol=1e-4)


@pytest.mark.slow
def test_the_same_number_gives_the_same_days_and_another_gives_others() -> None:
    real = _real(0.1)
    one, again, other = (simulated(real, real, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.nanmean(np.abs(one - other)) > 0.05
