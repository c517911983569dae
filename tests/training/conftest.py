"""A record of the made-up fortnight, and small networks."""

from pathlib import Path

import pytest

from runtime.common.grid import Grid
from tests.conftest import DAYS, START
from training.samples import TrainingArchive


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> TrainingArchive:
    """The fortnight of the tests' world, packed."""
    return TrainingArchive.of_world(tmp_path_factory.mktemp("record") / "r", grid, seed=7, first=START, days=DAYS)


@pytest.fixture
def recipe_file(tmp_path: Path, record: TrainingArchive) -> Path:
    """A recipe for a network that trains in seconds, on the fortnight."""
    file = tmp_path / "tiny.toml"
    file.write_text(
        f"""
[model]
kind = "seamless"
maps = 4
[bundle]
tile_core = 16
batch = 1
[samples]
patch = 16
context = 4
min_observed = 0.2
drop_days = 0.5
[schedule]
steps = 12
batch = 4
learning_rate = 1e-2
average = 0.9
weight_decay = 0.01
keep_every = 3
[[data]]
record = "{record.folder}"
"""
    )
    return file
