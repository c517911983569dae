"""What makes a day stale, what is waited for, and what is filled again."""

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.archive.catalog import Catalog
from runtime.archive.record import DayRecord
from runtime.common.vocabulary import RAIN_TODAY
from runtime.pipeline.plan import Action
from tests.conftest import DAYS, FillOnce, MakeSite, Runtime, Site

BOTH = pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])


@pytest.fixture
def with_cube() -> bool:
    return False


def test_a_day_becomes_consolidated_when_its_future_arrives(make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    site.bring(0, 6)
    site.fill(0, 6)
    assert DayRecord.from_file(site.day_file(5)).tier == "provisional"
    site.bring(7, 7)
    outcome = site.fill()
    assert site.date(0) not in outcome.filled
    assert site.date(5) in outcome.filled
    assert site.reasons()["2020-04-06 2"] == "T+2 arrived, precipitation T+2 arrived"
    site.bring(8, 9)
    site.fill()
    assert DayRecord.from_file(site.day_file(5)).tier == "consolidated"


def test_days_before_the_record_are_not_waited_for(window_site: Site, fill_once: FillOnce) -> None:
    fill_once(window_site, 0, DAYS - 1, "feeds.precipitation.kind=none")
    tiers = [DayRecord.from_file(window_site.day_file(day)).tier for day in (0, 2, 9, 10)]
    assert tiers == ["consolidated"] * 3 + ["provisional"]


def test_a_better_rain_run_re_does_the_day_and_all_after_it(recurrent_site: Site) -> None:
    late = recurrent_site.imerg(8)
    early = late.rename(late.with_name(late.name.replace("3B-DAY-L", "3B-DAY-E")))
    recurrent_site.fill()
    assert DayRecord.from_file(recurrent_site.day_file(8)).tier == "provisional"
    assert DayRecord.from_file(recurrent_site.day_file(7)).tier == "consolidated"
    content = early.read_bytes()
    late.write_bytes(content)
    assert recurrent_site.fill().filled == [recurrent_site.date(8)], "same field: only the tier changes"
    with Dataset(late, "a") as file:
        file["precipitation"][:] = file["precipitation"][:] + 12
    assert recurrent_site.fill().filled == [recurrent_site.date(n) for n in range(8, DAYS)]
    reasons = recurrent_site.reasons()
    assert reasons["2020-04-09 3"] == "precipitation changed"
    assert reasons["2020-04-10 2"] == "state upstream changed"


def test_a_republished_file_with_the_same_field_changes_nothing(window_site: Site, fill_once: FillOnce) -> None:
    fill_once(window_site)
    before = window_site.published()
    with Dataset(window_site.lprm(5), "a") as file:
        file.history = "reprocessed"
    assert window_site.fill().filled == []
    assert window_site.published() == before


def test_a_changed_field_re_does_the_days_that_read_it(window_site: Site, fill_once: FillOnce) -> None:
    fill_once(window_site)
    with Dataset(window_site.lprm(5), "a") as file:
        file.set_auto_maskandscale(False)
        values = file["soil_moisture_x"][:]
        file["soil_moisture_x"][:] = np.where(values > 0, values + 3, values)
    assert window_site.fill().filled == [window_site.date(n) for n in range(1, 10)]
    assert window_site.reasons()["2020-04-06 2"] == "T changed"


def test_another_model_is_a_reason(window_site: Site) -> None:
    window_site.fill(6, 6)
    outcome = window_site.fill(6, 6, "model.bundle=sgdsm2-amsr2-x")
    assert outcome.filled == [window_site.date(6)]
    assert window_site.reasons()["2020-04-07 2"].startswith("model changed (seamless-amsr2-x")


def test_old_stale_days_wait_for_an_explicit_range(recurrent_site: Site, fill_once: FillOnce) -> None:
    fill_once(recurrent_site)
    recurrent_site.day_file(1).unlink()
    assert recurrent_site.fill(None, None, "policy.max_refill_days=5").filled == []
    assert recurrent_site.fill(1, 1).filled == [recurrent_site.date(1)]


def test_rain_that_is_refused_is_absent_with_a_warning(recurrent_site: Site) -> None:
    with Dataset(recurrent_site.imerg(3), "a") as file:
        file["precipitation_cnt"][:] = 0
    outcome = recurrent_site.fill(3, 3)
    assert outcome.exit_code == 0
    (warning,) = recurrent_site.said[:1]
    assert "precipitation_cnt is 0 everywhere" in warning
    assert warning.startswith("warning: ")
    with xarray.open_dataset(recurrent_site.day_file(3)) as day:
        assert int(day["input_status"][0]) & 2
    recurrent_site.fill(4, 4)
    with xarray.open_dataset(recurrent_site.day_file(4)) as day:
        assert not int(day["input_status"][0]) & 2


@BOTH
def test_absent_and_young_waits_absent_and_old_is_an_outage(bundle: str, make_site: MakeSite) -> None:
    site = make_site(bundle, arrived=False)
    site.bring(0, 3)
    site.bring(7, DAYS - 3)
    outcome = site.fill(None, None, "policy.max_lag_days=7")
    assert outcome.exit_code == 0
    actions = {d.date: d.action for d in outcome.planned.values()}
    assert [actions[site.date(n)] for n in (4, 5, 6)] == [Action.FILL, Action.FILL, Action.WAIT]
    assert actions[site.date(DAYS - 1)] == Action.WAIT
    assert site.day_file(4).exists(), "absent and older than the lag: an outage day"
    with xarray.open_dataset(site.day_file(4)) as day:
        assert int(day["input_status"][0]) & 1
        assert not (day["flag"] == 0).any()
    assert site.fill(DAYS - 1, None, "policy.max_lag_days=7").exit_code == 3


def test_filling_stops_after_too_long_an_outage(make_site: MakeSite) -> None:
    """The rain goes on, and no soil moisture comes any more."""
    site = make_site(arrived=False)
    site.bring()
    for day in range(2, DAYS):
        site.lprm(day).unlink()
    site.today = site.date(24)
    outcome = site.fill(None, None, "policy.max_outage_days=3", "policy.max_lag_days=11")
    assert outcome.exit_code == 3
    assert "no soil moisture for more than 3 days in a row" in outcome.message
    assert max(outcome.filled) == site.date(1 + 3)
    assert site.fill(None, None, "policy.max_outage_days=3", "policy.max_lag_days=11").exit_code == 3


def test_the_last_days_of_a_folder_stay_provisional(window_site: Site) -> None:
    """Whether the day after comes is not known, however long ago it was: their window is incomplete and they say so."""
    window_site.today = window_site.date(400)
    window_site.fill()
    for day in range(DAYS):
        with xarray.open_dataset(window_site.day_file(day)) as published:
            lacks_later = any(f'"T+{k}": null' in published.attrs["inputs"] for k in range(1, 5))
            assert published.attrs["tier"] == ("provisional" if lacks_later else "consolidated")
            assert lacks_later == (day > 9)


def test_rain_of_the_window_counts_for_the_window_kind(make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    site.bring()
    late = next((site.folder / "incoming" / "imerg").glob("*20200407*"))
    kept = late.read_bytes()
    late.unlink()
    site.fill()
    assert "precipitation T+1" in _missing(site, 5)
    late.write_bytes(kept)
    outcome = site.fill()
    assert outcome.filled == [site.date(day) for day in range(2, 11)]
    assert site.reasons()["2020-04-06 2"] == "precipitation T+1 arrived"
    assert "precipitation T+1" not in _missing(site, 5)


def _missing(site: Site, day: int) -> list[str]:
    return [str(role) for role, item in DayRecord.from_file(site.day_file(day)).inputs.items() if item is None]


def test_without_a_rain_feed_nothing_is_waited_for(window_site: Site, fill_once: FillOnce) -> None:
    fill_once(window_site, 0, DAYS - 1, "feeds.precipitation.kind=none")
    assert DayRecord.from_file(window_site.day_file(5)).tier == "consolidated"
    with xarray.open_dataset(window_site.day_file(5)) as day:
        assert int(day.input_status[0]) == 2, "precipitation_absent"
    with_rain = window_site.fill()
    assert len(with_rain.filled) == DAYS


@BOTH
def test_final_enters_by_reprocess_and_stays(
    bundle: str, make_site: MakeSite, runtime: Runtime, fill_once: FillOnce
) -> None:
    site = make_site(bundle)
    fill_once(site)
    for day in (5, 6):
        late = site.imerg(day)
        final = late.with_name(late.name.replace("3B-DAY-L", "3B-DAY"))
        final.write_bytes(late.read_bytes())
        with Dataset(final, "a") as file:
            file["precipitation"][:] = file["precipitation"][:] * 2
    assert site.fill().filled == [], "Final does not come by itself"
    done = runtime("reprocess", "--from", "2020-04-06", "--to", "2020-04-06", "--config", site.file)
    assert done.exit_code == 0, done.output
    assert "IMERG final replaced late" in done.stderr
    rain = DayRecord.from_file(site.day_file(5)).inputs[RAIN_TODAY]
    assert rain
    assert rain.run == "final"
    assert DayRecord.from_file(site.day_file(5)).tier == "consolidated"
    with Catalog.open(site.paths.catalog, read_only=True) as catalog:
        redone = {r.date for r in catalog.revisions() if r.revision == 2}
    window = [site.date(n) for n in range(1, 10)] if bundle.startswith("seamless") else None
    assert sorted(redone) == (window or [site.date(n) for n in range(5, DAYS)])
    assert site.fill().filled == [], "and what has it keeps it"
    nothing = runtime("reprocess", "--from", "2020-04-10", "--to", "2020-04-11", "--config", site.file)
    assert nothing.exit_code == 3
    assert "IMERG Final is not there for 2020-04-10 to 2020-04-11" in nothing.stderr


def test_a_new_sensor_in_the_configuration_leaves_the_past_alone(window_site: Site, fill_once: FillOnce) -> None:
    fill_once(window_site)
    before = window_site.published()
    (window_site.folder / "next").mkdir()
    text = window_site.file.read_text()
    add = '[[feeds.soil_moisture]]\npath = "next"\nband = "x"\nfrom = 2020-05-01\n[feeds.precipitation]'
    window_site.file.write_text(text.replace("[feeds.precipitation]", add))
    assert window_site.fill().filled == []
    assert window_site.published() == before


def test_a_refused_day_long_ago_is_looked_at_again(window_site: Site) -> None:
    """It is missing, so that a plain fill tries it, however old; days that stand are not planned."""
    sound = window_site.lprm(2).read_bytes()
    window_site.lprm(2).write_bytes(b"<html>")
    window_site.fill(None, None, "policy.max_refill_days=3")
    window_site.lprm(2).write_bytes(sound)
    outcome = window_site.fill(None, None, "policy.max_refill_days=3")
    assert window_site.date(2) in outcome.filled
    assert window_site.date(5) not in outcome.planned


def test_the_published_file_names_the_band_that_the_day_was_made_from(make_site: MakeSite) -> None:
    """Two feeds of one product with different bands: the first one ends, the second one has the later days."""
    site = make_site(bundle="seamless-2-soil")
    text, feed = site.file.read_text(), '[[feeds.soil_moisture]]\nband = "x"\n'
    bands = f'{feed}to = {site.date(5)}\n[[feeds.soil_moisture]]\nband = "c1"\nfrom = {site.date(6)}\n'
    site.file.write_text(text.replace(feed, bands))
    site.fill(5, 6)
    for day, band in ((5, "x"), (6, "c1")):
        with Dataset(site.day_file(day)) as file:
            assert file.source.startswith(f"AMSR2 LPRM Level 3 {band}-band")
            assert f"LPRM {band}-band" in file.history
