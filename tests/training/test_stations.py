"""In-situ validation: which stations are used, what they are compared with, and the report of an existing archive."""

import csv
import datetime as dt
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset
from typer.testing import CliRunner

from benchmarks.stations import MadeUpStation, make_archive, write_ceop, write_header_values, write_ismn
from runtime.archive.cube_update import remove_cube
from runtime.archive.reader import Reader
from runtime.common.clock import days_between
from runtime.common.grid import Grid
from runtime.common.netcdf import open_dataset
from tests.conftest import START
from training.cli import app
from training.evaluate.cells import SEVERAL, CellSeries, Overpass, overpasses_of
from training.evaluate.insitu import Station, StationRules, find_stations
from training.evaluate.station_report import CSV
from training.evaluate.stations import ALL_SENSORS, PARTS, StationDays, compare, mean_scores, read_station_days
from training.evaluate.writing import JSON, MARKDOWN

ANY_RECORD = StationRules(fewest_days=1)
NIGHT = Overpass.of("AMSR2", "descending")
FIRST, LAST = dt.date(2012, 6, 1), dt.date(2012, 8, 31)
"""WindSat hands over to AMSR2 on 3 July 2012."""


def _station(hours: Sequence[float], values: Sequence[float], longitude: float = 0.0) -> Station:
    midnight = np.datetime64("2020-04-01", "s")
    return Station(
        network="NET",
        name="S",
        latitude=45.0,
        longitude=longitude,
        depth=(0.0, 0.05),
        files=1,
        times=np.array([midnight + np.timedelta64(int(h * 3600), "s") for h in hours]),
        values=np.array(values, np.float32),
    )


def _at(station: Station, *moment: int) -> float:
    return float(station.at(np.array([dt.datetime(*moment)], "datetime64[s]"))[0])


def test_the_two_readings_nearest_to_the_overpass_are_averaged() -> None:
    station = _station([0, 1, 2, 3], [0.1, 0.2, 0.4, 0.9])
    assert _at(station, 2020, 4, 1, 1, 30) == pytest.approx(0.3)
    assert _at(station, 2020, 4, 1, 2, 40) == pytest.approx(0.65)
    assert np.isnan(_at(station, 2020, 4, 1, 9))
    assert np.isnan(_at(_station([1], [0.2]), 2020, 4, 1, 1))


def test_a_product_without_a_single_time_is_compared_with_the_mean_of_the_day() -> None:
    station = _station([0, 12, 24, 25], [0.1, 0.3, 0.5, 0.7])
    midnights = np.array(["2020-03-31", "2020-04-01", "2020-04-02"], "datetime64[s]")
    np.testing.assert_allclose(station.daily_mean(midnights), [np.nan, 0.2, 0.6], rtol=1e-6)


def _write(folder: Path, name: str, days: int = 3, **values: float) -> Path:
    """Write hourly readings of one value; `name` as in ``S_sm_0.05_0.05_Probe``."""
    station, _, top, end, _ = name.split("_")
    folder.mkdir(parents=True, exist_ok=True)
    times = [f"{START + dt.timedelta(day):%Y/%m/%d} {hour:02}:00" for day in range(days) for hour in range(24)]
    place = MadeUpStation(station, values.get("latitude", 45.0), values.get("longitude", 6.0), np.empty(0, np.float32))
    series = np.full(len(times), values.get("value", 0.2), np.float32)
    write = write_header_values if "header" in name else write_ceop
    file = folder / f"NET_NET_{name}_20200401_20200430.stm"
    file.write_text(write(place, times, series, (float(top), float(end))))
    return file


def _read(folder: Path, rules: StationRules = ANY_RECORD) -> tuple[dict[str, Station], list[str]]:
    files, left_out = find_stations([folder], rules)
    read = {str(each): each.read(rules, left_out) for each in files}
    return {name: station for name, station in read.items() if station}, left_out


