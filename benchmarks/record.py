"""Fill the record of SGD-SM 2.0, 2002 to 2022, whole, in a made-up world whose truth is known.

    python -m benchmarks.record --json benchmarks/results/record.json

The configuration is the one that ``runtime init --preset sgd-sm-2`` writes, with the bundle as it is shipped. Only
where the files are, and a region of 24 x 24 cells, are set on top. The files have the names and the format of GES DISC,
with about half of the cells of a day. Each sensor has its own errors, gain and bias, so that the values step where one
follows another. Four days have no file. Printed:

- days of the record, files published, days left out and why; the program fails if they are not those without a file;
- faults that `runtime check` finds; it fails if there are any;
- the step at each handover, as `runtime check` measures it, and as the change of the difference from the truth;
- minutes of the fill, and the peak memory of this process;
- the steps as they are and with ``handover.match``, in two archives of the days around the handovers. Their files begin
  500 days before the first one, because a transfer of the record is fitted on the same days of different years; with
  them, the weather is another one than in the whole record. ``--matched`` makes these archives only, and takes the
  other figures from ``--json``.
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
"""Days without a file: two in a row, and one alone in the eras of the other two sensors."""
BEFORE, AFTER = 500 * DAY, 100 * DAY
"""What the files around the handovers have of the first sensor's days before, and of the last one's after."""


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

    def __init__(self, folder: Path, eras: Sequence[DateRange] = (), absent: Sequence[dt.date] = ABSENT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file = folder, folder / "record.toml"
        command = [sys.executable, "-m", "runtime", "init", str(self.file), "--preset", "sgd-sm-2"]
        if not self.file.exists():
            subprocess.run(command, check=True, capture_output=True)
        feeds = load_config(self.file, environment={}).feeds.soil_moisture
        self.eras = dict(zip((feed.product for feed in feeds), eras or map(_era, feeds), strict=True))
        """Days of each sensor, by product."""
        self.days = DateRange(min(era.first for era in self.eras.values()), max(era.last for era in self.eras.values()))
        self.overrides = [f"grid.box={list(BOX)}", f"archive.start={self.days.first}"]
        for number, (product, era) in enumerate(self.eras.items()):
            values = {"kind": "folder", "path": folder / product, "from": era.first, "to": era.last}
            self.overrides += [f"feeds.soil_moisture.{number}.{key}={value}" for key, value in values.items()]
        self.absent = [date for date in absent if date in self.days]
        self.handovers = [era.first for era in self.eras.values()][1:]
        self.truth: dict[dt.date, Floats] = {}
        """True soil moisture of the days around the handovers, m3 m-3."""

    def config(self, *overrides: str) -> Config:
        """Return the configuration of the preset with what is set on top."""
        return load_config(self.file, [*self.overrides, *overrides], environment={})

    def write_files(self) -> None:
        """Write a file for each day but the absent ones; keep the truth of the days around the handovers."""
        grid, side = Grid.globe().box(*BOX), self.config().handover.days * DAY
        world, makers, rng = World(grid, SEED), instruments(NOISE), np.random.default_rng(SEED)
        for day in world.days(self.days.first, len(self.days.days)):
            if any(abs(day.date - change) <= side for change in self.handovers):
                self.truth[day.date] = day.truth
            if day.date in self.absent:
                continue
            product = next(product for product, era in self.eras.items() if day.date in era)
            everywhere = replace(makers[product], swath_km=EVERYWHERE_KM)
            seen = world.observe(day, everywhere, list(self.eras).index(product)).observed
            seen = np.where(strips(rng, grid.shape, (0.4, 0.6), (10, 30)), np.float32(np.nan), seen)
            write_lprm(self.folder / product / f"{day.date:%Y}", replace(day, observed=seen), grid, product)

    def fill(self, config: Config, wanted: DateRange | None = None) -> None:
        """Fill all days that are due, or those of a range, which may have days without a file."""
        outcome = fill_archive(config, wanted, today(), RunEvents())
        if outcome.exit_code not in ((0, 3) if wanted else (0,)):
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


def _era(feed: SoilMoistureFeed) -> DateRange:
    assert feed.first
    assert feed.last
    return DateRange(feed.first, feed.last)


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
        "steps": record.steps(config),
    }


def steps_around_handovers(record: Record, *overrides: str) -> dict[str, dict[str, Any]]:
    """Write the files, fill the days around the handovers only, and return the steps as they are and matched.

    Parameters
    ----------
    record : Record
        The record.
    *overrides : str
        Other settings, as for ``--set``.
    """
    record.write_files()
    found = {}
    for name, match in (("as it is", "false"), ("matched", "true")):
        config = record.config(*overrides, f"handover.match={match}", f"archive.path=matched-{match}")
        side = config.handover.days * DAY
        for change in record.handovers:
            record.fill(config, DateRange(change - 2 * side, change + side - DAY))
        found[name] = record.steps(config)
    return found


def eras_around_handovers(record: Record) -> list[DateRange]:
    """Return the days of each sensor that the archive around the handovers needs files of."""
    first, *between, last = record.eras.values()
    return [DateRange(first.last - BEFORE, first.last), *between, DateRange(last.first, last.first + AFTER)]


def _where() -> dict[str, str]:
    """Return the commit of this repository, and what it runs on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return {"commit": commit.stdout.strip(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def main() -> None:
    """Fill, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matched", action="store_true", help="only measure around the handovers again")
    parser.add_argument("--folder", type=Path, help="where to work; kept")
    parser.add_argument("--json", type=Path, help="also write the figures here; with --matched, into those there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        record = Record(folder / "whole")
        found = (
            json.loads(arguments.json.read_text()) if arguments.matched else {"whole": _where() | fill_whole(record)}
        )
        around = Record(folder / "matched", eras_around_handovers(record))
        found["around the handovers"] = _where() | steps_around_handovers(around)
    print(json.dumps(found, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    whole = found["whole"]
    sys.exit(0 if [*whole["days left out"]] == whole["days without a file"] and not whole["faults"] else 1)


if __name__ == "__main__":
    main()
