"""What `runtime export` writes, read back by other programs."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from runtime.archive import cf
from runtime.archive.sgdsm import whole_percent
from tests.conftest import Runtime, Site

BOX = ("--box", "0", "40", "3", "44")
ROWS, COLS = slice(24, 40), slice(40, 52)


def _export(runtime: Runtime, filled_site: Site, kind: str, out: Path, *more: str) -> str:
    days = ("--from", "2020-04-03", "--to", "2020-04-05")
    said = runtime("export", "--format", kind, *days, *BOX, "--out", out, *more, "--config", filled_site.file)
    assert said.exit_code == 0, said.stderr
    return said.stdout


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_one_store(kind: str, filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    out = tmp_path / "part"
    assert _export(runtime, filled_site, kind, out) == f"wrote 3 days: {out}\n"
    opened = xarray.open_dataset(out) if kind == "netcdf" else xarray.open_zarr(out, consolidated=False)
    with opened as part:
        assert part.attrs["Conventions"] == "CF-1.11, ACDD-1.3"
        assert part.attrs["time_coverage_duration"] == "P3D"
        for number, day in enumerate((2, 3, 4)):
            for name in ("soil_moisture", "soil_moisture_uncertainty", "precipitation", "flag"):
                expected = cf.values(filled_site.day_file(day), name)[ROWS, COLS]
                np.testing.assert_allclose(part[name][number], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["geotiff", "cog"])
def test_rasters(kind: str, filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    assert _export(runtime, filled_site, kind, tmp_path / "t") == f"wrote 3 days: 6 files in {tmp_path / 't'}\n"
    with rasterio.open(tmp_path / "t" / "soil_moisture_20200404.tif") as raster:
        assert raster.crs.to_epsg() == 4326
        assert raster.bounds == (0, 40, 3, 44)
        assert (raster.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG") == (kind == "cog")
        values = np.ma.filled(raster.read(1, masked=True).astype(float) * raster.scales[0], np.nan)
    np.testing.assert_allclose(values, cf.values(filled_site.day_file(3), "soil_moisture")[ROWS, COLS], atol=1e-6)


def test_exported_sgd_sm_files_are_rounded_down_and_name_their_band(
    filled_site: Site, runtime: Runtime, tmp_path: Path
) -> None:
    _export(runtime, filled_site, "sgd-sm", tmp_path / "s")
    with xarray.open_dataset(tmp_path / "s" / "SGD-SM_20200404.nc") as day:
        assert day.attrs["band"] == "x"
        for name, own in (("reconstructed_sm_c1", "soil_moisture"), ("original_sm_c1", "soil_moisture_observed")):
            percent = cf.values(filled_site.day_file(3), own)[ROWS, COLS].astype(float) * 100
            lost = percent - day[name].to_numpy()
            assert np.nanmin(lost) > -1e-4, "rounded down, as in the published files"
            assert np.nanmax(lost) < 1
            np.testing.assert_array_equal(np.isnan(day[name]), np.isnan(percent))


def test_a_whole_percent_stays_one_in_float32() -> None:
    percent = np.arange(100)
    np.testing.assert_array_equal(whole_percent((percent / 100).astype(np.float32)), percent)
    np.testing.assert_array_equal(whole_percent(np.array([0.2899, 0.2949, 0.2999], np.float32)), [28, 29, 29])


def test_a_dry_run_lists_and_writes_nothing(filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    said = _export(runtime, filled_site, "cog", tmp_path / "t", "--dry-run", "--variable", "soil_moisture")
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
    arguments: tuple[str, ...], message: str, code: int, filled_site: Site, runtime: Runtime, tmp_path: Path
) -> None:
    said = runtime("export", *arguments, "--out", tmp_path / "x", "--config", filled_site.file)
    assert (said.exit_code, said.stderr.count("\n")) == (code, 1)
    assert message in said.stderr
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    _export(runtime, filled_site, "netcdf", tmp_path / "x")
    before = (tmp_path / "x").read_bytes()
    said = runtime("export", "--format", "netcdf", "--out", tmp_path / "x", "--config", filled_site.file)
    assert said.exit_code == 2
    assert "exists; choose another --out or delete it" in said.stderr
    assert (tmp_path / "x").read_bytes() == before
