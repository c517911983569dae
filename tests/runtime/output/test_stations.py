"""Lists of stations: what is read, what is refused, and the series that come out."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray

import runtime as seamless
from runtime.archive.reader import Reader
from runtime.errors import UsageError
from runtime.output.stations import ListedStation, read_stations
from tests.conftest import Runtime, Site, logged

LIST = "name,lat,lon\nGrenoble,45.2,5.7\nSalamanca,41.3,-5.4\n"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path / "list.csv"


@pytest.mark.parametrize(
    "text",
    [
        LIST,
        "\ufeffSTATION;Longitude;depth;Latitude\nGrenoble;5.7;0.05;45.2\n\nSalamanca; -5.4 ;0.05;41.3\n",
        "id\ty\tx\r\nGrenoble\t45.2\t5.7\r\nSalamanca\t41.3\t-5.4\r\n",
    ],
)
def test_usual_headings_and_separators(text: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8", newline="")
    expected = [ListedStation("Grenoble", 45.2, 5.7), ListedStation("Salamanca", 41.3, -5.4)]
    assert read_stations(tmp_path / "list.csv") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 has the headings ''; missing: name (or station,"),
        ("name,lat\na,1\n", "missing: lon (or long, lng, longitude, x)"),
        ("name,lat,lon\n", "has no station below its headings"),
        ("name,lat,lon\na,45,5\nb,north,5\n", "line 3: lat is 'north', wanted a number such as 45.2"),
        ("name;lat;lon\na;45,2;5\n", "line 2: lat is '45,2', wanted a number"),
        ("name,lat,lon\na,5,400\n", "line 2: lon is 400, wanted -180 to 360"),
        ("name,lat,lon\na,nan,4\n", "line 2: lat is nan, wanted -90 to 90"),
        ("name,lat,lon\n,5,4\n", "line 2: the name is empty"),
        ("name,lat,lon\na,5\n", "line 2: lon is '', wanted a number"),
        ("name,lat,lon\na,5,4\n\na,6,4\n", "line 4: 'a' is there twice"),
        ("name,lat,lon\n" + "a,,\n" * 5, "line 4: lat is '', wanted a number such as 45.2; ... (5 wrong lines)"),
    ],
)
def test_mistakes_are_named_by_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UsageError) as error:
        read_stations(tmp_path / "list.csv")
    assert message in str(error.value)


def test_the_csv_has_the_series_of_each_station(
    filled_site: Site, runtime: Runtime, listed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stations.csv"
    said = runtime("series", "--stations", listed, "--out", out, "--config", filled_site.file)
    assert said.stdout == f"wrote {out}: 2 stations, 2020-04-01 to 2020-04-14, 14 days\n", said.stderr
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["station"] for row in rows] == ["Grenoble"] * 14 + ["Salamanca"] * 14
    one = tmp_path / "one.csv"
    runtime("series", "--lat", "41.3", "--lon", "-5.4", "--out", one, "--config", filled_site.file)
    assert [{"station": "Salamanca", **row} for row in csv.DictReader(one.read_text().splitlines())] == rows[14:]
    printed = runtime("series", "--stations", listed, "--config", filled_site.file)
    assert printed.stdout == out.read_text()


def test_the_netcdf_is_one_of_time_series(filled_site: Site, runtime: Runtime, listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "stations.nc"
    said = runtime("series", "--stations", listed, "--from", "2020-04-03", "--out", out, "--config", filled_site.file)
    assert said.exit_code == 0, said.stderr
    expected = Reader(filled_site.archive).series(45.2, 5.7, filled_site.date(2)).values
    with xarray.open_dataset(out) as found:
        assert found.attrs["featureType"] == "timeSeries"
        one = found.isel(station=found.station_name.values.tolist().index("Grenoble"))
        assert (float(one.lat), float(one.lon)) == (45.125, 5.625)
        np.testing.assert_allclose(one.soil_moisture, expected["soil_moisture"], atol=1e-6)
        np.testing.assert_array_equal(one.flag, expected["flag"])
    checker = Path(sys.executable).with_name("compliance-checker")
    report = subprocess.run([checker, "-t", "cf:1.11", out], capture_output=True, text=True)
    assert "All tests passed!" in report.stdout, report.stdout


def test_the_accessor_gives_the_same(filled_site: Site, listed: Path) -> None:
    archive = seamless.open_archive(filled_site.archive)
    found = archive.seamless.stations(listed)
    assert found.soil_moisture.dims == ("station", "time")
    expected = archive.soil_moisture.sel(lat=41.3, lon=-5.4, method="nearest")
    np.testing.assert_array_equal(found.soil_moisture.sel(station="Salamanca"), expected)
    assert archive.lat.attrs["axis"] == "Y", "the archive stays as it is"
    east = archive.seamless.stations([ListedStation("east", 41.3, 354.6)])
    np.testing.assert_array_equal(east.soil_moisture[0], expected)


def test_a_station_outside_is_refused_and_one_in_the_sea_is_named(filled_site: Site) -> None:
    archive = seamless.open_archive(filled_site.archive)
    with pytest.raises(UsageError, match=r"outside the archive, which has .*: Oslo$"):
        archive.seamless.stations([ListedStation("here", 45.2, 5.7), ListedStation("Oslo", 60, 10)])
    with logged() as lines:
        found = archive.seamless.stations([ListedStation("here", 45.2, 5.7), ListedStation("buoy", 47, -7)])
    assert [line for line in lines if "in a cell of the sea" in line and line.endswith("buoy")]
    assert found.soil_moisture.isnull().all("time").values.tolist() == [False, True]
