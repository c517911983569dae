import datetime as dt
from pathlib import Path

import fsspec
import pytest

from runtime.errors import ConfigError
from runtime.feeds.folder import FolderFeed

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
    found = FolderFeed(str(folder), "lprm-amsr2", folder, orbit="descending").granules()
    assert sorted(found) == [dt.date(2015, 4, 1), dt.date(2015, 4, 2)]
    ((granule,), _) = (found[day] for day in sorted(found))
    assert granule.name == NAMES[0]
    assert FolderFeed(str(folder), "lprm-amsr2", folder).fetch(granule).read_text() == NAMES[0]


def test_a_feed_is_used_for_its_sensors_era_or_for_what_is_said(folder: Path) -> None:
    assert list(FolderFeed(str(folder), "lprm-amsre", folder).granules()) == [dt.date(2011, 10, 4)]
    later = FolderFeed(str(folder), "lprm-amsr2", folder, first=dt.date(2015, 4, 2))
    assert list(later.granules()) == [dt.date(2015, 4, 2)]


def test_the_best_run_comes_first_and_final_only_when_asked(folder: Path) -> None:
    day = dt.date(2015, 4, 1)
    usual = FolderFeed(str(folder), "imerg", folder, runs=("late", "early")).granules()[day]
    assert [g.run for g in usual] == ["late", "early"]
    asked = FolderFeed(str(folder), "imerg", folder, runs=("final", "late")).granules()[day]
    assert [g.run for g in asked] == ["final", "late"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere does not exist; create it or set the feed's path"):
        FolderFeed(str(tmp_path / "nowhere"), "imerg", tmp_path).granules()


def test_a_remote_folder_is_fetched_once_per_version(tmp_path: Path) -> None:
    """fsspec's memory file system stands for any remote one."""
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/bucket/{NAMES[0]}", b"first")
    feed = FolderFeed("memory://bucket", "lprm-amsr2", tmp_path, orbit="descending")
    ((granule,),) = feed.granules().values()
    path = feed.fetch(granule)
    assert path.read_bytes() == b"first"
    assert tmp_path in path.parents
    stamp = path.stat().st_mtime_ns
    assert feed.fetch(granule).stat().st_mtime_ns == stamp
    memory.pipe(f"/bucket/{NAMES[0]}", b"second, longer")
    ((republished,),) = feed.granules().values()
    assert feed.fetch(republished).read_bytes() == b"second, longer"
    memory.rm("/bucket", recursive=True)
