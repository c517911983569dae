"""Everything that README, CONTRIBUTING and docs show works: commands, settings, links, paths, and the site itself.

The commands of a page run in their order, in a folder prepared for the page, on a synthetic world; the globe is
replaced by a small region. Commands that cannot run here are listed in `NOT_RUN` with the reason. An unknown command
fails.
"""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

import runtime
from runtime.cli import app as runtime_app
from runtime.common.grid import Grid
from runtime.config import load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World
from tests.conftest import BOX, tool
from tests.support.earthdata import TOKEN, serve

ROOT = Path(__file__).parents[1]

NOT_RUN = {
    r"python3 -m venv \S+": "CI makes its environment with it",
    r"(\S+/)?pip install (-e )?'\.\[[\w,-]+\]'": "CI installs with it; this file tests that the extras exist",
    r"python3? -m pytest( .*)?": "it is what runs this",
    r"(ruff|mypy|numpydoc|hadolint)( .*)?": "CI runs them",
    r"pre-commit install": "it changes the checkout; its hooks are what CI runs",
    r"\.ci/run": "it is what runs this",
    r"python -m benchmarks\.[\w.]+ .*": "it takes minutes, and real days",
    r"gdal_translate .*": "it asks a service; tests/service/test_tiles.py reads that map by GDAL",
    r"docker (build|buildx|run) .*": "no Docker engine here; tests/system/test_image.py builds and runs the image",
    r"apt-get install .*": "it changes the machine; CI installs the same",
    r"python scripts/build_image\.py": "tests/system/test_image.py calls it",
    r"torchrun --nnodes 2 .*": "two machines",
    r"sphinx-build .*": "a test of its own",
    r"python -m export import-tf .*": "it needs TensorFlow; tests/export/test_saved_model.py runs it",
    r"runtime backfill .*--(scheduler|cluster) .*": "it needs a cluster; tests/runtime/backfill has one",
}


@dataclass
class Stage:
    """The folder, the input files and the settings that the commands of a page run with."""

    first: str = "2015-04-01"
    days: int = 20
    today: str = "2015-04-20"
    folders: tuple[tuple[str, str], ...] = (("incoming/lprm", "incoming/imerg"),)
    """Folders of soil moisture and of rain."""
    replaced: dict[str, str] = field(default_factory=dict)
    """Texts of a command or a TOML block, and what is used instead, to make it short."""
    added: dict[str, str] = field(default_factory=dict)
    """Texts in a command, and what is added to such a command, to make it short."""
    environment: dict[str, str] = field(default_factory=dict)
    box: tuple[float, float, float, float] = BOX
    """The region that replaces the globe: west, south, east and north edge, degrees."""
    written: str = ""
    """File name for the page's first TOML block: ``seamless-sm.toml`` is written after `init`, others at the start."""
    remote: bool = False
    """The feeds are a server on this machine."""


SMALL_FIT = "--set schedule.steps=2 --set schedule.batch=2 --set samples.patch=32"
PAGES = {
    "docs/index.md": Stage(box=(0.0, 0.0, 20.0, 20.0), days=0),  # the page asks for the series at 10 N, 10 E
    "docs/tutorials/first-fill.md": Stage(),
    "docs/tutorials/daily-archive.md": Stage(
        first="2026-08-01", days=8, today="2026-08-08", written="seamless-sm.toml", remote=True
    ),
    "docs/archive.md": Stage(),
    "docs/mirror.md": Stage(environment={"SEAMLESS_SM__ARCHIVE__MIRROR": "mirror"}),
    "docs/backfill.md": Stage(days=5, replaced={"2012-07-03": "2015-04-01", "2022-02-05": "2015-04-03"}),
    **{f"docs/products/{name}.md": Stage(days=0) for name in ("lprm", "smap", "c3s", "cci", "jaxa-amsr2")},
    "README.md": Stage(),
    "docs/retrieval.md": Stage(
        days=0, added={"training fusion": "--set schedule.steps=2 --set schedule.batch=2 --set split.seed=3"}
    ),
    "CONTRIBUTING.md": Stage(days=0),
    "docs/containers.md": Stage(days=0),
    "docs/engines.md": Stage(days=0),
    "docs/operating.md": Stage(folders=(("srv/incoming/lprm", "srv/incoming/imerg"),)),
    "docs/tutorials/tensorrt.md": Stage(),
    "docs/validation.md": Stage(
        folders=(("lprm_april2015_x", "imerg"),),
        replaced={"--ismn ismn/": "", "13:2015-04-16": "13:2015-04-13", "17:2015-04-20": "20:2015-04-20"},
        added={"python -m training evaluate": "--no-dct-pls", "python -m training squares": "--places 46.9,2.1"},
    ),
    "docs/train-your-own.md": Stage(
        first="2024-01-01",
        today="2024-01-20",
        folders=(("data/lprm/c1", "data/imerg"),),
        written="mine.toml",
        replaced={
            "--ismn /data/ismn.zip": "",
            "--nproc-per-node 4": "--nproc-per-node 2",
            "--workers 8": "--workers 0",
            "2012-07-03, 2022-12-31": "2024-01-05, 2024-01-10",
            "2023-01-01, 2023-06-30": "2024-01-11, 2024-01-12",
            "steps = 60000": "steps = 4",
            "batch = 64": "batch = 2",
            "validate_every = 1000": "validate_every = 2",
            "2024-01-01:2024-01-31": "2024-01-13:2024-01-13",
            "2024-02-01:2024-02-28": "2024-01-18:2024-01-18",
            "2024-07-01:2024-07-10": "2024-01-13:2024-01-14",
            "2024-07-11:2024-07-20": "2024-01-17:2024-01-18",
        },
        added={"python -m training evaluate": "--no-dct-pls", "training fit": SMALL_FIT},
        environment={
            "SEAMLESS_SM__FEEDS__SOIL_MOISTURE__0__BAND": "c1",
            "SEAMLESS_SM__FEEDS__SOIL_MOISTURE__0__PATH": "data/lprm/c1",
        },
    ),
}


