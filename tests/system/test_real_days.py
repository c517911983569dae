"""The main job on twenty real days, April 2015, through the command line."""

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.common.grid import Grid
from runtime.common.quality import QualityBit
from runtime.common.sensors import PRODUCTS
from runtime.inputs.products.read import read_field
from tests.conftest import Runtime

DAY = dt.date(2015, 4, 12)
_EUROPE = "[grid]\nbox = [-10.0, 35.0, 30.0, 60.0]\n"


def _config(tmp_path: Path, data: Path, bundle: str) -> Path:
    file = tmp_path / "april.toml"
    file.write_text(
        f'[model]\nbundle = "{bundle}"\n[[feeds.soil_moisture]]\npath = "{data / "lprm_april2015_x"}"\nband = "x"\n'
    )
    return file


def _input(data: Path, date: dt.date, grid: Grid) -> np.ndarray:
    (path,) = (data / "lprm_april2015_x").glob(f"*_{date:%Y%m%d}*")
    return read_field(PRODUCTS["lprm-amsr2"], path, date, grid, "x").field


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, runtime: Runtime) -> Runtime:
    monkeypatch.setattr("runtime.common.clock.today", lambda: dt.date(2015, 6, 1))
    return runtime


@pytest.mark.slow
def test_a_real_day_is_filled(data: Path, globe: Grid, tmp_path: Path, later: Runtime) -> None:
    config = _config(tmp_path, data, "sgdsm1-amsr2-x")
    result = later("fill", "--date", DAY, "--config", config)
    assert result.exit_code == 0, result.stderr
    (path,) = (tmp_path / "archive").glob("2015/*.nc")
    with xarray.open_dataset(path) as day:
        filled, observed = (day[name][0].to_numpy() for name in ("soil_moisture", "soil_moisture_observed"))
        flag = day["flag"][0].to_numpy()
    window = np.stack([_input(data, DAY + dt.timedelta(k), globe) for k in range(-4, 5)])
    seen_some_day = globe.land & (~np.isnan(window)).any(0)
    assert np.isfinite(filled[seen_some_day]).all()
    today = ~np.isnan(window[4])
    assert np.abs(filled[today] - window[4][today]).max() <= 0.005
    np.testing.assert_array_equal(np.isfinite(observed), today)
    np.testing.assert_array_equal(np.isnan(filled), (flag == 4) | (flag == 5))
    gaps = globe.land & ~today & np.isfinite(filled)
    print(f"{today[globe.land].mean():.1%} of land observed, {gaps[globe.land].mean():.1%} filled")
    assert gaps.sum() > 80_000
    assert filled[gaps].std() > 0.02

    before = path.read_bytes()
    again = later("fill", "--date", DAY, "--config", config)
    assert (again.exit_code, again.stdout) == (0, "already current\n")
    assert path.read_bytes() == before


@pytest.mark.slow
def test_as_much_land_stays_empty_on_a_real_day_as_the_first_paragraph_says(
    data: Path, globe: Grid, tmp_path: Path, later: Runtime
) -> None:
    for page in ("README.md", "docs/index.md"):
        text = " ".join((Path(__file__).parents[2] / page).read_text().split())
        found = re.search(r"(\d+) to (\d+) % of (?:the land|it) on 1-20 April 2015", text)
        assert found, page
    assert later("fill", "--date", DAY, "--config", _config(tmp_path, data, "seamless-2")).exit_code == 0
    (path,) = (tmp_path / "archive").glob("2015/*.nc")
    with xarray.open_dataset(path) as day:
        empty = np.isnan(day["soil_moisture"][0].to_numpy())[globe.land].mean()
    assert int(found[1]) - 0.5 <= 100 * empty <= int(found[2]) + 0.5


