"""What is refused although its file is sound, what an operator can do about it, and what stays on record."""

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.archive.record import DayRecord
from runtime.archive.verify import archive_faults, rebuild_catalog
from runtime.common.vocabulary import RAIN_TODAY, InputRole
from runtime.errors import UsageError
from runtime.pipeline.plan import Action
from tests.conftest import DAYS, FillOnce, MakeSite, Runtime, Site


@pytest.fixture
def with_cube() -> bool:
    return False


def _sparse(site: Site, day: int, keep: int = 40) -> None:
    """Leave a few cells of a file."""
    with Dataset(site.lprm(day), "a") as file:
        file.set_auto_maskandscale(False)
        values = file["soil_moisture_x"][:]
        seen = np.flatnonzero(values != -32767)
        values.flat[seen[keep:]] = -32767
        file["soil_moisture_x"][:] = values


def test_a_file_with_hardly_any_coverage_is_refused(window_site: Site) -> None:
    _sparse(window_site, 12)
    outcome = window_site.fill()
    assert outcome.exit_code == 4
    assert outcome.planned[window_site.date(12)].action == Action.REFUSED
    assert "% is usual of the 30 days before; `runtime fill --accept 2020-04-13 --because ...`" in outcome.message
    assert not window_site.day_file(12).exists()
    assert "T-1" in [
        str(role) for role, item in DayRecord.from_file(window_site.day_file(13)).inputs.items() if item is None
    ]


def test_yesterdays_field_under_todays_name_is_refused(window_site: Site) -> None:
    with Dataset(window_site.lprm(11)) as old, Dataset(window_site.lprm(12), "a") as new:
        old.set_auto_maskandscale(False)
        new.set_auto_maskandscale(False)
        new["soil_moisture_x"][:] = old["soil_moisture_x"][:]
    outcome = window_site.fill()
    assert outcome.exit_code == 4
    assert "holds the field of 2020-04-12" in outcome.message


def test_yesterdays_rain_is_a_warning(recurrent_site: Site) -> None:
    with Dataset(recurrent_site.imerg(4)) as old, Dataset(recurrent_site.imerg(5), "a") as new:
        new["precipitation"][:] = old["precipitation"][:]
    assert recurrent_site.fill().exit_code == 0
    assert any("holds the field of 2020-04-05" in line for line in recurrent_site.said)
    assert DayRecord.from_file(recurrent_site.day_file(5)).inputs[RAIN_TODAY] is None


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])
def test_an_operator_accepts_and_the_file_says_so(bundle: str, make_site: MakeSite, runtime: Runtime) -> None:
    site = make_site(bundle)
    _sparse(site, 12)
    site.fill()
    done = runtime("fill", "--accept", "2020-04-13", "--because", "a manoeuvre", "--config", site.file)
    assert done.exit_code == 0, done.output
    decision = DayRecord.from_file(site.day_file(12)).decision
    assert decision
    assert (decision.verdict, decision.because) == ("accept", "a manoeuvre")
    with xarray.open_dataset(site.day_file(12)) as day:
        assert int(np.isfinite(day.soil_moisture_observed).sum()) == 40
        assert "a manoeuvre" in day.attrs["operator_decision"]
    site.fill()
    assert DayRecord.from_file(site.day_file(13)).inputs.get(InputRole.soil_moisture(-1)) or bundle.startswith("sgdsm2")
    before = site.published()
    assert site.fill().filled == []
    site.paths.catalog.unlink()
    rebuild_catalog(site.config(), lambda items, _: items)
    assert site.fill().filled == [], "the decision is read back from the file"
    assert site.published() == before


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])
def test_an_operator_rejects_and_the_day_is_an_outage(
    bundle: str, make_site: MakeSite, runtime: Runtime, fill_once: FillOnce
) -> None:
    site = make_site(bundle)
    fill_once(site)
    done = runtime("fill", "--reject", "2020-04-07", "--because", "stripes", "--config", site.file)
    assert done.exit_code == 0, done.output
    with xarray.open_dataset(site.day_file(6)) as day:
        assert int(day.input_status[0]) & 1
        assert not (day.flag == 0).any()
    redone = site.fill()
    assert redone.exit_code == 0
    assert site.date(7) in redone.filled, "days that had read it are made again without it"
    absent = make_site(bundle, "absent")
    absent.lprm(6).unlink()
    absent.fill(None, None, "policy.max_lag_days=0")
    with xarray.open_dataset(site.day_file(7)) as one, xarray.open_dataset(absent.day_file(7)) as other:
        np.testing.assert_array_equal(one.soil_moisture, other.soil_moisture)


