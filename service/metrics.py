"""Metrics for Prometheus, read from the catalog and the runner when they are requested."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.rows import Revision
from runtime.common.clock import now
from runtime.common.vocabulary import ProblemKind
from runtime.config import Config
from runtime.errors import SeamlessError
from runtime.fill.statistics import DayStatistics
from service.faults import stuck_run_fault
from service.runner import Runner


class ArchiveCollector(Collector):
    """Collects the metrics of an archive and of its runs.

    Parameters
    ----------
    config : Config
        The archive's configuration.
    runner : Runner
        Runs the fills.
    today : callable
        Returns the current day, UTC.
    """

    def __init__(self, config: Config, runner: Runner, today: Callable[[], dt.date]) -> None:
        self._config, self._catalog = config, ArchivePaths.of(config).catalog
        self._runner, self._today = runner, today

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its current value; those of the runs also if the catalog cannot be read."""
        yield from self._run_metrics()
        try:
            with Catalog.open(self._catalog, read_only=True) as catalog:
                found = [*_input_metrics(catalog), *self._day_metrics(catalog)]
        except SeamlessError:
            found = []
        yield _gauge("seamless_catalog_readable", "1 if the archive's catalog can be read", bool(found))
        yield from found

    def _run_metrics(self) -> Iterator[Metric]:
        runs = CounterMetricFamily("seamless_runs", "Runs of this service since it started", labels=["exit_code"])
        for code, count in sorted(self._runner.exit_codes.items()):
            runs.add_metric([str(code)], count)
        yield runs
        running = self._runner.running_since is not None
        yield _gauge("seamless_run_in_progress", "1 while a run is in progress", running)
        is_stuck = stuck_run_fault(self._config, self._runner, now()) is not None
        yield _gauge("seamless_run_stuck", "1 while a run takes longer than policy.max_run_minutes", is_stuck)

    def _day_metrics(self, catalog: Catalog) -> Iterator[Metric]:
        yield _problem_days(catalog)
        yield _gauge("seamless_published_days", "Days in the archive", catalog.count())
        span, revision = catalog.first_and_newest(), catalog.last_revision()
        if span is None or revision is None:
            return
        newest = span[1]
        midnight = dt.datetime.combine(newest, dt.time(), dt.UTC).timestamp()
        yield _gauge("seamless_last_filled_day_timestamp_seconds", "The newest day, 0 UTC", midnight)
        yield _gauge("seamless_lag_days", "Days from the newest day to today", (self._today() - newest).days)
        (row,) = catalog.days(newest, newest).values()
        if row.record.statistics and row.record.statistics.land:
            yield _gap_fraction(row.record.statistics)
        yield from _revision_metrics(revision)


def _input_metrics(catalog: Catalog) -> Iterator[Metric]:
    files, size = catalog.fetched()
    yield CounterMetricFamily("seamless_fetched_bytes", "Bytes of input files fetched", value=size)
    yield CounterMetricFamily("seamless_fetched_files", "Input files fetched", value=files)
    yield _gauge("seamless_refused_inputs", "Input files that were refused", catalog.refused_count())


def _problem_days(catalog: Catalog) -> Metric:
    kinds = Counter(problem.kind for problem in catalog.problems().values())
    problems = GaugeMetricFamily("seamless_problem_days", "Days that have a problem", labels=["kind"])
    for kind in ProblemKind:
        problems.add_metric([kind], kinds[kind])
    return problems


def _gap_fraction(statistics: DayStatistics) -> Metric:
    gaps = GaugeMetricFamily("seamless_gap_fraction", "Newest day: land without a value", labels=["when"])
    gaps.add_metric(["before"], 1 - statistics.observed / statistics.land)
    gaps.add_metric(["after"], statistics.not_reached / statistics.land)
    return gaps


def _revision_metrics(revision: Revision) -> Iterator[Metric]:
    phases = GaugeMetricFamily("seamless_phase_seconds", "Seconds by phase, last day made", labels=["phase"])
    for phase, seconds in revision.phases.items():
        phases.add_metric([phase], seconds)
    yield phases
    made = dt.datetime.fromisoformat(revision.made_at).timestamp()
    yield _gauge("seamless_last_published_timestamp_seconds", "When a day was last made", made)


def _gauge(name: str, description: str, value: float) -> Metric:
    return GaugeMetricFamily(name, description, value=value)
