"""Publishing computed days in date order: describe, judge by the days before, put into the archive or aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.archive.publish import Making, WrittenDay, publish_day
from runtime.archive.record import DayDescription, DayRecord
from runtime.common.atomic import write_guard
from runtime.common.clock import DAY
from runtime.common.events import DayReport
from runtime.common.vocabulary import TODAY, Verdict
from runtime.errors import ResultRefused, SeamlessError
from runtime.fill.statistics import DayStatistics
from runtime.inputs.day_input import DayInput, Merged, Ready, Refused
from runtime.pipeline.context import RunContext
from runtime.pipeline.gates import MEAN_DAYS, check_plausible
from runtime.pipeline.plan import PlannedDay


@dataclass(frozen=True)
class FilledDay:
    """A planned day after it was filled: published, or not."""

    day: PlannedDay
    error: SeamlessError | None = None
    """Why it was not published: a gate refused the result, no observation reaches the day, or an input is gone or has
    changed; None if it was."""


@dataclass(frozen=True)
class Publisher:
    """Publishes the days of a run."""

    run: RunContext

    def describe(self, day: PlannedDay) -> DayDescription:
        """Return what the day's file says besides its fields."""
        manifest, config, today = day.bundle.manifest, self.run.config, day.inputs[TODAY]
        record = DayRecord(
            date=day.date,
            tier=day.tier,
            fingerprint=day.fingerprint,
            state_fingerprint=day.link.state if day.link else None,
            model=f"{manifest.name} {manifest.version}",
            model_id=day.bundle.model_id,
            settings_digest=self.run.settings_digest,
            inputs={role: day_input.recorded for role, day_input in day.inputs.items()},
            decision=day.decision,
        )
        used = [part.sensor for part in today.usable] if isinstance(today, Merged) else [day.feed.sensor]
        products = [config.product(feed.product) for feed in config.feeds.soil_moisture if feed.sensor in used]
        return DayDescription(
            record=record,
            kind=manifest.kind,
            band=day.feed.band,
            sensor=", ".join(dict.fromkeys(product.sensor for product in products)),
            source_bits={part.sensor: part.bit for part in today.sensors} if isinstance(today, Merged) else {},
            metadata=config.metadata,
            model_warning=day.model_warning,
        )

    def judge(self, day: PlannedDay, record: DayRecord, cut: int) -> None:
        """Refuse an implausible result, unless an operator accepted the day.

        Parameters
        ----------
        day : PlannedDay
            The day; those before it are published already.
        record : DayRecord
            What its file says, the result in numbers included.
        cut : int
            See `Filled.cut`.

        Raises
        ------
        ResultRefused
            It differs too much from the days before.
        """
        if record.statistics is None or (day.decision and day.decision.verdict is Verdict.ACCEPT):
            return
        rows = self.run.catalog.days(day.date - MEAN_DAYS * DAY, day.date - DAY).values()
        means = [row.record.statistics.land_mean for row in rows if row.record.statistics]
        known = [mean for mean in means if mean is not None]
        check_plausible(record.statistics, cut, known, self.run.config.policy, day.date, self.run.grid.cell_size)

    def publish(
        self, day: PlannedDay, record: DayRecord, written: WrittenDay, engine: str, phases: Mapping[str, float]
    ) -> FilledDay:
        """Put a written day into the archive.

        Parameters
        ----------
        day : PlannedDay
            The day.
        record : DayRecord
            What its file says.
        written : WrittenDay
            Its file, next to its place.
        engine : str
            The engine that computed it.
        phases : mapping
            Seconds that each phase took.

        Raises
        ------
        ArchiveError
            The archive cannot be written; it is as it was.
        """
        making = Making(
            reason=day.reason,
            engine=engine,
            phases=phases,
            inputs={role: found for role, day_input in day.inputs.items() if (found := _sha256(day_input))},
        )
        keep = self.run.config.archive.keep_superseded
        publish_day(
            self.run.paths.root, self.run.catalog, record, written, making, before=day.published, keep_superseded=keep
        )
        for refused in self._aside(day):
            refused.unlink(missing_ok=True)
        if record.statistics:
            self.run.events.day_published(_report(day, record.statistics, sum(phases.values()) + written.seconds))
        return FilledDay(day)

    def set_aside(self, day: PlannedDay, refusal: ResultRefused, write: Callable[[Path], object]) -> ResultRefused:
        """Keep a refused result, for an operator to look at.

        Parameters
        ----------
        day : PlannedDay
            The day.
        refusal : ResultRefused
            Why it was refused.
        write : callable
            Writes the file to a path.

        Returns
        -------
        ResultRefused
            The same, and where the result is kept.
        """
        path, reason_file = self._aside(day)
        with write_guard(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
            reason_file.write_text(f"{refusal}\n")
        return ResultRefused(f"{refusal} (kept as {path})")

    def _aside(self, day: PlannedDay) -> tuple[Path, Path]:
        """Return where a refused result is kept, and the file that says why."""
        path = self.run.paths.refused / self.run.layout.relative_path(day.date).name
        return path, path.with_name(path.name + ".reason.txt")


def _sha256(day_input: DayInput) -> str:
    """Return the sha256 of an input's files; empty if there are none."""
    return ", ".join(file.sha256 for file in day_input.files if isinstance(file, Ready | Refused) and file.sha256)


def _report(day: PlannedDay, statistics: DayStatistics, seconds: float) -> DayReport:
    return DayReport(
        date=day.date,
        tier=day.tier,
        reason=day.reason,
        observed=statistics.observed,
        filled=statistics.filled,
        not_reached=statistics.not_reached,
        seam=statistics.seam,
        seconds=seconds,
    )
