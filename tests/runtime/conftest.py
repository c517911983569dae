"""What the tests of the runtime share: an archive with all days."""

import pytest

from tests.conftest import DAYS, FillOnce, Site


@pytest.fixture
def filled_site(window_site: Site, fill_once: FillOnce) -> Site:
    """A site of its own for each test, with all days published."""
    fill_once(window_site, 0, DAYS - 1)
    return window_site
