"""A made-up month that three sensors saw, each with its own swaths, errors, gain and bias; and archives made of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from runtime.common.clock import DAY, DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.config import Config, load_config
from runtime.demo.files import write_lprm
from runtime.demo.world import Instrument, World, WorldDay
from runtime.pipeline.run import Outcome, fill_archive
from tests.conftest import BOX, logged

FIRST = dt.date(2020, 4, 1)
DAYS = 30
SEED = 21

INSTRUMENTS = {
    "lprm-amsr2": Instrument(noise=0.04, shared_noise=0.5),
    "lprm-amsre": Instrument(noise=0.045, shared_noise=0.5, gain=0.85, bias=0.07, phase=0.35),
    "lprm-windsat": Instrument(
        noise=0.05, shared_noise=0.5, gain=1.1, bias=-0.05, orbits_per_day=14.19, swath_km=1025, phase=0.7
    ),
}
"""By product; AMSR2 is the reference."""


def sensor_name(product: str) -> str:
    """Return the name of the sensor of a product in these archives."""
    return f"{product}-descending-x"


def write_month(folder: Path, grid: Grid) -> list[WorldDay]:
    """Write the files of the three sensors, a folder each; return the days of the world."""
    world = World(grid, SEED)
    days = list(world.days(FIRST, DAYS))
    for day in days:
        for seed, (product, instrument) in enumerate(INSTRUMENTS.items()):
            write_lprm(folder / product, world.observe(day, instrument, seed), grid, product)
    return days


@dataclass
class SensorSite:
    """An archive made from several sensors."""

    folder: Path
    source: Path
    settings: str = '[merge]\nmode = "together"\nfit_days = 10\nrefit_days = 6\nsettle_days = 0\n'
    bundle: str = "seamless-2"
    dates: str = 'from = "2020-01-01"\nto = "2020-12-31"\n'
    today: dt.date = FIRST + (DAYS - 1) * DAY

    def __post_init__(self) -> None:
        self.folder.mkdir()
        feeds = "".join(
            f'[[feeds.soil_moisture]]\npath = "{product}"\nproduct = "{product}"\nband = "x"\n{self.dates}'
            for product in INSTRUMENTS
        )
        self.file.write_text(
            f"[archive]\nstart = {FIRST}\n[grid]\nbox = {list(BOX)}\n"
            f'[model]\nbundle = "{self.bundle}"\nengine = "cpu"\n{feeds}{self.settings}'
        )
        for product in INSTRUMENTS:
            (self.folder / product).mkdir()

    @property
    def file(self) -> Path:
        return self.folder / "seamless-sm.toml"

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def bring(self, product: str, first: int = 0, last: int = DAYS - 1) -> None:
        """Let the files of some days of a sensor arrive."""
        for number in range(first, last + 1):
            for file in (self.source / product).glob(f"*_{FIRST + number * DAY:%Y%m%d}*"):
                (self.folder / product / file.name).write_bytes(file.read_bytes())

    def bring_all(self) -> SensorSite:
        """Let all files arrive."""
        for product in INSTRUMENTS:
            self.bring(product)
        return self

    def take_away(self, product: str, first: int, last: int = DAYS - 1) -> None:
        """Delete the files of some days of a sensor."""
        for number in range(first, last + 1):
            for file in (self.folder / product).glob(f"*_{FIRST + number * DAY:%Y%m%d}*"):
                file.unlink()

    def config(self, *overrides: str) -> Config:
        return load_config(self.file, overrides, environment={})

    def fill(self, first: int = 0, last: int = DAYS - 1, *overrides: str) -> Outcome:
        wanted = DateRange(FIRST + first * DAY, FIRST + last * DAY)
        with logged() as self.said:
            return fill_archive(self.config(*overrides), wanted, self.today, RunEvents())

    def day_file(self, day: int) -> Path:
        date = FIRST + day * DAY
        return self.archive / f"{date:%Y}" / f"seamless_sm_{date:%Y%m%d}.nc"

    def published(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.archive.glob("[0-9]*/*.nc"))}