@pytest.mark.slow
def test_twenty_real_days_with_a_memory_and_no_rain(data: Path, tmp_path: Path, later: Runtime) -> None:
    config = _config(tmp_path, data, "sgdsm2-amsr2-x")
    arguments = ["fill", "--from", "2015-04-01", "--to", "2015-04-20", "--config", config]
    result = later(*arguments)
    assert result.exit_code == 0, result.stderr
    files = sorted((tmp_path / "archive" / "2015").glob("*.nc"))
    with xarray.open_mfdataset(files) as days:
        assert days.sizes["time"] == 20
        assert (days["input_status"] == 2).all(), "no rain, and said so"
        assert np.diff(days["time"].values).tolist() == [86_400_000_000_000] * 19
        reached = np.isfinite(days["soil_moisture"]).sum(("lat", "lon")).values
        assert reached[-1] > reached[0]
    last = files[-1].read_bytes()
    files[-1].unlink()
    (snapshot,) = (tmp_path / "archive" / ".state").glob("2015/20150420-*")
    memory = snapshot.read_bytes()
    snapshot.unlink()
    assert later("fill", "--date", "2015-04-20", "--config", config).exit_code == 0
    assert files[-1].read_bytes() == last
    assert snapshot.read_bytes() == memory
    assert later(*arguments).stdout == "already current\n"


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["seamless-2", "seamless-amsr2-x", "sgdsm2-amsr2-x"])
def test_thirty_real_days_in_a_folder_end_with_the_last_file(
    bundle: str, data: Path, tmp_path: Path, later: Runtime
) -> None:
    """The first commands of the README. The last ten days are the first ten under later names; two days are missing."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    for path in sorted((data / "lprm_april2015_x").glob("*.nc4")):
        day = int(path.name[-12:-10])
        for number in (day, day + 20):
            if number <= 30 and number not in (14, 15):
                (folder / path.name.replace(f"201504{day:02}", f"201504{number:02}")).symlink_to(path)
    config = _config(tmp_path, data, bundle)
    config.write_text(config.read_text().replace(str(data / "lprm_april2015_x"), str(folder)) + _EUROPE)
    lines = later("plan", "--config", config).stdout.splitlines()
    assert len(lines) <= 5
    assert lines[-1] == "30 days looked at, 30 to fill"
    filled = later("fill", "--date", "today", "--config", config)
    assert filled.exit_code == 3
    assert "the newest file is of 2015-04-30, and it is 2015-06-01" in filled.stderr
    window_ends = 30 if bundle.startswith("sgdsm2") else 26
    published = sorted((tmp_path / "archive" / "2015").glob("*.nc"))
    assert [path.name[-5:-3] for path in published] == [f"{n:02}" for n in range(1, 31)]
    for number, path in enumerate(published, 1):
        with xarray.open_dataset(path) as opened:
            tier = "consolidated" if number <= window_ends else "provisional"
            assert opened.attrs["tier"] == ("no_observation" if number in (14, 15) else tier)
            assert np.isfinite(opened["soil_moisture"]).any()
    assert later("check", "--config", config).exit_code == 0


def test_a_truncated_genuine_granule_is_refused(data: Path, tmp_path: Path, later: Runtime) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    genuine = next((data / "lprm").glob("*.nc4"))
    (folder / genuine.name).write_bytes(genuine.read_bytes()[:1_500_000])
    (tmp_path / "c.toml").write_text('[[feeds.soil_moisture]]\npath = "in"\n')
    result = later("fill", "--date", "2015-04-01", "--config", tmp_path / "c.toml")
    assert result.exit_code == 4
    assert "cut short" in result.stderr


@pytest.mark.slow
def test_the_genuine_granule_fills_like_the_rebuilt_one(data: Path, tmp_path: Path, later: Runtime) -> None:
    """The full granule of 2015-04-01 and the one-band copy of it give the same values; the first tells of frost."""
    values, told = [], []
    for name, folder in (("genuine", data / "lprm"), ("rebuilt", data / "lprm_april2015_x")):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "c.toml"
        file.write_text(
            '[archive]\nstart = 2015-04-01\n[model]\nbundle = "sgdsm2-amsr2-x"\n'
            f'[[feeds.soil_moisture]]\npath = "{folder}"\n'
        )
        assert later("fill", "--date", "2015-04-01", "--config", file).exit_code == 0
        (path,) = (tmp_path / name / "archive").glob("2015/*.nc")
        with Dataset(path) as day:
            values.append(day["soil_moisture"][:].filled(np.nan))
            told.append(bool(int(day["quality_judged"][0]) & QualityBit.FROZEN))
    np.testing.assert_array_equal(*values)
    assert told == [True, False]
