"""Several sensors in a made-up world whose truth is known: together against alone, one dropped, one after the other.

    python -m benchmarks.sensors [--noise 0.025 0.06] [--box W S E N] [--days N] [--json FILE]

Three instruments see the synthetic world, each with its own swaths, errors, gain and bias. Their files go through the
daily job, with the default bundle. What several sensors bring depends on how noisy a single retrieval is, so that
everything is measured with the reference's error of the synthetic world (0.025 m3 m-3) and with that of
`benchmarks.truth` (0.06 m3 m-3, nearer to real retrievals). Printed, for the newest day of an archive (provisional: no
file of a later day is there):

- RMSE against the truth of an archive of each sensor alone and of all together, on the same cells: all land cells, the
  cells that the best one alone had to fill, and those that all of them had to fill;
- the share of errors that are smaller than the published sigma: of the reference alone, with all sensors, and with each
  of them gone for longer than the window. Against the truth, of all, observed and filled cells; and of filled cells
  against single retrievals of the reference, which is what the sigma of the bundle was made for;
- the step of soil moisture where a sensor follows the reference, with ``handover.match`` and without it: the change of
  its difference from the truth, over land and in the worst band of latitude. A retrieval's errors are alike over
  hundreds of kilometres, so that four days on each side differ a little without any step: what is left when the planted
  gain and bias are taken out stands beside it;
- the two outages of SMAP, of 35 and 46 days, with the reference in its part: what an archive of the reference alone and
  one of all sensors publish on these days. They are filled when the outage is over.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime.archive import cf
from runtime.common.clock import DAY, DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Bools, Floats, Grid
from runtime.common.sensors import PRODUCTS as DECLARED
from runtime.config import Model, load_config
from runtime.demo.files import write_lprm
from runtime.demo.world import Instrument, World
from runtime.fill.result import Flag
from runtime.merge.transfer import BANDS, MIN_PAIRS, band_of_latitude
from runtime.pipeline.run import Outcome, fill_archive

SEED, FIRST, DAYS = 300, dt.date(2020, 5, 1), 64
"""A world and a season that no bundle was trained on."""

REFERENCE = "lprm-amsr2"
PRODUCTS = (REFERENCE, "lprm-amsre", "lprm-windsat")
NOISE = (0.025, 0.06)
"""Errors of the reference, m3 m-3."""


def instruments(noise: float) -> dict[str, Instrument]:
    """Return the instruments by product, for an error of the reference in m3 m-3."""
    second = Instrument(1.08 * noise, 0.7, gain=0.85, bias=0.07, phase=0.35)
    third = Instrument(1.17 * noise, 0.7, gain=1.1, bias=-0.05, orbits_per_day=14.19, swath_km=1025, phase=0.7)
    return dict(zip(PRODUCTS, (Instrument(noise, 0.7), second, third), strict=True))


BOX = (-10.0, 5.0, 30.0, 50.0)
"""Western, southern, eastern and northern edge, degrees: the Sahel, the Sahara and a part of Europe."""

_JUDGED = 4
"""Days that are judged, every third up to the last."""
_GONE = 20
"""Days before a judged day that a dropped sensor ends: more than the window reaches back."""
_SIDE = 4
"""Days on each side of a handover."""
_AROUND = 45, 6
"""Days of the world before and after an outage: for transfers and windows."""
EVERYWHERE_KM = 60_000.0
"""Width of a swath that covers the globe."""

_CONFIG = """\
[archive]
start = {date}
cube = false
[grid]
box = {box}
[model]
engine = "cpu"
{feeds}
{merge}
[policy]
max_lag_days = 0
min_coverage = 0.0
"""
_TOGETHER = '[merge]\nmode = "together"\nfit_days = 30\n'


@dataclass(frozen=True)
class Made:
    """The published fields of a day, and the truth."""

    date: dt.date
    value: Floats
    observed: Floats
    sigma: Floats
    flag: Floats
    truth: Floats


class MadeUpWorld:
    """The files of the sensors, and archives made of them.

    Parameters
    ----------
    folder : Path
        Where files and archives are written.
    box : sequence of float
        West, south, east, north edge, degrees.
    days : int
        Days of the world.
    noise : float
        Error of the reference, m3 m-3.
    bundle : str
        The network.
    first : dt.date
        First day of the world.
    """

    def __init__(
        self,
        folder: Path,
        box: Sequence[float],
        days: int,
        noise: float,
        bundle: str = Model().bundle,
        first: dt.date = FIRST,
    ) -> None:
        west, south, east, north = box
        self.folder, self.box, self.bundle = folder, list(box), bundle
        self.grid = Grid.globe().box(west, south, east, north)
        self.world = World(self.grid, SEED)
        self.days = {day.date: day for day in self.world.days(first, days)}
        self.instruments = instruments(noise)
        self.first, self.last = first, first + (days - 1) * DAY
        self.files: dict[str, dict[dt.date, Path]] = {}
        for seed, (product, instrument) in enumerate(self.instruments.items()):
            self.files[product] = {
                day.date: write_lprm(folder / product, self.world.observe(day, instrument, seed), self.grid, product)
                for day in self.days.values()
            }

    def make(self, name: str, ends: Mapping[str, dt.date], wanted: DateRange, merge: str = "") -> list[Made]:
        """Fill some days from the files of some sensors, each up to its last day, and return what was published."""
        files = {product: [date for date in self.days if date <= end] for product, end in ends.items()}
        made, outcome = self.fill(name, files, wanted, wanted.last, merge)
        if list(outcome.filled) != wanted.days:
            raise SystemExit(f"{name}: {outcome.message or outcome.planned}")
        return made

    def fill(
        self, name: str, files: Mapping[str, Iterable[dt.date]], wanted: DateRange, today: dt.date, merge: str = ""
    ) -> tuple[list[Made], Outcome]:
        """Fill some days from the files of some days of each sensor; return what was published, and how it ended."""
        folder = self.folder / name
        feeds = []
        for product, dates in files.items():
            (folder / product).mkdir(parents=True)
            for date in dates:
                file = self.files[product][date]
                (folder / product / file.name).hardlink_to(file)
            feeds.append(
                f'[[feeds.soil_moisture]]\npath = "{product}"\nproduct = "{product}"\nband = "x"\n'
                f'from = "{self.first}"\nto = "{self.last}"'
            )
        text = _CONFIG.format(date=wanted.first, box=self.box, feeds="\n".join(feeds), merge=merge)
        (folder / "seamless-sm.toml").write_text(text)
        config = load_config(folder / "seamless-sm.toml", [f"model.bundle={self.bundle}"], environment={})
        outcome = fill_archive(config, wanted, today, RunEvents())
        return [self._read(config.archive.path, date) for date in outcome.filled], outcome

    def newest(self, name: str, ends: Mapping[str, dt.timedelta], merge: str = "") -> list[Made]:
        """Return the judged days, each as the newest day of its archive; `ends` are days before it."""
        days = [self.last - 3 * number * DAY for number in range(_JUDGED)]
        return [
            made
            for day in days
            for made in self.make(
                f"{name}-{day}", {p: day - before for p, before in ends.items()}, DateRange(day, day), merge
            )
        ]

    def retrieval(self, date: dt.date) -> Floats:
        """Return what the reference would have seen on a day if it had passed everywhere."""
        instrument = self.instruments[REFERENCE]
        everywhere = Instrument(instrument.noise, instrument.shared_noise, swath_km=EVERYWHERE_KM)
        return self.world.observe(self.days[date], everywhere, 99).observed

    def _read(self, archive: Path, date: dt.date) -> Made:
        path = archive / cf.CfLayout().relative_path(date)
        return Made(
            date=date,
            value=cf.values(path, "soil_moisture"),
            observed=cf.values(path, "soil_moisture_observed"),
            sigma=cf.values(path, "soil_moisture_uncertainty"),
            flag=cf.values(path, "flag"),
            truth=self.days[date].truth,
        )


def together_against_alone(world: MadeUpWorld) -> tuple[dict[str, dict[str, float]], dict[str, list[Made]]]:
    """Return RMSE against the truth of each archive, m3 m-3, by which cells; and what each archive published."""
    now = dt.timedelta(0)
    archives = {product: world.newest(f"alone-{product}", {product: now}) for product in PRODUCTS}
    archives["together"] = world.newest("together", dict.fromkeys(PRODUCTS, now), _TOGETHER)
    common = [
        np.all([np.isfinite(day.value) for day in days], 0) & world.grid.land
        for days in zip(*archives.values(), strict=True)
    ]
    rmse = {"all": _rmse(archives, common)}
    best = min(PRODUCTS, key=lambda name: rmse["all"][name])
    for name in (best, "together"):
        gaps = [np.isnan(day.observed) & cells for day, cells in zip(archives[name], common, strict=True)]
        rmse[f"filled by {name}"] = _rmse(archives, gaps)
    return rmse, archives


def _rmse(archives: Mapping[str, Sequence[Made]], cells: Sequence[Bools]) -> dict[str, float]:
    errors = {
        name: np.concatenate([(day.value - day.truth)[wanted] for day, wanted in zip(days, cells, strict=True)])
        for name, days in archives.items()
    }
    return {name: round(float(np.sqrt(np.mean(error.astype(float) ** 2))), 5) for name, error in errors.items()}


def calibration(world: MadeUpWorld, days: Iterable[Made]) -> dict[str, float]:
    """Return the shares of errors that are smaller than sigma."""
    shares: dict[str, list[Floats]] = {}
    for day in days:
        filled = np.isin(day.flag, (Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS))
        for name, wanted, actual in (
            ("all, truth", filled | (day.flag == Flag.OBSERVED), day.truth),
            ("observed, truth", day.flag == Flag.OBSERVED, day.truth),
            ("filled, truth", filled, day.truth),
            ("filled, single retrievals", filled, world.retrieval(day.date)),
        ):
            known = wanted & np.isfinite(actual) & np.isfinite(day.sigma)
            shares.setdefault(name, []).append((np.abs(day.value - actual) < day.sigma)[known])
    joined = {name: np.concatenate(parts) for name, parts in shares.items()}
    return {name: round(float(parts.mean()), 3) for name, parts in joined.items() if parts.size}


def handover_step(world: MadeUpWorld, product: str, merge: str) -> dict[str, float]:
    """Return the step where a sensor follows the reference, m3 m-3: of observed cells, in the worst band, of all."""
    change = world.last - (_SIDE - 1) * DAY
    ends = {REFERENCE: change - DAY, product: world.last}
    name = f"handover-{product}-{len(merge)}"
    made = world.make(name, ends, DateRange(change - _SIDE * DAY, world.last), merge)
    before, after = made[:_SIDE], made[_SIDE:]
    every = step_of([d.value - d.truth for d in before], [d.value - d.truth for d in after])
    return {
        **_observed_step(world, [d.observed - d.truth for d in before], [d.observed - d.truth for d in after]),
        "observed and filled": round(float(np.nanmean(every)), 4),
    }


def planted_step(world: MadeUpWorld, product: str) -> dict[str, float]:
    """Return the step that is left when the planted gain and bias are taken out: what the days' own errors make."""
    instrument = world.instruments[product]
    seed = PRODUCTS.index(product)
    days = list(world.days.values())[-2 * _SIDE :]
    before = [world.world.observe(day, world.instruments[REFERENCE], 0).observed - day.truth for day in days[:_SIDE]]
    raw = [world.world.observe(day, instrument, seed).observed for day in days[_SIDE:]]
    after = [
        (seen - instrument.bias) / instrument.gain - day.truth for seen, day in zip(raw, days[_SIDE:], strict=True)
    ]
    return _observed_step(world, before, after)


