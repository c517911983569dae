"""The command line as an operator meets it: exit codes, one-line messages, nothing lost."""

import datetime as dt
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from netCDF4 import Dataset
from typer.testing import CliRunner

from runtime import __version__
from runtime.archive.lock import hold_archive
from runtime.bundle import find_bundle
from tests.conftest import DAYS, Runtime, Site, messages

COMMANDS = [
    "init",
    "plan",
    "fill",
    "fetch",
    "reprocess",
    "backfill",
    "status",
    "check",
    "changes",
    "inbox",
    "show",
    "demo",
]


@pytest.mark.parametrize("command", [*COMMANDS, "doctor"])
def test_help_has_an_example(command: str, runtime: Runtime) -> None:
    result = runtime(command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout


@pytest.mark.parametrize("package", ["runtime", "service", "export", "training"])
def test_every_program_has_a_version_and_a_short_help(package: str) -> None:
    app = importlib.import_module(f"{package}.cli").app
    version = CliRunner().invoke(app, ["--version"])
    assert (version.exit_code, version.stdout) == (0, f"seamless-sm {__version__}\n")
    short, long = CliRunner().invoke(app, ["-h"]), CliRunner().invoke(app, ["--help"])
    assert short.exit_code == 0
    assert short.stdout == long.stdout


@pytest.mark.parametrize("command", [*COMMANDS, "doctor", "series", "export"])
def test_the_help_shows_no_type_for_an_option_without_a_value(command: str, runtime: Runtime) -> None:
    shown = runtime(command, "-h").stdout
    assert "bool" not in shown
    assert shown == runtime(command, "--help").stdout


def test_commands_can_be_completed_in_a_shell(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--install-completion" in runtime("--help").stdout
    environment = {**os.environ, "_RUNTIME_COMPLETE": "complete_bash", "COMP_WORDS": "runtime ser", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['runtime']\nfrom runtime.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["series"]


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["fill", "--help"]])
def test_quick_commands_import_nothing_heavy(arguments: list[str], window_site: Site) -> None:
    heavy = "{'numpy.testing', 'onnxruntime', 'xarray', 'matplotlib', 'torch', 'dask', 'scipy'}"
    code = (
        f"import sys; sys.argv = ['runtime', *{arguments!r}]\nfrom runtime.__main__ import main\n"
        f"try: main()\nexcept SystemExit: pass\nassert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=window_site.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_from_init_to_a_published_day(tmp_path: Path, fortnight: Path, runtime: Runtime) -> None:
    file = tmp_path / "my.toml"
    assert runtime("init", file).exit_code == 0
    shutil.copytree(fortnight / "lprm", tmp_path / "incoming" / "lprm")
    extra = ["--config", file, "--set", "grid.box=[-10, 35, 10, 50]"]
    assert "14 to fill" in runtime("plan", *extra).stdout
    nowhere = runtime("plan", *extra, "--set", "feeds.soil_moisture.0.path=nowhere")
    assert nowhere.exit_code == 2
    assert "nowhere does not exist; create it or set the feed's path" in nowhere.stderr
    dry = runtime("fill", "--date", "2020-04-05", "--dry-run", *extra)
    assert "2020-04-05  fill" in dry.stdout
    assert not (tmp_path / "archive").exists()
    done = runtime("fill", "--date", "2020-04-05", *extra)
    assert done.exit_code == 0
    assert "2020-04-05 published, consolidated" in done.stderr, "the days before the first are not waited for"
    assert runtime("fill", "--date", "2020-04-05", *extra).stdout == "already current\n"
    assert json.loads(runtime("status", "--json", *extra).stdout)["newest"] == "2020-04-05"
    assert runtime("check", *extra).stdout == "the archive is whole\n"
    assert [c["reason"] for c in json.loads(runtime("changes", "--json", *extra).stdout)] == ["new"]
    assert runtime("changes", "--since", "2999-01-01", *extra).stdout == "no changes\n"
    runtime("fill", "--date", "2020-04-06", *extra)
    picture = tmp_path / "day.png"
    assert runtime("show", "--date", "2020-04-06", "--out", picture, *extra).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    planned = json.loads(runtime("plan", "--json", *extra).stdout)
    assert {p["reason"] for p in planned} == {"new"}
    assert runtime("init", file).exit_code == 2


def test_today_brings_the_archive_up_to_date(window_site: Site, runtime: Runtime) -> None:
    result = runtime("fill", "--date", "today", "--config", window_site.file, "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["filled"]) == DAYS
    assert "lag days           0" in runtime("status", "--config", window_site.file).stdout


def test_plan_prints_days_alike_as_one_range(window_site: Site, runtime: Runtime) -> None:
    for day in range(2, DAYS):
        window_site.lprm(day).unlink()
    policy = ["--set", "policy.max_lag_days=0", "--set", "policy.max_outage_days=3", "--config", window_site.file]
    lines = runtime("plan", *policy).stdout.splitlines()
    outage = "no soil moisture for more than 3 days in a row; check the feed, or raise policy.max_outage_days"
    assert lines == [
        "2020-04-01 to 2020-04-02, 2 days  fill     provisional    new",
        "2020-04-03 to 2020-04-05, 3 days  fill     no_observation new",
        f"2020-04-06 to 2020-04-13, 8 days  outage   no_observation {outage}",
        "2020-04-14  wait     no_observation soil moisture is not published yet",
        "14 days looked at, 5 to fill",
    ]
    every = runtime("plan", "--all", *policy).stdout.splitlines()
    assert [line[:10] for line in every[:-1]] == [str(window_site.date(day)) for day in range(DAYS)]
    assert len(json.loads(runtime("plan", "--json", *policy).stdout)) == DAYS


@pytest.mark.slow
def test_plan_of_a_folder_that_ended_long_ago_is_short(window_site: Site, runtime: Runtime) -> None:
    text = window_site.file.read_text().replace("start = 2020-04-01", "")
    window_site.file.write_text(text.replace('band = "x"', 'band = "x"\nto = 2040-01-01'))
    with pytest.MonkeyPatch.context() as later:
        later.setattr("runtime.common.clock.today", lambda: dt.date(2031, 11, 22))
        planned = runtime("plan", "--config", window_site.file)
        asked = runtime("plan", "--from", "2020-04-14", "--config", window_site.file)
    assert len(planned.stdout.splitlines()) == 3
    assert planned.stdout.splitlines()[-1] == "14 days looked at, 14 to fill"
    assert "the newest file is of 2020-04-14, and it is 2031-11-22" in planned.stderr
    assert "2020-04-15 to 2031-11-14, 4231 days  wait     no_observation no feed has a file" in asked.stdout


def test_plan_names_the_end_of_a_sensor(window_site: Site, runtime: Runtime) -> None:
    """AMSR2 was switched off on 31 August 2026; nothing later is waited for."""
    with pytest.MonkeyPatch.context() as later:
        later.setattr("runtime.common.clock.today", lambda: dt.date(2031, 11, 22))
        planned = runtime("plan", "--config", window_site.file)
    assert "the newest file is of 2020-04-14, and the feeds end on 2026-08-31" in planned.stderr


def test_status_counts_days_without_an_observation(window_site: Site, runtime: Runtime) -> None:
    window_site.lprm(3).unlink()
    window_site.fill(0, 5, "policy.max_lag_days=0")
    counted = json.loads(runtime("status", "--json", "--config", window_site.file).stdout)
    assert (counted["days"], counted["no_observation"]) == (6, 1)


def test_doctor_names_what_is_there_and_ends_with_the_code_of_plan(window_site: Site, runtime: Runtime) -> None:
    result = runtime("doctor", "--config", window_site.file)
    assert result.exit_code == 0
    assert "engine cpu" in result.stdout
    assert "14 days, 2020-04-01 to 2020-04-14" in result.stdout
    for engine in ("cpu", "openvino", "cuda", "tensorrt", "chosen"):
        assert f"engine {engine} " in result.stdout
    nowhere = ("--config", window_site.file, "--set", "feeds.soil_moisture.0.path=nowhere")
    bad = runtime("doctor", *nowhere)
    assert bad.exit_code == runtime("plan", *nowhere).exit_code == 2, "one code for one fault"
    assert "does not exist" in bad.stdout


def _damage(site: Site, edit: Callable[[Dataset], None], day: int = 6) -> Path:
    path = site.lprm(day)
    with Dataset(path, "a") as file:
        file.set_auto_maskandscale(False)
        edit(file)
    return path


def _truncate(site: Site) -> Path:
    path = site.lprm(6)
    path.write_bytes(path.read_bytes()[:-4000])
    return path


def _html(site: Site) -> Path:
    path = site.lprm(6)
    path.write_text("<!DOCTYPE html><html><body>Earthdata Login</body></html>")
    return path


def _other_grid(site: Site) -> Path:
    def shift(file: Dataset) -> None:
        file["Latitude"][:] = file["Latitude"][:] + 0.1

    return _damage(site, shift)


def _other_day(site: Site) -> Path:
    path = site.lprm(6)
    path.write_bytes(site.lprm(2).read_bytes())
    return path


def _fill_value(site: Site) -> Path:
    return _damage(site, lambda file: file["soil_moisture_x"].__setitem__(slice(None), -32767))


def _five_hundred(site: Site) -> Path:
    return _damage(site, lambda file: file["soil_moisture_x"].__setitem__((0, 0), 500))


def _no_variable(site: Site) -> Path:
    return _damage(site, lambda file: file.renameVariable("soil_moisture_x", "sm"))


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "cut short"),
        (_html, "web page"),
        (_other_grid, "wrong grid"),
        (_other_day, "was scanned on 2020-04-03, not on 2020-04-07"),
        (_fill_value, "all fill"),
        (_five_hundred, "500 percent"),
        (_no_variable, "no variable soil_moisture_x"),
    ],
)
def test_bad_soil_moisture(damage: Callable[[Site], Path], message: str, window_site: Site, runtime: Runtime) -> None:
    window_site.fill(0, 1)
    before = window_site.published()
    path = damage(window_site)
    result = runtime("fill", "--date", "2020-04-07", "--config", window_site.file)
    assert result.exit_code == 4
    assert message in result.stderr
    assert str(path) in result.stderr
    assert ";" in result.stderr, "the cure follows the fault"
    assert result.stderr.count("\n") == 1
    assert window_site.published() == before


