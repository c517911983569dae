"""What takes long to make, made once for all workers of a test run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` has written; the first worker that asks for it makes it, the others wait."""
    shared = factory.getbasetemp()
    if shared.name.startswith("popen-"):  # a worker of pytest-xdist has a folder of its own below the run's
        shared = shared.parent
    folder = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not folder.exists():
            make(folder)
    return folder
