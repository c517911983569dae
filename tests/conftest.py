"""What the tests share: a small region, a made-up fortnight as files, and archives on it."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import typer
from click.testing import CliRunner, Result

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.cli import app
from runtime.common import digest
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.common.logs import MessageFormatter
from runtime.config import Config, load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World, WorldDay
from runtime.engines.ort import OrtEngine
from runtime.pipeline.run import Outcome, fill_archive
from tests.support.memory import remembering
from tests.support.once import made_once

BOX = (-10.0, 35.0, 10.0, 50.0)
START = dt.date(2020, 4, 1)
DAYS = 14

RAM_DISK = Path("/dev/shm")
"""Where `tmp_path` is if this has room: on a disk, the tests wait for each published file and each row to be on it."""
ROOM = 8 << 30

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def pytest_configure() -> None:
    """Let each worker compute on one thread: on grids this small, several threads mostly wait for each other."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch
    if os.access(RAM_DISK, os.W_OK) and shutil.disk_usage(RAM_DISK).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(RAM_DISK))
    usual_options = onnxruntime.SessionOptions

    def on_one_thread() -> onnxruntime.SessionOptions:
        options = usual_options()
        options.intra_op_num_threads = 1
        return options

    onnxruntime.SessionOptions = on_one_thread


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of a test with the mark ``slow_but_the_first`` as slow, but the first one."""
    begun = set()
    for item in items:
        if item.get_closest_marker("slow_but_the_first"):
            name = item.nodeid.partition("[")[0]
            if name in begun:
                item.add_marker(pytest.mark.slow)
            begun.add(name)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real inputs, or a loud skip."""
    folder = Path(os.environ.get("SEAMLESS_SM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "lprm_april2015_x").is_dir():
        pytest.skip(f"REAL DATA NOT TESTED: {folder} is not there; set SEAMLESS_SM_DATA")
    return folder


def tool(name: str) -> str:
    """Return where a program of the system is, or skip aloud; where SEAMLESS_SM_TOOLS is set it must be there."""
    found = shutil.which(name)
    if found is None and os.environ.get("SEAMLESS_SM_TOOLS"):
        pytest.fail(f"{name} is not installed, and SEAMLESS_SM_TOOLS says that all are")
    if found is None:
        pytest.skip(f"NOT TESTED WITH {name.upper()}: it is not installed")
    return found


@pytest.fixture(scope="session")
def globe() -> Grid:
    return Grid.globe()


@pytest.fixture(scope="session")
def grid(globe: Grid) -> Grid:
    """France and Spain: 60 x 80 cells."""
    return globe.box(*BOX)


@pytest.fixture(scope="session")
def world_days(grid: Grid) -> list[WorldDay]:
    return list(World(grid, seed=7).days(START, DAYS))


@pytest.fixture(scope="session")
def fortnight(tmp_path_factory: pytest.TempPathFactory, grid: Grid, world_days: list[WorldDay]) -> Path:
    """The files of a fortnight; read only, see `Site.bring`."""

    def make(folder: Path) -> None:
        for day in world_days:
            write_lprm(folder / "lprm", day, grid)
            write_imerg(folder / "imerg", day.date, day.rain, grid)

    return made_once(tmp_path_factory, "fortnight", make)


@contextmanager
def logged() -> Iterator[list[str]]:
    """Collect the messages that the runtime logs."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(MessageFormatter().format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("runtime")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def messages(stderr: str) -> list[str]:
    """Return the log's messages, without their times; a line without a time (a traceback, say) fails."""
    lines = [line.partition(" ") for line in stderr.splitlines()]
    assert all(_TIME.fullmatch(time) for time, _, _ in lines), stderr
    return [message for _, _, message in lines]


def errors(stderr: str) -> list[str]:
    """Return the errors in the log."""
    return [message for message in messages(stderr) if message.startswith("error: ")]


@dataclass
class Site:
    """An archive under test: its configuration, its feeds, and what is done to it."""

    folder: Path
    source: Path
    bundle: str
    today: dt.date = START + dt.timedelta(DAYS - 1)

    @property
    def file(self) -> Path:
        return self.folder / "seamless-sm.toml"

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def paths(self) -> ArchivePaths:
        return ArchivePaths.of(self.config())

    def lprm(self, day: int) -> Path:
        return next((self.folder / "incoming" / "lprm").glob(f"*_{START + dt.timedelta(day):%Y%m%d}*"))

    def imerg(self, day: int) -> Path:
        return next((self.folder / "incoming" / "imerg").glob(f"*.{START + dt.timedelta(day):%Y%m%d}-*"))

    def bring(self, first: int = 0, last: int = DAYS - 1) -> None:
        """Let the files of some days arrive."""
        for kind in ("lprm", "imerg"):
            (self.folder / "incoming" / kind).mkdir(parents=True, exist_ok=True)
            for number in range(first, last + 1):
                stamp = f"{START + dt.timedelta(number):%Y%m%d}"
                for file in (self.source / kind).glob(f"*{stamp}*"):
                    shutil.copy2(file, self.folder / "incoming" / kind / file.name)

    def config(self, *overrides: str) -> Config:
        return load_config(self.file, overrides, environment={})

    def fill(self, first: int | None = None, last: int | None = None, *overrides: str) -> Outcome:
        wanted = None if first is None else DateRange(self.date(first), self.date(first if last is None else last))
        with logged() as self.said:
            return fill_archive(self.config(*overrides), wanted, self.today, RunEvents())

    def reasons(self) -> dict[str, str]:
        """Why each revision was made, by date and revision."""
        with Catalog.open(self.paths.catalog, read_only=True) as catalog:
            return {f"{r.date} {r.revision}": r.reason for r in catalog.revisions()}

    @staticmethod
    def date(day: int) -> dt.date:
        return START + dt.timedelta(day)

    def day_file(self, day: int) -> Path:
        date = self.date(day)
        return self.archive / f"{date:%Y}" / f"seamless_sm_{date:%Y%m%d}.nc"

    def published(self) -> dict[str, bytes]:
        """Every published file's bytes, by name."""
        return {p.name: p.read_bytes() for p in sorted(self.archive.glob("[0-9]*/*.nc"))}

    def snapshots(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in sorted((self.archive / ".state").glob("*/*"))}


FillOnce = Callable[..., None]


@pytest.fixture(scope="session")
def fill_once(tmp_path_factory: pytest.TempPathFactory) -> FillOnce:
    """Return a function that fills a new site as `Site.fill` does; if an earlier site was alike, it copies the archive.

    For tests that need a filled archive and show something else than filling it.
    """

    def fill(site: Site, first: int | None = None, last: int | None = None, *overrides: str) -> None:
        files = [path for path in sorted(site.folder.rglob("*")) if path.is_file() and path != site.file]
        inputs = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        alike = digest.of_values(site.file.read_text(), str(site.today), first, last, *overrides, *inputs)[:16]

        def make(folder: Path) -> None:
            site.fill(first, last, *overrides)
            shutil.copytree(site.archive, folder / "archive")
            (folder / "filled").write_text(str(site.folder))

        made = made_once(tmp_path_factory, f"site-{alike}", make)
        if not site.archive.exists():
            shutil.copytree(made / "archive", site.archive)
            places = ((made / "filled").read_text(), str(site.folder)) * 2
            with closing(sqlite3.connect(site.paths.catalog)) as catalog, catalog:
                catalog.execute(
                    "UPDATE arrival SET key = replace(key, ?, ?), location = replace(location, ?, ?)", places
                )

    return fill


MakeSite = Callable[..., Site]


@pytest.fixture
def with_cube() -> bool:
    """Whether the archives of sites have a cube; modules that test something else do without it, to be quick."""
    return True


@pytest.fixture
def computes_anew() -> bool:
    """Whether networks compute again what they have computed before: True where equal results are what is shown."""
    return False


@pytest.fixture
def _memory(computes_anew: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not computes_anew:
        monkeypatch.setattr(OrtEngine, "run", remembering(OrtEngine.run))


@pytest.fixture
def make_site(tmp_path: Path, fortnight: Path, with_cube: bool, _memory: None) -> MakeSite:
    """Return a function that makes a site with a shipped bundle and, unless told otherwise, all files there."""

    def make(bundle: str = "seamless-amsr2-x", name: str = "site", arrived: bool = True) -> Site:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "seamless-sm.toml").write_text(
            f"[archive]\nstart = {START}\ncube = {str(with_cube).lower()}\n[grid]\nbox = {list(BOX)}\n"
            f'[model]\nbundle = "{bundle}"\nengine = "cpu"\n'
            '[[feeds.soil_moisture]]\nband = "x"\n[feeds.precipitation]\nkind = "folder"\n'
            "[service]\nport = 0\n"
        )
        site = Site(folder, fortnight, bundle)
        if arrived:
            site.bring()
        else:
            for kind in ("lprm", "imerg"):
                (folder / "incoming" / kind).mkdir(parents=True)
        return site

    return make


@pytest.fixture
def window_site(make_site: MakeSite) -> Site:
    return make_site("seamless-amsr2-x")


@pytest.fixture
def recurrent_site(make_site: MakeSite) -> Site:
    return make_site("sgdsm2-amsr2-x")


Runtime = Callable[..., Result]
_command = functools.cache(lambda: typer.main.get_command(app))


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Return a function that calls the command line; the fortnight's last day is today."""
    monkeypatch.setattr("runtime.common.clock.today", lambda: START + dt.timedelta(DAYS - 1))
    command = _command()

    def call(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(command, [str(a) for a in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