def test_a_decision_is_about_one_field(window_site: Site, runtime: Runtime) -> None:
    _sparse(window_site, 12)
    arguments = ["--because", "known", "--config", window_site.file]
    assert runtime("fill", "--accept", "2020-04-13", *arguments).exit_code == 0
    _sparse(window_site, 12, keep=20)
    assert window_site.fill().exit_code == 4, "another file under the same name is judged anew"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--accept", "2020-04-13"],
        ["--because", "no reason"],
        ["--accept", "2020-04-13", "--reject", "2020-04-13", "--because", "x"],
        ["--accept", "2020-04-13", "--date", "2020-04-13", "--because", "x"],
        ["--accept", "today", "--because", "x"],
    ],
)
def test_decisions_need_a_date_and_a_reason(arguments: list[str], window_site: Site, runtime: Runtime) -> None:
    assert runtime("fill", *arguments, "--config", window_site.file).exit_code == 2


def test_a_file_without_a_field_cannot_be_accepted_but_rejected(window_site: Site, runtime: Runtime) -> None:
    window_site.lprm(6).write_bytes(b"<html>")
    arguments = ["--because", "gone for good", "--config", window_site.file]
    refused = runtime("fill", "--accept", "2020-04-07", *arguments)
    assert refused.exit_code == UsageError.exit_code
    assert "cannot be accepted, its file has no field" in refused.stderr
    assert runtime("fill", "--reject", "2020-04-07", *arguments).exit_code == 0
    assert window_site.fill().exit_code == 0
    assert window_site.day_file(6).exists()


def test_a_jump_of_the_land_mean_is_refused_and_kept_aside(window_site: Site, runtime: Runtime) -> None:
    window_site.fill(0, 9)
    with Dataset(window_site.lprm(10), "a") as file:
        file.set_auto_maskandscale(False)
        values = file["soil_moisture_x"][:]
        file["soil_moisture_x"][:] = np.where(values == -32767, values, 90)
    outcome = window_site.fill()
    assert outcome.exit_code == 5
    assert "2020-04-11: the land mean is 0." in outcome.message
    aside = window_site.archive / ".refused" / window_site.day_file(10).name
    assert str(aside) in outcome.message
    with xarray.open_dataset(aside) as day:
        assert float(day.soil_moisture.mean()) > 0.5
    assert not window_site.day_file(10).exists()
    assert archive_faults(window_site.config(), lambda items, _: items) == []
    done = runtime("fill", "--accept", "2020-04-11", "--because", "a flood", "--config", window_site.file)
    assert done.exit_code == 0, done.output
    assert window_site.day_file(10).exists()
    assert not aside.exists()


def test_a_region_without_a_swath_is_no_fault(window_site: Site) -> None:
    """The box saw nothing on a day on which the file has observations elsewhere."""
    box = "grid.box=[-10, 35, 0, 40]"
    for day in (5, 6):
        with Dataset(window_site.lprm(day), "a") as file:
            file.set_auto_maskandscale(False)
            values = file["soil_moisture_x"][:]
            values[:40, 40:] = -32767
            file["soil_moisture_x"][:] = values
    outcome = window_site.fill(0, DAYS - 1, box, "policy.max_mean_jump=1")
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS)


def test_superseded_files_are_kept_when_asked_for(window_site: Site) -> None:
    window_site.fill(0, 5)
    first = window_site.day_file(5).read_bytes()
    with Dataset(window_site.lprm(5), "a") as file:
        file.set_auto_maskandscale(False)
        values = file["soil_moisture_x"][:]
        file["soil_moisture_x"][:] = values + (values > 0)
    window_site.fill(None, None, "archive.keep_superseded=true")
    kept = window_site.archive / ".superseded" / "2020" / "seamless_sm_20200406.r1.nc"
    assert kept.read_bytes() == first
    assert window_site.day_file(5).read_bytes() != first
    assert archive_faults(window_site.config(), lambda items, _: items) == []


def test_problems_are_on_record_until_they_are_over(window_site: Site, runtime: Runtime) -> None:
    sound = window_site.lprm(6).read_bytes()
    window_site.lprm(6).write_bytes(b"<html>")
    window_site.fill()
    assert "refused" in runtime("status", "--config", window_site.file).stdout
    (listed,) = runtime("inbox", "--refused", "--config", window_site.file).stdout.splitlines()[1:2]
    assert "web page" in listed
    window_site.lprm(6).write_bytes(sound)
    window_site.fill()
    assert "refused" not in runtime("status", "--config", window_site.file).stdout
