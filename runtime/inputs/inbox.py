"""The inputs of each day: the file that counts, its field, or why there is none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.record import Decision
from runtime.common import digest
from runtime.common.clock import DAY, DateRange, now
from runtime.common.deadline import TimeLimits
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.common.vocabulary import ImergRun, Verdict
from runtime.config import Config, Policy
from runtime.errors import FeedUnreachable
from runtime.inputs.day_input import (
    Absent,
    DayInput,
    InputField,
    ListedFile,
    Merged,
    Pending,
    Ready,
    Refused,
    Rejected,
    Unknown,
)
from runtime.inputs.feeds.base import Granule
from runtime.inputs.listing import FeedListing, open_feed
from runtime.inputs.merged_days import MergedDays
from runtime.inputs.products.granule import Reading
from runtime.inputs.sensor_days import SensorDays
from runtime.inputs.store import GranuleStore
from runtime.inputs.transfers import Transfers
from runtime.merge.store import TransferStore

READER_VERSION = 4
"""Raised by hand when a reader gives other values for the same file."""

CONTEXT = 40 * DAY
"""How far before a day feeds are listed: for its window, its coverage gate, and the length of an outage."""

_RETRY_AFTER = dt.timedelta(hours=6)
"""After so long a refused file is fetched once more: the server may have sent a broken copy."""


@dataclass
class Inbox:
    """Finds, fetches and judges the input files of each day; every version of a file is read once."""

    grid: Grid
    catalog: Catalog
    store: GranuleStore
    policy: Policy
    soil_moisture_feeds: Sequence[FeedListing]
    precipitation_feed: FeedListing | None
    events: RunEvents
    offline: bool = False
    parallel: int = 4
    """Downloads at a time."""
    retry_refused: bool = False
    """Fetch refused files again, however young they are."""
    reprocessed: DateRange | None = None
    """Days whose rain may be IMERG Final whatever the configuration says."""
    together: bool = False
    """Whether a day has the files of all sensors."""
    _days: SensorDays | MergedDays = field(init=False)
    """The soil moisture."""
    _precipitation: dict[dt.date, DayInput] = field(default_factory=dict)
    _raw_precipitation: dict[dt.date, DayInput] = field(default_factory=dict)
    _failed: dict[str, tuple[FeedListing, str]] = field(default_factory=dict)
    """Whose file could not be fetched and why, by key."""
    _tried: set[str] = field(default_factory=set)
    """Keys of the files that this inbox has fetched or tried to."""
    _published_with_final: set[dt.date] = field(default_factory=set)
    _decisions: dict[dt.date, Decision] | None = None
    _zero_digest: str = ""
    _empty_digest: str = ""

    @classmethod
    def open(
        cls,
        config: Config,
        grid: Grid,
        catalog: Catalog,
        events: RunEvents,
        limits: TimeLimits,
        *,
        offline: bool = False,
        retry_refused: bool = False,
        reprocessed: DateRange | None = None,
    ) -> Inbox:
        """Open the inbox of the configured feeds.

        Raises
        ------
        ConfigError
            A feed needs a package that is not installed.
        """
        soil_moisture = [
            FeedListing(*open_feed(config, feed, limits), feed.band or None, sensor=feed.sensor)
            for feed in config.feeds.soil_moisture
        ]
        section = config.feeds.precipitation
        rain = None
        if section.kind != "none":
            rain = FeedListing(*open_feed(config, section, limits), None, [ImergRun(run) for run in section.runs])
        zero = np.zeros(grid.shape, np.float32)
        inbox = cls(
            grid=grid,
            catalog=catalog,
            store=GranuleStore(grid, catalog, ArchivePaths.of(config).inbox, events, offline),
            policy=config.policy,
            soil_moisture_feeds=soil_moisture,
            precipitation_feed=rain,
            events=events,
            offline=offline,
            parallel=config.earthdata.parallel,
            retry_refused=retry_refused,
            reprocessed=reprocessed,
            together=config.merge.mode == "together",
            _zero_digest=digest.of_field(zero),
            _empty_digest=digest.of_field(zero * np.float32(np.nan)),
        )
        if config.maps_sensors:
            inbox._merge_sensors(config)
        return inbox

    def __post_init__(self) -> None:
        self._days = self._sensor_days(self.soil_moisture_feeds)

    def _sensor_days(self, listings: Sequence[FeedListing]) -> SensorDays:
        return SensorDays(listings, self.policy, self._find_soil_moisture, self._is_uniform)

    def _merge_sensors(self, config: Config) -> None:
        """Let the sensors be mapped to the reference."""
        sensors = {
            name: self._sensor_days([listing for listing in self.soil_moisture_feeds if listing.sensor == name])
            for name in config.sensors
        }
        transfers = Transfers(
            grid=self.grid,
            settings=config.merge,
            sensors=[sensors[config.reference], *(d for name, d in sensors.items() if name != config.reference)],
            store=TransferStore(ArchivePaths.of(config).transfers),
            list_days=self._list_soil_moisture,
            read_field=self._read_file,
            is_rejected=self._is_rejected,
        )
        handover = None if self.together else self._sensor_days(self.soil_moisture_feeds)
        self._days = MergedDays(self.grid, handover, sensors, transfers, self._read_file)

    def oldest(self) -> dt.date | None:
        """Return the first day for which a soil-moisture feed has a file; None if there is none."""
        days = [listing.oldest(self.catalog, offline=self.offline) for listing in self.soil_moisture_feeds]
        return min((day for day in days if day), default=None)

    def soil_moisture(self, date: dt.date) -> DayInput:
        """Return the day's soil moisture: the file of the first feed that covers the day and has one, or `Merged`.

        A file that an operator rejected is `Rejected`; an implausible one is `Refused`, unless an operator accepted it.
        """
        decision = self.decision(date)
        if decision and decision.verdict is Verdict.REJECT:
            return Rejected()
        return self._days.judged(date, accepted=decision is not None)

    def raw_soil_moisture(self, date: dt.date) -> DayInput:
        """Return the day's soil moisture before gates and operator."""
        return self._days.raw(date)

    def precipitation(self, date: dt.date) -> DayInput:
        """Return the day's rain, from the best run whose file is sound; a repeat of the day before is refused."""
        if date not in self._precipitation:
            self._precipitation[date] = self._judge_precipitation(date)
        return self._precipitation[date]

    def holds_values(self, day_input: DayInput) -> bool:
        """Whether an input has a value on the grid; a file that is still to be fetched is taken to have some."""
        fields = [part.day_input for part in day_input.usable] if isinstance(day_input, Merged) else [day_input]
        return any(each.identity not in (None, self._empty_digest) for each in fields)

    def decision(self, date: dt.date) -> Decision | None:
        """Return the operator's decision on a day, if it is about the file that is there now."""
        if self._decisions is None:
            self._decisions = self.catalog.decisions()
        decision = self._decisions.get(date)
        if decision is None or decision.subject != self.raw_soil_moisture(date).subject:
            return None
        return decision

    def list_days(self, first: dt.date, last: dt.date) -> None:
        """List every feed once for all days that are about to be asked for."""
        for listing in self._listings():
            self._list(listing, first, last)

    def reset(self) -> None:
        """Judge every day anew when it is next asked for; listings and fields are kept."""
        self._days.reset()
        for judged in (self._precipitation, self._raw_precipitation):
            judged.clear()
        self._decisions = None

    def failures(self) -> list[str]:
        """Return why feeds did not answer, and why files could not be fetched; not of `silent_feeds`."""
        left_out = self.silent_feeds()
        unreachable = [listing.unreachable for listing in self._listings() if listing.unreachable and not self.offline]
        failed = [reason for _, reason in self._failed.values()]
        return [reason for reason in unreachable + failed if reason not in left_out]

    def silent_feeds(self) -> list[str]:
        """Return why soil-moisture feeds gave nothing, where days are made of other sensors as well.

        Such a failure is no reason to end a run. Empty where one sensor follows another, and if no feed answered.
        """
        failed = {id(listing): reason for listing, reason in self._failed.values()}
        failed |= {id(each): each.unreachable for each in self._listings() if each.unreachable and not self.offline}
        reasons = [failed[id(listing)] for listing in self.soil_moisture_feeds if id(listing) in failed]
        return reasons if self.together and len(reasons) < len(self.soil_moisture_feeds) else []

    def _listings(self) -> list[FeedListing]:
        return [*self.soil_moisture_feeds, *([self.precipitation_feed] if self.precipitation_feed else [])]

    def _list(self, listing: FeedListing, first: dt.date, last: dt.date) -> None:
        for new in listing.list_days(self.catalog, first, last, offline=self.offline):
            if listing is self.precipitation_feed:
                self._published_with_final |= self.catalog.days_with_final_rain(new.first, new.last)

    def _granules(self, listing: FeedListing, date: dt.date) -> list[Granule]:
        if not listing.is_listed(date):
            self._list(listing, date - CONTEXT, date)
        return listing.granules(date)

    # One day of one variable

    def _find_soil_moisture(self, listing: FeedListing, date: dt.date) -> DayInput:
        return self._best(listing, self._granules(listing, date))

    def _list_soil_moisture(self, first: dt.date, last: dt.date) -> None:
        for listing in self.soil_moisture_feeds:
            self._list(listing, first, last)

    def _is_rejected(self, date: dt.date) -> bool:
        decision = self.decision(date)
        return decision is not None and decision.verdict is Verdict.REJECT

    def _find_precipitation(self, date: dt.date) -> DayInput:
        """Return the day's rain before it is compared with the day before."""
        listing = self.precipitation_feed
        if listing is None:
            return Absent()
        if date not in self._raw_precipitation:
            granules = self._granules(listing, date)
            takes_final = date in self._published_with_final or bool(self.reprocessed and date in self.reprocessed)
            runs = [*((ImergRun.FINAL,) if takes_final else ()), *listing.runs]
            best_first = [granule for run in dict.fromkeys(runs) for granule in granules if granule.run == run]
            self._raw_precipitation[date] = self._best(listing, best_first)
        return self._raw_precipitation[date]

    def _judge_precipitation(self, date: dt.date) -> DayInput:
        found = self._find_precipitation(date)
        if not isinstance(found, Ready) or self._is_uniform(found):
            return found
        if found.identity != self._find_precipitation(date - DAY).identity:
            return found
        reason = f"{found.file.granule.location}: holds the field of {date - DAY}; fetch it again"
        return Refused(found.file, reason, found.sha256)

    def _best(self, listing: FeedListing, candidates: Sequence[Granule]) -> DayInput:
        """Return the first usable candidate, otherwise why the first of them is not usable.

        A damaged file does not hide a sound one: an older version of the day, or a copy in another folder.
        """
        unusable: DayInput | None = None
        for granule in candidates:
            found = self._state_of(listing, granule)
            if isinstance(found, Pending):
                return found
            if isinstance(found, Ready):
                return replace(found, instead_of=unusable.reason) if isinstance(unusable, Refused) else found
            unusable = unusable or found
        if unusable:
            return unusable
        return Unknown(listing.unreachable) if listing.unreachable else Absent()

    def _state_of(self, listing: FeedListing, granule: Granule) -> Ready | Pending | Refused | Unknown:
        """Return what is known of a file; one that can be read where it lies is read if it was not yet."""
        key = f"{granule.location} {granule.version} {listing.reading} {self.grid.digest} {READER_VERSION}"
        file, known = ListedFile(listing, granule, key), listing.known(key)
        could_not_open = known and known.refused and not known.sha256  # permissions change without a new version
        if listing.feed.in_place and (known is None or could_not_open) and key not in self._tried:
            self._tried.add(key)
            try:
                known = self.store.ingest(file, Path(granule.location))
            except FeedUnreachable as error:
                self._failed[key] = listing, str(error)
        if known and known.refused and not (listing.feed.in_place or self.offline or key in self._tried):
            age = now() - dt.datetime.fromisoformat(known.arrived_at)
            is_recent = dt.timedelta(0) <= age <= _RETRY_AFTER  # not if the clock was ahead when it arrived
            known = known if is_recent and not self.retry_refused else None
        if known is None and key in self._failed:
            return Unknown(self._failed[key][1], file)
        if known is None:
            return Pending(file)
        if known.field_digest is None:
            return Refused(file, known.refused or "", known.sha256)
        return Ready(file, known.field_digest, known.sha256, known.coverage)

    def _is_uniform(self, day_input: Ready) -> bool:
        """Whether a field is empty or zero everywhere: two such days are equal without being copies."""
        return day_input.field_digest in (self._zero_digest, self._empty_digest)

    # Fetching and reading

    def fetch(self, files: Sequence[Pending]) -> None:
        """Fetch files and read them; a file that cannot be fetched now is `Unknown` afterwards.

        Raises
        ------
        LoginRefused
            The feed does not accept the credentials.
        ArchiveError
            The inbox cannot be written.
        """
        if not files:
            return
        self.events.fetch_started(len(files))
        for feed in {id(day_input.file.listing.feed): day_input.file.listing.feed for day_input in files}.values():
            feed.announce([d.file.granule for d in files if d.file.listing.feed is feed])
        pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="fetch")
        try:
            left_behind = {day_input.file.key for day_input in files if self.store.is_here(day_input.file)}
            downloads = [(day_input.file, pool.submit(self.store.local_path, day_input.file)) for day_input in files]
            for file, download in downloads:
                self._tried.add(file.key)
                size = 0
                try:
                    path = download.result()
                    size = max(1, path.stat().st_size)  # 0 says that nothing was fetched, and a copy may be empty
                    found = self.store.ingest(file, path, size)
                    if found.refused and file.key in left_behind:  # by a run that was killed
                        self.store.ingest(file, self.store.local_path(file), size)
                except FeedUnreachable as error:
                    self._failed[file.key] = file.listing, str(error)
                self.events.file_fetched(file.granule.name, size)
        finally:
            pool.shutdown(cancel_futures=True)
        self.reset()

    def preload(self, day_inputs: Iterable[DayInput]) -> None:
        """Read the fields that `read` will be asked for into memory; may run in another thread."""
        for day_input in day_inputs:
            if isinstance(day_input, Merged):
                if not (isinstance(self._days, MergedDays) and self._days.holds(day_input)):
                    self.preload(part.day_input for part in day_input.usable)
            elif isinstance(day_input, Ready):
                self.store.preload(day_input)

    def read(self, day_input: DayInput) -> InputField:
        """Return an input's field on the grid, all NaN where there is none.

        Raises
        ------
        InputRefused, FeedUnreachable
            As `GranuleStore.read_field`.
        """
        if isinstance(day_input, Merged) and isinstance(self._days, MergedDays):
            merged = self._days.read(day_input)
            return InputField(merged.field, merged)
        return InputField.of(self._read_file(day_input))

    def check(self, day_input: DayInput) -> None:
        """Read the files of an input once more, wherever their fields are kept; errors are those of `read`."""
        for file in day_input.files:
            if isinstance(file, Ready):
                self.store.forget(file)
                self._read_file(file)

    def _read_file(self, day_input: DayInput) -> Reading:
        """Return the content of one sensor's file, all NaN where there is none."""
        if isinstance(day_input, Ready):
            file = day_input.file
            if file.key in self._failed:  # one wait for a file is enough
                raise FeedUnreachable(self._failed[file.key][1])
            try:
                return self.store.read_field(day_input)
            except FeedUnreachable as error:
                self._failed[file.key] = file.listing, str(error)
                raise
        return Reading(np.full(self.grid.shape, np.nan, np.float32), None)
