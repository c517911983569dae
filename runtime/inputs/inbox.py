"""What has arrived: for each day, the file that counts, its field, or why it was refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from runtime.archive.catalog import Catalog
from runtime.archive.record import Decision, RecordedInput
from runtime.common import digest
from runtime.common.grid import Floats, Grid
from runtime.config import Config, Policy
from runtime.errors import FeedUnreachable
from runtime.inputs.feeds.base import Granule
from runtime.inputs.gates import COVERAGE_DAYS, coverage_fault
from runtime.inputs.listing import FeedListing, open_feed
from runtime.inputs.store import GranuleStore

READER_VERSION = 3
"""Raised by hand when a reader gives other values for the same file."""

_TRY_AGAIN = dt.timedelta(hours=6)
"""After so long a refused file is fetched once more: the server may have served a broken copy."""

_CONTEXT = dt.timedelta(days=40)
_DAY = dt.timedelta(days=1)
_BACK = [number * _DAY for number in range(1, COVERAGE_DAYS + 1)]


@dataclass(frozen=True)
class DayInput:
    """What there is for one day of one kind: a field, nothing, a refused file, or one that has yet to be fetched."""

    granule: Granule | None = None
    input: RecordedInput | None = None
    refused: str | None = None
    unknown: str | None = None
    """Why nobody knows whether there is anything: the feed does not answer, or a file could not be fetched."""
    rejected: bool = False
    """An operator has said that the file is not to be used."""
    pending: bool = False
    """The feed has it, it was not fetched yet; `input` stands for it with a field nobody has."""
    source: FeedListing | None = dataclasses.field(default=None, repr=False, compare=False)
    key: str = ""
    sha256: str = ""

    @property
    def field(self) -> str | None:
        """Digest of the field, None without one."""
        return self.input.field if self.input else None

    @property
    def subject(self) -> str:
        """What an operator's decision is about: the field, the file where it has none, or nothing."""
        return self.field or self.sha256


ABSENT = DayInput()


