import datetime as dt
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset

from runtime.common.sensors import PRODUCTS, Product
from runtime.config import load_config
from tests.conftest import Runtime
from tests.support.sensors import write_smap


def stripe(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return np.where(np.abs(lon) < 20, 0.2 + 0.001 * lat, np.nan)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_product_is_listed_with_those_of_the_configuration(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "seamless-sm.toml").write_text('[products.mine]\nextends = "smap-l3"\nsensor = "a copy of SMAP"\n')
    lines = runtime("products").output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*PRODUCTS, "mine"]
    (amsr2,) = (line for line in lines if line.startswith("lprm-amsr2"))
    assert "2012-07-03..2026-08-31" in amsr2
    assert "a copy of SMAP" in lines[-1]


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_printed_declaration_can_be_copied(name: str, runtime: Runtime, tmp_path: Path) -> None:
    text = runtime("products", name).output
    copied = tmp_path / "copied.toml"
    copied.write_text(text.replace(f"[products.{name}]", "[products.copy]", 1))
    copy = load_config(copied, environment={}).product("copy")
    assert copy.model_copy(update={"name": name}) == PRODUCTS[name].model_copy(update={"extends": None})
    assert tomllib.loads(text)["products"][name]["sensor"] == PRODUCTS[name].sensor


def test_an_unknown_product_is_named_with_those_that_exist(runtime: Runtime) -> None:
    result = runtime("products", "amsr4")
    assert result.exit_code == 2
    assert "there is no product 'amsr4'; there are lprm-amsre, " in result.stderr


def test_a_file_is_recognised_and_described(runtime: Runtime, tmp_path: Path) -> None:
    path = write_smap(tmp_path, dt.date(2021, 4, 1), stripe, stripe, not_recommended=lambda lat, lon: lat)
    result = runtime("inspect", path, "--out", tmp_path / "map.png")
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.output.split())
    assert "by name smap-l3 by content smap-l3 smap-l3, descending day 2021-04-01" in text
    assert "variable soil_moisture, 406 x 964 cells" in text
    assert "values 21924 cells, 5.6%" in text  # 108 columns, the southern 203 rows
    assert "left out retrieval_qual_flag bit 0: 21924 cells, 21924 of them had a value" in text
    assert "smap-l3, ascending" in text
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


def test_percent_of_saturation_is_named_as_the_reason(runtime: Runtime, data: Path) -> None:
    result = runtime("inspect", next((data / "c3s").glob("*ACTIVE*")))
    assert result.exit_code == 4
    assert "percent of saturation is not a volume" in result.stderr


def test_a_renamed_file_is_recognised_by_its_content(runtime: Runtime, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "download.nc"
    shutil.copyfile(next((data / "cci").glob("*v02.2*")), path)
    output = runtime("inspect", path).output
    assert "by name     no product" in output
    assert "by content  cci-combined" in output
    assert "day       2014-01-01" in output
    assert "values    61985 cells, 6.0%" in output


def test_an_unknown_file_gives_a_declaration_to_start_from(runtime: Runtime, data: Path, tmp_path: Path) -> None:
    path = next((data / "precipitation").glob("*.nc"))
    output = runtime("inspect", path).output
    assert "cmorph  int16 ('time', 'lat', 'lon') (1, 480, 1440) mm/day" in output
    draft = output[output.index("[products.mine]") :].replace("# grid", "grid")
    (tmp_path / "c.toml").write_text(draft)
    product = load_config(tmp_path / "c.toml", environment={}).product("mine")
    assert isinstance(product, Product)
    assert product.what == "precipitation"
    found = product.pattern.match(path.name)
    assert found
    assert found["date"] == "20210301"
    (tmp_path / "seamless-sm.toml").write_text(draft)
    assert "by name     mine" in runtime("inspect", path).output


def test_a_file_without_fields_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "list.nc"
    with Dataset(path, "w") as file:
        file.createDimension("station", 4)
        file.createVariable("depth", "f4", ("station",))
    result = runtime("inspect", path)
    assert result.exit_code == 4
    assert "has no variable with two dimensions" in result.stderr
