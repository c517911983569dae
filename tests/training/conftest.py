"""A training archive of a synthetic fortnight, and a recipe for small networks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from runtime.common.grid import Grid
from tests.conftest import DAYS, START
from training.samples import TrainingArchive


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread: for networks this small, several threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> TrainingArchive:
    """The fortnight of the tests' world, packed."""
    return TrainingArchive.of_world(tmp_path_factory.mktemp("archive") / "a", grid, seed=7, first=START, days=DAYS)


@pytest.fixture
def recipe_file(tmp_path: Path, archive: TrainingArchive) -> Path:
    """A recipe for a network that trains in seconds, on the fortnight."""
    file = tmp_path / "tiny.toml"
    file.write_text(
        f"""
[model]
kind = "seamless"
maps = [4, 6, 6]
width = 8
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
record = "{archive.folder}"
"""
    )
    return file
