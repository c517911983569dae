"""Three sensors in a made-up world whose truth is known: what several of them bring, as an archive publishes it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.sensors import BOX, DAYS, PRODUCTS, measure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures for the errors of the synthetic world."""
    return measure(tmp_path_factory.mktemp("world"), BOX, DAYS, 0.025)


def test_together_is_better_than_the_best_sensor_alone(figures: dict[str, Any]) -> None:
    assert figures["together against the best alone"] > 0.15


@pytest.mark.parametrize("product", PRODUCTS[1:])
def test_a_planted_gain_and_bias_is_taken_out_at_a_handover(product: str, figures: dict[str, Any]) -> None:
    steps = figures["step at handover"][product]
    assert abs(steps["as it is"]["observed"]) > 0.03
    assert abs(steps["matched"]["observed"]) < 0.005
    assert abs(steps["matched"]["observed and filled"]) < 0.005


@pytest.mark.parametrize("which", ["all sensors", *(f"without {product}" for product in PRODUCTS)])
def test_sigma_fits_the_errors_whichever_sensor_is_gone(which: str, figures: dict[str, Any]) -> None:
    share = figures["share of errors below sigma"][which]["all, truth"]
    assert 64 <= round(100 * share) <= 72
