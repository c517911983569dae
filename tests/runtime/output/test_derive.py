"""Period means, anomalies and the root-zone index equal their definitions."""

import calendar
import datetime as dt
from pathlib import Path

import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import runtime as seamless
from runtime.archive import cf
from runtime.common.clock import calendar_days
from runtime.output.climatology import anomalies, compared_with_usual
from runtime.output.derive import Derived
from runtime.output.periods import period_bounds, period_means
from runtime.output.root_zone import exponential_filter, root_zone
from tests.conftest import DAYS, START, Runtime, Site

FIRST, LAST = np.datetime64("2019-02-05"), np.datetime64("2021-02-05")
VALUES = st.floats(0, 0.625, width=32) | st.just(float("nan"))


@pytest.fixture(scope="module")
def record() -> xarray.Dataset:
    """Two years of 3 x 4 cells, a third of the values missing, one cell never seen."""
    rng = np.random.default_rng(4)
    time = np.arange(FIRST, LAST).astype("datetime64[ns]")
    values = rng.uniform(0.05, 0.5, (len(time), 3, 4)).astype(np.float32)
    values[rng.random(values.shape) < 1 / 3] = np.nan
    values[:, 0, 0] = np.nan
    axes = {"time": time, "lat": [2.0, 1.0, 0.0], "lon": np.arange(4.0)}
    observed = np.where(rng.random(values.shape) < 0.5, values, np.nan)
    dims = ("time", "lat", "lon")
    return xarray.Dataset({"soil_moisture": (dims, values), "soil_moisture_observed": (dims, observed)}, axes)


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)))
def test_each_day_is_in_one_period_of_the_calendar(day: dt.date) -> None:
    last = calendar.monthrange(day.year, day.month)[1]
    begin, end = next((b, e) for b, e in ((1, 10), (11, 20), (21, last)) if b <= day.day <= e)
    first, following = period_bounds(np.array([day], "datetime64[ns]"), "dekad")[0].tolist()
    assert (first, following - dt.timedelta(1)) == (day.replace(day=begin), day.replace(day=end))
    first, following = period_bounds(np.array([day], "datetime64[ns]"), "month")[0].tolist()
    assert (first, following - dt.timedelta(1)) == (day.replace(day=1), day.replace(day=last))


def test_months_are_those_of_xarray(record: xarray.Dataset) -> None:
    found = period_means(record, "month").load()
    for name, days in (("soil_moisture", "days_with_value"), ("soil_moisture_observed", "days_observed")):
        by_month = record[name].astype(float).resample(time="MS")
        np.testing.assert_allclose(found[name], by_month.mean(), atol=1e-7)
        np.testing.assert_array_equal(found[days], by_month.count())
    assert found.time_bnds.values[0].tolist() == [d.item() for d in np.array(["2019-02-01", "2019-03-01"], "M8[ns]")]


def test_dekads_of_a_short_month(record: xarray.Dataset) -> None:
    february = record.soil_moisture.sel(time=slice("2020-02-01", "2020-02-29")).values
    found = period_means(record, "dekad").sel(time=slice("2020-02-01", "2020-02-29"))
    assert found.time.dt.day.values.tolist() == [1, 11, 21]
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(RuntimeWarning)
        expected = [np.nanmean(february[part], 0) for part in (slice(10), slice(10, 20), slice(20, 29))]
    np.testing.assert_allclose(found.soil_moisture, expected, atol=1e-6)


def test_a_date_has_the_same_place_in_every_year() -> None:
    times = np.arange(np.datetime64("1999-01-01"), np.datetime64("2005-01-01"))
    places: dict[str, set[int]] = {}
    for time, place in zip(times.astype(str), calendar_days(times).tolist(), strict=True):
        places.setdefault(time[5:], set()).add(place)
    assert sorted(places.items()) == [(date, {number}) for number, date in enumerate(sorted(places))]
    assert len(places) == 366


