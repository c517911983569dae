"""A network that several tests of export need, and fixtures of the tests of training."""

from __future__ import annotations

import pytest

from runtime.bundle import Bundle
from tests.support.networks import random_seamless, random_seamless_bundle
from tests.training.conftest import _one_thread, archive
from training.checkpoint import Checkpoint

__all__ = ["_one_thread", "archive", "seamless_bundle", "seamless_checkpoint"]


@pytest.fixture(scope="session")
def seamless_checkpoint() -> Checkpoint:
    return random_seamless()


@pytest.fixture(scope="session")
def seamless_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of `seamless_checkpoint`."""
    return random_seamless_bundle(tmp_path_factory)
