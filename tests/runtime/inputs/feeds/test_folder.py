import datetime as dt
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from runtime.common.sensors import PRODUCTS
from runtime.errors import ConfigError, FeedUnreachable
from runtime.inputs.feeds.base import FileName, GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from tests.conftest import DAYS, START, Site

NAMES = [
    "LPRM-AMSR2_L3_D_SOILM3_V001_20150401013507.nc4",
    "LPRM-AMSR2_L3_A_SOILM3_V001_20150401134507.nc4",
    "deep/er/LPRM-AMSR2_L3_D_SOILM3_V001_20150402013507.nc4",
    "LPRM-AMSR2_L3_D_SOILM3_V001_20159902013507.nc4",
    "LPRM-AMSR_E_L3_D_SOILM3_V002_20111004.nc",
    "LPRM-AMSR_E_L3_D_SOILM3_V002_20111005.nc",
    "3B-DAY-E.MS.MRG.3IMERG.20150401-S000000-E235959.V07B.nc4",
    "3B-DAY-L.MS.MRG.3IMERG.20150401-S000000-E235959.V07C.nc4",
    "3B-DAY.MS.MRG.3IMERG.20150401-S000000-E235959.V07B.nc4",
    "notes.txt",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_one_orbit_in_all_sub_folders(folder: Path) -> None:
    found = FolderFeed(str(folder), GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")).granules()
    assert sorted(found) == [dt.date(2015, 4, 1), dt.date(2015, 4, 2)]
    ((granule,), _) = (found[day] for day in sorted(found))
    assert granule.name == NAMES[0]
    FolderFeed(str(folder), GranuleFilter(PRODUCTS["lprm-amsr2"])).fetch(granule, folder / "copy")
    assert (folder / "copy").read_text() == NAMES[0]


def test_a_feed_is_used_for_its_sensors_era_or_for_what_is_said(folder: Path) -> None:
    assert list(FolderFeed(str(folder), GranuleFilter(PRODUCTS["lprm-amsre"])).granules()) == [dt.date(2011, 10, 4)]
    later = FolderFeed(str(folder), GranuleFilter(PRODUCTS["lprm-amsr2"], first=dt.date(2015, 4, 2)))
    assert list(later.granules()) == [dt.date(2015, 4, 2)]


@pytest.mark.parametrize("stamp", ["00010101", "19771231", "22000101", "99991231"])
def test_a_file_of_an_impossible_day_is_left_out(stamp: str, tmp_path: Path) -> None:
    """A product without a first day would begin with it, and the days before it cannot be counted."""
    endless = PRODUCTS["lprm-amsr2"].model_copy(update={"start": None, "end": None})
    for date in (stamp, "20150401"):
        (tmp_path / f"LPRM-AMSR2_L3_D_SOILM3_V001_{date}013507.nc4").touch()
    for wanted in (GranuleFilter(endless), GranuleFilter(endless, first=dt.date.min, last=dt.date.max)):
        assert FolderFeed(str(tmp_path), wanted).oldest() == dt.date(2015, 4, 1)
        assert list(FolderFeed(str(tmp_path), wanted).granules()) == [dt.date(2015, 4, 1)]


def test_every_imerg_run_is_listed_and_named(folder: Path) -> None:
    found = FolderFeed(str(folder), GranuleFilter(PRODUCTS["imerg"])).granules()[dt.date(2015, 4, 1)]
    assert {g.run for g in found} == {"early", "late", "final"}


def test_only_the_days_asked_for_are_listed(folder: Path) -> None:
    feed = FolderFeed(str(folder), GranuleFilter(PRODUCTS["lprm-amsr2"], "descending"))
    assert list(feed.granules(dt.date(2015, 4, 2), dt.date(2015, 4, 30))) == [dt.date(2015, 4, 2)]
    assert feed.granules(dt.date(2016, 1, 1), dt.date(2016, 12, 31)) == {}
    assert feed.oldest() == dt.date(2015, 4, 1)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere does not exist; create it or set the feed's path"):
        FolderFeed(str(tmp_path / "nowhere"), GranuleFilter(PRODUCTS["imerg"])).granules()
    with pytest.raises(ConfigError, match="does not exist"):
        FolderFeed(str(tmp_path / "nowhere"), GranuleFilter(PRODUCTS["imerg"])).oldest()


def test_a_remote_folder_tells_versions_apart(tmp_path: Path) -> None:
    """The test uses fsspec's memory file system as a remote one."""
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/bucket/{NAMES[0]}", b"first")
    feed = FolderFeed("memory://bucket", GranuleFilter(PRODUCTS["lprm-amsr2"], "descending"))
    assert not feed.in_place
    ((granule,),) = feed.granules().values()
    feed.fetch(granule, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"first"
    memory.pipe(f"/bucket/{NAMES[0]}", b"second, longer")
    ((republished,),) = (
        FolderFeed("memory://bucket", GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")).granules().values()
    )
    assert republished.version != granule.version
    memory.rm("/bucket", recursive=True)
    with pytest.raises(FeedUnreachable, match="cannot be copied"):
        feed.fetch(granule, tmp_path / "copy")


def test_files_under_names_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "soil_20120101_v2.nc").write_text("x")
    feed = FolderFeed(
        str(tmp_path), GranuleFilter(PRODUCTS["lprm-windsat"], "descending", pattern=r"soil_(?P<date>\d{8})_v2\.nc")
    )
    assert list(feed.granules()) == [dt.date(2012, 1, 1)]


@pytest.mark.slow
def test_a_pattern_that_backtracks_without_end_holds_up_no_run(window_site: Site) -> None:
    """Python's `re` would need years for the name that does not match."""
    (window_site.folder / "incoming" / "lprm" / f"{window_site.lprm(3).name}.copy").write_text("x")
    pattern = r"feeds.soil_moisture.0.pattern='([\w-]+)+_(?P<date>\d{8})\d{6}\.nc4$'"
    command = [sys.executable, "-m", "runtime", "plan", "--config", str(window_site.file), "--set", pattern]
    done = subprocess.run(
        [*command, "--from", str(START), "--to", str(window_site.date(DAYS - 1))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"{DAYS} days looked at, {DAYS} to fill" in done.stdout


def test_a_name_that_is_no_text_does_not_match_a_pattern_of_ones_own() -> None:
    wanted = GranuleFilter(PRODUCTS["lprm-windsat"], "descending", pattern=r"soil_(?P<date>\d{8}).*")
    assert wanted.recognise("\udcff20120101") is None
    assert wanted.recognise("soil_20120101\udcff") is None
    assert wanted.recognise("soil_20120101é") == FileName(dt.date(2012, 1, 1))


def test_a_folder_named_after_a_year_holds_that_year(tmp_path: Path) -> None:
    for year in (2013, 2019, 2020):
        path = tmp_path / f"{year}" / "04" / f"LPRM-AMSR2_L3_D_SOILM3_V001_{year}0401013507.nc4"
        path.parent.mkdir(parents=True)
        path.write_text("x")
    feed = FolderFeed(str(tmp_path), GranuleFilter(PRODUCTS["lprm-amsr2"], "descending"))
    assert list(feed.granules(dt.date(2020, 3, 1), dt.date(2020, 4, 30))) == [dt.date(2020, 4, 1)]
    assert sorted(feed.granules()) == [dt.date(year, 4, 1) for year in (2013, 2019, 2020)]
