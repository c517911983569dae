"""Fixtures of the tests of export: those of the tests of training that they need too."""

from tests.training.conftest import _one_thread, archive

__all__ = ["_one_thread", "archive"]