def _observed_step(world: MadeUpWorld, before: Sequence[Floats], after: Sequence[Floats]) -> dict[str, float]:
    """Return the step of the observed cells, m3 m-3, and that of the worst band of latitude."""
    step = step_of(before, after)
    bands = np.repeat(band_of_latitude(world.grid.latitudes)[:, None], world.grid.shape[1], 1)
    by_band = [step[bands == band] for band in range(BANDS)]
    means = [float(np.nanmean(cells)) for cells in by_band if np.isfinite(cells).sum() > MIN_PAIRS]
    return {
        "observed": round(float(np.nanmean(step)), 4),
        "worst band": round(max(means, key=abs), 4),
    }


def step_of(before: Sequence[Floats], after: Sequence[Floats]) -> Floats:
    """Return the change of each cell's mean; NaN for a cell that one side never saw."""
    return np.asarray(_mean(after) - _mean(before))


def _mean(fields: Sequence[Floats]) -> Floats:
    stack = np.stack(fields)
    count = np.isfinite(stack).sum(0)
    return np.where(count, np.nansum(stack, 0) / np.maximum(count, 1), np.float32(np.nan))


def measure(folder: Path, box: Sequence[float], days: int, noise: float) -> dict[str, Any]:
    """Return every figure for an error of the reference."""
    world = MadeUpWorld(folder, box, days, noise)
    rmse, archives = together_against_alone(world)
    best = min(rmse["all"][product] for product in PRODUCTS)
    shares = {f"{REFERENCE} alone": calibration(world, archives[REFERENCE])}
    shares["all sensors"] = calibration(world, archives["together"])
    for gone in PRODUCTS:
        ends = {product: _GONE * DAY if product == gone else dt.timedelta(0) for product in PRODUCTS}
        shares[f"without {gone}"] = calibration(world, world.newest(f"without-{gone}", ends, _TOGETHER))
    match = "[merge]\nfit_days = 30\n[handover]\nmatch = true\n"
    steps = {
        product: {
            "as it is": handover_step(world, product, ""),
            "matched": handover_step(world, product, match),
            "planted gain and bias taken out": planted_step(world, product),
        }
        for product in PRODUCTS[1:]
    }
    return {
        "bundle": world.bundle,
        "box": list(box),
        "days": days,
        "instruments": {name: vars(instrument) for name, instrument in world.instruments.items()},
        "rmse against the truth": rmse,
        "together against the best alone": round(1 - rmse["all"]["together"] / best, 3),
        "share of errors below sigma": shares,
        "step at handover": steps,
    }