@given(
    arrays.arrays(np.float32, (2, 12), elements=VALUES),
    arrays.arrays(np.int64, 12, elements=st.integers(0, 365)),
    st.sampled_from([1, 3, 31, 365]),
    st.integers(0, 6),
)
def test_a_day_is_compared_with_the_same_weeks(
    values: np.ndarray, places: np.ndarray, window: int, min_days: int
) -> None:
    found = compared_with_usual(values, places, window, min_days)
    for cell, number in np.ndindex(*values.shape):
        away = [abs(int(place) - int(places[number])) for place in places]
        near = [min(days, 366 - days) <= window // 2 for days in away]
        usual = [float(v) for v, is_near in zip(values[cell], near, strict=True) if is_near and not np.isnan(v)]
        mean, anomaly, percentile, count = found[:, cell, number].tolist()
        assert count == len(usual)
        value = float(values[cell, number])
        if not usual or len(usual) < min_days:
            assert np.isnan([mean, anomaly, percentile]).all()
            continue
        assert mean == pytest.approx(np.mean(usual), abs=1e-6)
        if np.isnan(value):
            assert np.isnan([anomaly, percentile]).all()
            continue
        assert anomaly == pytest.approx(value - np.mean(usual), abs=1e-6)
        below = sum(each < value for each in usual) + sum(each == value for each in usual) / 2
        assert percentile == pytest.approx(100 * below / len(usual), abs=1e-4)


def test_anomalies_of_a_record(record: xarray.Dataset) -> None:
    found = anomalies(record.chunk(lat=2, lon=2), 31).load()
    day = np.datetime64("2020-01-10")
    weeks = [record.soil_moisture.sel(time=slice(f"{year - 1}-12-26", f"{year}-01-25")) for year in (2020, 2021)]
    usual = xarray.concat(weeks, "time").astype(float).mean("time")
    np.testing.assert_allclose(found.soil_moisture_climatology.sel(time=day), usual, atol=1e-7)
    expected = record.soil_moisture.sel(time=day) - usual
    np.testing.assert_allclose(found.soil_moisture_anomaly.sel(time=day), expected, atol=1e-7)
    with pytest.raises(ValueError, match="30 days: wanted an odd number"):
        anomalies(record, 30)


@given(arrays.arrays(np.float64, (2, 20), elements=VALUES), st.floats(0.5, 60))
def test_the_recursive_filter_is_the_weighted_past(values: np.ndarray, time_days: float) -> None:
    days = np.arange(20.0)
    found = exponential_filter(values, days, time_days)
    for cell, now in np.ndindex(*values.shape):
        known = [(day, values[cell, day]) for day in range(now + 1) if not np.isnan(values[cell, day])]
        if not known or now - known[-1][0] > time_days:
            assert np.isnan(found[cell, now])
            continue
        weights = [np.exp(-(known[-1][0] - day) / time_days) for day, _ in known]
        expected = np.average([value for _, value in known], weights=weights)
        assert found[cell, now] == pytest.approx(expected, abs=1e-9)


def test_a_root_zone_needs_a_time(record: xarray.Dataset) -> None:
    with pytest.raises(ValueError, match="wanted a number above 0"):
        root_zone(record, 0)


def test_periods_that_are_chosen_are_whole(record: xarray.Dataset) -> None:
    derived = Derived(20, "dekad", anomalies=True)
    found = derived.of(record, dt.date(2020, 4, 15), dt.date(2020, 4, 25)).load()
    everything = derived.of(record, FIRST.item(), LAST.item()).load()
    assert found.time.dt.day.values.tolist() == [11, 21]
    xarray.testing.assert_identical(found, everything.sel(time=found.time))
    assert {"root_zone_index", "soil_moisture_anomaly", "days_with_value"} <= set(found.data_vars)


def test_months_of_an_archive(filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out, config = tmp_path / "months.nc", ("--config", filled_site.file)
    command = ("export", "--format", "netcdf", "--every", "month", "--root-zone", "20", "--anomalies", "--out", out)
    said = runtime(*command, *config)
    assert said.exit_code == 0, said.stderr
    days = [cf.values(filled_site.day_file(number), "soil_moisture") for number in range(DAYS)]
    with xarray.open_dataset(out) as month, np.testing.suppress_warnings() as quiet:
        quiet.filter(RuntimeWarning)
        np.testing.assert_allclose(month.soil_moisture[0], np.nanmean(np.array(days, float), 0), atol=1e-6)
        assert month.time_bnds.dt.strftime("%m-%d").values.tolist() == [["04-01", "05-01"]]
    refused = runtime("export", "--format", "cog", "--every", "month", "--out", tmp_path / "c", *config)
    assert "need netcdf or zarr" in refused.stderr
    refused = runtime("export", "--format", "netcdf", "--every", "year", "--out", tmp_path / "c", *config)
    assert "--every year: wanted one of dekad, month" in refused.stderr


def test_series_of_a_place_with_anomalies(filled_site: Site, runtime: Runtime) -> None:
    day = START + dt.timedelta(3)
    only = ("--from", day, "--to", day, "--config", filled_site.file)
    said = runtime("series", "--lat", "45.2", "--lon", "5.7", "--anomalies", "--root-zone", "20", *only)
    assert said.exit_code == 0, said.stderr
    heading, line = said.stdout.splitlines()
    row = dict(zip(heading.split(","), line.split(","), strict=True))
    archive = seamless.open_archive(filled_site.archive)
    usual = archive.seamless.anomalies().sel(lat=45.2, lon=5.7, method="nearest").sel(time=str(day))
    assert float(row["soil_moisture_anomaly (m3 m-3)"]) == pytest.approx(float(usual.soil_moisture_anomaly), abs=1e-4)
    assert row["station"] == "45.2 N 5.7 E"
    refused = runtime("series", "--lat", "45.2", "--lon", "5.7", "--root-zone", "0", *only)
    assert "--root-zone 0: wanted a number of days above 0" in refused.stderr


def test_means_are_for_each_period(filled_site: Site) -> None:
    archive = seamless.open_archive(filled_site.archive)
    assert archive.seamless.means("dekad").sizes["time"] == 2
    assert archive.seamless.root_zone().root_zone_index.dims == ("time", "lat", "lon")
