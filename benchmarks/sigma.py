"""Ask how well any formula can fit sigma to the errors of each class of cells, on days that it was not fitted to.

    python -m benchmarks.sigma --data BUNDLE FOLDER x 2015-04-13:2015-04-20 [--data BUNDLE FOLDER c1 FIRST:LAST]

A bundle must not have been trained on the days that it fills. Observations are hidden by real gaps and by wide strips,
and filled without the days after, and also with them where the files have four. Sigma is fitted to the errors on the
odd days and judged on the even ones, then the other way round: with the two numbers of an export, and with boosted
trees that see sigma, the filled value and its correction, latitude, the age and distance of observations, and the tier.
Printed are the shares of errors within sigma by bundle and folder, tier and kind of gap; how many classes of these (by
distance or days to the nearest observation, latitude, wetness or rain) have 64 to 72 %; and how much the share of a
class changes from day to day with the two numbers fitted to all days.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray

from runtime.bundle import find_bundle, load_bundle
from runtime.common.clock import days_between
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import Tier
from runtime.engines.select import EngineSettings
from training.data import DataSection
from training.evaluate.fill_hidden import Judged, fill_hidden
from training.evaluate.findings import sigma_fit
from training.evaluate.hidden import WEIGHTED_MEAN
from training.evaluate.references import WINDOW
from training.evaluate.scores import Cells, strata
from training.losses import ONE_SIGMA

Part = tuple[str, dt.date, Tier, str]
"""Which bundle, folder and band; day, tier and kind of gap."""
_NAME = "bundle"
_FROM, _TO = 0.64, 0.72
_FEW = 200
"""Cells of a class on a day, below which its share is not counted."""
_MOST = 20_000
"""Cells of each part that trees are fitted to."""


def hidden_cells(sources: list[list[str]]) -> Iterator[tuple[Part, Cells]]:
    """Yield the hidden cells of each day, tier and kind of gap."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (bundle, granules, band, days) in enumerate(sources):
            loaded = load_bundle(find_bundle(bundle))
            archive = DataSection(granules=Path(granules), band=band).open(Path(folder) / str(number), Grid.globe())
            judged = Judged({_NAME: loaded}, archive, EngineSettings(), dct_pls=False)
            for date in days_between(*map(dt.date.fromisoformat, days.split(":"))):
                has_later = archive.index(date) + WINDOW[-1] < len(archive)
                for tier in (Tier.PROVISIONAL, Tier.CONSOLIDATED)[: 1 + has_later]:
                    for (_, kind), cells in fill_hidden(judged, {tier: [date]}, with_trees=False).cells.items():
                        yield (f"{bundle} on {granules} {band}", date, tier, kind), cells.common()


def by_two_numbers(cells: dict[Part, Cells]) -> Callable[[Part, Cells], Floats]:
    """Return sigma as an export fits it."""
    factor, exponent = sigma_fit(list(cells.values()), _NAME)
    return lambda _, other: other.refitted(_NAME, factor, exponent).sigma[_NAME]


def by_trees(cells: dict[Part, Cells]) -> Callable[[Part, Cells], Floats]:
    """Return sigma by quantile regression of the errors with boosted trees."""
    rng = np.random.default_rng(0)
    chosen = {part: each.only(np.sort(rng.permutation(each.truth.size)[:_MOST])) for part, each in cells.items()}
    error = np.concatenate([np.abs(each.fillers[_NAME] - each.truth) for each in chosen.values()])
    features = np.concatenate([_features(part, each) for part, each in chosen.items()])
    options = {
        "objective": "quantile",
        "alpha": ONE_SIGMA,
        "min_data_in_leaf": 2000,
        "learning_rate": 0.05,
        "verbose": -1,
    }
    trees = lightgbm.train(options, lightgbm.Dataset(features, np.log(error + 1e-4)), 150)
    return lambda part, other: np.exp(np.asarray(trees.predict(_features(part, other)))).astype(np.float32)


def _features(part: Part, cells: Cells) -> NDArray[np.float64]:
    filled, columns = cells.fillers[_NAME], cells.columns
    correction = np.abs(filled - cells.fillers[WEIGHTED_MEAN])
    known = [columns[name] for name in ("latitude", "age", "nearest", "distance", "wetness")]
    later = np.full(filled.shape, part[2] is Tier.CONSOLIDATED)
    return np.column_stack([np.log(cells.sigma[_NAME]), filled, correction, *known, later]).astype(np.float64)


def shares(cells: dict[Part, Cells], sigma: Callable[[Part, Cells], Floats]) -> dict[tuple[str, ...], float]:
    """Return the share of errors within sigma in each class, all days together."""
    groups: dict[tuple[str, ...], list[Cells]] = {}
    for part, each in cells.items():
        source, _, *rest = part
        groups.setdefault((source, *rest), []).append(replace(each, sigma={_NAME: sigma(part, each)}))
    found = {}
    for group, several in groups.items():
        joined = Cells.joined(several)
        found[(*group, "all", "all")] = joined.coverage(_NAME)
        found |= {(*group, split, name): chosen.coverage(_NAME) for split, name, chosen in strata(joined)}
    return found


def scatter(cells: dict[Part, Cells]) -> dict[tuple[str, str], float]:
    """Return the median over data, tiers and kinds of the standard deviation of a class's share from day to day."""
    sigma, daily = by_two_numbers(cells), dict[tuple[str, ...], list[float]]()
    for (source, day, *rest), each in cells.items():
        for split, name, chosen in strata(replace(each, sigma={_NAME: sigma((source, day, *rest), each)})):
            if chosen.truth.size >= _FEW:
                daily.setdefault((split, name, source, *rest), []).append(chosen.coverage(_NAME))
    spread: dict[tuple[str, str], list[float]] = {}
    for (split, name, *_), values in daily.items():
        if len(values) > 2:
            spread.setdefault((split, name), []).append(float(np.std(values, ddof=1)))
    return {group: float(np.median(values)) for group, values in spread.items()}


def main() -> None:
    """Fill, fit, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    columns = ("BUNDLE", "FOLDER", "BAND", "FIRST:LAST")
    parser.add_argument("--data", nargs=4, action="append", required=True, metavar=columns)
    arguments = parser.parse_args()
    cells = dict(hidden_cells(arguments.data))
    halves = [{part: each for part, each in cells.items() if part[1].day % 2 == odd} for odd in (1, 0)]
    for name, fit in (("two numbers", by_two_numbers), ("boosted trees", by_trees)):
        for fitted, judged in (halves, reversed(halves)):
            found = shares(judged, fit(fitted))
            values = found.values()
            within = sum(_FROM <= each <= _TO for each in values)
            print(f"{name}: {within} of {len(values)} classes, all are {min(values):.2f}-{max(values):.2f}")
            for (source, *rest, _, group), share in found.items():
                if group == "all":
                    print(f"    {share:.3f}  {source}, {', '.join(rest)}")
    for (split, name), spread in scatter(cells).items():
        print(f"from day to day: {spread:.3f}  {split}: {name}")


if __name__ == "__main__":
    main()
