"""Fill the record of SGD-SM 2.0, 2002 to 2022, whole, in a made-up world whose truth is known.

    python -m benchmarks.record --json benchmarks/results/record.json

The configuration is the one that ``runtime init --preset sgd-sm-2`` writes, with the bundle as it is shipped. Only
where the files are, and a region of 24 x 24 cells, are set on top. The files have the names and the format of GES DISC,
with about half of the cells of a day. Each sensor has its own errors, gain and bias, so that the values step where one
follows another. Four days have no file. Printed:

- days of the record, files published, days left out and why; the program fails if they are not those without a file;
- faults that `runtime check` finds; it fails if there are any;
- the step at each handover, as `runtime check` measures it, and as the change of the difference from the truth;
- the same with ``handover.match``, for days around the handovers, in an archive of their own;
- minutes of the fill, and the peak memory of this process.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import peak_memory_of_process
from benchmarks.sensors import EVERYWHERE_KM, instruments, step_of
from runtime.archive import cf
from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.rows import DayRow
from runtime.archive.verify import archive_faults
from runtime.common.clock import DAY, DateRange, today
from runtime.common.events import RunEvents
from runtime.common.grid import Floats, Grid
from runtime.config import Config, SoilMoistureFeed, load_config
from runtime.demo.files import write_lprm
from runtime.demo.gaps import strips
from runtime.demo.world import World
from runtime.inputs.sensors_seen import handover_steps
from runtime.pipeline.run import fill_archive

BOX = (-60.0, -18.0, -54.0, -12.0)
SEED, NOISE = 300, 0.04
"""The world, and the error of AMSR2 in m3 m-3."""
ABSENT = (dt.date(2006, 3, 11), dt.date(2012, 2, 2), dt.date(2015, 8, 20), dt.date(2015, 8, 21))
"""Days without a file: two in a row, and one alone in the parts of the other two sensors."""


class Record:
    """The files of the record, and archives made of them.

    Parameters
    ----------
    folder : Path
        Where configuration, files and archives are written.
    eras : sequence of DateRange, optional
        Other days for the sensors, in order; unset: those of the preset.
    absent : sequence of dt.date
        Days that get no file.
    """

    def __init__(
        self,
        folder: Path,
        eras: Sequence[DateRange] = (),
        absent: Sequence[dt.date] = ABSENT,
    ) -> None:
        self.folder = folder
        self.file = folder / "record.toml"
        command = [sys.executable, "-m", "runtime", "init", str(self.file), "--preset", "sgd-sm-2"]
        subprocess.run(command, check=True, capture_output=True)
        self.overrides = [f"grid.box={list(BOX)}"]
        feeds = load_config(self.file, environment={}).feeds.soil_moisture
        for number, feed in enumerate(feeds):
            key = f"feeds.soil_moisture.{number}"
            self.overrides += [f"{key}.kind=folder", f"{key}.path={folder / feed.product}"]
            if eras:
                self.overrides += [f"{key}.from={eras[number].first}", f"{key}.to={eras[number].last}"]
        self.feeds = self.config().feeds.soil_moisture
        self.days = DateRange(_first(self.feeds[0]), _last(self.feeds[-1]))
        self.overrides.append(f"archive.start={self.days.first}")
        self.absent = [date for date in absent if date in self.days]
        self.handovers = [_first(feed) for feed in self.feeds[1:]]
        self.truth: dict[dt.date, Floats] = {}

    def config(self, *overrides: str) -> Config:
        """Return the configuration of the preset with what is set on top."""
        return load_config(self.file, [*self.overrides, *overrides], environment={})

    def write_files(self) -> None:
        """Write a file for each day but the absent ones; keep the truth of the days around the handovers."""
        grid, side = Grid.globe().box(*BOX), self.config().handover.days * DAY
        world, makers = World(grid, SEED), instruments(NOISE)
        for feed in self.feeds:
            (self.folder / feed.product).mkdir()
        rng = np.random.default_rng(SEED)
        for day in world.days(self.days.first, len(self.days.days)):
            feed = next(feed for feed in self.feeds if _first(feed) <= day.date <= _last(feed))
            if day.date not in self.absent:
                everywhere = replace(makers[feed.product], swath_km=EVERYWHERE_KM)
                seen = world.observe(day, everywhere, self.feeds.index(feed)).observed
                seen = np.where(strips(rng, grid.shape, (0.4, 0.6), (10, 30)), np.float32(np.nan), seen)
                write_lprm(
                    self.folder / feed.product / f"{day.date:%Y}", replace(day, observed=seen), grid, feed.product
                )
            if any(abs(day.date - change) <= side for change in self.handovers):
                self.truth[day.date] = day.truth

    def fill(self, config: Config, wanted: DateRange | None = None) -> None:
        """Fill all days that are due, or those of a range."""
        outcome = fill_archive(config, wanted, today(), RunEvents())
        if outcome.failed or (outcome.error and not wanted):
            raise SystemExit(outcome.message)

    def steps(self, config: Config) -> dict[str, dict[str, Any]]:
        """Return the step at each handover, m3 m-3, by the day on which the new sensor begins."""
        rows = published_days(config)
        return {
            str(step.date): {
                "after": step.after,
                "measured": step.step,
                "same time before": step.usual,
                "bands": dict(step.bands),
                "cells": step.cells,
                "matched": step.matched,
                "against the truth": self._step(config, rows, step.date, "soil_moisture_observed"),
                "against the truth, observed and filled": self._step(config, rows, step.date, "soil_moisture"),
            }
            for step in handover_steps(config, rows)
        }

    def _step(self, config: Config, rows: Mapping[dt.date, DayRow], change: dt.date, variable: str) -> float:
        """Return how the difference of the published values from the truth changes at a handover, m3 m-3."""
        side = config.handover.days * DAY

        def errors(first: dt.date) -> list[Floats]:
            dates = [date for date in DateRange(first, first + side - DAY).days if date in rows]
            return [cf.values(config.archive.path / rows[d].path, variable) - self.truth[d] for d in dates]

        return round(float(np.nanmean(step_of(errors(change - side), errors(change)))), 4)

    def left_out(self, config: Config) -> dict[str, str]:
        """Return the days of the record that are not published, each with why."""
        rows = published_days(config)
        with Catalog.open(ArchivePaths.of(config).catalog, read_only=True) as catalog:
            problems = catalog.problems()
        missing = [date for date in self.days.days if date not in rows]
        return {str(date): problems[date].reason if date in problems else "not planned" for date in missing}


def _first(feed: SoilMoistureFeed) -> dt.date:
    assert feed.first
    return feed.first


def _last(feed: SoilMoistureFeed) -> dt.date:
    assert feed.last
    return feed.last


def published_days(config: Config) -> dict[dt.date, DayRow]:
    """Return the published days of an archive."""
    with Catalog.open(ArchivePaths.of(config).catalog, read_only=True) as catalog:
        return dict(catalog.days())


def fill_whole(record: Record) -> dict[str, Any]:
    """Write the files, fill all days, and return the figures of the archive."""
    record.write_files()
    config = record.config()
    began = time.monotonic()
    record.fill(config)
    minutes = (time.monotonic() - began) / 60
    return {
        "bundle": config.model.bundle,
        "days": len(record.days.days),
        "days without a file": [str(date) for date in record.absent],
        "files published": len(list(config.archive.path.glob("[0-9]*/*.nc"))),
        "days left out": record.left_out(config),
        "faults": archive_faults(config, lambda items, _: items),
        "minutes": round(minutes, 1),
        "peak_mib": round(peak_memory_of_process() / (1 << 20)),
        "steps as published": record.steps(config),
    }


def fill_matched(record: Record) -> dict[str, dict[str, Any]]:
    """Fill the days around the handovers with ``handover.match``, and return the steps."""
    config = record.config("handover.match=true", "archive.path=matched")
    side = config.handover.days * DAY
    for change in record.handovers:
        first, last = max(change - 2 * side, record.days.first), min(change + side, record.days.last)
        record.fill(config, DateRange(first, last))
    return record.steps(config)


def _where() -> dict[str, str]:
    """Return the commit of this repository, and what it runs on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return {"commit": commit.stdout.strip(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def main() -> None:
    """Fill, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to work; kept")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        record = Record(arguments.folder or Path(temporary))
        figures = {**_where(), **fill_whole(record), "steps matched": fill_matched(record)}
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    is_as_made_up = [*figures["days left out"]] == figures["days without a file"]
    sys.exit(0 if is_as_made_up and not figures["faults"] else 1)


if __name__ == "__main__":
    main()
