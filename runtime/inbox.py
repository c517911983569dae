"""What has arrived: for each day, the file that counts, its field, or why it was refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from runtime import checks, digest
from runtime.archive.catalog import Arrived, Catalog
from runtime.archive.record import Decision, Input
from runtime.config import Config, Policy, PrecipitationFeed, SoilMoistureFeed
from runtime.durable import PART, writing
from runtime.errors import ConfigError, FeedUnreachable, InputRefused
from runtime.feeds import Feed, Granule, Listing, Wanted
from runtime.grid import Floats, Grid
from runtime.products import reader

READER_VERSION = 2
"""Raised by hand when a reader gives other values for the same file."""

_KEPT_FIELDS = 24
_TRY_AGAIN = dt.timedelta(hours=6)
"""After so long a refused file is fetched once more: the server may have served a broken copy."""

_CONTEXT = dt.timedelta(days=40)
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Arrival:
    """What there is for one day of one kind: a field, nothing, a refused file, or one that has yet to be fetched."""

    granule: Granule | None = None
    input: Input | None = None
    refused: str | None = None
    unknown: str | None = None
    """Why nobody knows whether there is anything: the feed does not answer, or a file could not be fetched."""
    rejected: bool = False
    """An operator has said that the file is not to be used."""
    pending: bool = False
    """The feed has it, it was not fetched yet; `input` stands for it with a field nobody has."""
    source: Source | None = dataclasses.field(default=None, repr=False, compare=False)
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


ABSENT = Arrival()


@dataclass(eq=False)
class Source:
    """One feed, how its files are read, and what is known of both for a range of days."""

    feed: Feed
    wanted: Wanted
    band: str | None = None
    runs: Sequence[str] = ()
    """IMERG runs that may be used, best first."""
    unreachable: str | None = None
    _listing: Listing = dataclasses.field(default_factory=dict)
    _known: dict[str, Arrived] = dataclasses.field(default_factory=dict)
    _seen: set[dt.date] = dataclasses.field(default_factory=set)
    """First day of each month that was listed."""

    def look(self, catalog: Catalog, first: dt.date, last: dt.date, *, offline: bool) -> None:
        """List the feed for the months from `first` to `last`, as far as that was not done yet."""
        for begin, end in _runs_of_months([m for m in _months(first, last) if m not in self._seen]):
            self._seen.update(_months(begin, end))
            arrived = catalog.arrived(self.wanted.product, begin, end)
            self._known |= {item.key: item for item in arrived}
            try:
                if offline and not self.feed.in_place:
                    raise FeedUnreachable("--offline: only what has been fetched is used")
                self._listing |= self.feed.granules(begin, end)
            except FeedUnreachable as error:
                self.unreachable = str(error)
                self._listing |= _listed(arrived)

    def covers(self, date: dt.date) -> bool:
        """Whether `look` has been there."""
        return date.replace(day=1) in self._seen

    def granules(self, date: dt.date) -> list[Granule]:
        """Return what the feed has for a day."""
        return self._listing.get(date, [])

    def known(self, key: str) -> Arrived | None:
        """Return what reading a file gave."""
        return self._known.get(key)

    def learn(self, arrived: Arrived) -> None:
        """Keep what reading a file gave."""
        self._known[arrived.key] = arrived


def _months(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return the first day of each month from `first` to `last`."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [dt.date(first.year + m // 12, m % 12 + 1, 1) for m in range(first.month - 1, first.month - 1 + count)]


def _runs_of_months(months: Sequence[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Return the first and the last day of each unbroken run of months."""
    runs: list[tuple[dt.date, dt.date]] = []
    for month in months:
        end = (month + 31 * _DAY).replace(day=1) - _DAY
        joins = runs and runs[-1][1] + _DAY == month
        runs[-1:] = [(runs[-1][0], end)] if joins else [*runs[-1:], (month, end)]
    return runs


def _listed(arrived: Sequence[Arrived]) -> Listing:
    """Return the newest version of each file that was read, as a feed would list it."""
    newest = {item.location: item for item in arrived}
    found: Listing = {}
    for item in newest.values():
        date = dt.date.fromisoformat(item.date)
        granule = Granule(date, item.product, item.name, item.location, item.version, item.run)
        found.setdefault(date, []).append(granule)
    return found


