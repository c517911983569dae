"""Several sensors fill one day together; one that is late, refused or gone does not stop the others."""

import csv
import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
import xarray

from runtime.api import open_archive
from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.record import DayRecord
from runtime.archive.verify import archive_faults, rebuild_catalog
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents, untracked
from runtime.common.vocabulary import TODAY, Tier, Verdict
from runtime.inputs.sensors_seen import silent_sensors
from runtime.merge.store import TransferStore
from runtime.merge.transfer import Basis
from runtime.pipeline.plan import Action
from runtime.pipeline.run import OperatorDecision, fill_archive
from tests.conftest import MakeSite, Runtime
from tests.support.sensor_site import DAYS, FIRST, INSTRUMENTS, SensorSite, sensor_name

AMSR2, AMSRE, WINDSAT = (sensor_name(product) for product in INSTRUMENTS)


def _reasons(site: SensorSite) -> dict[str, str]:
    with Catalog.open(ArchivePaths.of(site.config()).catalog, read_only=True) as catalog:
        return {f"{each.date} {each.revision}": each.reason for each in catalog.revisions()}


def test_a_day_says_which_sensors_saw_each_cell(together: SensorSite) -> None:
    with xarray.open_dataset(together.day_file(20)) as day:
        source, observed = day["soil_moisture_source"][0], day["soil_moisture_observed"][0]
        names = [name.replace("-", "_") for name in (AMSR2, AMSRE, WINDSAT)]
        assert source.attrs["flag_meanings"].split() == names
        assert list(source.attrs["flag_masks"]) == [1, 2, 4]
        np.testing.assert_array_equal(source > 0, np.isfinite(observed))
        assert {0, 1, 2, 3} <= set(np.unique(source))
        assert day.attrs["instrument"] == "AMSR2, AMSR-E, WindSat"
        sigma = day["soil_moisture_uncertainty"][0].values
        assert np.isfinite(sigma[np.isfinite(observed)]).all()
        assert sigma[(source == 3).values].mean() < sigma[(source == 2).values].mean()
    with xarray.open_mfdataset(str(together.archive / "2020" / "*.nc"), combine="by_coords") as days:
        assert days["soil_moisture_source"].shape[0] == 6


def test_the_cube_and_a_series_say_it_too(together: SensorSite, tmp_path: Path, runtime: Runtime) -> None:
    with xarray.open_mfdataset(str(together.archive / "2020" / "*.nc"), combine="by_coords") as files:
        source = files["soil_moisture_source"].load()
    opened = open_archive(together.archive)["soil_moisture_source"].load()
    np.testing.assert_array_equal(opened, source)
    assert opened.attrs["flag_meanings"] == source.attrs["flag_meanings"]
    with xarray.open_zarr(together.archive / "cube.zarr") as cube:
        np.testing.assert_array_equal(cube["soil_moisture_source"].sel(time=source.time), source)
    day, row, col = np.argwhere(source.values == 3)[0]
    place = ("--lat", source.lat.values[row], "--lon", source.lon.values[col], "--config", together.file)
    for name in ("s.csv", "s.nc"):
        assert runtime("series", *map(str, place), "--out", tmp_path / name).exit_code == 0
    with (tmp_path / "s.csv").open() as table:
        rows = {row["date"]: row["soil_moisture_source"] for row in csv.DictReader(table)}
    assert rows[str(source.time.values[day])[:10]] == f"{AMSR2} {AMSRE}".replace("-", "_")
    with xarray.open_dataset(tmp_path / "s.nc") as series:
        assert list(series["soil_moisture_source"].attrs["flag_masks"]) == [1, 2, 4]
        np.testing.assert_array_equal(series["soil_moisture_source"], source[:, row, col])


def test_the_record_names_the_file_of_every_sensor(together: SensorSite) -> None:
    item = DayRecord.from_file(together.day_file(20)).inputs[TODAY]
    assert item
    assert [part.sensor for part in item.parts] == [AMSR2, AMSRE, WINDSAT]
    for part in item.parts:
        assert "20200421" in part.name
        assert part.name in item.name


