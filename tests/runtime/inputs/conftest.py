"""What the tests of inputs share: archives without a cube, which takes a quarter of the time of a run."""

import pytest


@pytest.fixture
def with_cube() -> bool:
    return False
