"""An archive of more than a year knows what is usual: the layer of anomalies, and the range of a place's series."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import numpy as np
import pytest

import runtime
from benchmarks.reading import REGION, make, serving
from runtime.archive.verify import archive_faults
from runtime.common.events import untracked
from runtime.common.grid import Grid
from runtime.config import Config
from runtime.output.colours import SCALES, STEPS
from service.maps import GAP, NOTHING
from tests.service.page.conftest import Open

pytestmark = pytest.mark.slow

DAYS = 368


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return make(tmp_path_factory.mktemp("year"), Grid.globe().box(*REGION), DAYS)


@pytest.fixture(scope="module")
def address(record: Config) -> Iterator[str]:
    with serving(record) as address:
        yield address


def test_the_layer_is_the_days_anomaly(record: Config, address: str) -> None:
    archive = runtime.open_archive(record.archive.path)
    assert "soil_moisture_anomaly" in httpx.get(f"{address}/api/archive").json()["layers"]
    wanted = archive.seamless.anomalies().soil_moisture_anomaly.isel(time=-5).load()
    path = f"/api/days/{wanted.time.dt.strftime('%Y-%m-%d').item()}/map/soil_moisture_anomaly"
    answer = httpx.get(address + path)
    cells = np.frombuffer(answer.content, np.uint8).reshape(wanted.shape)
    np.testing.assert_array_equal(np.isin(cells, (GAP, NOTHING)), np.isnan(wanted))
    scale, is_shown = SCALES["soil_moisture_anomaly"], cells < STEPS
    shown = scale.low + cells[is_shown] / (STEPS - 1) * (scale.high - scale.low)
    half = (scale.high - scale.low) / (STEPS - 1) / 2
    np.testing.assert_allclose(shown, wanted.values[is_shown].clip(scale.low, scale.high), atol=half + 6e-5)
    again = httpx.get(address + path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert httpx.get(f"{address}/tiles/soil_moisture_anomaly/newest/WorldCRS84Quad/3/8/1.png").status_code == 200
    assert b"soil_moisture_anomaly" in httpx.get(f"{address}/wmts/1.0.0/WMTSCapabilities.xml").content


def test_the_usual_range_of_a_place(record: Config, address: str) -> None:
    archive = runtime.open_archive(record.archive.path)
    place = {"lat": 45.1, "lon": 5.2}
    answer = httpx.get(f"{address}/api/series", params=place).json()
    values = archive.soil_moisture.sel(place, method="nearest").values
    middle = DAYS // 2  # its weeks are in the record once
    window = values[middle - 15 : middle + 16]
    assert answer["usual_low"][middle] == pytest.approx(np.nanpercentile(window, 10), abs=1e-4)
    assert answer["usual_high"][middle] == pytest.approx(np.nanpercentile(window, 90), abs=1e-4)
    some = {"from": answer["dates"][middle], "to": answer["dates"][middle + 1]}
    part = httpx.get(f"{address}/api/series", params=place | some).json()
    assert part["usual_low"] == answer["usual_low"][middle : middle + 2]


def test_check_reads_the_climatology(record: Config) -> None:
    assert archive_faults(record, untracked) == []
    file = record.archive.path / "climatology" / "0412.nc"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[:-100])
        (fault,) = archive_faults(record, untracked)
    finally:
        file.write_bytes(whole)
    assert fault.startswith(f"{file}: is not the mean of its daily files")


def test_the_page_shows_the_layer_and_the_range(visit: Open, address: str) -> None:
    page = visit(address).goes_to("#layer=soil_moisture_anomaly&lat=45.1&lon=5.2")
    page.page.wait_for_selector('#stage[aria-busy="false"][data-shows$=" soil_moisture_anomaly"]')
    assert "the first colour also stands for less" in page.text("#legend")
    page.page.wait_for_selector("#chart canvas")
    assert "without the driest and the wettest tenth" in page.text("#series-summary")
    assert "usual from" in page.page.locator("#chart .u-legend").inner_text()
    page.picture("anomaly")
    page.is_accessible()