def test_the_transfer_is_kept_with_its_dates_and_fitted_on_days_before(together: SensorSite) -> None:
    item = DayRecord.from_file(together.day_file(23)).inputs[TODAY]
    assert item
    assert item.transfer
    kept = TransferStore(together.archive / ".transfer").of_key(item.transfer)
    assert kept
    assert kept.period <= FIRST + dt.timedelta(23)
    assert list(kept.sensors) == [AMSR2, AMSRE, WINDSAT]
    assert kept.sensors[AMSRE].basis is Basis.OVERLAP
    assert all(pair.date < kept.period for pairs in kept.pairs.values() for pair in pairs)
    values = np.full((1, 1), 0.24, np.float32)  # what AMSR-E reports of 0.2
    assert abs(float(kept.sensors[AMSRE].apply(values, np.array([42.0]))[0, 0]) - 0.2) < 0.02
    assert archive_faults(together.config(), untracked) == []


@pytest.mark.slow
def test_the_same_files_give_the_same_bytes_in_any_order(together: SensorSite, site: SensorSite) -> None:
    site.take_away("lprm-amsre", 0)
    assert site.fill(18, 23).exit_code == 0
    site.bring("lprm-amsre")
    assert site.fill(18, 23).exit_code == 0
    assert site.published() == together.published()


@pytest.mark.slow
def test_a_file_that_comes_late_fills_the_day_again_and_says_so(site: SensorSite) -> None:
    site.take_away("lprm-windsat", 20, 20)
    site.fill(20, 20)
    assert WINDSAT not in str(DayRecord.from_file(site.day_file(20)).inputs[TODAY])
    assert site.fill(20, 20).filled == []
    site.bring("lprm-windsat", 20, 20)
    assert site.fill(20, 20).filled == [FIRST + dt.timedelta(20)]
    assert _reasons(site)["2020-04-21 2"] == f"T of {WINDSAT} arrived"


@pytest.mark.slow
def test_a_late_file_that_the_transfer_is_fitted_on_fits_it_again(site: SensorSite) -> None:
    site.take_away("lprm-amsre", 20, 20)
    site.fill(26, 26)
    site.bring("lprm-amsre", 20, 20)
    assert site.fill(26, 26).filled == [FIRST + dt.timedelta(26)]
    reason = _reasons(site)["2020-04-27 2"]
    assert f"T-6 of {AMSRE} arrived" in reason
    assert "T is mapped by a transfer that was fitted again" in reason


@pytest.mark.slow
def test_files_that_are_deleted_after_use_change_nothing(site: SensorSite) -> None:
    site.fill(22, 23)
    before = site.published()
    for product in INSTRUMENTS:
        site.take_away(product, 0, 14)
    site.take_away("lprm-windsat", 23, 23)
    assert site.fill(22, 23).filled == []
    assert site.published() == before


@pytest.mark.slow
def test_a_transfer_on_more_days_fills_the_days_again(site: SensorSite) -> None:
    site.fill(26, 26)
    assert site.fill(26, 26, "merge.fit_days=15").filled == [FIRST + dt.timedelta(26)]
    assert "T is mapped by a transfer that was fitted again" in _reasons(site)["2020-04-27 2"]


@pytest.mark.slow
def test_a_sensor_that_is_gone_is_a_warning_and_not_an_end(site: SensorSite, runtime: Runtime) -> None:
    site.take_away("lprm-amsr2", 16)
    outcome = site.fill(14, DAYS - 1)
    assert outcome.exit_code == 0
    assert len(outcome.filled) == DAYS - 14
    gone = f"no file of {AMSR2} since 2020-04-16; the archive goes on with {AMSRE}, {WINDSAT}; check its feed"
    assert f"warning: {gone}" in site.said
    with xarray.open_dataset(site.day_file(20)) as day:
        assert not (day["soil_moisture_source"] & 1).any()
        assert abs(float((day["soil_moisture_observed"] - _truth_like(site, 20)).mean())) < 0.03
    with Catalog.open(ArchivePaths.of(site.config()).catalog, read_only=True) as catalog:
        assert silent_sensors(site.config(), catalog) == {AMSR2: gone}
    shown = runtime("status", "--config", site.file).stdout
    assert f"sensors gone       {AMSR2}" in shown
    assert f"2020-04-15 to 2020-04-16: {AMSR2} + {AMSRE} + {WINDSAT}" in shown
    assert f"2020-04-17 to 2020-04-30: {AMSRE} + {WINDSAT}" in shown
    facts = json.loads(runtime("status", "--json", "--config", site.file).stdout)
    assert facts["sensors_gone"] == [AMSR2]
    assert runtime("check", "--config", site.file).stdout == "the archive is whole\n"


