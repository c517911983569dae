"""What the service says of the sensors of an archive that several of them make, when one of them is gone."""

from __future__ import annotations

import httpx
import pytest

from runtime.common.clock import now
from runtime.common.grid import Grid
from service.alerts import Alerts
from service.schedule import FillSchedule
from service.serve import listening
from tests.service.conftest import KnownRunner, web
from tests.support.hook import Hook
from tests.support.sensor_site import DAYS, INSTRUMENTS, SensorSite, sensor_name, write_month

AMSR2, AMSRE, WINDSAT = (sensor_name(product) for product in INSTRUMENTS)


@pytest.fixture(scope="module")
def without_one(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> SensorSite:
    """An archive whose reference has no file of its last thirteen days."""
    source = tmp_path_factory.mktemp("month")
    write_month(source, grid)
    site = SensorSite(tmp_path_factory.mktemp("without_one") / "site", source).bring_all()
    site.take_away("lprm-amsr2", 17)
    assert site.fill(16, DAYS - 1).exit_code == 0
    return site


@pytest.mark.slow
def test_a_sensor_that_is_gone_is_an_alert(without_one: SensorSite, hook: Hook) -> None:
    config, runner = without_one.config(hook.setting), KnownRunner(exit_code=0)
    alerts = Alerts(config, runner, FillSchedule(config, runner))
    for _ in range(2):
        alerts.check(now())
    (message,) = (each["message"] for each in hook.got if each["kind"] == f"sensor {AMSR2}")
    assert (
        message == f"no file of {AMSR2} since 2020-04-17; the archive goes on with {AMSRE}, {WINDSAT}; check its feed"
    )


@pytest.mark.slow
def test_the_interface_names_the_sensors_of_each_day(without_one: SensorSite) -> None:
    with (
        web(without_one, "service.port=0") as app,
        listening(without_one.config("service.port=0"), app) as address,
        httpx.Client(base_url=address) as client,
    ):
        sensors = {day["date"]: day["sensors"] for day in client.get("/api/days?from=2020-04-16&to=2020-04-30").json()}
        assert sensors["2020-04-17"] == [AMSR2, AMSRE, WINDSAT]
        assert sensors["2020-04-18"] == [AMSRE, WINDSAT]
        files = client.get("/api/days/2020-04-17").json()["inputs"]["T"]["files"]
        assert files.keys() == {AMSR2, AMSRE, WINDSAT}
        assert client.get("/api/calendar").json()["sensors"] == [
            {"first": "2020-04-17", "last": "2020-04-17", "sensors": [AMSR2, AMSRE, WINDSAT]},
            {"first": "2020-04-18", "last": "2020-04-30", "sensors": [AMSRE, WINDSAT]},
        ]
