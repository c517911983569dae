"""A made-up month of three sensors, and an archive made of all of them."""

from pathlib import Path

import pytest

from runtime.common.grid import Grid
from tests.support.sensor_site import SensorSite, write_month


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Path:
    """The files of a month, a folder a sensor; read only, see `SensorSite.bring`."""
    folder = tmp_path_factory.mktemp("month")
    write_month(folder, grid)
    return folder


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory, month: Path) -> SensorSite:
    """An archive of days 18 to 23, made of all three sensors; read only."""
    site = SensorSite(tmp_path_factory.mktemp("together") / "site", month).bring_all()
    assert site.fill(18, 23).exit_code == 0
    return site


@pytest.fixture
def site(tmp_path: Path, month: Path) -> SensorSite:
    """All files of the month, and an archive without days."""
    return SensorSite(tmp_path / "site", month).bring_all()
