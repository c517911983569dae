"""How far an archive reaches: to the newest input, whatever the clock says, and not to days that nothing reaches."""

import datetime as dt

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.archive.record import DayRecord
from runtime.archive.verify import archive_faults
from runtime.fill.result import Flag
from runtime.pipeline import day as day_module
from runtime.pipeline.newest import NewestInputs
from runtime.pipeline.plan import Action, _Planner
from tests.conftest import DAYS, FillOnce, MakeSite, Runtime, Site

BOTH = pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])
LAST = DAYS - 1


@pytest.fixture
def with_cube() -> bool:
    return False


def _tiers(site: Site) -> dict[int, str]:
    found = {n: site.day_file(n) for n in range(60)}
    return {n: DayRecord.from_file(path).tier for n, path in found.items() if path.exists()}


def _without_soil_moisture(site: Site, *days: int) -> None:
    for day in days:
        site.lprm(day).unlink()


def _faults(site: Site) -> list[str]:
    return archive_faults(site.config(), lambda items, _: items)


@pytest.mark.slow_but_the_first
@BOTH
def test_a_clock_forty_days_ahead_publishes_no_day_beyond_the_newest_input(
    bundle: str, make_site: MakeSite, fill_once: FillOnce
) -> None:
    site, straight = make_site(bundle), make_site(bundle, "straight")
    site.today = site.date(LAST + 40)
    outcome = site.fill()
    assert outcome.filled == [site.date(n) for n in range(DAYS)]
    assert outcome.exit_code == 3
    assert "the newest file is of 2020-04-14, and it is 2020-05-24" in outcome.message
    fill_once(straight)
    assert site.published() == straight.published(), "the age of a day makes none of them consolidated"
    site.today = site.date(LAST)
    again = site.fill()
    assert (again.filled, again.exit_code) == ([], 0)


def test_an_explicit_day_beyond_the_newest_input_is_not_published(window_site: Site) -> None:
    window_site.today = window_site.date(40)
    outcome = window_site.fill(LAST + 1, LAST + 3)
    assert (outcome.filled, outcome.exit_code) == ([], 3)
    assert outcome.message == "2020-04-15 is not filled: no feed has a file of this day or a later one"


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize(
    ("bundle", "last"), [("seamless-amsr2-x", LAST), ("sgdsm2-amsr2-x", LAST), ("sgdsm1-amsr2-x", 9)]
)
def test_rain_that_goes_on_carries_an_outage_for_networks_that_read_it(
    bundle: str, last: int, make_site: MakeSite
) -> None:
    site = make_site(bundle)
    _without_soil_moisture(site, 10, 11, 12, 13)
    site.today = site.date(30)
    site.fill()
    tiers = _tiers(site)
    assert max(tiers) == last
    assert all((tier == "no_observation") == (day > 9) for day, tier in tiers.items())


def test_a_live_edge_waits_for_the_lag_before_it_is_an_outage(window_site: Site) -> None:
    _without_soil_moisture(window_site, 10, 11, 12, 13)
    window_site.fill(None, None, "policy.max_lag_days=2")
    assert max(_tiers(window_site)) == 10
    assert _tiers(window_site)[10] == "no_observation"


@pytest.mark.slow_but_the_first
@BOTH
def test_an_outage_in_the_middle_is_filled_and_has_a_tier_of_its_own(bundle: str, make_site: MakeSite) -> None:
    site, whole = make_site(bundle), make_site(bundle, "whole")
    kept = {day: (site.lprm(day), site.lprm(day).read_bytes()) for day in (5, 6)}
    _without_soil_moisture(site, 5, 6)
    site.today = whole.today = site.date(30)
    site.fill()
    tiers = _tiers(site)
    assert [day for day, tier in tiers.items() if tier == "no_observation"] == [5, 6]
    assert tiers[4] == tiers[7] == "consolidated", "files after the outage arrived: these will not"
    assert len(site.snapshots()) == (DAYS if bundle.startswith("sgdsm2") else 0), "the state goes through the outage"
    for path, content in kept.values():
        path.write_bytes(content)
    site.fill()
    whole.fill()
    assert site.published() == whole.published()


def test_a_day_that_nothing_reaches_is_not_published(window_site: Site) -> None:
    """A window of nine days inside an outage of ten."""
    _without_soil_moisture(window_site, *range(2, 12))
    window_site.today = window_site.date(30)
    outcome = window_site.fill()
    assert sorted(set(range(DAYS)) - set(_tiers(window_site))) == [6, 7]
    assert outcome.planned[window_site.date(6)].action is Action.OUTAGE
    assert outcome.planned[window_site.date(6)].reason == "no observation reaches it"
    for path in window_site.archive.glob("2020/*.nc"):
        with xarray.open_dataset(path) as day:
            assert bool(np.isfinite(day.soil_moisture).any())
    assert window_site.fill().filled == []
    assert _faults(window_site) == []


def test_a_state_carries_a_recurrent_network_where_a_window_reaches_nothing(recurrent_site: Site) -> None:
    _without_soil_moisture(recurrent_site, *range(2, 12))
    recurrent_site.today = recurrent_site.date(30)
    recurrent_site.fill()
    assert len(_tiers(recurrent_site)) == DAYS