def test_the_lower_end_of_a_sensors_layer_decides(tmp_path: Path) -> None:
    for name in ("A_sm_0.00_0.05_Probe", "B_sm_0.00_0.10_Probe", "C_sm_0.05_0.20_Probe"):
        _write(tmp_path, name)
    _write(tmp_path, "D_sm_0.00_0.31_Cosmic-ray-Probe")
    _write(tmp_path, "E_ts_0.00_0.05_Probe")
    found, left_out = _read(tmp_path)
    assert [*found] == ["NET A", "NET D"]
    assert left_out == [
        "NET B: left out, no sensor down to 0.05 m (0-0.1 m)",
        "NET C: left out, no sensor down to 0.05 m (0.05-0.2 m)",
    ]
    assert [*_read(tmp_path, StationRules(deepest=0.1, fewest_days=1))[0]] == ["NET A", "NET B", "NET D"]


def test_a_station_counts_once_as_the_mean_of_its_sensors_in_both_formats(tmp_path: Path) -> None:
    _write(tmp_path / "one", "S_sm_0.00_0.05_Probe-1", value=0.2, days=2)
    _write(tmp_path / "two", "S_sm_0.05_0.05_header-Probe-2", value=0.3, days=4)
    found, left_out = _read(tmp_path)
    station = found["NET S"]
    assert (len(found), station.files, station.depth, left_out) == (1, 2, (0.0, 0.05), [])
    np.testing.assert_allclose(station.values, [0.25] * 48 + [0.3] * 48, rtol=1e-6)
    assert (np.diff(station.times) == np.timedelta64(1, "h")).all()


def test_a_station_needs_a_year_of_record(tmp_path: Path) -> None:
    for name, days in (("long", 365), ("short", 364)):
        _write(tmp_path, f"{name}_sm_0.00_0.05_Probe", days=days)
    found, left_out = _read(tmp_path, StationRules())
    assert [*found] == ["NET long"]
    assert left_out == ["NET short: left out, 364 days of record, fewer than 365"]


def test_genuine_station_files_of_both_formats_are_read_and_bad_ones_named(data: Path) -> None:
    found, left_out = _read(data / "ismn")
    assert [*found] == ["COSMOS ARM-1", "COSMOS Barrow-ARM", "REMEDHUS ElTomillar"]
    tomillar, arm = found["REMEDHUS ElTomillar"], found["COSMOS ARM-1"]
    assert (round(tomillar.latitude, 5), round(tomillar.longitude, 5)) == (41.34888, -5.49027)
    assert len(tomillar.values) > 600
    assert 0 < tomillar.values.mean() < 0.4
    assert (arm.files, arm.days) == (2, 365)
    formats = [read_alone[0]["COSMOS ARM-1"] for path in (data / "ismn").glob("*.zip") if (read_alone := _read(path))]
    for alone in formats:
        np.testing.assert_allclose(alone.values, arm.values, atol=1e-6)
        np.testing.assert_array_equal(alone.times, arm.times)
    assert len(formats) == 2
    assert any("mal_formed_file.txt: left out, not a readable ISMN file" in line for line in left_out)
    assert any("MAQU_CST-01" in line and "no good" in line for line in left_out)
    assert [*_read(data / "ismn", StationRules())[0]] == ["COSMOS ARM-1", "COSMOS Barrow-ARM"]


def test_a_file_whose_lines_end_in_carriage_returns_only_is_read(data: Path, tmp_path: Path) -> None:
    (genuine,) = (data / "ismn").glob("MAQU*.stm")
    raw = genuine.read_bytes()
    assert b"\r" in raw
    assert b"\n" not in raw
    (tmp_path / genuine.name).write_bytes(raw.replace(b"C03", b"G  "))
    (station,) = _read(tmp_path)[0].values()
    assert station.network == "MAQU"
    assert len(station.values) > 1_000


