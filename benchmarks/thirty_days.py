"""A made-up world of thirty days, and archives of it that can be disturbed.

Files of all days and archives that have twenty of them walk in once; a site of one scenario, with its feeds, walks out.
"""

from __future__ import annotations

import datetime as dt
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.forked import Command, Ended
from runtime.common.grid import Grid
from runtime.config import Config, load_config
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World
from tests.support.earthdata import TOKEN, Server

BOX = (-6.0, 38.0, 2.0, 44.0)
FIRST = dt.date(2020, 4, 1)
DAYS = 30
BEFORE = 20
"""Days that the archive has before it is disturbed."""
END = FIRST + dt.timedelta(DAYS + 20)
"""The day of the last runs: nothing that is missing is waited for any longer."""
BUNDLES = ("seamless-amsr2-x", "sgdsm2-amsr2-x")
KINDS = ("folder", "earthdata")
TIME_LIMIT_S = 300
ENVIRONMENT = {"EARTHDATA_TOKEN": TOKEN, "SEAMLESS_SM__SERVICE__TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}


@dataclass
class ThirtyDays:
    """The files of thirty days, and for each kind of archive one that has twenty of them."""

    folder: Path
    server: Server
    grid: Grid = field(default_factory=lambda: Grid.globe().box(*BOX))

    @property
    def files(self) -> Path:
        """All files as they should be."""
        return self.folder / "files"

    def prepare(self) -> None:
        """Write all files, and fill the archives that scenarios start from."""
        for day in World(self.grid, 7).days(FIRST, DAYS):
            write_lprm(self.files / "lprm", day, self.grid)
            write_imerg(self.files / "imerg", day.date, day.rain, self.grid)
        for bundle in BUNDLES:
            for kind in KINDS:
                site = Site(self, self.folder / f"{bundle}-{kind}", bundle, kind)
                site.make()
                self.use(site)
                for number in range(BEFORE):
                    site.bring(number)
                ended = site.run(FIRST + dt.timedelta(BEFORE - 1))
                assert ended.code == 0, ended.output

    def start(self, site: Site) -> None:
        """Make a site that starts from one of the archives."""
        shutil.rmtree(site.folder, ignore_errors=True)
        shutil.copytree(self.folder / f"{site.bundle}-{site.kind}", site.folder, symlinks=True)
        if site.kind == "earthdata":
            self.use(site)

    def use(self, site: Site) -> None:
        """Let the server send the files of a site."""
        self.server.folder = site.incoming


@dataclass
class Site:
    """An archive with its feeds."""

    world: ThirtyDays
    folder: Path
    bundle: str
    kind: str

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.folder / "seamless-sm.toml"

    @property
    def incoming(self) -> Path:
        """The folder that its files arrive in."""
        return self.folder / "incoming"

    @property
    def archive(self) -> Path:
        """What it publishes."""
        return self.folder / "archive"

    def config(self) -> Config:
        """Return the configuration."""
        return load_config(self.file, environment={})

    def make(self) -> None:
        """Write the configuration, and make the folders."""
        (self.incoming / "lprm").mkdir(parents=True)
        (self.incoming / "imerg").mkdir()
        overrides = [line.split("=", 1) for line in self.world.server.settings()]
        network = "".join(f"{key.split('.')[1]} = {value}\n" for key, value in overrides if key.startswith("earthdata"))
        self.file.write_text(
            f"[archive]\nstart = {FIRST}\n[grid]\nbox = {list(BOX)}\n"
            f'[model]\nbundle = "{self.bundle}"\nengine = "cpu"\n'
            f'[[feeds.soil_moisture]]\nkind = "{self.kind}"\nband = "x"\n[feeds.precipitation]\nkind = "{self.kind}"\n'
            f"[earthdata]\n{network}[policy]\nmin_coverage = 0\n"
        )

    def soil_moisture(self, number: int) -> Path:
        """Return where a day's file lies, or will lie."""
        name = next((self.world.files / "lprm").glob(f"*_{FIRST + dt.timedelta(number):%Y%m%d}*")).name
        return self.incoming / "lprm" / name

    def bring(self, number: int) -> None:
        """Let the sound files of a day arrive."""
        for kind in ("lprm", "imerg"):
            for source in (self.world.files / kind).glob(f"*{FIRST + dt.timedelta(number):%Y%m%d}*"):
                shutil.copy(source, self.incoming / kind / source.name)

    def run(self, today: dt.date, kill_after_s: float | None = None, how: signal.Signals = signal.SIGKILL) -> Ended:
        """Run the daily job on a day, and perhaps end it before it is done."""
        arguments = ["fill", "--date", "today", "--config", str(self.file)]
        return Command(arguments, self.folder / "output.txt", ENVIRONMENT, today).run(TIME_LIMIT_S, kill_after_s, how)
