"""The archive in numbers, for Prometheus: read from the catalog when they are asked for."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.archive.catalog import Catalog
from runtime.config import Config
from service.runs import Runner


class ArchiveCollector(Collector):
    """Collects from the catalog and the runner; `count_run` is told each run's exit code."""

    def __init__(self, config: Config, runner: Runner, today: Callable[[], dt.date]) -> None:
        self._config, self._runner, self._today = config, runner, today
        self._runs: Counter[int] = Counter()

    def count_run(self, exit_code: int) -> None:
        """Count a run that has ended."""
        self._runs[exit_code] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield every figure as it stands."""
        runs = CounterMetricFamily("seamless_runs", "Runs of this service since it started", labels=["exit_code"])
        for code, count in sorted(self._runs.items()):
            runs.add_metric([str(code)], count)
        yield runs
        yield _gauge("seamless_run_in_progress", "1 while a run works", float(self._runner.current is not None))
        with Catalog.open(self._config.catalog_path, read_only=True) as catalog:
            yield from self._archive(catalog)

    def _archive(self, catalog: Catalog) -> Iterator[Metric]:
        files, size = catalog.fetched()
        yield CounterMetricFamily("seamless_fetched_bytes", "Bytes of input files fetched", value=size)
        yield CounterMetricFamily("seamless_fetched_files", "Input files fetched", value=files)
        refused = catalog.refused_count()
        yield _gauge("seamless_refused_inputs", "Input files on record as refused", refused)
        kinds = Counter(problem.kind for problem in catalog.problems().values())
        problems = GaugeMetricFamily("seamless_problem_days", "Days that are not as they should be", labels=["kind"])
        for kind in ("refused", "result refused", "outage", "wait"):
            problems.add_metric([kind], kinds[kind])
        yield problems
        yield _gauge("seamless_published_days", "Days in the archive", catalog.count())
        span, revision = catalog.span(), catalog.last_revision()
        if span is None or revision is None:
            return
        newest = dt.datetime.combine(span[1], dt.time(), dt.UTC)
        yield _gauge("seamless_last_filled_day_timestamp_seconds", "The newest day, 0 UTC", newest.timestamp())
        yield _gauge("seamless_lag_days", "Days from the newest day to today", (self._today() - span[1]).days)
        (row,) = catalog.days(span[1], span[1]).values()
        if row.record.figures and row.record.figures.land:
            figures = row.record.figures
            gaps = GaugeMetricFamily("seamless_gap_fraction", "Newest day: land without a value", labels=["when"])
            gaps.add_metric(["before"], 1 - figures.observed / figures.land)
            gaps.add_metric(["after"], figures.not_reached / figures.land)
            yield gaps
        phases = GaugeMetricFamily("seamless_phase_seconds", "Seconds by phase, last day made", labels=["phase"])
        for phase, seconds in revision.phases.items():
            phases.add_metric([phase], seconds)
        yield phases
        made = dt.datetime.fromisoformat(revision.made_at).timestamp()
        yield _gauge("seamless_last_published_timestamp_seconds", "When a day was last made", made)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)