@BOTH
def test_a_region_that_no_swath_has_reached_yet_is_not_published(bundle: str, make_site: MakeSite) -> None:
    """Nothing is known of the network's result before it runs, except that its inputs are empty."""
    site = make_site(bundle)
    for day in range(DAYS):
        with Dataset(site.lprm(day), "a") as file:
            file.set_auto_maskandscale(False)
            values = file["soil_moisture_x"][:]
            if day < 7:
                values[:40, 40:] = -32767
            file["soil_moisture_x"][:] = values
    box = ("grid.box=[-10, 35, 0, 40]", "policy.max_mean_jump=1")
    outcome = site.fill(None, None, *box)
    first = 3 if bundle.startswith("seamless") else 7
    assert outcome.filled == [site.date(day) for day in range(first, DAYS)]
    assert all((tier == "no_observation") == (day < 7) for day, tier in _tiers(site).items())
    assert site.fill(None, None, *box).filled == []


def test_a_result_without_any_value_is_not_published(window_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Observations in the window are too far from land: the plan cannot know."""
    _without_soil_moisture(window_site, 6)
    window_site.today = window_site.date(30)
    real = day_module.check_reached

    def empty(filled: object, date: dt.date) -> None:
        if date == window_site.date(6):
            filled.soil_moisture[:] = np.nan  # type: ignore[attr-defined]
        real(filled, date)  # type: ignore[arg-type]

    monkeypatch.setattr(day_module, "check_reached", empty)
    outcome = window_site.fill()
    assert 6 not in _tiers(window_site)
    assert outcome.planned[window_site.date(6)].action is Action.OUTAGE
    assert len(outcome.filled) == DAYS - 1


def test_a_rejected_newest_day_is_filled_from_the_others(
    window_site: Site, runtime: Runtime, fill_once: FillOnce
) -> None:
    fill_once(window_site)
    done = runtime("fill", "--reject", window_site.date(LAST), "--because", "stripes", "--config", window_site.file)
    assert done.exit_code == 0, done.output
    assert _tiers(window_site)[LAST] == "no_observation"


def test_a_damaged_file_of_a_later_day_does_not_carry_an_outage(window_site: Site) -> None:
    late = window_site.lprm(LAST)
    late.write_bytes(b"<html>")
    _without_soil_moisture(window_site, 10, 11, 12)
    window_site.today = window_site.date(30)
    outcome = window_site.fill(None, None, "feeds.precipitation.kind=none")
    assert outcome.exit_code == 4, "the refused file is still reported"
    assert max(_tiers(window_site)) == 9


def test_a_feed_with_an_end_is_complete_when_its_last_day_is_filled(window_site: Site) -> None:
    window_site.today = window_site.date(60)
    ends = f"feeds.soil_moisture.0.to={window_site.date(9)}"
    outcome = window_site.fill(None, None, ends)
    assert (outcome.exit_code, max(outcome.filled)) == (0, window_site.date(9))
    assert set(_tiers(window_site).values()) == {"consolidated"}, "no later day will come"


def test_a_gap_between_two_feeds_is_an_outage_in_the_middle(window_site: Site) -> None:
    text = window_site.file.read_text()
    first = f'to = {window_site.date(5)}\n[[feeds.soil_moisture]]\nband = "x"\nfrom = {window_site.date(9)}\n'
    window_site.file.write_text(text.replace("[feeds.precipitation]", f"{first}[feeds.precipitation]"))
    window_site.today = window_site.date(30)
    window_site.fill()
    tiers = _tiers(window_site)
    assert [day for day, tier in tiers.items() if tier == "no_observation"] == [6, 7, 8]
    assert max(tiers) == LAST


@pytest.fixture
def old_site(window_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An archive of a version that filled an outage whatever the inputs: its last six days have no value."""
    window_site.today = window_site.date(60)
    with monkeypatch.context() as patch:
        patch.setattr(NewestInputs, "any", dt.date.max)
        patch.setattr(_Planner, "_is_reached", lambda *_: True)
        patch.setattr(day_module, "check_reached", lambda *_: None)
        window_site.fill(0, LAST + 10)
    return window_site


@pytest.mark.slow
@pytest.mark.parametrize("with_cube", [True])
def test_empty_days_of_an_old_archive_are_named_and_can_be_taken_back(old_site: Site, runtime: Runtime) -> None:
    assert max(_tiers(old_site)) == LAST + 10
    empty = [n for n in _tiers(old_site) if not _has_value(old_site, n)]
    assert empty == list(range(LAST + 5, LAST + 11))
    faults = _faults(old_site)
    assert len(faults) == len(empty)
    assert "has no value, no observation reaches 2020-04-19; delete it, then `runtime check" in faults[0]
    outcome = old_site.fill()
    assert outcome.planned[old_site.date(LAST + 1)].reason.startswith(
        "no feed has a file of this day or a later one; it"
    )
    for day in range(LAST + 1, LAST + 11):
        old_site.day_file(day).unlink()
    done = runtime("check", "--rebuild-catalog", "--rebuild-views", "--config", old_site.file)
    assert done.exit_code == 0, done.output
    assert max(old_site.fill().planned) == old_site.date(LAST)


def _has_value(site: Site, day: int) -> bool:
    with xarray.open_dataset(site.day_file(day)) as opened:
        return bool((opened.flag < Flag.NOT_REACHED).any())