def test_damaged_files_and_zips_are_named_and_the_others_read(tmp_path: Path) -> None:
    _write(tmp_path, "A_sm_0.00_0.05_Probe")
    _write(tmp_path, "B_sm_0.00_0.05_Probe").write_bytes(b"\0 nothing")
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    member = _write(tmp_path, "C_sm_0.00_0.05_Probe")
    with zipfile.ZipFile(tmp_path / "short.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.write(member, member.name)
    content = bytearray((tmp_path / "short.zip").read_bytes())
    entry = content.index(b"PK\x01\x02")
    for size in (20, 24):  # the directory promises more than there is
        content[entry + size : entry + size + 4] = (10**8).to_bytes(4, "little")
    (tmp_path / "short.zip").write_bytes(content)
    member.unlink()
    _write(tmp_path, "A_ta_-2.00_-2.00_Probe")
    found, left_out = _read(tmp_path)
    assert [*found] == ["NET A"]
    assert any("broken.zip: left out, cannot be unpacked" in line for line in left_out)
    assert any("NET_NET_B" in line and "not a readable ISMN file" in line for line in left_out)
    assert any("NET_NET_C" in line and "left out" in line for line in left_out)
    assert len(left_out) == 3, "air temperature above the ground is none of them"


def test_a_station_meets_its_cell_at_local_overpass_time(grid: Grid, tmp_path: Path) -> None:
    """Descending AMSR2 passes at 01:30 local solar time; at 6 E that is 01:06 UTC."""
    dates = [START + dt.timedelta(n) for n in range(3)]
    hours = [24 * day + hour for day in range(3) for hour in (0, 1, 2, 3)]
    times = [f"{START + dt.timedelta(hour // 24):%Y/%m/%d} {hour % 24:02}:00" for hour in hours]
    values = np.array([0.01 * (i + 1) for i in range(12)], np.float32)
    for name, longitude in (("S", 6.0), ("elsewhere", 170.0)):
        text = write_ceop(MadeUpStation(name, 45.0, longitude, values), times, values, (0.0, 0.05))
        (tmp_path / f"NET_NET_{name}_sm_0.00_0.05_Probe_20200401_20200403.stm").write_text(text)
    overpasses = dict.fromkeys(dates, NIGHT)
    stations, left_out = read_station_days([tmp_path], ANY_RECORD, overpasses, grid)
    assert [each.cell for each in stations] == [grid.cell(45.0, 6.0)]
    assert left_out == ["NET elsewhere: left out, outside the grid"]
    nan = np.nan
    series = CellSeries(dates, np.float32([[nan], [0.3], [nan]]), np.float32([[0.2], [0.3], [0.4]]))
    (comparison,) = compare(stations, overpasses, series)
    np.testing.assert_allclose(comparison.in_situ, [0.025, 0.065, 0.105], atol=1e-6)
    assert [comparison.scores[part].n for part in PARTS] == [1, 2, 3]
    assert comparison.scores["original"].bias == pytest.approx(0.3 - 0.065)
    assert comparison.scores["reconstructed"].mae == pytest.approx((0.2 - 0.025 + 0.4 - 0.105) / 2)


def test_averages_count_each_station_once_for_original_reconstructed_and_all_days() -> None:
    rng = np.random.default_rng(0)
    dates = days_between(START, START + dt.timedelta(29))
    soil = rng.uniform(0.1, 0.4, (30, 2)).astype(np.float32)
    filled = soil + np.float32([0.05, 0.01])
    observed = np.where(np.arange(30)[:, None] % 3 == 0, filled, np.float32(np.nan))
    station = _station([0, 1], [0.2, 0.2])
    stations = [StationDays(station, (0, 0), soil[:, number]) for number in range(2)]
    means = [*mean_scores(compare(stations, dict.fromkeys(dates, NIGHT), CellSeries(dates, observed, filled)))]
    assert [(mean.sensor, mean.part, mean.stations, mean.score.n) for mean in means] == [
        ("AMSR2", "original", 2, 20),
        ("AMSR2", "reconstructed", 2, 40),
        ("AMSR2", "all days", 2, 60),
    ]
    for mean in means:
        assert mean.score.mae == pytest.approx(0.03, rel=1e-4)
        assert mean.score.rmse == pytest.approx(0.03, rel=1e-4)
        assert mean.score.r == pytest.approx(1)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three months of an archive over a change of sensor, and a zip with four stations in both formats."""
    folder = tmp_path_factory.mktemp("made-up")
    grid, dates = Grid.globe().box(0.0, 45.0, 2.0, 47.0), days_between(FIRST, LAST)
    daily = np.array([truth.diagonal() for truth in make_archive(folder, grid, dates)])
    stations = [
        MadeUpStation(f"S{k}", float(grid.latitudes[k]), float(grid.longitudes[k]), daily[:, k]) for k in range(4)
    ]
    write_ismn(folder / "ismn.zip", stations, dates)
    return folder


def _judge(made_up: Path, out: Path, *more: str) -> str:
    where = ["--archive", str(made_up / "archive"), "--ismn", str(made_up / "ismn.zip"), "--out", str(out)]
    result = CliRunner().invoke(app, ["evaluate", *where, "--record-days", "30", *more])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_an_existing_archive_is_judged_by_its_published_values(made_up: Path, tmp_path: Path) -> None:
    output = _judge(made_up, tmp_path)
    assert "reconstructed" in output
    values = json.loads((tmp_path / JSON).read_text())["stations"]
    assert values["rules"] == {"deepest": 0.05, "fewest_days": 30}
    assert values["left_out"] == []
    rows = [row for row in values["rows"] if row["station"] == "S2"]
    assert [row["sensor"] for row in rows] == [ALL_SENSORS, "WindSat", "AMSR2"]
    assert {row["files"] for row in values["rows"] if row["station"] == "S0"} == {2}
    reader = Reader(made_up / "archive")
    series = reader.series(rows[0]["latitude"], rows[0]["longitude"])
    seen = np.isfinite(series.values["soil_moisture_observed"])
    assert [rows[0][part]["n"] for part in PARTS] == [seen.sum(), (~seen).sum(), 92]
    assert [row["all days"]["n"] for row in rows] == [92, 32, 60]
    for row in values["rows"]:
        if row["sensor"] == ALL_SENSORS:
            # noise of the made-up values: 0.03 observed, 0.05 filled, and of two hourly readings 0.02
            assert row["original"]["rmse"] == pytest.approx(0.033, abs=0.01)
            assert row["reconstructed"]["rmse"] == pytest.approx(0.052, abs=0.015)
    lines = [*csv.DictReader((tmp_path / CSV).read_text().splitlines())]
    assert len(lines) == 4 * 3 * 3
    assert float(lines[0]["rmse"]) == pytest.approx(values["rows"][0]["original"]["rmse"], rel=1e-4)
    text = (tmp_path / MARKDOWN).read_text()
    assert "| all | reconstructed |" in text
    assert "| MADEUP | S3 | 0.05-0.05 |" in text
    assert (tmp_path / "stations-archive-1.png").stat().st_size > 10_000


def test_the_days_of_an_archive_know_their_sensor_and_hour(made_up: Path) -> None:
    reader = Reader(made_up / "archive")
    overpasses = overpasses_of(reader, [*reader.days])
    assert overpasses[dt.date(2012, 7, 2)] == Overpass("WindSat", 6.0)
    assert overpasses[dt.date(2012, 7, 3)] == Overpass("AMSR2", 1.5)
    assert np.isnan(Overpass.of("SMAP", "").hour)
    assert SEVERAL not in {overpass.sensor for overpass in overpasses.values()}


@pytest.mark.slow
def test_a_copy_without_cube_and_catalog_gives_the_same_scores(made_up: Path, tmp_path: Path) -> None:
    _judge(made_up, tmp_path / "whole")
    shutil.copytree(made_up, tmp_path / "copy")
    remove_cube(tmp_path / "copy" / "archive")
    shutil.rmtree(tmp_path / "copy" / "archive" / ".catalog")
    _judge(tmp_path / "copy", tmp_path / "again")
    assert (tmp_path / "again" / CSV).read_text() == (tmp_path / "whole" / CSV).read_text()


def test_some_days_of_an_archive_are_judged_alone(made_up: Path, tmp_path: Path) -> None:
    _judge(made_up, tmp_path, "--series", "2012-07-10:2012-08-08")
    rows = json.loads((tmp_path / JSON).read_text())["stations"]["rows"]
    assert {(row["sensor"], row["all days"]["n"]) for row in rows} == {("AMSR2", 30)}


def test_no_station_left_is_said_with_the_reasons(made_up: Path, tmp_path: Path) -> None:
    _judge(made_up, tmp_path, "--record-days", "365")
    assert "MADEUP S1: left out, 92 days of record, fewer than 365" in (tmp_path / MARKDOWN).read_text()


@pytest.mark.slow
def test_stations_of_an_archive_need_no_torch(made_up: Path, tmp_path: Path) -> None:
    where = ["--archive", made_up / "archive", "--ismn", made_up / "ismn.zip", "--out", tmp_path]
    program = (
        "import sys; from training.cli import app\n"
        f"app({['evaluate', *map(str, where), '--record-days', '30']}, standalone_mode=False)\n"
        "sys.exit(sorted({'torch', 'onnxruntime'} & {*sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / MARKDOWN).exists()


def _as_published(source: Path, out: Path) -> None:
    """Write an archive's days as the program of SGD-SM does: 64-bit, huge negative numbers after a division by 0."""
    reader = Reader(source)
    for date in reader.days:
        fields = reader.fields(date)
        path = out / f"{date:%Y}" / f"LPRM_AMSR2_{date:%Y%m%d}.nc"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_dataset(path, "w", format="NETCDF4") as file:
            file.date = f"{date:%Y%m%d}"
            for name, values in (("Latitude", reader.axes[0]), ("Longitude", reader.axes[1])):
                file.createDimension(name, values.size)
                file.createVariable(name, "f4", (name,))[:] = values
            for name, own in (("original", "soil_moisture_observed"), ("reconstructed", "soil_moisture")):
                variable = file.createVariable(f"{name}_sm_c1", "i8", ("Latitude", "Longitude"), fill_value=-32767)
                variable.set_auto_maskandscale(False)
                stored = np.floor(np.nan_to_num(fields[own] * 100)).astype(np.int64)
                variable[:] = np.where(np.isnan(fields[own]), np.iinfo(np.int64).min, stored)


@pytest.mark.slow
def test_an_archive_is_compared_with_published_files_of_sgd_sm(made_up: Path, tmp_path: Path) -> None:
    _as_published(made_up / "archive", tmp_path / "SGD-SM")
    next((tmp_path / "SGD-SM").rglob("*20120805.nc")).unlink()
    _judge(made_up, tmp_path / "out", "--against", str(tmp_path / "SGD-SM"))
    rows = json.loads((tmp_path / "out" / JSON).read_text())["stations"]["rows"]
    ours, theirs = ([row for row in rows if row["filler"] == name] for name in ("archive", "SGD-SM"))
    assert len(ours) == len(theirs) == 12
    for our, their in zip(ours, theirs, strict=True):
        assert (our["station"], our["sensor"]) == (their["station"], their["sensor"])
        assert [our[part]["n"] for part in PARTS] == [their[part]["n"] for part in PARTS]
        # whole percent, rounded down: half a percent lower on average
        assert their["all days"]["bias"] - our["all days"]["bias"] == pytest.approx(-0.005, abs=0.0015)
        assert their["all days"]["r"] == pytest.approx(our["all days"]["r"], abs=0.03)
    assert {row["all days"]["n"] for row in theirs} == {91, 32, 59}


@pytest.mark.slow
def test_a_station_that_one_archive_has_no_value_for_is_named_and_left_out_of_all(
    made_up: Path, tmp_path: Path
) -> None:
    _as_published(made_up / "archive", tmp_path / "SGD-SM")
    _judge(made_up, tmp_path / "a", "--against", str(tmp_path / "SGD-SM"))
    rows = json.loads((tmp_path / "a" / JSON).read_text())["stations"]["rows"]
    station, latitude, longitude = (rows[0][key] for key in ("station", "latitude", "longitude"))
    for path in (tmp_path / "SGD-SM").rglob("*.nc"):
        with Dataset(path, "a") as file:
            file.set_auto_maskandscale(False)
            row = int(np.abs(file["Latitude"][:] - latitude).argmin())
            col = int(np.abs(file["Longitude"][:] - longitude).argmin())
            for name in ("original_sm_c1", "reconstructed_sm_c1"):
                file[name][row, col] = -32767
    _judge(made_up, tmp_path / "b", "--against", str(tmp_path / "SGD-SM"))
    judged = json.loads((tmp_path / "b" / JSON).read_text())["stations"]
    assert {row["station"] for row in judged["rows"]} == {row["station"] for row in rows} - {station}
    assert any(f"{station}: left out, SGD-SM has no value in its cell" in line for line in judged["left_out"])


def test_another_archive_is_only_compared_in_situ(made_up: Path, tmp_path: Path) -> None:
    where = ["--archive", str(made_up / "archive"), "--out", str(tmp_path), "--against", str(made_up / "archive")]
    result = CliRunner().invoke(app, ["evaluate", *where])
    assert result.exit_code == 2
    assert "--against needs --archive and --ismn" in result.stderr
    result = CliRunner().invoke(app, ["evaluate", *where, "--ismn", str(made_up / "ismn.zip")])
    assert "the same folder name" in result.stderr
