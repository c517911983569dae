"""One network for all feeds, one for each, and networks on products that they were never judged on."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest
import xarray

from runtime.archive.record import DayRecord
from runtime.bundle import find_bundle
from runtime.errors import BundleError, ConfigError
from tests.conftest import MakeSite, Runtime, Site, messages

NEVER_JUDGED = (
    "bundle seamless-2 was never judged on lprm-amsr2 band c2, only on lprm-amsr2 band x, lprm-amsr2 band c1: how "
    "large the errors of filled values are, and how well the uncertainty describes them, is not known"
)
SECOND_FEED = dt.date(2020, 4, 7)


def _hand_over(site: Site, second: str) -> None:
    """Let a second feed of the same files, with more keys of its own, have the days from `SECOND_FEED`."""
    first = f'[[feeds.soil_moisture]]\nband = "x"\nto = {SECOND_FEED - dt.timedelta(1)}\n'
    text = site.file.read_text().replace('[[feeds.soil_moisture]]\nband = "x"\n', first)
    site.file.write_text(f'{text}\n[[feeds.soil_moisture]]\nband = "x"\nfrom = {SECOND_FEED}\n{second}\n')


def _models(site: Site) -> dict[int, str]:
    """The bundle that filled each published day, by the day's number."""
    records = (DayRecord.from_file(file) for file in sorted(site.archive.glob("[0-9]*/*.nc")))
    return {(record.date - site.date(0)).days: record.model.split()[0] for record in records}


def test_on_a_band_never_judged_plan_log_and_file_say_so(make_site: MakeSite, runtime: Runtime) -> None:
    site = make_site("seamless-2")
    band = "feeds.soil_moisture.0.band=c2"
    planned = runtime("plan", "--config", site.file, "--set", band)
    assert planned.exit_code == 0
    assert messages(planned.stderr) == [f"warning: {NEVER_JUDGED}"]
    assert site.fill(6, 7, band).error is None
    assert [line for line in site.said if "judged" in line] == [f"warning: {NEVER_JUDGED}"]
    with xarray.open_dataset(site.day_file(6)) as day:
        assert day.attrs["model_warning"] == NEVER_JUDGED


def test_on_a_band_that_was_judged_nothing_is_said(make_site: MakeSite) -> None:
    site = make_site("seamless-2")
    site.fill(6, 6)
    assert not [line for line in site.said if "judged" in line]
    with xarray.open_dataset(site.day_file(6)) as day:
        assert "model_warning" not in day.attrs


def test_a_published_network_refuses_a_sensor_it_was_not_made_for(make_site: MakeSite) -> None:
    site = make_site("sgdsm1-amsr2-x")
    with pytest.raises(BundleError, match=r"accepts lprm-amsr2, band x, not lprm-amsre in band x; set feeds.soil_m"):
        site.fill(6, 6, "feeds.soil_moisture.0.product=lprm-amsre")


@pytest.mark.slow
def test_each_feed_is_filled_by_its_own_bundle(make_site: MakeSite) -> None:
    site, alone = make_site(), make_site("sgdsm1-amsr2-x", name="alone")
    _hand_over(site, 'bundle = "sgdsm1-amsr2-x"')
    _hand_over(alone, "")
    assert site.fill(5, 7).error is None
    alone.fill(6, 7)
    assert _models(site) == {5: "seamless-amsr2-x", 6: "sgdsm1-amsr2-x", 7: "sgdsm1-amsr2-x"}
    assert site.day_file(6).read_bytes() == alone.day_file(6).read_bytes()
    assert not site.fill(5, 7).filled, "the days are current"


def test_another_bundle_of_a_feed_fills_only_its_days_again(make_site: MakeSite) -> None:
    site = make_site()
    _hand_over(site, "")
    site.fill(5, 6)
    again = site.fill(5, 6, "feeds.soil_moisture.1.bundle=sgdsm1-amsr2-x")
    assert [f"{date}" for date in again.filled] == ["2020-04-07"]
    assert site.reasons()["2020-04-07 2"] == "model changed (seamless-amsr2-x 1 to sgdsm1-amsr2-x 1)"


def test_a_network_with_a_memory_shares_no_archive_with_another(make_site: MakeSite) -> None:
    site = make_site()
    _hand_over(site, 'bundle = "sgdsm2-amsr2-x"')
    with pytest.raises(
        ConfigError, match=r"a network with a memory fills every day or none, .* give all feeds the same"
    ):
        site.fill(6, 6)
    assert site.published() == {}


def test_a_feeds_bundle_may_be_a_folder_beside_the_configuration(make_site: MakeSite, runtime: Runtime) -> None:
    site = make_site()
    shutil.copytree(find_bundle("sgdsm1-amsr2-x"), site.folder / "mine")
    _hand_over(site, 'bundle = "mine"')
    assert site.config().bundles == ["seamless-amsr2-x", str(site.folder / "mine")]
    said = runtime("doctor", "--config", site.file).stdout
    assert "bundle mine" in said
    assert Path(site.config().bundles[1]).is_dir()