def _truth_like(site: SensorSite, day: int) -> xarray.DataArray:
    """Return what the reference saw on a day: its file is not in the feed any more."""
    (file,) = (site.source / "lprm-amsr2").glob(f"*_{FIRST + dt.timedelta(day):%Y%m%d}*")
    with xarray.open_dataset(file) as granule:
        return xarray.DataArray(granule["soil_moisture_x"].values.T[None] / 100, dims=("time", "lat", "lon"))


def test_a_damaged_file_of_one_sensor_does_not_stop_the_day(site: SensorSite) -> None:
    (file,) = (site.folder / "lprm-windsat").glob("*_20200421*")
    file.write_bytes(b"not a granule")
    outcome = site.fill(20, 20)
    assert outcome.exit_code == 0
    assert any(file.name in line and "treated as absent" in line for line in site.said)
    item = DayRecord.from_file(site.day_file(20)).inputs[TODAY]
    assert item
    assert [part.sensor for part in item.parts] == [AMSR2, AMSRE]


@pytest.mark.slow
def test_a_day_without_one_of_its_sensors_waits_to_be_consolidated(site: SensorSite) -> None:
    site.take_away("lprm-windsat", 24)
    tiers = site.fill(20, 25, "policy.max_lag_days=40").planned
    assert {day.tier for day in tiers.values()} == {Tier.PROVISIONAL}
    planned = site.fill(20, 25, "policy.max_lag_days=0").planned
    assert planned[FIRST + dt.timedelta(20)].tier is Tier.CONSOLIDATED


def test_before_there_is_an_overlap_a_sensor_stays_as_it_is(site: SensorSite) -> None:
    for product in INSTRUMENTS:
        site.take_away(product, 8)  # with later files the transfer would be fitted on the sensors' first days
    assert site.fill(0, 0).exit_code == 0
    assert any(f"warning: {AMSRE}: less than 200 cells" in line for line in site.said)
    item = DayRecord.from_file(site.day_file(0)).inputs[TODAY]
    assert item
    kept = TransferStore(site.archive / ".transfer").of_key(item.transfer or "")
    assert kept
    assert kept.sensors[AMSRE].basis is Basis.UNMAPPED


@pytest.mark.slow
def test_the_catalog_is_rebuilt_from_the_files_of_several_sensors(site: SensorSite) -> None:
    site.fill(20, 21)
    ArchivePaths.of(site.config()).catalog.unlink()
    assert rebuild_catalog(site.config(), untracked) == 2
    assert archive_faults(site.config(), untracked) == []
    assert [day.action for day in site.fill(20, 21).planned.values()] == [Action.CURRENT] * 2


@pytest.mark.slow
def test_an_operator_rejects_a_day_of_all_sensors(site: SensorSite) -> None:
    site.fill(20, 20)
    date = FIRST + dt.timedelta(20)
    rejection = OperatorDecision(date, Verdict.REJECT, "all of the wrong day")
    days = DateRange(date, date)
    assert fill_archive(site.config(), days, site.today, RunEvents(), decision=rejection).exit_code == 0
    assert DayRecord.from_file(site.day_file(20)).inputs[TODAY] is None


def test_one_sensor_alone_is_published_as_always(make_site: MakeSite) -> None:
    site = make_site()
    site.fill(5, 6)
    before = site.published()
    assert "soil_moisture_source" not in xarray.open_dataset(site.day_file(5)).variables
    assert site.fill(5, 6, "merge.fit_days=30", "handover.days=3").filled == []
    assert site.published() == before


@pytest.mark.slow
def test_a_feed_that_does_not_answer_is_a_warning_if_another_sensor_has_the_day(site: SensorSite) -> None:
    silent = "feeds.soil_moisture.2.path=http://127.0.0.1:9/windsat/"
    outcome = site.fill(20, 20, silent)
    assert (outcome.exit_code, outcome.message) == (0, "")
    assert outcome.filled == [FIRST + dt.timedelta(20)]
    assert any("127.0.0.1:9" in line and line.startswith("warning: ") for line in site.said)
    every = [f"feeds.soil_moisture.{number}.path=http://127.0.0.1:9/{number}/" for number in range(3)]
    assert site.fill(20, 20, *every).exit_code == 3
