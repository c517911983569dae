"""Judge retrievals by their labels: the table of the published paper, pooled and as a mean over sensors."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from runtime.bundle import RetrievalBundle
from runtime.engines.select import EngineSettings
from runtime.retrieval.example import Example, ExampleError
from runtime.retrieval.from_archive import ArchiveValues
from runtime.retrieval.predict import Retrieval, open_retrieval_engines, retrievals
from runtime.retrieval.sample import Place, read_place
from runtime.retrieval.schema import FIELDS, GLDAS, SMAP
from runtime.retrieval.tfrecord import BadRecord, read_records
from training.evaluate.score import Score
from training.evaluate.writing import MARKDOWN, table_line
from training.fusion.examples import Split, SplitRule

SENSORS = "sensors.csv"
ARCHIVE = "our archive"
_FEWEST = 3
"""Pairs of a sensor that R needs."""


@dataclass(frozen=True)
class Pairs:
    """Estimates of one method, and the labels."""

    sensors: list[str] = field(default_factory=list)
    estimates: list[float] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)

    def add(self, place: Place, estimate: float) -> None:
        """Add an example, unless it has no label, or the method no estimate."""
        if place.label is not None and not math.isnan(estimate):
            self.sensors.append(place.sensor)
            self.estimates.append(estimate)
            self.labels.append(place.label)

    def of(self, rule: SplitRule, split: Split | None) -> Pairs:
        """Return the pairs of a split; None: all."""
        rows = zip(self.sensors, self.estimates, self.labels, strict=True)
        kept = [row for row in rows if split is None or rule.of(row[0]) is split]
        return Pairs(*(list(column) for column in zip(*kept, strict=True))) if kept else Pairs()

    def pooled(self) -> Score:
        """Return the score of all pairs together."""
        return Score.of(np.array(self.estimates), np.array(self.labels))

    def by_sensor(self) -> dict[str, Score]:
        """Return the score of each sensor, in order of their names."""
        names = np.array(self.sensors)
        estimates, labels = np.array(self.estimates), np.array(self.labels)
        return {str(name): Score.of(estimates[names == name], labels[names == name]) for name in np.unique(names)}

    def mean_over_sensors(self) -> Score:
        """Return the mean of the scores of sensors with at least three pairs and an R."""
        scores = [each for each in self.by_sensor().values() if each.n >= _FEWEST and not math.isnan(each.r)]
        if not scores:
            return Score.of(np.array([]), np.array([]))
        r, rmse, ubrmse, mae, bias = np.mean([[s.r, s.rmse, s.ubrmse, s.mae, s.bias] for s in scores], axis=0).tolist()
        return Score(r, rmse, ubrmse, mae, bias, len(scores))


def improvement(reference: float, value: float, *, of_error: bool) -> float:
    """Return by how much a figure is better than that of the reference, as a share of it; negative if it is worse."""
    return (reference - value if of_error else value - reference) / reference


def collect(
    bundles: Sequence[RetrievalBundle], shards: Sequence[Path], settings: EngineSettings, archive: Path | None = None
) -> dict[str, Pairs]:
    """Return the pairs of each bundle, of SMAP and GLDAS as they stand in the examples, and of an archive.

    Parameters
    ----------
    bundles : sequence of RetrievalBundle
        The networks.
    shards : sequence of Path
        TFRecord files.
    settings : EngineSettings
        Which engine computes the networks.
    archive : Path, optional
        Folder of an archive, whose published values at the places and days are a method too.

    Returns
    -------
    dict of str to Pairs
        By name of the method.
    """
    found = {"SMAP": Pairs(), "GLDAS": Pairs()}
    values = ArchiveValues(archive) if archive else None
    if values:
        found[ARCHIVE] = Pairs()
    for shard in shards:
        for record in read_records(shard):
            if isinstance(record, BadRecord):
                continue  # `retrievals` leaves it out, too
            try:
                example = Example.parse(record.data)
                place = read_place(example)
                coarse = {name: example.number(FIELDS[of], 0.0) / 255 for name, of in _COARSE.items()}
            except ExampleError:
                continue
            for name, value in coarse.items():
                found[name].add(place, value or math.nan)  # 0 stands for no value
            if values:
                found[ARCHIVE].add(place, values.at(place).value)
    for bundle in bundles:
        pairs = found.setdefault(bundle.manifest.name, Pairs())
        for each in retrievals(open_retrieval_engines(bundle, settings), bundle.manifest, shards):
            if isinstance(each, Retrieval):
                pairs.add(each.place, each.value)
    return found


_COARSE = {"SMAP": SMAP, "GLDAS": GLDAS}
"""The two products that are a number of each example; their bytes are taken for shares of 255, as the network does."""


def score_tables(found: Mapping[str, Pairs], rule: SplitRule, splits: Sequence[Split | None], reference: str) -> str:
    """Return the tables, pooled and as a mean over sensors, as Markdown.

    Parameters
    ----------
    found : mapping of str to Pairs
        By name of the method.
    rule : SplitRule
        Which station is in which split.
    splits : sequence of Split or None
        The splits to show; None stands for all examples.
    reference : str
        The method that the others are compared with, in percent; empty for none.

    Returns
    -------
    str
        Markdown.
    """
    lines = []
    for title, mean in (("All pairs together", False), ("Mean over sensors", True)):
        heads = [f"{split or 'all'} {what}" for split in splits for what in ("ubRMSE", "RMSE", "R", "n")]
        lines += [f"### {title}", "", table_line(["method", *heads]), table_line(["---", *["---:"] * len(heads)])]
        for name, pairs in found.items():
            cells = [name]
            for split in splits:
                parts = [each.of(rule, split) for each in (pairs, found.get(reference, Pairs()))]
                score, base = (each.mean_over_sensors() if mean else each.pooled() for each in parts)
                other = base if name != reference and reference else None
                cells += score_cells(score, other)
            lines.append(table_line(cells))
        lines.append("")
    return "\n".join(lines)


def score_cells(score: Score, reference: Score | None) -> list[str]:
    """Return ubRMSE, RMSE, R and n as text, with the improvement on a reference in percent."""
    cells = []
    for name, of_error in (("ubrmse", True), ("rmse", True), ("r", False)):
        value = vars(score)[name]
        text = "" if math.isnan(value) else f"{value:.3f}"
        base = vars(reference)[name] if reference else math.nan
        if text and not math.isnan(base) and base:
            text += f" ({100 * improvement(base, value, of_error=of_error):+.1f} %)"
        cells.append(text)
    return [*cells, f"{score.n}"]


def write_fusion_report(out: Path, found: Mapping[str, Pairs], rule: SplitRule, reference: str, about: str) -> str:
    """Write ``report.md`` and ``sensors.csv``, and return the tables.

    Parameters
    ----------
    out : Path
        Folder of the report.
    found : mapping of str to Pairs
        By name of the method.
    rule : SplitRule
        Which station is in which split.
    reference : str
        The method that the others are compared with.
    about : str
        What was judged, in words.

    Returns
    -------
    str
        The tables as Markdown.
    """
    out.mkdir(parents=True, exist_ok=True)
    tables = score_tables(found, rule, (Split.VALIDATION, Split.TEST), reference)
    (out / MARKDOWN).write_text(f"# Retrievals against labels\n\n{about}\n\n{tables}")
    with (out / SENSORS).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "split", "sensor_id", "ubrmse", "rmse", "r", "bias", "n"])
        for name, pairs in found.items():
            for sensor, s in pairs.by_sensor().items():
                figures = ["" if math.isnan(v) else f"{v:.4f}" for v in (s.ubrmse, s.rmse, s.r, s.bias)]
                writer.writerow([name, rule.of(sensor), sensor, *figures, s.n])
    return tables