def replay_outage(folder: Path, box: Sequence[float], noise: float, outage: DateRange) -> dict[str, Any]:
    """Return what archives without and with other sensors publish on the days of an outage of the reference."""
    before, after = _AROUND
    first = outage.first - before * DAY
    world = MadeUpWorld(folder, box, (outage.last - first).days + 1 + after, noise, first=first)
    rest = [date for date in world.days if date not in outage.days]
    alone, stopped = world.fill("alone", {REFERENCE: rest}, outage, world.last)
    others = {product: rest if product == REFERENCE else list(world.days) for product in PRODUCTS}
    together, whole = world.fill("together", others, outage, world.last, _TOGETHER)
    same = together[: len(alone)]
    return {
        "alone": _published(world, alone) | {"ends with": stopped.message},
        "together": _published(world, together) | {"ends with": whole.message},
        "together, days that alone has": _published(world, same),
    }


def _published(world: MadeUpWorld, days: Sequence[Made]) -> dict[str, Any]:
    """Return the number of published days, and figures of all cells of land that have a value."""
    cells = [np.isfinite(day.value) & world.grid.land for day in days]
    errors = np.concatenate([(day.value - day.truth)[own] for day, own in zip(days, cells, strict=True)])
    observed = sum(int(np.isfinite(day.observed).sum()) for day in days)
    return {
        "days": len(days),
        "last": str(days[-1].date),
        "share of land observed": round(observed / (len(days) * int(world.grid.land.sum())), 3),
        "share of land with a value": round(errors.size / (len(days) * int(world.grid.land.sum())), 3),
        "rmse against the truth": round(float(np.sqrt(np.mean(errors.astype(float) ** 2))), 5),
        "share of errors below sigma": calibration(world, days),
    }


def main() -> None:
    """Measure and print; write the figures to a file if wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", type=float, nargs="+", default=NOISE, help="error of the reference, m3 m-3")
    parser.add_argument("--box", type=float, nargs=4, default=BOX, help="west south east north, degrees")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    found = {}
    for noise in arguments.noise:
        with tempfile.TemporaryDirectory() as scratch:
            figures = measure(Path(scratch), arguments.box, arguments.days, noise)
        figures["outages"] = {}
        for first, last in DECLARED["smap-l3"].outages:
            with tempfile.TemporaryDirectory() as scratch:
                replayed = replay_outage(Path(scratch), arguments.box, noise, DateRange(first, last))
            figures["outages"][f"{first} to {last}"] = replayed
        found[f"error of the reference {noise:g}"] = figures
    print(json.dumps(found, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