def test_rain_without_any_estimate_is_a_warning(recurrent_site: Site, runtime: Runtime) -> None:
    path = recurrent_site.imerg(2)
    with Dataset(path, "a") as file:
        file["precipitation_cnt"][:] = 0
    result = runtime("fill", "--date", "2020-04-03", "--config", recurrent_site.file)
    assert result.exit_code == 0
    assert f"warning: {path}: no cell has an estimate" in result.stderr


@pytest.mark.slow
def test_a_damaged_file_is_warned_of_once_in_a_run(window_site: Site, runtime: Runtime) -> None:
    path = _truncate(window_site)
    result = runtime("fill", "--from", "2020-04-01", "--to", "2020-04-14", "--config", window_site.file)
    assert result.exit_code == 4
    warnings = [line for line in messages(result.stderr) if line.startswith("warning: ")]
    assert [str(path) in warning for warning in warnings] == [True]
    assert len(window_site.published()) == DAYS - 1


def test_a_run_prints_no_number_that_nothing_explains(recurrent_site: Site, runtime: Runtime) -> None:
    """This network has tile edges, whose step is in the log for machines, but is no figure for people."""
    result = runtime("fill", "--from", "2020-04-01", "--to", "2020-04-02", "--config", recurrent_site.file)
    published = [line for line in messages(result.stderr) if " published, " in line]
    assert len(published) == 2
    assert "seams" not in result.stderr


