"""Interim files, which a final one replaces months later: their days stay provisional, and nothing waits for them."""

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.archive.record import DayRecord
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.config import load_config
from runtime.pipeline.run import fill_archive
from tests.conftest import BOX, DAYS, MakeSite, Site

INTERIM = "feeds.soil_moisture.0.pattern='.*_(?P<date>[0-9]{8})[0-9]*(?P<interim>_interim)?[.]nc4$'"
LAST = DAYS - 1


@pytest.fixture
def with_cube() -> bool:
    return False


def _interim(site: Site, day: int) -> Path:
    return next((site.folder / "incoming" / "lprm").glob(f"*_{site.date(day):%Y%m%d}*_interim.nc4"))


def _make_interim(site: Site) -> None:
    """Let the interim file of each day arrive, drier than the final one, which does not."""
    for day in range(DAYS):
        path = site.lprm(day)
        path = path.rename(path.with_name(f"{path.stem}_interim.nc4"))
        with Dataset(path, "a") as file:
            values = file["soil_moisture_x"]
            values.set_auto_maskandscale(False)
            stored = values[:]
            values[:] = np.where(stored > 1, stored - 1, stored)


def _bring_final(site: Site, *days: int) -> None:
    for day in days:
        name = _interim(site, day).name.replace("_interim", "")
        shutil.copy2(site.source / "lprm" / name, site.folder / "incoming" / "lprm" / name)


def _tiers(site: Site) -> list[str]:
    return [str(DayRecord.from_file(site.day_file(day)).tier) for day in range(DAYS)]


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])
def test_days_stay_provisional_until_the_final_files_come(bundle: str, make_site: MakeSite) -> None:
    site = make_site(bundle)
    _make_interim(site)
    site.today += dt.timedelta(200)
    settings = (INTERIM, f"feeds.soil_moisture.0.to={site.date(LAST)}")
    outcome = site.fill(None, None, *settings)
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS), "nothing waits for the final files"
    assert set(_tiers(site)) == {"provisional"}
    again = site.fill(None, None, *settings)
    assert (again.exit_code, again.filled) == (0, []), "and nothing is filled anew for want of them"

    _bring_final(site, 5)
    outcome = site.fill(None, None, *settings)
    assert site.date(5) in outcome.filled
    final, interim = site.source / "lprm" / _interim(site, 5).name.replace("_interim", ""), _interim(site, 6).name
    assert final.name in str(DayRecord.from_file(site.day_file(5)).inputs)
    assert interim in str(DayRecord.from_file(site.day_file(6)).inputs)
    assert _tiers(site).count("consolidated") == (1 if bundle == "sgdsm2-amsr2-x" else 0), "others of its window are"

    _bring_final(site, *range(DAYS))
    assert len(site.fill(None, None, *settings).filled) == DAYS
    assert set(_tiers(site)) == {"consolidated"}


@pytest.mark.slow
def test_a_final_file_counts_before_an_interim_one_in_any_order_of_arrival(make_site: MakeSite) -> None:
    late, early = make_site(name="late"), make_site(name="early")
    _make_interim(late)
    late.fill(0, LAST, INTERIM)
    _bring_final(late, *range(DAYS))
    late.fill(0, LAST, INTERIM)
    early.fill(0, LAST, INTERIM)
    before = early.published()
    for day in range(DAYS):
        shutil.copy2(_interim(late, day), early.folder / "incoming" / "lprm")
    assert early.fill(0, LAST, INTERIM).filled == []
    assert early.published() == before == late.published()


@pytest.mark.slow
def test_a_genuine_interim_day_is_filled_again_when_its_climate_record_comes(data: Path, tmp_path: Path) -> None:
    """No day has both records here: the TCDR is the ICDR with other values."""
    day, feed = dt.date(2017, 7, 1), tmp_path / "c3s"
    feed.mkdir()
    interim = next(data.glob("c3s/*PASSIVE*ICDR*"))
    shutil.copyfile(interim, feed / interim.name)
    file = tmp_path / "c.toml"
    file.write_text(
        f'[archive]\nstart = {day}\n[grid]\nbox = {list(BOX)}\n[model]\nengine = "cpu"\n[[feeds.soil_moisture]]\n'
        f'product = "c3s-passive"\npath = "{feed}"\nfrom = {day}\nto = {day}\n'
    )

    def fill() -> tuple[str, str, float]:
        config = load_config(file, environment={})
        fill_archive(config, DateRange(day, day), day + dt.timedelta(400), RunEvents())
        with xarray.open_dataset(next((tmp_path / "archive").glob("2017/*.nc"))) as published:
            return published.tier, published.inputs, float(published.soil_moisture_observed.mean())

    tier, inputs, mean = fill()
    assert (tier, interim.name in inputs) == ("provisional", True)
    final = feed / interim.name.replace("ICDR", "TCDR")
    shutil.copyfile(interim, final)
    with Dataset(final, "a") as changed:
        changed["sm"][:] = changed["sm"][:] * 0.5
    tier, inputs, halved = fill()
    assert (tier, final.name in inputs) == ("consolidated", True)
    assert halved == pytest.approx(mean / 2, abs=1e-4)
