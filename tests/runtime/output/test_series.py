"""What `runtime series` writes, read back by other programs."""

import csv
import datetime as dt
import itertools
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray
from matplotlib.image import imread

from runtime.archive import cf
from runtime.archive.reader import Reader, Series
from runtime.archive.variables import VARIABLES
from runtime.output.series import draw_series, series_table
from tests.conftest import DAYS, Runtime, Site

HERE = ("--lat", "45.1", "--lon", "2.2")


def test_csv(filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "new" / "place.csv"
    said = runtime("series", *HERE, "--out", out, "--config", filled_site.file)
    assert said.stdout == f"wrote {out}: 45.125° N, 2.125° E: 2020-04-01 to 2020-04-14, 14 days\n"
    rows = list(csv.DictReader(out.read_text().splitlines()))
    series = Reader(filled_site.archive).series(45.1, 2.2)
    assert [row["date"] for row in rows] == [str(date) for date in series.dates]
    for name in ("soil_moisture", "soil_moisture_observed", "soil_moisture_uncertainty"):
        told = [float(row[f"{name} (m3 m-3)"] or "nan") for row in rows]
        np.testing.assert_allclose(told, series.values[name], atol=5e-5)
    flags = {row["flag"] for row in rows}
    assert flags <= {"observed", "filled_from_other_days", "filled_from_neighbours"}
    assert "observed" in flags
    for row, quality, value in zip(rows, series.values["quality_flag"], series.values["soil_moisture"], strict=True):
        assert (row["quality_flag"] == "recommended") == (quality == 0 and np.isfinite(value))


def test_csv_names_the_bits_of_the_quality() -> None:
    nan = np.float32(np.nan)
    values = {"soil_moisture": np.array([0.0, 0.2, nan, 0.2], np.float32), "quality_flag": np.array([3.0, 0, 0, -1])}
    series = Series(45, 2, [dt.date(2020, 4, day) for day in (1, 2, 3, 4)], values)
    rows = csv.DictReader(series_table(series).splitlines())
    assert [row["quality_flag"] for row in rows] == ["at_limit jump", "recommended", "", ""]


def test_netcdf(filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "place.nc"
    runtime("series", *HERE, "--from", "2020-04-03", "--to", "2020-04-09", "--out", out, "--config", filled_site.file)
    series = Reader(filled_site.archive).series(45.1, 2.2, filled_site.date(2), filled_site.date(8))
    with xarray.open_dataset(out) as place:
        assert place.attrs["featureType"] == "timeSeries"
        assert place.attrs["time_coverage_end"] == "2020-04-09T23:59:59Z"
        assert place.attrs["time_coverage_duration"] == "P7D"
        assert (float(place.lat), float(place.lon)) == (45.125, 2.125)
        np.testing.assert_allclose(place.soil_moisture, series.values["soil_moisture"], atol=1e-6)
        np.testing.assert_array_equal(place.flag, series.values["flag"])
        np.testing.assert_array_equal(place.days_since_observation, series.values["days_since_observation"])
    report = subprocess.run(
        [Path(sys.executable).with_name("compliance-checker"), "-t", "cf:1.11", out], capture_output=True, text=True
    )
    assert "All tests passed!" in report.stdout, report.stdout


@pytest.mark.parametrize("name", [name for name, variable in VARIABLES.items() if variable.fill is not None])
def test_what_has_no_value_has_none_when_it_is_packed(name: str) -> None:
    values = np.array([np.nan, 0, 1], np.float32)
    np.testing.assert_allclose(VARIABLES[name].unpack(VARIABLES[name].pack(values)), values, atol=1e-6)


def test_picture(filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "place.png"
    rain = np.stack([cf.values(filled_site.day_file(day), "precipitation") for day in range(DAYS)]).max(0)
    row, col = np.unravel_index(
        np.where(np.isfinite(cf.values(filled_site.day_file(5), "soil_moisture")), rain, 0).argmax(), rain.shape
    )
    wettest = ("--lat", str(49.875 - 0.25 * row), "--lon", str(-9.875 + 0.25 * col))
    runtime("series", *wettest, "--out", out, "--config", filled_site.file)
    picture = imread(out)
    assert picture.shape[1] == 1000
    shown = {tuple(colour) for colour in (picture[..., :3] * 255).round().astype(int).reshape(-1, 3)}
    assert {(0, 114, 178), (213, 94, 0), (86, 180, 233)} <= shown, "observed, filled and rain have their colours"


def test_the_dates_of_a_picture_do_not_overlap(filled_site: Site) -> None:
    reader = Reader(filled_site.archive)
    whole = reader.series(45.1, 2.2)
    for days in (1, 2, 6, 14):
        part = replace(whole, dates=whole.dates[:days], values={name: v[:days] for name, v in whole.values.items()})
        figure = draw_series(part)
        figure.canvas.draw()
        labels = [label for label in figure.axes[-1].get_xticklabels() if label.get_text() and label.get_visible()]
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes)), days


@pytest.mark.parametrize("layout", ["cf", "sgd-sm"])
def test_a_place_in_the_sea_is_told_where_land_is(layout: str, window_site: Site, runtime: Runtime) -> None:
    window_site.fill(5, 5, f"archive.layout={layout}")
    sea = ("--lat", "47", "--lon", "-7", "--config", window_site.file, "--set", f"archive.layout={layout}")
    for more in ((), ("--out", "place.csv")):
        said = runtime("series", *sea, *more)
        assert said.exit_code == 2
        assert said.stdout == ""
        found = re.search(
            r"47\.125° N, 7\.125° W is in the sea; the nearest land cell is ([\d.]+)° N, ([\d.]+)° W, (\d+) km away",
            said.stderr,
        )
        assert found, said.stderr
        assert found[3] == "233"
        near = runtime("series", "--lat", found[1], "--lon", f"-{found[2]}", "--config", window_site.file)
        assert near.exit_code == 0
        assert "o observed" in near.stdout or "x filled" in near.stdout


def test_terminal(filled_site: Site, runtime: Runtime) -> None:
    said = runtime("series", *HERE, "--config", filled_site.file).stdout
    assert "45.125° N, 2.125° E: 2020-04-01 to 2020-04-14, m3 m-3" in said
    assert "o observed" in said
    assert "x filled" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ((*HERE, "--out", "place.xls"), "wanted a name that ends in .csv, .nc, .png", 2),
        (("--lat", "60", "--lon", "2"), "60 N 2 E is outside the archive", 2),
        ((*HERE, "--from", "2020-05-01", "--to", "2020-04-01"), "is after --to", 2),
    ],
)
def test_mistakes(arguments: tuple[str, ...], message: str, code: int, filled_site: Site, runtime: Runtime) -> None:
    said = runtime("series", *arguments, "--config", filled_site.file)
    assert (said.exit_code, said.stderr.count("\n")) == (code, 1)
    assert message in said.stderr


def test_the_command_names_the_days_that_the_cube_lost(filled_site: Site, tmp_path: Path, runtime: Runtime) -> None:
    def series(out: str) -> str:
        said = runtime("series", *HERE, "--out", tmp_path / out, "--config", filled_site.file)
        assert said.exit_code == 0
        return said.stderr

    assert series("whole.csv") == ""
    (filled_site.archive / "cube.zarr" / "soil_moisture" / "c" / "0" / "0" / "0").unlink()
    assert "2020-04-01 to 2020-04-14 cannot be read and are taken from the daily files" in series("left.csv")
    assert (tmp_path / "left.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
