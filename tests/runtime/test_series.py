"""What `runtime series` and `runtime export` write, read back by others."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray
from matplotlib.image import imread

from runtime.archive import cf
from runtime.archive.reader import Reader
from tests.conftest import DAYS, Runtime, Site

HERE = ("--lat", "45.1", "--lon", "2.2")


@pytest.fixture
def site(window_site: Site) -> Site:
    window_site.fill(0, DAYS - 1)
    return window_site


def test_csv(site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "new" / "place.csv"
    said = runtime("series", *HERE, "--out", out, "--config", site.file)
    assert said.stdout == f"wrote {out}: 45.125° N, 2.125° E: 2020-04-01 to 2020-04-14, 14 days\n"
    rows = list(csv.DictReader(out.read_text().splitlines()))
    series = Reader(site.archive).series(45.1, 2.2)
    assert [row["date"] for row in rows] == [str(date) for date in series.dates]
    for name in ("soil_moisture", "soil_moisture_observed", "soil_moisture_uncertainty"):
        told = [float(row[f"{name} (m3 m-3)"] or "nan") for row in rows]
        np.testing.assert_allclose(told, series.values[name], atol=5e-5)
    flags = {row["flag"] for row in rows}
    assert flags <= {"observed", "filled_from_other_days", "filled_from_neighbours"}
    assert "observed" in flags


def test_netcdf(site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "place.nc"
    runtime("series", *HERE, "--from", "2020-04-03", "--to", "2020-04-09", "--out", out, "--config", site.file)
    series = Reader(site.archive).series(45.1, 2.2, site.date(2), site.date(8))
    with xarray.open_dataset(out) as place:
        assert place.attrs["featureType"] == "timeSeries"
        assert place.attrs["time_coverage_end"] == "2020-04-09T23:59:59Z"
        assert place.attrs["time_coverage_duration"] == "P7D"
        assert (float(place.lat), float(place.lon)) == (45.125, 2.125)
        np.testing.assert_allclose(place.soil_moisture, series.values["soil_moisture"], atol=1e-6)
        np.testing.assert_array_equal(place.flag, series.values["flag"])
    report = subprocess.run(
        [Path(sys.executable).with_name("compliance-checker"), "-t", "cf:1.11", out], capture_output=True, text=True
    )
    assert "All tests passed!" in report.stdout, report.stdout


def test_picture(site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "place.png"
    rain = np.stack([cf.values(site.day_file(day), "precipitation") for day in range(DAYS)]).max(0)
    row, col = np.unravel_index(
        np.where(np.isfinite(cf.values(site.day_file(5), "soil_moisture")), rain, 0).argmax(), rain.shape
    )
    wettest = ("--lat", str(49.875 - 0.25 * row), "--lon", str(-9.875 + 0.25 * col))
    runtime("series", *wettest, "--out", out, "--config", site.file)
    picture = imread(out)
    assert picture.shape[1] == 1000
    shown = {tuple(colour) for colour in (picture[..., :3] * 255).round().astype(int).reshape(-1, 3)}
    assert {(0, 114, 178), (213, 94, 0), (86, 180, 233)} <= shown, "observed, filled and rain have their colours"


def test_terminal(site: Site, runtime: Runtime) -> None:
    said = runtime("series", *HERE, "--config", site.file).stdout
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
def test_mistakes(arguments: tuple[str, ...], message: str, code: int, site: Site, runtime: Runtime) -> None:
    said = runtime("series", *arguments, "--config", site.file)
    assert (said.exit_code, said.stderr.count("\n")) == (code, 1)
    assert message in said.stderr


BOX = ("--box", "0", "40", "3", "44")
ROWS, COLS = slice(24, 40), slice(40, 52)


def _export(runtime: Runtime, site: Site, kind: str, out: Path, *more: str) -> str:
    days = ("--from", "2020-04-03", "--to", "2020-04-05")
    said = runtime("export", "--format", kind, *days, *BOX, "--out", out, *more, "--config", site.file)
    assert said.exit_code == 0, said.stderr
    return said.stdout


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_one_store(kind: str, site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "part"
    assert _export(runtime, site, kind, out) == f"wrote 3 days: {out}\n"
    opened = xarray.open_dataset(out) if kind == "netcdf" else xarray.open_zarr(out, consolidated=False)
    with opened as part:
        assert part.attrs["Conventions"] == "CF-1.11, ACDD-1.3"
        assert part.attrs["time_coverage_duration"] == "P3D"
        for number, day in enumerate((2, 3, 4)):
            for name in ("soil_moisture", "soil_moisture_uncertainty", "precipitation", "flag"):
                expected = cf.values(site.day_file(day), name)[ROWS, COLS]
                np.testing.assert_allclose(part[name][number], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["geotiff", "cog"])
def test_rasters(kind: str, site: Site, runtime: Runtime, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    assert _export(runtime, site, kind, tmp_path / "t") == f"wrote 3 days: 6 files in {tmp_path / 't'}\n"
    with rasterio.open(tmp_path / "t" / "soil_moisture_20200404.tif") as raster:
        assert raster.crs.to_epsg() == 4326
        assert raster.bounds == (0, 40, 3, 44)
        assert (raster.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG") == (kind == "cog")
        values = np.ma.filled(raster.read(1, masked=True).astype(float) * raster.scales[0], np.nan)
    np.testing.assert_allclose(values, cf.values(site.day_file(3), "soil_moisture")[ROWS, COLS], atol=1e-6)


def test_sgd_sm_files(site: Site, runtime: Runtime, tmp_path: Path) -> None:
    _export(runtime, site, "sgd-sm", tmp_path / "s")
    with xarray.open_dataset(tmp_path / "s" / "SGD-SM_20200404.nc") as day:
        for name, own in (("reconstructed_sm_c1", "soil_moisture"), ("original_sm_c1", "soil_moisture_observed")):
            np.testing.assert_allclose(day[name] / 100, cf.values(site.day_file(3), own)[ROWS, COLS], atol=0.00501)


def test_a_dry_run_lists_and_writes_nothing(site: Site, runtime: Runtime, tmp_path: Path) -> None:
    said = _export(runtime, site, "cog", tmp_path / "t", "--dry-run", "--variable", "soil_moisture")
    assert said.splitlines() == [
        *(str(tmp_path / "t" / f"soil_moisture_2020040{day}.tif") for day in (3, 4, 5)),
        "3 days, 3 files",
    ]
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--format", "grib"), "--format grib: wanted one of netcdf, zarr, geotiff, cog, sgd-sm", 2),
        (("--format", "zarr", "--box", "40", "40", "50", "50"), "holds no cell of the archive", 2),
        (("--format", "zarr", "--from", "2021-01-01"), "it has 2020-04-01 to 2020-04-14", 3),
        (("--format", "cog", "--variable", "soil"), "unknown variable soil; there are soil_moisture,", 2),
    ],
)
def test_wrong_exports(
    arguments: tuple[str, ...], message: str, code: int, site: Site, runtime: Runtime, tmp_path: Path
) -> None:
    said = runtime("export", *arguments, "--out", tmp_path / "x", "--config", site.file)
    assert (said.exit_code, said.stderr.count("\n")) == (code, 1)
    assert message in said.stderr
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(site: Site, runtime: Runtime, tmp_path: Path) -> None:
    _export(runtime, site, "netcdf", tmp_path / "x")
    before = (tmp_path / "x").read_bytes()
    said = runtime("export", "--format", "netcdf", "--out", tmp_path / "x", "--config", site.file)
    assert said.exit_code == 2
    assert "exists; choose another --out or delete it" in said.stderr
    assert (tmp_path / "x").read_bytes() == before