ALL = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.S)


def commands(page: str) -> list[str]:
    """Return the commands of a page, without comments; continued lines are joined, chains are split."""
    found = []
    for block in _blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.sub(r"(^|\s)#.*", "", line).split("&&"):
                if part.strip():
                    found.append(" ".join(part.split()))
    return found


def test_every_page_with_commands_has_a_stage() -> None:
    assert {page for page in ALL if commands(page)} == set(PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page(page: str, tmp_path: Path, globe: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = PAGES[page]
    grid = globe.box(*stage.box)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("runtime.common.clock.today", lambda: dt.date.fromisoformat(stage.today))
    monkeypatch.delenv("SEAMLESS_SM_DATA", raising=False)  # the root of a recipe's data: the page gives its own
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    for day in World(grid, 7).days(dt.date.fromisoformat(stage.first), stage.days):
        for lprm, imerg in (("server", "server"),) if stage.remote else stage.folders:
            write_lprm(tmp_path / lprm, day, grid)
            write_imerg(tmp_path / imerg, day.date, day.rain, grid)
    if page in ("docs/archive.md", "docs/backfill.md", "docs/mirror.md"):
        CliRunner().invoke(runtime_app, ["init"])
    if page == "docs/archive.md":
        (tmp_path / "list.csv").write_text(_blocks(page, "text")[1])
        basin = {"type": "Polygon", "coordinates": [[(-1, 43), (5, 44), (2, 48), (-1, 43)]]}
        (tmp_path / "basin.geojson").write_text(json.dumps(basin))
    if page in ("docs/archive.md", "docs/mirror.md"):
        CliRunner().invoke(runtime_app, ["fill", "--from", stage.first, "--to", stage.today])
    if stage.written and stage.written != "seamless-sm.toml":
        _write_settings(stage, page, tmp_path)
    with _feeds(stage, tmp_path, monkeypatch):
        for command in commands(page):
            shown = _prepared(command, stage, tmp_path)
            began = time.monotonic()
            _run(shown, stage, page, tmp_path)
            print(f"{time.monotonic() - began:6.1f} s  {shown}")


def _prepared(command: str, stage: Stage, folder: Path) -> str:
    """Return a command in the form in which it is run here."""
    for begin, more in stage.added.items():
        if begin in command:
            command += f" {more}"
    command = re.sub(r"(/opt/seamless-sm|\.venv)/bin/", "", _replaced(command, stage))
    return command.replace("/srv/sm", str(folder / "srv")).replace("/data/", f"{folder}/data/")


@contextmanager
def _feeds(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve a feed on this machine if the page needs one."""
    if not stage.remote:
        yield
        return
    with serve(folder / "server") as server:
        monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
        monkeypatch.setenv("SEAMLESS_SM__EARTHDATA__CMR_URL", f"{server.url}/search/")
        monkeypatch.setenv("SEAMLESS_SM__EARTHDATA__TOKEN_HOSTS", '["127.0.0.1"]')
        yield


def _run(command: str, stage: Stage, page: str, folder: Path) -> None:
    if any(re.fullmatch(pattern, command) for pattern in NOT_RUN):
        return
    words = shlex.split(command)
    apps: dict[str, Callable[[], object]] = {"export": _export, "training": _training}
    if words[0] == "runtime":
        _invoke(runtime_app, words[1:], command)
        if words[1] == "init" and stage.written == "seamless-sm.toml":
            _write_settings(stage, page, folder)
    elif words[:2] == ["python", "-m"] and words[2] in apps:
        _invoke(apps[words[2]](), words[3:], command)
    elif words[:3] == ["python", "-m", "service"]:
        _serve(words[3:])
    elif words[0] in ("cdo", "ncks", "gdalinfo"):
        line = " ".join([tool(words[0]), *words[1:]])
        done = subprocess.run(line, shell=True, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    elif words[0] == "torchrun":
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        program = [sys.executable, "-m", "torch.distributed.run", *words[1:]]
        done = subprocess.run(program, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    else:
        pytest.fail(f"{page}: {command}: not run; add it to NOT_RUN with a reason, or add a way to run it")


def _invoke(app: object, words: list[str], command: str) -> None:
    result = CliRunner().invoke(app, words)  # type: ignore[arg-type]
    assert result.exit_code == 0, f"{command}: {result.exit_code}: {result.output}{result.stderr} {result.exception!r}"


def _export() -> object:
    from export.cli import app

    return app


def _training() -> object:
    from training.cli import app

    return app


def _write_settings(stage: Stage, page: str, folder: Path) -> None:
    (folder / stage.written).write_text(_replaced(_blocks(page, "toml")[0], stage))


def _replaced(text: str, stage: Stage) -> str:
    for old, new in stage.replaced.items():
        text = text.replace(old, new)
    return text


def _serve(words: list[str]) -> None:
    """Start the service, fetch its page, and stop it."""
    environment = {**os.environ, "SEAMLESS_SM__GRID__BOX": str(list(BOX)), "SEAMLESS_SM__SERVICE__PORT": "0"}
    if "demo" in " ".join(words):
        del environment["SEAMLESS_SM__GRID__BOX"]
    process = subprocess.Popen(
        [sys.executable, "-m", "service", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        output = ""
        while not (found := re.search(r"listening on (\S+);", output)):
            line = process.stdout.readline()
            assert line, output
            output += line
        with urllib.request.urlopen(found[1]) as page:
            assert b"<h1" in page.read()
    finally:
        process.terminate()
        process.communicate(timeout=90)


@pytest.mark.parametrize("page", ALL)
def test_settings_and_extras_that_are_shown_are_valid(page: str, tmp_path: Path) -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extras in re.findall(r"'\.\[([\w,-]+)\]'", (ROOT / page).read_text()):
        assert set(extras.split(",")) <= set(known), page
    for block in _blocks(page, "toml"):
        if "preset" in block:  # a recipe of training
            tomllib.loads(block)
            continue
        (tmp_path / "shown.toml").write_text(block)
        load_config(tmp_path / "shown.toml", environment={})


@pytest.mark.parametrize("page", ALL)
def test_links_and_paths_of_a_page_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    generated = {"docs/reference/command-line.md", "docs/reference/configuration.md"}
    for target in re.findall(r"\]\((?!https?:|figures/)([^)#\s]+)", text):
        path = ((ROOT / page).parent / target).resolve()
        assert path.exists() or str(path.relative_to(ROOT)) in generated, f"{page}: {target}"
    for target in re.findall(r"`((?:runtime|service|training|export|tests|docs|benchmarks|scripts)/[\w./-]+)`", text):
        assert (ROOT / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/tutorials/first-fill.md"])
def test_the_quick_start_installs_the_fastest_engine_without_a_gpu(page: str) -> None:
    extras = re.findall(r"'\.\[([\w,-]+)\]'", (ROOT / page).read_text())
    assert all({"openvino", "dev"} & set(extra.split(",")) for extra in extras)


def test_the_command_line_reference_has_whole_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    text = importlib.import_module("generate").command_lines()
    assert "* `fetch`: Fetch inputs without filling. Files that are here already stay; a killed run continues" in text
    assert not re.search(r"^\* .*(\.\.\.|…)$", text, re.M)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    generated = ("figures", "jupyter_execute", "__pycache__", "command-line.md", "configuration.md")
    shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns(*generated))
    shutil.copytree(ROOT / "service" / "static", tmp_path / "service" / "static")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", docs, tmp_path / "site"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    notebook = (tmp_path / "site" / "notebook.html").read_text()
    assert "Traceback" not in notebook
    assert notebook.count("data:image/png") + notebook.count("_images/") >= 2
    for name in ("mask-update", "recurrent-state", "tiers"):
        assert (tmp_path / "site" / "_images" / f"{name}.png").stat().st_size > 5000
    reference = (tmp_path / "site" / "reference" / "command-line.html").read_text()
    for name in ("runtime-series", "runtime-export", "python-m-training-evaluate"):
        assert f'id="{name}"' in reference
    python = (tmp_path / "site" / "reference" / "python.html").read_text()
    for function in (runtime.fill_day, runtime.open_archive):
        assert f'id="runtime.{function.__name__}"' in python
        for parameter in inspect.signature(function).parameters:
            assert re.search(rf'<strong>{parameter}</strong><span class="classifier">\S', python), parameter