def open_feed(config: Config, feed: SoilMoistureFeed | PrecipitationFeed) -> tuple[Feed, Wanted]:
    """Return the feed a section of the configuration describes, and what it looks for."""
    if isinstance(feed, SoilMoistureFeed):
        wanted = Wanted(feed.product, feed.orbit, feed.first, feed.last)
    else:
        wanted = Wanted(feed.product)
    if feed.kind == "earthdata":
        try:
            from runtime.feeds.earthdata import EarthdataFeed
        except ImportError as error:
            raise ConfigError(
                f'feeds of kind "earthdata" need a package that is not here ({error}); '
                "pip install 'seamless-sm[earthdata]'"
            ) from error
        return EarthdataFeed(config.earthdata, wanted, feed.version), wanted
    from runtime.feeds.folder import FolderFeed

    return FolderFeed(feed.path, wanted), wanted


@dataclass
class Inbox:
    """Reads what feeds offer, once per version of a file, and remembers the outcome in the catalog."""

    grid: Grid
    catalog: Catalog
    folder: Path
    """Where fetched files are kept, and refused ones set aside."""
    policy: Policy
    soil_moisture_sources: Sequence[Source]
    precipitation_source: Source | None
    offline: bool = False
    parallel: int = 4
    retry_refused: bool = False
    """Fetch refused files once more, however young they are."""
    final: Callable[[dt.date], bool] = lambda _: False
    """Whether a day's rain may come from IMERG Final whatever the configuration says."""
    on_read: Callable[[], None] | None = None
    """Told each file that is read for the first time."""
    _arrivals: dict[tuple[str, dt.date], Arrival] = dataclasses.field(default_factory=dict)
    _fields: OrderedDict[str, Floats] = dataclasses.field(default_factory=OrderedDict)
    _failed: dict[str, str] = dataclasses.field(default_factory=dict)
    _tried: set[str] = dataclasses.field(default_factory=set)
    _decisions: dict[dt.date, Decision] | None = None
    _trivial: set[str] | None = None

    @classmethod
    def of(cls, config: Config, grid: Grid, catalog: Catalog, *, offline: bool = False) -> Inbox:
        """Return the inbox of a configuration's feeds."""
        soil = [Source(*open_feed(config, f), f.band) for f in config.feeds.soil_moisture]
        rain = config.feeds.precipitation
        source = None if rain.kind == "none" else Source(*open_feed(config, rain), None, rain.runs)
        parallel = config.earthdata.parallel
        return cls(grid, catalog, config.inbox_path, config.policy, soil, source, offline, parallel)

    # What there is

    def oldest(self) -> dt.date | None:
        """Return the oldest day any soil-moisture feed has."""
        days = [source.feed.oldest() for source in self.soil_moisture_sources]
        return min((day for day in days if day), default=None)

    def soil_moisture(self, date: dt.date) -> Arrival:
        """Return the day's soil moisture; the first feed that covers the day and has a file for it wins.

        A file that an operator has rejected is absent; one that is implausible is refused, unless accepted.
        """
        if ("soil_moisture", date) not in self._arrivals:
            arrival = self.raw(date)
            decision = self.decision(date, arrival)
            if decision and decision.verdict == "reject":
                arrival = Arrival(rejected=True)
            elif arrival.input and not arrival.pending and not decision:
                doubt = self._doubt(date, arrival)
                if doubt and arrival.granule:
                    cure = f"`runtime fill --accept {date} --because ...`, or --reject"
                    arrival = replace(arrival, input=None, refused=f"{arrival.granule.location}: {doubt}; {cure}")
            self._arrivals["soil_moisture", date] = arrival
        return self._arrivals["soil_moisture", date]

    def decision(self, date: dt.date, arrival: Arrival | None = None) -> Decision | None:
        """Return the operator's word on a day, if it is about the file that is there now."""
        if self._decisions is None:
            self._decisions = self.catalog.decisions()
        decision = self._decisions.get(date)
        if decision is None:
            return None
        return decision if decision.subject == (arrival or self.raw(date)).subject else None

    def raw(self, date: dt.date) -> Arrival:
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

    def precipitation(self, date: dt.date) -> Arrival:
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

    def _rain(self, source: Source, date: dt.date) -> Arrival:
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
        self._decisions = None

    def unreachable(self) -> list[str]:
        """Return what is wrong with feeds that do not answer, and with files that could not be fetched."""
        return [s.unreachable for s in self._sources() if s.unreachable and not self.offline] + list(
            self._failed.values()
        )

    def _sources(self) -> list[Source]:
        return [*self.soil_moisture_sources, *([self.precipitation_source] if self.precipitation_source else [])]

    def _look(self, source: Source, date: dt.date) -> None:
        if not source.covers(date):
            source.look(self.catalog, date - _CONTEXT, date, offline=self.offline)

    def _best(self, source: Source, candidates: Sequence[Granule]) -> Arrival:
        """Return the first sound candidate, else why the first of them is not."""
        first_refusal = None
        for granule in candidates:
            arrival = self._read(source, granule)
            if arrival.input:
                return arrival
            first_refusal = first_refusal or arrival
        return first_refusal or Arrival(unknown=source.unreachable)

    def _read(self, source: Source, granule: Granule) -> Arrival:
        key = digest.of_values(
            granule.location, granule.version, granule.product, source.band, self.grid.digest, READER_VERSION
        )
        known = source.known(key)
        if known is None and source.feed.in_place:
            known = self._take_in(source, granule, key, Path(granule.location))
        if known and known.refused and known.fetched_bytes and not self.offline and key not in self._tried:
            since = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(known.arrived_at)
            known = None if self.retry_refused or since > _TRY_AGAIN else known
        if known is None and key in self._failed:
            return Arrival(granule, unknown=self._failed[key], source=source, key=key)
        if known is None:
            stands_for = Input(granule.name, f"pending {key}", granule.run)
            return Arrival(granule, stands_for, pending=True, source=source, key=key)
        if known.field is None:
            return Arrival(granule, None, known.refused, source=source, key=key, sha256=known.sha256)
        item = Input(granule.name, known.field, granule.run)
        return Arrival(granule, item, source=source, key=key, sha256=known.sha256)

    def _doubt(self, date: dt.date, arrival: Arrival) -> str | None:
        """Return why a sound file is implausible beside the days before it, None if it is not."""
        if self.raw(date - _DAY).field == arrival.field and not self._is_trivial(arrival):
            return f"holds the field of {date - _DAY}"
        mine = self._coverage(arrival)
        if mine is None:
            return None
        days = (self.raw(date - number * _DAY) for number in range(1, checks.COVERAGE_DAYS + 1))
        before = [share for share in (self._coverage(day) for day in days if day.input) if share is not None]
        return checks.coverage(mine, before, self.policy)

    def _is_trivial(self, arrival: Arrival) -> bool:
        """Whether a field has nothing by which two days could be told apart."""
        if self._trivial is None:
            zero = np.zeros(self.grid.shape, np.float32)
            self._trivial = {digest.of_field(zero), digest.of_field(zero * np.float32(np.nan))}
        return arrival.field in self._trivial

    @staticmethod
    def _coverage(arrival: Arrival) -> float | None:
        known = arrival.source.known(arrival.key) if arrival.source else None
        return known.coverage if known else None

    # Bringing files here and reading them

    def pending(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Return those that have yet to be fetched, each once."""
        return list({arrival.key: arrival for arrival in arrivals if arrival.pending}.values())

    def fetch(self, arrivals: Sequence[Arrival], on_fetched: Callable[[Granule, int], None] | None = None) -> None:
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
            running = [(*item, pool.submit(self._local, item[0], item[1])) for item in todo]
            for source, granule, key, path in running:
                self._tried.add(key)
                size = 0
                try:
                    file = path.result()
                    size = file.stat().st_size
                    self._take_in(source, granule, key, file, size)
                except FeedUnreachable as error:
                    self._failed[key] = str(error)
                if on_fetched:
                    on_fetched(granule, size)
        finally:
            pool.shutdown(cancel_futures=True)
        self.forget()

    def _local(self, source: Source, granule: Granule) -> Path:
        """Return a granule's file on this machine, fetched whole or not at all; one that is here already stays."""
        if source.feed.in_place:
            return Path(granule.location)
        version = digest.of_values(granule.location, granule.version)[:12]
        target = self.folder / granule.product / f"{granule.date:%Y}" / version / granule.name
        if not target.exists():
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + PART)
            try:
                source.feed.fetch(granule, part)
                with writing(target):
                    part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        return target

    def _take_in(self, source: Source, granule: Granule, key: str, path: Path, fetched_bytes: int = 0) -> Arrived:
        """Read a file for the first time and remember what it gave; one that is refused is set aside."""
        sha256 = digest.of_file(path) if path.is_file() else ""
        name, coverage, refused = None, None, None
        try:
            name, coverage = self._decode(source, granule, path)
        except InputRefused as refusal:
            refused = str(refusal)
        kept = str(path) if fetched_bytes else None
        if refused and sha256 and not self.catalog.db.read_only:
            aside = self._set_aside(path, granule, sha256, refused, move=bool(fetched_bytes))
            kept = None if fetched_bytes else kept
            refused = f"{refused} (kept as {aside})"
        arrived = Arrived(
            key,
            granule.product,
            granule.date.isoformat(),
            granule.run,
            granule.name,
            granule.location,
            granule.version,
            dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            sha256,
            fetched_bytes,
            kept,
            name,
            coverage,
            refused,
        )
        self.catalog.remember(arrived)
        source.learn(arrived)
        if self.on_read:
            self.on_read()
        return arrived

    def _set_aside(self, path: Path, granule: Granule, sha256: str, reason: str, *, move: bool) -> Path:
        """Keep a refused file with the reason, for somebody to look at."""
        aside = self.folder / "quarantine" / f"{granule.date:%Y%m%d}-{sha256[:12]}" / granule.name
        with writing(aside):
            aside.parent.mkdir(parents=True, exist_ok=True)
            if not aside.exists():
                shutil.copyfile(path, aside)
            aside.with_name(aside.name + ".reason.txt").write_text(reason + "\n")
            if move:
                path.unlink()
        return aside

    def _decode(self, source: Source, granule: Granule, path: Path) -> tuple[str, float | None]:
        values, coverage = reader(source.wanted.product, source.band)(path, granule.date, self.grid)
        name = digest.of_field(values)
        self._fields[name] = values
        while len(self._fields) > _KEPT_FIELDS:
            self._fields.popitem(last=False)
        return name, coverage

    def values(self, arrival: Arrival) -> Floats:
        """Return an arrival's field on the grid; all NaN where there is none. A file that was pruned is fetched again.

        Raises
        ------
        InputRefused
            The file has changed since the arrival was looked at.
        FeedUnreachable
            It was pruned, and cannot be fetched.
        """
        if arrival.input is None or arrival.granule is None or arrival.source is None or arrival.pending:
            return np.full(self.grid.shape, np.nan, np.float32)
        if arrival.input.field not in self._fields:
            path = self._local(arrival.source, arrival.granule)
            known = arrival.source.known(arrival.key)
            if known and known.fetched_bytes and not known.file:
                self.catalog.remember(replace(known, file=str(path)))
            if self._decode(arrival.source, arrival.granule, path)[0] != arrival.input.field:
                raise InputRefused(f"{arrival.granule.location}: changed while the run was using it; run again")
        return self._fields[arrival.input.field]

    def prune(self, needed_from: dt.date) -> list[Path]:
        """Delete the oldest fetched and set-aside files until they keep to `policy.inbox_gib`; return what went.

        Parameters
        ----------
        needed_from : files of this day and later stay whatever they take
        """
        kept = self.catalog.kept()
        aside = sorted(p for p in (self.folder / "quarantine").glob("*/*") if p.is_file())
        candidates = [*((Path(file), date) for file, date in kept), *((path, "") for path in aside)]
        sizes = {path: path.stat().st_size for path, _ in candidates if path.exists()}
        excess = sum(sizes.values()) - self.policy.inbox_gib * 2**30
        gone = []
        for path, date in sorted(candidates, key=lambda item: item[1]):
            if excess <= 0 or date >= needed_from.isoformat() or path not in sizes:
                continue
            with writing(path):
                path.unlink()
            self.catalog.pruned(path)
            excess -= sizes[path]
            gone.append(path)
        return gone
