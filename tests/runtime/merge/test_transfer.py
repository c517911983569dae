"""A sensor that sees less, or more, than the reference is mapped onto it; one that sees the same is left alone."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.common.grid import Floats
from runtime.errors import ArchiveError
from runtime.merge.combine import SensorField, merge_fields
from runtime.merge.store import DayPair, KeptTransfer, TransferStore, read_transfer
from runtime.merge.transfer import (
    BANDS,
    MIN_PAIRS,
    UNMAPPED,
    UNMAPPED_ERROR,
    Basis,
    Matchups,
    SensorTransfer,
    band_name,
    fit_transfer,
)

LATITUDES = np.linspace(85, -85, 60)
SEEDS = st.integers(0, 2**31)


def _soil(rng: np.random.Generator, days: int = 4) -> Floats:
    return (0.05 + 0.4 * rng.beta(2, 3, (days, LATITUDES.size, 80))).astype(np.float32)


def _fit(*sensors: Floats) -> dict[str, SensorTransfer]:
    names = [f"sensor {number}" for number in range(len(sensors))]
    parts = [Matchups.of_fields(day, LATITUDES) for day in zip(*sensors, strict=True)]
    return fit_transfer(Matchups.join(parts, len(names)), names, dict.fromkeys(names, Basis.OVERLAP))


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_a_sensor_that_sees_the_same_is_not_changed(seed: int) -> None:
    soil = _soil(np.random.default_rng(seed))
    found = _fit(soil, soil)["sensor 1"]
    assert found.basis is Basis.OVERLAP
    np.testing.assert_allclose(found.apply(soil[0], LATITUDES), soil[0], atol=2e-6)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.floats(0.5, 1.5), st.floats(-0.04, 0.08))
def test_gain_and_bias_are_taken_out(seed: int, gain: float, bias: float) -> None:
    soil = _soil(np.random.default_rng(seed))
    sensor = (gain * soil + bias).astype(np.float32)
    mapped = _fit(soil, sensor)["sensor 1"].apply(sensor[0], LATITUDES)
    error = mapped - soil[0]
    assert abs(error.mean()) < 0.001
    assert np.sqrt((error**2).mean()) < 0.005


def test_errors_of_the_sensors_do_not_hide_the_gain(rng: np.random.Generator) -> None:
    """Soil that was never as wet on the days of the fit is mapped right as well."""
    soil = (0.1 + 0.2 * rng.random((LATITUDES.size, 80)) + 0.02 * rng.standard_normal((20, 1, 1))).astype(np.float32)
    reference, sensor = (
        (gain * soil + bias + noise * rng.standard_normal(soil.shape)).astype(np.float32)
        for gain, bias, noise in ((1, 0, 0.05), (0.85, 0.07, 0.06))
    )
    for wanted, within in ((0.12, 0.012), (0.2, 0.012), (0.28, 0.012), (0.45, 0.04)):
        seen = np.full((LATITUDES.size, 1), 0.85 * wanted + 0.07, np.float32)
        np.testing.assert_allclose(_fit(reference, sensor)["sensor 1"].apply(seen, LATITUDES), wanted, atol=within)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.floats(0.0, 0.08), st.sampled_from([0.01, 0.02]))
def test_more_of_the_sensor_is_never_less_of_the_reference(seed: int, noise: float, step: float) -> None:
    rng = np.random.default_rng(seed)
    soil = _soil(rng, 2)
    sensor = (np.round((soil**2 + noise * rng.standard_normal(soil.shape)) / step) * step).astype(np.float32)
    found = _fit(soil, sensor)["sensor 1"]
    values = np.sort(rng.uniform(-0.1, 1.1, 80)).astype(np.float32)
    assert np.all(np.diff(found.apply(np.tile(values, (LATITUDES.size, 1)), LATITUDES)) >= 0)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_a_gap_stays_a_gap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    soil = _soil(rng)
    sensor = np.where(rng.random(soil.shape) < 0.3, np.float32(np.nan), soil * np.float32(0.8))
    mapped = _fit(soil, sensor)["sensor 1"].apply(sensor[0], LATITUDES)
    np.testing.assert_array_equal(np.isnan(mapped), np.isnan(sensor[0]))
    assert _fit(soil, sensor) == _fit(soil, sensor)


def test_the_error_of_each_of_three_sensors_is_told_apart(rng: np.random.Generator) -> None:
    soil, noise = _soil(rng, 12), (0.02, 0.03, 0.05)
    sensors = [(soil + each * rng.standard_normal(soil.shape)).astype(np.float32) for each in noise]
    found = _fit(*sensors)
    for transfer, sensor in zip(found.values(), sensors, strict=True):
        error = np.stack([transfer.apply(day, LATITUDES) for day in sensor]) - soil
        assert np.mean(transfer.errors) == pytest.approx(np.sqrt((error**2).mean()), abs=0.002)


def test_two_sensors_share_the_error_of_their_difference(rng: np.random.Generator) -> None:
    soil = _soil(rng, 12)
    sensors = [(soil + each * rng.standard_normal(soil.shape)).astype(np.float32) for each in (0.02, 0.04)]
    for transfer in _fit(*sensors).values():
        assert np.mean(transfer.errors) == pytest.approx(np.sqrt((0.02**2 + 0.04**2) / 2), abs=0.003)


def test_a_sensor_with_too_few_pairs_stays_as_it_is_and_says_a_large_error(rng: np.random.Generator) -> None:
    soil = _soil(rng, 1)
    sensor = np.full_like(soil, np.nan)
    sensor.reshape(-1)[: MIN_PAIRS - 1] = 0.2
    found = _fit(soil, sensor)["sensor 1"]
    assert found is UNMAPPED
    np.testing.assert_allclose(found.apply(soil[0], LATITUDES), soil[0], atol=1e-7)
    assert set(found.error(LATITUDES).round(12)) == {UNMAPPED_ERROR}


def test_bands_cover_the_globe_from_north_to_south() -> None:
    assert [band_name(band) for band in (0, 5, 6, BANDS - 1)] == ["75 to 90 N", "0 to 15 N", "0 to 15 S", "75 to 90 S"]


def test_a_merged_value_is_nearer_to_the_sensor_with_the_smaller_error() -> None:
    nan = np.float32(np.nan)
    good = SensorField(np.array([[0.2, nan, 0.2, nan]], np.float32), np.array([0.02]), 0)
    poor = SensorField(np.array([[0.3, 0.3, nan, nan]], np.float32), np.array([0.04]), 2)
    merged = merge_fields([good, poor], np.array([0.02]))
    np.testing.assert_allclose(merged.field[0], [0.22, 0.3, 0.2, np.nan], rtol=1e-6)
    np.testing.assert_allclose(merged.error[0], [0.02 * 0.8**0.5, 0.04, 0.02, np.nan], rtol=1e-6)
    np.testing.assert_array_equal(merged.source[0], [5, 4, 1, 0])
    np.testing.assert_allclose(merged.excess[0], [0, 0.04**2 - 0.02**2, 0, np.nan], atol=1e-9)
    np.testing.assert_array_equal(merge_fields([good], np.array([0.02])).field, good.field)


@pytest.fixture
def kept(rng: np.random.Generator) -> KeptTransfer:
    soil = _soil(rng, 1)
    pair = DayPair(dt.date(2020, 3, 1), dt.date(2020, 3, 1), "a", "b")
    return KeptTransfer(dt.date(2020, 4, 1), "k" * 64, {"sensor 1": (pair,)}, _fit(soil, soil * np.float32(0.9)))


def test_a_kept_transfer_is_read_back_as_it_was(tmp_path: Path, kept: KeptTransfer) -> None:
    store = TransferStore(tmp_path / ".transfer")
    assert store.of_key(kept.key) is None
    store.save(kept)
    assert store.of_period(kept.period) == [kept]
    assert store.of_key(kept.key) == kept
    assert store.faults() == []


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other json"])
def test_a_damaged_transfer_is_named_and_not_used(tmp_path: Path, kept: KeptTransfer, damage: str) -> None:
    store = TransferStore(tmp_path)
    store.save(kept)
    path = store.path(kept.period, kept.key)
    text = path.read_text()
    changed = json.dumps({**json.loads(text), "period": "2020-05-01"})
    path.write_text({"cut": text[:500], "changed": changed, "empty": "", "other json": "[]"}[damage])
    assert store.of_key(kept.key) is None
    (fault,) = store.faults()
    assert str(path) in fault
    assert "delete it" in fault
    with pytest.raises(ArchiveError, match="damaged"):
        read_transfer(path)


def test_a_run_killed_while_it_keeps_a_transfer_leaves_the_old_one(
    tmp_path: Path, kept: KeptTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TransferStore(tmp_path)
    store.save(kept)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runtime.merge.store.move_into_place", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save(kept)
    assert store.of_period(kept.period) == [kept]
    assert store.faults() == []
