"""Archives of products that the runtime does not ship a reader for: each is filled by its declaration alone."""

import datetime as dt
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.config import load_config
from runtime.demo.world import WorldDay
from runtime.errors import ConfigError
from runtime.inputs.products.read import read_field
from runtime.pipeline.run import Outcome, fill_archive
from tests.conftest import BOX, DAYS, START, tool

OWN = """
[products.mine]
title = "Wetness of the Institute of Soil"
what = "soil_moisture"
sensor = "its own radiometer"
pattern = '^wetness_(?P<date>\\d{8})_r(?P<version>\\d+)\\.nc$'
variable = "retrievals/wetness_{band}"
bands = ["k", "ka"]
unit = "percent"
time = [{ variable = "when" }]
quality = [{ variable = "retrievals/doubt", most = 0.5 }]
grid = { lat = "nav_lat", lon = "nav_lon", partial = true }
"""


def fill(file: Path, first: dt.date, last: dt.date, today: dt.date) -> Outcome:
    return fill_archive(load_config(file, environment={}), DateRange(first, last), today, RunEvents())


def test_three_days_of_cci(data: Path, tmp_path: Path, globe: Grid) -> None:
    """Two genuine days in a row are all there is at hand; the third is the first with its time moved."""
    first = dt.date(2016, 6, 6)
    feed = tmp_path / "cci"
    shutil.copytree(data / "cci", feed, copy_function=shutil.copyfile)
    third = feed / "ESACCI-SOILMOISTURE-L3S-SSMV-PASSIVE-20160608000000-fv05.2.nc"
    shutil.copyfile(next(feed.glob("*PASSIVE-20160606*")), third)
    with Dataset(third, "a") as moved:
        moved["time"][:] += 2
    file = tmp_path / "c.toml"
    file.write_text(
        f'[archive]\nstart = {first}\n[grid]\nbox = {list(BOX)}\n[model]\nengine = "cpu"\n'
        f'[[feeds.soil_moisture]]\nproduct = "cci-passive"\npath = "{feed}"\n'
    )
    last = first + dt.timedelta(2)
    fill(file, first, last, last + dt.timedelta(30))
    days = sorted((tmp_path / "archive").glob("2016/*.nc"))
    assert [path.name[-11:-3] for path in days] == ["20160606", "20160607", "20160608"]
    region = globe.box(*BOX)
    with xarray.open_mfdataset(days) as archive:
        with xarray.open_dataset(next(feed.glob("*PASSIVE-20160606*")), mask_and_scale=False) as source:
            box = source.sm[0].sel(lat=archive.lat, lon=archive.lon).values
        observed = archive.soil_moisture_observed.values
        np.testing.assert_array_equal(np.isfinite(observed[0]), box != -9999)
        np.testing.assert_allclose(observed[0][box != -9999], box[box != -9999], atol=6e-5)  # it is packed
        filled = np.isfinite(archive.soil_moisture.values) & region.land
        print(f"filled of land: {filled.mean((1, 2)) / region.land.mean()}")
        assert (filled.mean((1, 2)) > 0.8 * region.land.mean()).all()
    done = subprocess.run([tool("cdo"), "-s", "sinfon", str(days[0])], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "soil_moisture" in done.stdout


def test_percent_of_saturation_in_a_feed_is_a_refused_day(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    shutil.copy(next((data / "c3s").glob("*ACTIVE*")), folder)
    file = tmp_path / "c.toml"
    file.write_text(
        f'[grid]\nbox = {list(BOX)}\n[model]\nengine = "cpu"\n'
        f'[[feeds.soil_moisture]]\nproduct = "c3s-passive"\npath = "{folder}"\n'
    )
    day = dt.date(2017, 7, 1)
    outcome = fill(file, day, day, day)
    assert outcome.exit_code == 4
    assert "percent of saturation is not a volume" in outcome.message


def write_own(folder: Path, day: WorldDay, grid: Grid, revision: int = 1) -> None:
    """Half-degree cells, south first, longitudes 0 to 360, in a group, with doubt where it is to be left out."""
    folder.mkdir(exist_ok=True)
    coarse = day.observed.reshape(grid.shape[0] // 2, 2, grid.shape[1] // 2, 2)
    with np.errstate(invalid="ignore"):
        counts = np.isfinite(coarse).sum((1, 3))
        values = np.where(counts == 4, np.nansum(coarse, (1, 3)) / np.maximum(counts, 1), np.nan) * 100 / revision
    lons = grid.longitudes.reshape(-1, 2).mean(1) % 360
    turn = np.argsort(lons)
    with Dataset(folder / f"wetness_{day.date:%Y%m%d}_r{revision}.nc", "w") as file:
        for name, axis in (("lat", grid.latitudes.reshape(-1, 2).mean(1)[::-1]), ("lon", lons[turn])):
            file.createDimension(name, axis.size)
            file.createVariable(f"nav_{name}", "f8", (name,))[:] = axis
        file.createDimension("time", 1)
        when = file.createVariable("when", "f8", ("time",))
        when.units = "hours since 2000-01-01"
        when[:] = (day.date - dt.date(2000, 1, 1)).days * 24 + 6
        group = file.createGroup("retrievals")
        for band in ("k", "ka"):
            wetness = group.createVariable(f"wetness_{band}", "i2", ("time", "lat", "lon"), fill_value=-1)
            wetness.scale_factor = 0.01
            wetness[0] = np.ma.masked_invalid(values[::-1][:, turn]).filled(-0.01)
        doubt = group.createVariable("doubt", "f4", ("lat", "lon"))
        doubt[:] = 0.1
        doubt[:4] = 0.9


def test_a_users_own_product_is_filled_from_a_declaration_alone(
    tmp_path: Path, grid: Grid, world_days: list[WorldDay]
) -> None:
    for day in world_days:
        write_own(tmp_path / "incoming", day, grid, revision=1)
    write_own(tmp_path / "incoming", world_days[0], grid, revision=2)
    file = tmp_path / "c.toml"
    file.write_text(
        OWN + f'[archive]\nstart = {START}\n[grid]\nbox = {list(BOX)}\n[model]\nengine = "cpu"\n'
        '[[feeds.soil_moisture]]\nproduct = "mine"\nband = "ka"\npath = "incoming"\n'
    )
    last = START + dt.timedelta(2)
    assert fill(file, START, last, START + dt.timedelta(DAYS - 1)).exit_code == 0
    with xarray.open_mfdataset(sorted((tmp_path / "archive").glob("2020/*.nc"))) as archive:
        assert archive.sizes["time"] == 3
        observed = archive.soil_moisture_observed.values
        filled = archive.soil_moisture.values
    assert np.isnan(observed[:, -8:]).all(), "where the rule says so, in the south"
    here = np.isfinite(observed[1]) & np.isfinite(world_days[1].observed)
    assert here.sum() > 500
    assert np.abs(observed[1][here] - world_days[1].observed[here]).mean() < 0.03
    here = np.isfinite(observed[0]) & np.isfinite(world_days[0].observed)
    halved = world_days[0].observed[here] / 2
    assert np.abs(observed[0][here] - halved).mean() < 0.03, "the file of revision 2 counts, which halves the values"
    assert np.isfinite(filled[:, :-8][:, grid.land[:-8]]).mean() > 0.9


def test_real_rain_of_another_product_is_read_by_a_declaration(data: Path, tmp_path: Path, globe: Grid) -> None:
    """CMORPH: packed int16, longitude from 0 to 360, from 60 S to 60 N, south first."""
    file = tmp_path / "c.toml"
    file.write_text(
        "[products.cmorph]\n"
        'what = "precipitation"\n'
        'sensor = "CMORPH"\n'
        "pattern = '^CMORPH_V1.0_ADJ_0.25deg-DLY_00Z_(?P<date>\\d{8})\\.nc$'\n"
        'variable = "cmorph"\n'
        'unit = "mm/day"\n'
        'time = [{ variable = "time", unit = "seconds since 1970-01-01" }]\n'
        "grid = { partial = true }\n"
        '[feeds.precipitation]\nkind = "folder"\nproduct = "cmorph"\n'
    )
    product = load_config(file, environment={}).product("cmorph")
    source = next((data / "precipitation").glob("*.nc"))
    rain = read_field(product, source, dt.date(2021, 3, 1), globe.box(-180, -60, 180, 60)).field
    with xarray.open_dataset(source, mask_and_scale=False) as raw:
        stored = raw.cmorph[0].values[::-1]
    stored = np.roll(stored, 720, axis=1)
    np.testing.assert_array_equal(np.isnan(rain), stored == -999)
    np.testing.assert_allclose(rain[stored != -999], stored[stored != -999] * 0.1, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN.replace('unit = "percent"', 'unit = "litres"'), "products.mine.unit: .*percent"),
        (OWN.replace("sensor =", "senser ="), "unknown key products.mine.senser; valid in products.mine: .*sensor"),
        (OWN.replace("(?P<date>", "(?P<day>"), "has no group .*P<date>"),
        (OWN.replace("{band}", "{frequency}"), "has a word that nothing fills in .'frequency'"),
        (OWN.replace(", most = 0.5", ""), "a quality rule needs clear_bits, refused, least or most"),
        ('[products.mine]\nextends = "smap"\n', "mine extends 'smap', which is no product; there are .*smap-l3"),
        (OWN + '[[feeds.soil_moisture]]\nproduct = "mine"\nband = "x"\n', "mine has no band 'x'; it has k, ka"),
        (
            '[[feeds.soil_moisture]]\nproduct = "smop"\n',
            "no product .smop. of soil_moisture; there are .*smos",
        ),
        ('[[feeds.soil_moisture]]\nproduct = "imerg"\n', "there is no product 'imerg' of soil_moisture"),
        ('[[feeds.soil_moisture]]\nproduct = "smap-l3"\nband = "x"\n', "smap-l3 has no band 'x'; it has none"),
    ],
)
def test_mistakes_in_a_declaration_are_named_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(file, environment={})
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_declaration_may_extend_a_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[products.mine]\nextends = "smap-l3"\ncollections = { both = ["SPL3SMP", "010"] }\n')
    mine = load_config(file, environment={}).product("mine")
    assert mine.name == "mine"
    assert mine.collections == {"both": ("SPL3SMP", "010")}
    assert mine.quality[0].clear_bits == (0, 2)