@dataclass
class Inbox:
    """Reads what feeds offer, once per version of a file, and remembers the outcome in the catalog."""

    grid: Grid
    catalog: Catalog
    shelf: GranuleStore
    policy: Policy
    soil_moisture_sources: Sequence[FeedListing]
    precipitation_source: FeedListing | None
    offline: bool = False
    parallel: int = 4
    retry_refused: bool = False
    """Fetch refused files once more, however young they are."""
    final: Callable[[dt.date], bool] = lambda _: False
    """Whether a day's rain may come from IMERG Final whatever the configuration says."""
    _arrivals: dict[tuple[str, dt.date], DayInput] = dataclasses.field(default_factory=dict)
    _failed: dict[str, str] = dataclasses.field(default_factory=dict)
    _tried: set[str] = dataclasses.field(default_factory=set)
    _decisions: dict[dt.date, Decision] | None = None
    _coverages: dict[dt.date, float | None] = dataclasses.field(default_factory=dict)
    _trivial: set[str] | None = None

    @classmethod
    def of(cls, config: Config, grid: Grid, catalog: Catalog, *, offline: bool = False) -> Inbox:
        """Return the inbox of a configuration's feeds."""
        soil = [FeedListing(*open_feed(config, f), f.band) for f in config.feeds.soil_moisture]
        rain = config.feeds.precipitation
        source = None if rain.kind == "none" else FeedListing(*open_feed(config, rain), None, rain.runs)
        parallel = config.earthdata.parallel
        return cls(
            grid,
            catalog,
            GranuleStore(grid, catalog, config.inbox_path),
            config.policy,
            soil,
            source,
            offline,
            parallel,
        )

    # What there is

    def oldest(self) -> dt.date | None:
        """Return the oldest day any soil-moisture feed has."""
        days = [source.feed.oldest() for source in self.soil_moisture_sources]
        return min((day for day in days if day), default=None)

    def soil_moisture(self, date: dt.date) -> DayInput:
        """Return the day's soil moisture; the first feed that covers the day and has a file for it wins.

        A file that an operator has rejected is absent; one that is implausible is refused, unless accepted.
        """
        if ("soil_moisture", date) not in self._arrivals:
            arrival = self.raw(date)
            decision = self.decision(date, arrival)
            if decision and decision.verdict == "reject":
                arrival = DayInput(rejected=True)
            elif arrival.input and not arrival.pending and not decision:
                doubt = self._doubt(date, arrival)
                if doubt and arrival.granule:
                    cure = f"`runtime fill --accept {date} --because ...`, or --reject"
                    arrival = replace(arrival, input=None, refused=f"{arrival.granule.location}: {doubt}; {cure}")
            self._arrivals["soil_moisture", date] = arrival
        return self._arrivals["soil_moisture", date]

    def decision(self, date: dt.date, arrival: DayInput | None = None) -> Decision | None:
        """Return the operator's word on a day, if it is about the file that is there now."""
        if self._decisions is None:
            self._decisions = self.catalog.decisions()
        decision = self._decisions.get(date)
        if decision is None:
            return None
        return decision if decision.subject == (arrival or self.raw(date)).subject else None

    def raw(self, date: dt.date) -> DayInput:
        """Return the day's soil moisture before anyone judges it."""
        if ("raw", date) not in self._arrivals:
            found = ABSENT
            for source in self.soil_moisture_sources:
                if not source.wanted.covers(date):
                    continue
                self._look(source, date)
                arrival = self._best(source, source.granules(date)[:1])
                if arrival.granule or not found.unknown:
                    found = arrival
                if found.granule:
                    break
            self._arrivals["raw", date] = found
        return self._arrivals["raw", date]

    def precipitation(self, date: dt.date) -> DayInput:
        """Return the day's rain, from the best run whose file is sound."""
        source = self.precipitation_source
        if source is None:
            return ABSENT
        if ("precipitation", date) not in self._arrivals:
            arrival = self._rain(source, date)
            same = arrival.field and arrival.field == self._rain(source, date - _DAY).field
            if same and arrival.granule and not self._is_trivial(arrival):
                doubt = f"{arrival.granule.location}: holds the field of {date - _DAY}; fetch it again"
                arrival = replace(arrival, input=None, refused=doubt)
            self._arrivals["precipitation", date] = arrival
        return self._arrivals["precipitation", date]

    def _rain(self, source: FeedListing, date: dt.date) -> DayInput:
        """Return the day's rain before anyone judges it."""
        if ("rain", date) not in self._arrivals:
            self._look(source, date)
            runs = [*(("final",) if self.final(date) else ()), *source.runs]
            candidates = sorted(
                (g for g in source.granules(date) if g.run in runs), key=lambda g: runs.index(g.run or "")
            )
            self._arrivals["rain", date] = self._best(source, candidates)
        return self._arrivals["rain", date]

    def look(self, first: dt.date, last: dt.date) -> None:
        """Say which days are going to be asked for, so that each feed is listed once."""
        for source in self._sources():
            source.look(self.catalog, first, last, offline=self.offline)

    def forget(self) -> None:
        """Judge everything anew when it is next asked for; listings and fields are kept."""
        self._arrivals.clear()
        self._coverages.clear()
        self._decisions = None

    def unreachable(self) -> list[str]:
        """Return what is wrong with feeds that do not answer, and with files that could not be fetched."""
        return [s.unreachable for s in self._sources() if s.unreachable and not self.offline] + list(
            self._failed.values()
        )

    def _sources(self) -> list[FeedListing]:
        return [*self.soil_moisture_sources, *([self.precipitation_source] if self.precipitation_source else [])]

    def _look(self, source: FeedListing, date: dt.date) -> None:
        if not source.covers(date):
            source.look(self.catalog, date - _CONTEXT, date, offline=self.offline)

    def _best(self, source: FeedListing, candidates: Sequence[Granule]) -> DayInput:
        """Return the first sound candidate, else why the first of them is not."""
        first_refusal = None
        for granule in candidates:
            arrival = self._read(source, granule)
            if arrival.input:
                return arrival
            first_refusal = first_refusal or arrival
        return first_refusal or DayInput(unknown=source.unreachable)

    def _read(self, source: FeedListing, granule: Granule) -> DayInput:
        key = f"{granule.location} {granule.version} {source.band} {self.grid.digest} {READER_VERSION}"
        known = source.known(key)
        if known is None and source.feed.in_place:
            known = self.shelf.take_in(source, granule, key, Path(granule.location))
        if known and known.refused and known.fetched_bytes and not self.offline and key not in self._tried:
            since = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(known.arrived_at)
            known = None if self.retry_refused or since > _TRY_AGAIN else known
        if known is None and key in self._failed:
            return DayInput(granule, unknown=self._failed[key], source=source, key=key)
        if known is None:
            stands_for = RecordedInput(granule.name, f"pending {granule.location} {granule.version}", granule.run)
            return DayInput(granule, stands_for, pending=True, source=source, key=key)
        if known.field is None:
            return DayInput(granule, None, known.refused, source=source, key=key, sha256=known.sha256)
        item = RecordedInput(granule.name, known.field, granule.run)
        return DayInput(granule, item, source=source, key=key, sha256=known.sha256)

    def _doubt(self, date: dt.date, arrival: DayInput) -> str | None:
        """Return why a sound file is implausible beside the days before it, None if it is not."""
        if self.raw(date - _DAY).field == arrival.field and not self._is_trivial(arrival):
            return f"holds the field of {date - _DAY}"
        mine = self._coverage(date)
        if mine is None:
            return None
        days = (self._coverage(date - back) for back in _BACK)
        return coverage_fault(mine, [share for share in days if share is not None], self.policy)

    def _is_trivial(self, arrival: DayInput) -> bool:
        """Whether a field has nothing by which two days could be told apart."""
        if self._trivial is None:
            zero = np.zeros(self.grid.shape, np.float32)
            self._trivial = {digest.of_field(zero), digest.of_field(zero * np.float32(np.nan))}
        return arrival.field in self._trivial

    def _coverage(self, date: dt.date) -> float | None:
        """Return the share of a day's soil-moisture file that has a value, None without a sound file."""
        if date not in self._coverages:
            arrival = self.raw(date)
            known = arrival.source.known(arrival.key) if arrival.source else None
            self._coverages[date] = known.coverage if known else None
        return self._coverages[date]

    # Bringing files here and reading them

    def pending(self, arrivals: Sequence[DayInput]) -> list[DayInput]:
        """Return those that have yet to be fetched, each once."""
        return list({arrival.key: arrival for arrival in arrivals if arrival.pending}.values())

    def fetch(self, arrivals: Sequence[DayInput], on_fetched: Callable[[Granule, int], None] | None = None) -> None:
        """Fetch files and read them; what cannot be had now is `unknown` afterwards.

        Raises
        ------
        LoginRefused
            The feed wants other credentials.
        ArchiveError
            The inbox cannot be written.
        """
        pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="fetch")
        try:
            todo = [(a.source, a.granule, a.key) for a in arrivals if a.source and a.granule]
            running = [(*item, pool.submit(self.shelf.local, item[0], item[1])) for item in todo]
            for source, granule, key, path in running:
                self._tried.add(key)
                size = 0
                try:
                    file = path.result()
                    size = file.stat().st_size
                    self.shelf.take_in(source, granule, key, file, size)
                except FeedUnreachable as error:
                    self._failed[key] = str(error)
                if on_fetched:
                    on_fetched(granule, size)
        finally:
            pool.shutdown(cancel_futures=True)
        self.forget()

    def read_ahead(self, arrivals: Iterable[DayInput]) -> None:
        """Read what `values` will be asked for; may run beside everything else."""
        for arrival in arrivals:
            if arrival.input and arrival.granule and arrival.source and not arrival.pending:
                self.shelf.read_ahead(arrival.source, arrival.granule, arrival.input.field)

    def values(self, arrival: DayInput) -> Floats:
        """Return an arrival's field on the grid; all NaN where there is none. See `Shelf.values`."""
        if arrival.input is None or arrival.granule is None or arrival.source is None or arrival.pending:
            return np.full(self.grid.shape, np.nan, np.float32)
        return self.shelf.values(arrival.source, arrival.granule, arrival.key, arrival.input.field)
