"""`runtime init --preset`: the configuration it writes is read, and planned."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path

import pytest

from runtime.common.grid import Grid
from runtime.config import load_config
from runtime.config.presets import PRESETS
from runtime.config.template import TEMPLATE
from runtime.demo.files import write_lprm
from runtime.demo.world import World
from tests.conftest import BOX, Runtime, messages

ERAS = [
    ("lprm-amsre", "c", dt.date(2002, 6, 19), dt.date(2011, 10, 4)),
    ("lprm-windsat", "c", dt.date(2011, 10, 5), dt.date(2012, 7, 2)),
    ("lprm-amsr2", "c1", dt.date(2012, 7, 3), dt.date(2022, 2, 5)),
]


@pytest.fixture(params=PRESETS)
def written(request: pytest.FixtureRequest, tmp_path: Path, runtime: Runtime) -> Path:
    """The file that `init` writes for a preset, beside the folders that it names."""
    result = runtime("init", tmp_path / "mine.toml", "--preset", request.param)
    assert result.exit_code == 0, result.stderr
    feeds = tomllib.loads((tmp_path / "mine.toml").read_text())["feeds"]["soil_moisture"]
    for feed in feeds:
        (tmp_path / feed.get("path", ".")).mkdir(parents=True, exist_ok=True)
    return tmp_path / "mine.toml"


def test_a_preset_is_planned(written: Path, runtime: Runtime) -> None:
    settings = load_config(written, environment={})
    assert settings.metadata.id != load_config(environment={}).metadata.id
    days = ("--from", "2020-04-01", "--to", "2020-04-07", "--set", "archive.start=2020-04-01")
    planned = runtime("plan", "--config", written, "--offline", *days)
    assert planned.exit_code == 0, planned.stderr
    assert "7 days looked at" in planned.stdout


def test_a_preset_differs_from_the_template_in_its_feeds_and_few_values_only(tmp_path: Path, runtime: Runtime) -> None:
    for name in PRESETS:
        runtime("init", tmp_path / f"{name}.toml", "--preset", name)
        values, usual = tomllib.loads((tmp_path / f"{name}.toml").read_text()), tomllib.loads(TEMPLATE)
        del values["feeds"]["soil_moisture"], usual["feeds"]["soil_moisture"]
        other = {f"{s}.{k}" for s in values for k in values[s] if values[s][k] != usual.get(s, {}).get(k)}
        assert {*usual} == {*values}
        policy = {"policy.max_lag_days", "policy.max_outage_days"}
        assert other <= {"metadata.title", "metadata.id", "archive.start"} | policy, name


@pytest.mark.slow
def test_the_record_of_sgd_sm_2_hands_over_from_sensor_to_sensor(tmp_path: Path, runtime: Runtime, grid: Grid) -> None:
    file = tmp_path / "record.toml"
    runtime("init", file, "--preset", "sgd-sm-2")
    feeds = load_config(file, environment={}).feeds.soil_moisture
    assert [(feed.product, feed.band, feed.first, feed.last) for feed in feeds] == ERAS
    assert {feed.orbit for feed in feeds} == {"descending"}
    overrides = [f"grid.box={list(BOX)}", "model.engine=cpu"]
    for number, (product, _, first, last) in enumerate(ERAS):
        overrides += [f"feeds.soil_moisture.{number}.kind=folder", f"feeds.soil_moisture.{number}.path=files"]
        for date in (first, last):
            write_lprm(tmp_path / "files", next(World(grid, 7).days(date, 1)), grid, product)
    options = [option for override in overrides for option in ("--set", override)]
    days = ("--from", "2011-10-04", "--to", "2011-10-05")
    planned = runtime("plan", "--all", "--config", file, *days, *options)
    assert planned.exit_code == 0, planned.stderr
    assert [line.split()[:2] for line in planned.stdout.splitlines()[:2]] == [
        ["2011-10-04", "fill"],
        ["2011-10-05", "fill"],
    ]
    said = messages(planned.stderr)
    assert [
        product for product in ("lprm-amsre", "lprm-windsat") if f"judged on {product} band c," in "".join(said)
    ] == [
        "lprm-amsre",
        "lprm-windsat",
    ]
    filled = runtime("fill", "--config", file, "--from", "2011-10-05", "--to", "2011-10-05", *options)
    assert filled.exit_code == 0, filled.stderr
    assert len(list((tmp_path / "archive").glob("2011/*.nc"))) == 1


def test_the_presets_are_listed_and_another_name_is_refused(tmp_path: Path, runtime: Runtime) -> None:
    listed = runtime("init", "--preset", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*PRESETS]
    refused = runtime("init", tmp_path / "mine.toml", "--preset", "smos")
    assert refused.exit_code == 2
    assert "there is no preset 'smos'; there are sgd-sm-2, smap, c3s, cci, jaxa-amsr2" in refused.stderr
    assert list(tmp_path.iterdir()) == []
