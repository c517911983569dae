"""No option and no setting, however odd, ends in a traceback: one line says what is wrong, and the exit code is 2."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from runtime.config import Config
from tests.conftest import Runtime, Site, messages

HERE = ("series", "--lat", "45.1", "--lon", "2.2")
DATED = [
    *(("fill", option) for option in ("--date", "--from")),
    ("fill", "--dry-run", "--date"),
    ("fill", "--from", "2020-04-01", "--to"),
    *(("fill", "--because", "x", option) for option in ("--accept", "--reject")),
    *(("fetch", option) for option in ("--date", "--from")),
    ("fetch", "--from", "2020-04-01", "--to"),
    *((command, "--from", "2020-04-01", "--to") for command in ("plan", "inbox")),
    ("reprocess", "--to", "2020-04-05", "--from"),
    ("reprocess", "--from", "2020-04-05", "--to"),
    ("show", "--date"),
    *((*HERE, option) for option in ("--from", "--to")),
    *(("export", "--format", "netcdf", "--dry-run", "--out", "x", option) for option in ("--from", "--to")),
]
NO_DATES = [
    "0001-01-01",
    "0001-02-10",
    "1977-12-31",
    "2200-01-01",
    "9999-12-31",
    "2015-02-30",
    "10000-01-01",
    "nan",
    "1e9",
    "",
]
NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "-1",
    "1e308",
    "1000000000000",
    "9" * 5000,
    "0x" + "f" * 5000,
    "''",
    "[1]",
    "2020-01-01",
]
TEXTS = ['"a\\u0000b"', "'\udcff'", "{}", "[]", "1"]
PATHS = [*TEXTS, "''", "' '", "'~nobody-of-this-name/x'"]
FLOATS, INTEGERS = (
    [
        f"{section}.{key}"
        for section, model in Config.model_fields.items()
        for key, field in getattr(model.annotation, "model_fields", {}).items()
        if kind in str(field.annotation) and key != "box"
    ]
    for kind in ("float", "int")
)
SETTINGS = {
    **{key: [n for n in NUMBERS if n not in ("1e308", "1000000000000")] for key in (*FLOATS, *INTEGERS)},
    **dict.fromkeys(("policy.max_lag_days", "policy.max_outage_days", "policy.max_refill_days"), NUMBERS),
    **dict.fromkeys(("earthdata.timeout_s", "earthdata.wait_s", "service.poll_minutes", "service.port"), NUMBERS),
    **dict.fromkeys(("archive.path", "paths.state", "paths.inbox", "paths.engines"), PATHS),
    **dict.fromkeys(("feeds.soil_moisture.0.path", "feeds.precipitation.path"), PATHS),
    **dict.fromkeys(("metadata.title", "service.host", "earthdata.cmr_url", "service.webhook"), TEXTS),
    "model.bundle": [*TEXTS, "''"],
    "archive.start": ["0001-01-01", "9999-12-31", "2015-02-30", "'today'", "0", "1e308", "nan", "''", "[2020-01-01]"],
    "archive.cube": ["nan", "'x'", "[]", "9" * 5000],
    "grid.box": [
        "[0,0,0,0]",
        "[170,-20,-170,20]",
        "[0,50,10,35]",
        "[nan,0,1,1]",
        "[-inf,-inf,inf,inf]",
        "[0,0,1]",
        "'x'",
    ],
    "feeds.soil_moisture.0.pattern": [
        *("'('", "'x'", "'(?P<date>x{99999999999})'", f"'(?P<date>{'(' * 5000}'"),
        *("'(?P<date>\\d{8})(?P<run>\\d)'", '"\\u0000(?P<date>.)"', "1"),
        *("'(?=x)(?P<date>\\d{8})'", "'(?P<date>\\d{8})(x)\\2'", "'(?P<date>x)(?P<date>y)'"),
    ],
    "feeds.soil_moisture.0.to": ["2015-02-30", "nan"],
    "feeds.soil_moisture.²": ["x"],
    f"feeds.soil_moisture.{'9' * 5000}.band": ["x"],
    "feeds.soil_moisture.0.0": ["x"],
    "feeds.precipitation.runs": ["['x']", "'late'", "{}"],
    "model.engine": ["cpu=x", "'''\nx'''", "[" * 5000, "\udcff", ""],
    "a": ["b=c"],
    "": ["", "x"],
    ".model": ["1"],
    "model.": ["1"],
    "x\ny": ["1"],
}


def _is_refused_in_one_line(result: Result, what: object = "") -> None:
    assert result.exit_code == 2, f"{what} {result.stderr}"
    assert [line[:7] for line in messages(result.stderr)] == ["error: "]
    assert len(result.stderr) < 12_000


@pytest.fixture
def site(filled_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(filled_site.folder)
    return filled_site


def test_an_impossible_date_is_refused_by_every_command(site: Site, runtime: Runtime) -> None:
    for command, date in itertools.product(DATED, NO_DATES):
        _is_refused_in_one_line(runtime(*command, date, "--config", site.file), (*command, date))
    for moment in ("0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "now", "2020-01-01T25:00"):
        _is_refused_in_one_line(runtime("changes", "--since", moment, "--config", site.file))


@pytest.mark.slow
def test_days_that_are_not_there_are_named(site: Site, runtime: Runtime) -> None:
    said = runtime(*HERE, "--from", "2021-01-01", "--config", site.file)
    assert said.exit_code == 3
    assert "has no day from 2021-01-01 on; it has 2020-04-01 to 2020-04-14" in said.stderr
    for command in (("fetch",), ("reprocess",), ("plan",), ("inbox",)):
        said = runtime(*command, "--from", "1978-01-01", "--to", "2199-12-31", "--config", site.file)
        assert said.exit_code in (0, 2, 3)
        messages(said.stderr)


def _cases() -> Iterator[tuple[str, str]]:
    for key, values in SETTINGS.items():
        for value in values:
            yield key, value


def test_the_settings_are_all_of_the_configuration() -> None:
    assert {"policy.max_mean_jump", "service.port", "policy.inbox_gib", "earthdata.parallel"} <= set(SETTINGS)


@pytest.mark.slow
def test_an_odd_setting_is_refused(site: Site, runtime: Runtime) -> None:
    for key, value in _cases():
        _is_refused_in_one_line(runtime("status", "--config", site.file, "--set", f"{key}={value}"), f"{key}={value}")


@pytest.mark.parametrize(
    "name", ["SEAMLESS_SM__", "SEAMLESS_SM____A", "SEAMLESS_SM__MODEL", "SEAMLESS_SM__GRID__BOX__X"]
)
def test_an_odd_variable_is_refused(name: str, site: Site, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    _is_refused_in_one_line(runtime("status", "--config", site.file))


@pytest.mark.parametrize(
    "content",
    [
        b'[metadata]\ntitle = "caf\xe9"\n',
        b"\xff\xfe[\x00m\x00",
        b'[metadata]\ntitle = "a\x00b"\n',
        b"a = " + b"[" * 5000,
        b"[policy]\nmax_lag_days = " + b"9" * 5000,
        b"archive = 1\n",
        b"[[archive]]\n[[archive]]\n",
        b"feeds = []\n",
        b"[feeds]\nsoil_moisture = []\n",
        b'[feeds]\nsoil_moisture = [1, "a"]\n',
    ],
)
def test_a_file_that_is_no_configuration_is_refused(content: bytes, site: Site, runtime: Runtime) -> None:
    file = site.folder / "odd.toml"
    file.write_bytes(content)
    for command in ("status", "doctor", "plan"):
        _is_refused_in_one_line(runtime(command, "--config", file))


@pytest.mark.parametrize("name", [".", "/", "loop", "a" * 5000, "nowhere/x.toml", "/dev/null/x", "\udcff"])
def test_a_configuration_that_is_no_file_is_refused(name: str, site: Site, runtime: Runtime) -> None:
    (site.folder / "loop").symlink_to("loop")
    _is_refused_in_one_line(runtime("status", "--config", name))


@pytest.mark.parametrize(
    "path",
    ["s3://", "nosuch://x", "reference://", "dir://x", "a" * 5000],
)
def test_a_feed_that_is_no_folder_is_refused(path: str, site: Site, runtime: Runtime) -> None:
    pytest.importorskip("fsspec")
    for command in (("plan",), ("fill",)):
        said = runtime(*command, "--config", site.file, "--set", f"feeds.soil_moisture.0.path='{path}'")
        _is_refused_in_one_line(said)


OUTPUTS = ["", ".", "/", "FILE/x", "/proc/x", "a" * 300, "a" * 5000, "\udcff", "loop", "new/deep/x"]


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize(
    ("ending", "command"),
    [
        *((ending, HERE) for ending in (".csv", ".nc", ".png", ".xls")),
        *((ending, ("show", "--date", "2020-04-05")) for ending in (".png", ".csv")),
        *(
            (".nc", ("export", "--from", "2020-04-03", "--to", "2020-04-03", "--format", kind))
            for kind in ("netcdf", "zarr", "sgd-sm")
        ),
    ],
)
def test_a_place_that_cannot_be_written_is_named(
    ending: str, command: tuple[str, ...], site: Site, runtime: Runtime
) -> None:
    (site.folder / "FILE").touch()
    (site.folder / f"loop{ending}").symlink_to(f"loop{ending}")
    for name in OUTPUTS:
        said = runtime(*command, "--out", name + ending if name not in ("", ".", "/") else name, "--config", site.file)
        assert said.exit_code in (0, 1, 2)
        assert len(messages(said.stderr)) == (said.exit_code > 0), said.stderr


@pytest.mark.parametrize("name", ["FILE", "FILE/x", "/dev/null", "FIFO", "a" * 5000, "full"])
def test_the_demo_wants_an_empty_folder(name: str, site: Site, runtime: Runtime) -> None:
    (site.folder / "FILE").touch()
    (site.folder / "full" / "x").mkdir(parents=True)
    os.mkfifo(site.folder / "FIFO")
    said = runtime("demo", "--folder", name, "--days", "9")
    assert said.exit_code in (1, 2)
    assert len(messages(said.stderr)) == 1


@pytest.mark.parametrize("name", ["FILE", "FILE/x", ".", "/", "/proc/x", "a" * 5000, "loop"])
def test_init_writes_no_odd_file(name: str, site: Site, runtime: Runtime) -> None:
    (site.folder / "FILE").touch()
    (site.folder / "loop").symlink_to("loop")
    _is_refused_in_one_line(runtime("init", name))


@pytest.mark.parametrize("numbers", itertools.product(["nan", "inf", "90", "-90"], ["nan", "-inf", "360", "-180"]))
def test_a_place_off_the_grid_is_named(numbers: tuple[str, str], site: Site, runtime: Runtime) -> None:
    said = runtime("series", "--lat", numbers[0], "--lon", numbers[1], "--config", site.file)
    assert said.exit_code == 2
    assert said.stderr


@pytest.mark.parametrize("box", ["nan 0 1 1", "0 0 0 0", "10 50 -10 35", "170 -20 -170 20", "0.1 40.1 0.2 40.12"])
def test_a_box_without_a_cell_is_named(box: str, site: Site, runtime: Runtime) -> None:
    command = ("export", "--format", "zarr", "--out", "x", "--box", *box.split(), "--config", site.file)
    _is_refused_in_one_line(runtime(*command))


def test_names_that_are_not_utf8_are_printed_with_escapes(site: Site, runtime: Runtime) -> None:
    """As in a terminal whose encoding cannot write them."""
    said = runtime(*HERE, "--out", "\udcff.csv", "--config", site.file)
    assert said.exit_code == 0, said.stderr
    assert "wrote \\udcff.csv" in said.stdout
    assert Path("\udcff.csv").is_file()


@pytest.mark.slow_but_the_first
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become somebody else")
@pytest.mark.parametrize(
    "command", [("status",), ("check",), (*HERE, "--out", "locked/x.csv"), ("init", "locked/x.toml")]
)
def test_a_folder_that_may_not_be_entered_is_named(command: tuple[str, ...], site: Site) -> None:
    """As somebody to whom it is closed: root may enter every folder."""
    for folder in [site.folder, *site.folder.parents]:
        if folder.stat().st_uid == 0 and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)
    (site.folder / "locked").mkdir(mode=0o700)
    (site.archive / ".catalog").chmod(0o700)
    program = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-m", "runtime"]
    config = () if command[0] == "init" else ("--config", str(site.file))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [*program, *command, *config], capture_output=True, text=True, cwd=site.folder, env=environment
    )
    assert done.returncode in (1, 2)
    assert len(messages(done.stderr)) == 1
    assert "ermission" in done.stderr


def test_too_little_memory_is_one_line(site: Site, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 7.91 MiB")

    monkeypatch.setattr("runtime.pipeline.run.fill_archive", without_memory)
    result = runtime("fill", "--config", site.file)
    assert result.exit_code == 1
    assert [line[:41] for line in messages(result.stderr)] == ["error: there is not enough memory (Unable"]
