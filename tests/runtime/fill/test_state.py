import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.bundle import find_bundle, load_bundle
from runtime.common.grid import Grid
from runtime.errors import StateChainBroken
from runtime.fill.state import State, StateStore
from runtime.manifest import Manifest

DAY = dt.date(2020, 4, 1)
FINGERPRINT = "ab" * 32


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_bundle(find_bundle("sgdsm2-amsr2-x")).manifest


@pytest.fixture(scope="module")
def state(manifest: Manifest, grid: Grid) -> State:
    rng = np.random.default_rng(1)
    cold = State.cold(manifest, grid, 4)
    tensors = {k: rng.standard_normal(v.shape).astype(np.float32) for k, v in cold.tensors.items()}
    return State(tensors, rng.integers(-1, 99, grid.shape).astype(np.int16))


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path, "m" * 64)


def test_what_is_saved_comes_back(store: StateStore, state: State, manifest: Manifest, grid: Grid) -> None:
    store.save(DAY, FINGERPRINT, state)
    loaded = store.load(DAY, FINGERPRINT, State.cold(manifest, grid, 4))
    np.testing.assert_array_equal(loaded.days_since_observation, state.days_since_observation)
    for name, tensor in state.tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], tensor)


def test_the_same_state_is_the_same_bytes(tmp_path: Path, state: State) -> None:
    files = []
    for name in "ab":
        store = StateStore(tmp_path / name, "m")
        store.save(DAY, FINGERPRINT, state)
        files.append(store.path(DAY, FINGERPRINT).read_bytes())
    assert files[0] == files[1]


def test_a_snapshot_is_never_overwritten(store: StateStore, state: State, manifest: Manifest, grid: Grid) -> None:
    store.save(DAY, FINGERPRINT, state)
    before = store.path(DAY, FINGERPRINT).stat().st_mtime_ns
    store.save(DAY, FINGERPRINT, State.cold(manifest, grid, 4))
    assert store.path(DAY, FINGERPRINT).stat().st_mtime_ns == before


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10**9), bit=st.integers(0, 7), in_header=st.booleans())
def test_any_flipped_bit_is_found(
    place: int,
    bit: int,
    in_header: bool,
    tmp_path_factory: pytest.TempPathFactory,
    state: State,
    manifest: Manifest,
    grid: Grid,
) -> None:
    store = StateStore(tmp_path_factory.mktemp("s"), "m")
    store.save(DAY, FINGERPRINT, state)
    path = store.path(DAY, FINGERPRINT)
    raw = bytearray(path.read_bytes())
    raw[place % (600 if in_header else len(raw))] ^= 1 << bit
    path.write_bytes(raw)
    with pytest.raises(StateChainBroken, match=r"safetensors: .*delete it and run again"):
        store.load(DAY, FINGERPRINT, State.cold(manifest, grid, 4))


def test_a_snapshot_of_another_day_model_or_grid_is_refused(
    store: StateStore, state: State, manifest: Manifest, grid: Grid
) -> None:
    store.save(DAY, FINGERPRINT, state)
    path = store.path(DAY, FINGERPRINT)
    other_day = DAY + dt.timedelta(1)
    target = store.path(other_day, FINGERPRINT)
    target.write_bytes(path.read_bytes())
    with pytest.raises(StateChainBroken, match="belongs to"):
        store.load(other_day, FINGERPRINT, State.cold(manifest, grid, 4))
    with pytest.raises(StateChainBroken, match="belongs to"):
        StateStore(store.folder, "n" * 64).load(DAY, FINGERPRINT, State.cold(manifest, grid, 4))
    with pytest.raises(StateChainBroken, match="has shapes"):
        store.load(DAY, FINGERPRINT, State.cold(manifest, grid, 5))


def test_pruning_keeps_130_days_and_the_first_of_each_month(
    store: StateStore, state: State, manifest: Manifest
) -> None:
    small = State({}, np.zeros((1, 1), np.int16))
    days = [DAY + dt.timedelta(n) for n in range(200)]
    for day in days:
        store.save(day, FINGERPRINT, small)
    store.save(days[-1], "cd" * 32, small)
    store.prune(days[-1], lambda dates: {day: FINGERPRINT for day in dates if day == days[-1]})
    kept = sorted(p.stem for p in store.folder.glob("*/*"))
    expected = [d for d in days if d.day == 1 or (days[-1] - d).days <= 130]
    assert kept == sorted(f"{d:%Y%m%d}-{FINGERPRINT[:16]}" for d in expected)