def test_one_of_something_is_no_plural(filled_site: Site, runtime: Runtime, tmp_path: Path) -> None:
    day = ("--from", "2020-04-03", "--to", "2020-04-03", "--config", filled_site.file)
    assert runtime("export", "--format", "netcdf", "--out", tmp_path / "x.nc", *day).stdout.startswith("wrote 1 day: ")
    assert runtime("plan", *day).stdout == "1 day looked at, 0 to fill: already current\n"
    place = runtime("series", "--lat", "45.1", "--lon", "2.2", "--out", tmp_path / "x.csv", *day).stdout
    assert place.endswith(", 1 day\n")


def test_a_flipped_byte_in_the_bundle(window_site: Site, tmp_path: Path, runtime: Runtime) -> None:
    copy = Path(shutil.copytree(find_bundle("seamless-amsr2-x"), tmp_path / "copy"))
    raw = bytearray((copy / "model.onnx").read_bytes())
    raw[len(raw) // 3] ^= 4
    (copy / "model.onnx").write_bytes(raw)
    result = runtime("fill", "--date", "2020-04-03", "--config", window_site.file, "--set", f"model.bundle={copy}")
    assert result.exit_code == 2
    assert f"{copy / 'model.onnx'} does not have the hash" in result.stderr
    assert window_site.published() == {}


def test_a_flipped_byte_in_a_snapshot(recurrent_site: Site, runtime: Runtime) -> None:
    recurrent_site.fill(0, 4)
    before = recurrent_site.published()
    (snapshot,) = (recurrent_site.archive / ".state").glob("*/20200405-*")
    raw = bytearray(snapshot.read_bytes())
    raw[-1000] ^= 1
    snapshot.write_bytes(raw)
    result = runtime("fill", "--date", "2020-04-06", "--config", recurrent_site.file)
    assert result.exit_code == 6
    assert f"{snapshot}: the state snapshot is damaged" in result.stderr
    checked = runtime("check", "--config", recurrent_site.file)
    assert checked.exit_code == 1
    assert str(snapshot) in checked.stdout
    assert recurrent_site.published() == before


def test_two_runs_at_once(window_site: Site, runtime: Runtime) -> None:
    with hold_archive(window_site.paths.lock):
        result = runtime("fill", "--date", "2020-04-03", "--config", window_site.file)
    assert result.exit_code == 7
    assert f"process {os.getpid()}" in result.stderr


def test_a_misspelt_key(window_site: Site, runtime: Runtime) -> None:
    window_site.file.write_text(window_site.file.read_text().replace("[model]", "[model]\nengin = 'cpu'"))
    result = runtime("fill", "--date", "today", "--config", window_site.file)
    assert result.exit_code == 2
    assert "unknown key model.engin; valid in model: bundle, engine" in result.stderr
    assert str(window_site.file) in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["fill", "--date", "2020-04-31"],
        ["fill", "--date", "2020-04-01", "--from", "2020-04-01"],
        ["fill", "--to", "2020-04-01"],
        ["fill", "--from", "2020-04-05", "--to", "2020-04-01"],
        ["fill", "--date", "2030-01-01"],
        ["fill", "--date", "2020-03-31"],
        ["changes", "--since", "yesterday"],
        ["fill", "--config", "nowhere.toml"],
        ["fill", "--frobnicate"],
    ],
)
def test_bad_usage(arguments: list[str], window_site: Site, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(window_site.folder)
    result = runtime(*arguments)
    assert result.exit_code == 2
    assert result.stderr


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
@pytest.mark.parametrize("engine", ["cuda", "tensorrt"])
def test_the_engine_asked_for_is_the_engine_or_nothing(engine: str, window_site: Site, runtime: Runtime) -> None:
    result = runtime("fill", "--date", "2020-04-03", "--config", window_site.file, "--set", f"model.engine={engine}")
    assert result.exit_code == 2
    assert messages(result.stderr) == [
        f'error: model.engine = "{engine}": no NVIDIA driver (libcuda.so.1 is not on this machine); '
        'or set model.engine = "auto"'
    ]
    assert window_site.published() == {}


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_a_run_says_which_engine_auto_chose_and_the_doctor_says_why(window_site: Site, runtime: Runtime) -> None:
    result = runtime("fill", "--date", "2020-04-07", "--config", window_site.file, "--set", "model.engine=auto")
    assert result.exit_code == 0, result.stderr
    said = [line for line in messages(result.stderr) if line.startswith("engine ")]
    assert said == ["engine cpu, fp32"]
    reason = "tensorrt and cuda: no NVIDIA driver (libcuda.so.1 is not on this machine)"
    doctor = runtime("doctor", "--config", window_site.file, "--set", "model.engine=auto").stdout
    assert f"cpu, fp32 ({reason})" in doctor


def test_a_day_in_one_call_is_recorded_as_such(window_site: Site, runtime: Runtime) -> None:
    override = ("--set", "model.whole_grid=true")
    result = runtime("fill", "--date", "2020-04-07", "--config", window_site.file, *override)
    assert result.exit_code == 0, result.stderr
    (change,) = json.loads(runtime("changes", "--config", window_site.file, "--json").stdout)
    assert change["engine"].endswith("CPU fp32 whole grid")


def test_a_precision_the_bundle_is_not_offered_in_is_refused(window_site: Site, runtime: Runtime) -> None:
    override = ("--set", "model.engine=openvino", "--set", "model.precision=int8")
    result = runtime("fill", "--date", "2020-04-07", "--config", window_site.file, *override)
    assert result.exit_code == 2
    assert "is offered in fp32, bf16, fp16, others have not been shown to keep its accuracy" in result.stderr
    result = runtime("fill", "--date", "2020-04-07", "--config", window_site.file, "--set", "model.precision=bf16")
    assert "engine cpu computes in fp32, int8" in result.stderr
    assert window_site.published() == {}


def test_a_bundle_refuses_bands_it_does_not_know(window_site: Site, runtime: Runtime) -> None:
    result = runtime("fill", "--config", window_site.file, "--set", "feeds.soil_moisture.0.band=c1")
    assert result.exit_code == 2
    assert "accepts lprm-amsr2, band x, not lprm-amsr2 in band c1" in result.stderr
