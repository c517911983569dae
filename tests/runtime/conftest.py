"""What the tests of the runtime share: an archive with all days, filled once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import DAYS, Site


@pytest.fixture(scope="session")
def _filled_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that needs a filled archive leaves a copy of it."""
    return tmp_path_factory.mktemp("filled") / "archive"


@pytest.fixture
def filled_site(window_site: Site, _filled_archive: Path) -> Site:
    """A site of its own for each test, with all days published."""
    if _filled_archive.exists():
        shutil.copytree(_filled_archive, window_site.archive)
    else:
        window_site.fill(0, DAYS - 1)
        shutil.copytree(window_site.archive, _filled_archive)
    return window_site
